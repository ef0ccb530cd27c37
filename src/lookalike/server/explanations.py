"""Why two pictures match, as the page shows it: made once for a pair, one pair at a time, and kept for a while."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from lookalike import images
from lookalike.collection import Collection
from lookalike.explaining import Explanation, explain, panels
from lookalike.explaining.standing import told
from lookalike.server.threads import Pool
from lookalike.types import Pixels

KEPT = 24
"""Pairs whose pictures are kept, each about a megabyte."""

WAITING = 8
"""Pairs that may wait, each for seconds; whoever comes then is told when to come back."""

LARGE, WIDE = 800, 1600
"""Pixels of the longer side of a panel with one picture, and of the width of one with two."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What is compared, and how: the files with the contents `a` and `b`."""

    a: str
    b: str
    collection: str | None = None
    method: str = "sift"
    mirror: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One model's score; what is usual for the collection's pictures is blank where it is not known."""

    model: str
    score: float
    cosine: float
    standard: str = ""
    above: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture, as WebP."""

    data: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Shown:
    """An explanation for a page.

    share:    0 to 1: the chance that both show the same; None where nothing could be verified
    pictures: by name: "lines", "map-0-a" ...; "base", "blend" and "difference" where the first lies over the second
    """

    verdict: str
    share: float | None
    rows: tuple[Row, ...]
    legends: tuple[panels.Legend, ...]
    differs: panels.Difference | None
    pictures: Mapping[str, Panel]


class Explanations:
    """Those that were asked for last. Threads may share it."""

    def __init__(self) -> None:
        self._pool = Pool("explaining", 1, WAITING)
        self._kept: OrderedDict[Pair, Shown] = OrderedDict()
        self._lock = threading.Lock()

    def kept(self, pair: Pair) -> Shown | None:
        """What was made before, if it is kept still."""
        with self._lock:
            if pair in self._kept:
                self._kept.move_to_end(pair)
            return self._kept.get(pair)

    async def of(self, pair: Pair, files: tuple[str, str], collection: Collection | None) -> Shown:
        """What explains the pair. Raises what `explain` does, and Problem 429 where too many wait."""
        known = self.kept(pair)
        return known if known else await self._pool.run(self._made, pair, files, collection)

    def close(self) -> None:
        """Wait for what is being made."""
        self._pool.close()

    def _made(self, pair: Pair, files: tuple[str, str], collection: Collection | None) -> Shown:
        if known := self.kept(pair):  # somebody before us asked for the same
            return known
        own = Collection(collection.directory) if collection else None  # a collection belongs to one thread
        try:
            shown = _shown(explain(*files, method=pair.method, mirror=pair.mirror, collection=own))
        finally:
            if own:
                own.close()
        with self._lock:
            self._kept[pair] = shown
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return shown


def _shown(explanation: Explanation) -> Shown:
    pictures = {"lines": panels.lines(explanation, WIDE)}
    laid = panels.overlay(explanation, LARGE)
    differs = panels.difference(laid) if laid else None
    if laid and differs:
        pictures |= {"base": laid.base, "blend": laid.blend, "difference": differs.pixels}
    for i, maps in enumerate(explanation.maps):
        pictures[f"map-{i}-a"], pictures[f"map-{i}-b"] = panels.drawn(explanation, maps, (LARGE, LARGE))
    return Shown(
        verdict=panels.verdict(explanation),
        share=explanation.evidence.chance if panels.chance(explanation) else None,
        rows=_rows(explanation),
        legends=tuple(panels.legend(maps) for maps in explanation.maps),
        differs=differs,
        pictures={name: _encoded(pixels) for name, pixels in pictures.items()},
    )


def _rows(explanation: Explanation) -> tuple[Row, ...]:
    rows = []
    for score in explanation.comparison.scores:
        standing = explanation.standings.get(score.model)
        usual = (f"{standing.standard:.1f} deviations", told(standing)) if standing else ("", "")
        rows.append(Row(score.model, score.score, score.cosine, *usual))
    return tuple(rows)


def _encoded(pixels: Pixels) -> Panel:
    height, width = pixels.shape[:2]
    return Panel(images.thumbnail(pixels, max(width, height)), width, height)
