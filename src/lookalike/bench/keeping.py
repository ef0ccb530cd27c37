"""Work on queries that is kept part by part: an interruption loses one part at most, and nothing is done twice.

A file is named by all that it depends on, so none is ever out of date; one that is damaged is as good as none. With the
work lies what CPU time it took: what a query costs must not depend on who asked before.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.bench.datasets import Ranking
from lookalike.places import read_json
from lookalike.types import ImageRef, ModelCard, Vectors
from lookalike.views import CROPS, Views
from lookalike.writing import write_text, write_whole

PART = 128
"""Queries whose work is kept together."""

_SECONDS, _HALF = np.dtype("<f8"), np.dtype("<f2")


class Keeper:
    """What is kept of one entry.

    place: the folder
    key:   of all that the entry's answers depend on
    """

    def __init__(self, place: Path, key: str) -> None:
        self.place, self.key = place, key
        self._spared = 0.0

    @property
    def seconds(self) -> float:
        """CPU time of all cores, what was kept counted as if it had been worked out now. Differences have meaning."""
        return time.process_time() + self._spared

    def views(
        self,
        card: ModelCard,
        views: Views,
        queries: Sequence[ImageRef],
        shape: tuple[int, ...],
        make: Callable[[], Vectors],
    ) -> Vectors:
        """(queries, views, dim) vectors of the further views, of this `shape`; float16, as all vectors that are stored.

        Any entry that looks for the same views by the same model takes them, whitened or verified as it may be.
        """
        boxes = CROPS if views.crops else ()
        path = self.place / f"views-{_digest(card.fingerprint, views.mirror, boxes, [ref.id for ref in queries])}.f16"
        size = _SECONDS.itemsize + _HALF.itemsize * math.prod(shape)
        with suppress(OSError):
            if path.stat().st_size == size:
                data = path.read_bytes()
                spared = float(np.frombuffer(data, _SECONDS, 1)[0])
                found = np.frombuffer(data, _HALF, offset=_SECONDS.itemsize).reshape(shape)
                if np.isfinite(found).all() and math.isfinite(spared):
                    self._spared += spared
                    return found.astype(np.float32)
        began = time.process_time()
        halves = make().astype(_HALF)
        data = np.array(time.process_time() - began, _SECONDS).tobytes() + halves.tobytes()
        write_whole(path, lambda part: Path(part).write_bytes(data))
        return halves.astype(np.float32)

    def rankings(
        self, queries: Sequence[str], gallery: Collection[str], make: Callable[[], Mapping[str, Ranking]]
    ) -> Mapping[str, Ranking]:
        """The entry's answers to these queries, from the gallery."""
        path = self.place / f"part-{self.key}-{_digest(list(queries))}.json"
        known = read_json(path)
        with suppress(ValueError, TypeError, AttributeError, KeyError):
            found = checked(known["rankings"], queries, gallery)
            self._spared += float(known["seconds"])
            return found
        began = self.seconds
        made = make()
        write_text(path, json.dumps({"rankings": made, "seconds": self.seconds - began}))
        return made

    def forget(self) -> None:
        """Remove the parts of the answers: they are kept as a whole now."""
        for path in self.place.glob(f"part-{self.key}-*.json"):
            with suppress(OSError):
                path.unlink()


def checked(kept: Any, queries: Collection[str], gallery: Collection[str]) -> dict[str, Ranking]:
    """Rankings as they come from a file. Raises ValueError, TypeError, AttributeError for what is none of these."""
    asked = frozenset(queries)
    found: dict[str, Ranking] = {}
    for query, row in kept.items():
        found[query] = [(name, float(score)) for name, score in row]
        if query not in asked or not all(name in gallery and math.isfinite(score) for name, score in found[query]):
            raise ValueError(query)
    return found


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
