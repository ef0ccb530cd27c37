"""Pairs that a model joins or parts against their looks: among neighbours, so that large collections are no matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lookalike.auditing.likeness import BLOCK, Audited, Likeness
from lookalike.indexing import Progress
from lookalike.stats import Floats, Interval, Whole, share_of_images
from lookalike.types import ImageRef

K = 10
"""A picture's neighbours are so many, or a tenth of all where these are few."""

FAR = 0.1
"""Pairs are unlike that are no nearer than a tenth of all pairs."""

ASKED = 5000
"""Pictures whose neighbours are looked at; of more, so many are drawn by lot."""

DRAWN = 200_000
"""Pairs that tell how near a pair is among all."""

OFTEN = 2
"""Times that a picture is shown in a list, at most."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A pair, by one model: its cosine, the rank of one among the neighbours of the other (the better of the two), and
    the share of all pairs that are less alike."""

    model: str
    cosine: float
    rank: int
    nearer_than: float

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "cosine": round(self.cosine, 6),
            "rank": self.rank,
            "nearer_than": round(self.nearer_than, 6),
        }


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures; the first standing is the audited model's."""

    a: ImageRef
    b: ImageRef
    standings: tuple[Standing, ...]

    def to_json(self) -> dict[str, Any]:
        return {"a": self.a.path, "b": self.b.path, "models": [each.to_json() for each in self.standings]}


@dataclass(frozen=True, slots=True)
class Surprises:
    """What neighbours tell.

    k, asked: whose and how many neighbours were looked at
    joined:   the share of the model's neighbours that do not look alike; `joins` are the farthest
    parted:   the share of neighbours by looks that are far apart for the model; `parts` are the farthest
    """

    k: int
    asked: int
    joined: Interval
    parted: Interval
    joins: tuple[Pair, ...]
    parts: tuple[Pair, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "neighbours": self.k,
            "images_asked": self.asked,
            "unlike_from": FAR,
            "neighbours_that_look_unlike": {
                "share": self.joined.to_json(),
                "pairs": [pair.to_json() for pair in self.joins],
            },
            "lookalikes_held_apart": {
                "share": self.parted.to_json(),
                "pairs": [pair.to_json() for pair in self.parts],
            },
        }


def surprises(audited: Audited, listed: int, rng: np.random.Generator, tell: Progress) -> Surprises:
    """The `listed` pairs that the model ranks most against their looks, either way, and how common such pairs are."""
    count = len(audited.images)
    k = max(1, min(K, count // 10))
    asked = np.sort(rng.permutation(count)[:ASKED])
    drawn = _some_pairs(count, rng)
    usual = {
        "model": np.sort(audited.model.standard_pairs(*drawn)),
        "looks": np.sort(audited.looks_of_pairs(*drawn)),
    }
    joins, parts = _Found(usual["model"], usual["looks"]), _Found(usual["looks"], usual["model"])
    for start in range(0, len(asked), BLOCK):
        rows = asked[start : start + BLOCK]
        by_model, by_looks = audited.model.standard(rows), audited.looks(rows)
        for table in (by_model, by_looks):
            table[np.arange(len(rows)), rows] = -np.inf  # nobody is a neighbour of their own
        joins.look(rows, by_model, by_looks, k)
        parts.look(rows, by_looks, by_model, k)
        tell("neighbours", start + len(rows), len(asked))
    names = [audited.model, *audited.visual]
    scales = [np.sort(each.standard_pairs(*drawn)) for each in names]
    found = [tuple(_pair(audited, a, b, names, scales) for a, b in each.farthest(listed)) for each in (joins, parts)]
    return Surprises(k, len(asked), joins.share(rng), parts.share(rng), *found)


class _Found:
    """Neighbours in one view that are far apart in the other, collected block by block."""

    def __init__(self, near: Floats, far: Floats) -> None:
        self._near, self._far = near, far
        self._shares: list[Floats] = []
        self._pairs: list[tuple[float, int, int]] = []

    def look(self, rows: Whole, near: Floats, far: Floats, k: int) -> None:
        """Look at the k nearest in (rows, n) `near` of each row."""
        others = np.argpartition(-near, k - 1, axis=1)[:, :k]
        tail = _tail(self._far, np.take_along_axis(far, others, 1))
        gap = np.log(tail / _tail(self._near, np.take_along_axis(near, others, 1)))
        unlike = (tail >= FAR) & (gap > 0)
        self._shares.append(unlike.mean(axis=1))
        for at, place in zip(*np.nonzero(unlike), strict=True):
            a, b = sorted((int(rows[at]), int(others[at, place])))
            self._pairs.append((float(gap[at, place]), a, b))

    def share(self, rng: np.random.Generator) -> Interval:
        return share_of_images(np.concatenate(self._shares), rng)

    def farthest(self, count: int) -> list[tuple[int, int]]:
        """The pairs with the widest gap, no picture more than OFTEN."""
        chosen: list[tuple[int, int]] = []
        seen: dict[int, int] = {}
        for _, a, b in sorted(set(self._pairs), key=lambda each: (-each[0], each[1:])):
            if len(chosen) < count and (a, b) not in chosen and max(seen.get(a, 0), seen.get(b, 0)) < OFTEN:
                chosen.append((a, b))
                seen.update({a: seen.get(a, 0) + 1, b: seen.get(b, 0) + 1})
        return chosen


def _some_pairs(count: int, rng: np.random.Generator) -> tuple[Whole, Whole]:
    """All pairs, or DRAWN of them by lot."""
    if count * (count - 1) // 2 <= DRAWN:
        a, b = np.triu_indices(count, 1)
        return a, b
    a = rng.integers(count, size=DRAWN)
    return a, (a + rng.integers(1, count, size=DRAWN)) % count


def _tail(usual: Floats, values: Floats) -> Floats:
    """The share of the sorted `usual` that is at least as large: above 0, 1 at most."""
    above = len(usual) - np.searchsorted(usual, values, side="left")
    return np.asarray(np.minimum(above + 1, len(usual)) / len(usual))


def _pair(audited: Audited, a: int, b: int, names: Sequence[Likeness], scales: Sequence[Floats]) -> Pair:
    standings = []
    for each, scale in zip(names, scales, strict=True):
        rows = each.standard(np.array([a, b]))
        values = rows[[0, 1], [b, a]]
        rows[[0, 1], [a, b]] = -np.inf
        rank = 1 + int((rows > values[:, None]).sum(axis=1).min())
        below = float(np.searchsorted(scale, values[0] - 1e-9) / len(scale))
        cosine = float(np.clip(each.vectors[a] @ each.vectors[b], -1, 1))
        standings.append(Standing(each.model, cosine, rank, below))
    return Pair(audited.images[a], audited.images[b], tuple(standings))
