"""Vectors against a collection's: which of its pictures are nearest, and how near any of them is as a rule."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lookalike.fusion import Fuse, fused
from lookalike.index.exact import ExactIndex
from lookalike.store import ModelEntry, Reader
from lookalike.types import EVERYTHING, Hit, ImageRef, Only, Usual, Vectors

SAMPLE = 500
"""Pictures of the collection that tell what cosine is usual for a query."""

FUSED = 200
"""The best so many of each model are looked at by all of them, when several make one ranking."""

SAME = 0.999
"""A cosine that only the picture itself has: it does not count among the usual ones."""

NARROW = 0.01
"""The least deviation that is believed: of a handful of pictures, it may come out as nothing."""

Part = tuple[ModelEntry, Vectors]
"""A model of the collection, and the query's (v, dim) vectors by it: of the whole, and of views of it."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What is kept of a model until a commit changes it."""

    entry: ModelEntry
    dead: int
    index: ExactIndex
    allowed: npt.NDArray[np.bool_] | None
    drawn: Sequence[str]
    """The pictures of `Reader.some`: others may come by another model, and leave this one as it is."""
    sample: npt.NDArray[np.float32]
    """(drawn, dim): a row for each of them, NaN where the model has no vector of it."""


class Ranker:
    """Ranks by the vectors of one open collection. Called within a snapshot of its store."""

    def __init__(self, store: Reader) -> None:
        self._store = store
        self._models: dict[str, _Held] = {}

    def rank(
        self,
        parts: Sequence[Part],
        k: int,
        hidden: Sequence[str] = (),
        fuse: Fuse = "scores",
        only: Only = EVERYTHING,
    ) -> tuple[tuple[Hit, ...], Usual | None]:
        """The k images nearest to a query by one model, or by several together, and what is usual for the query.

        Of a query's several vectors the nearest counts. Files at the paths of `hidden` are left out, and so is
        whatever does not meet `only`; what is usual is told by all pictures.
        """
        # A link is the picture that it leads to, and a picture of its own: neither is its own result.
        left_out = {os.path.join(os.path.realpath(os.path.dirname(p)), os.path.basename(p)) for p in hidden}
        left_out |= {os.path.realpath(path) for path in hidden}
        wanted = k + len(left_out)
        drawn = self._store.some(SAMPLE)
        held = [self._held(entry, drawn) for entry, _ in parts]
        samples = np.stack([_cosines(vectors, own.sample) for own, (_, vectors) in zip(held, parts, strict=True)])
        usual = [usual_of(row) for row in samples]
        if len(parts) == 1:
            rows, cosines = _nearest(held[0], parts[0][1], wanted, self._allowed(held[0], only))
            images = self._store.images(held[0].entry, rows, only)
            groups = [images.get(row, []) for row in rows]
            return _hits(groups, cosines, left_out, k), usual[0]
        pictures: dict[str, list[ImageRef]] = {}
        for own, (_, vectors) in zip(held, parts, strict=True):
            rows, _ = _nearest(own, vectors, max(FUSED, 2 * wanted), self._allowed(own, only))
            for group in self._store.images(own.entry, rows, only).values():
                pictures.setdefault(group[0].id, group)
        table = np.stack(
            [self._of(own, vectors, pictures) for own, (_, vectors) in zip(held, parts, strict=True)]
        ).astype(np.float64)
        scores = fused(table, usual, fuse)
        order = np.argsort(-scores, kind="stable")
        groups = list(pictures.values())
        hits = _hits([groups[i] for i in order], [float(scores[i]) for i in order], left_out, k)
        return hits, usual_of(fused(samples.astype(np.float64), usual)) if fuse == "scores" else None

    def usual(self, entry: ModelEntry, vectors: Vectors) -> Usual:
        """What cosine is usual between a query's vectors and any picture of the collection."""
        return usual_of(_cosines(vectors, self._held(entry, self._store.some(SAMPLE)).sample))

    def _allowed(self, held: _Held, only: Only) -> npt.NDArray[np.bool_] | None:
        """Of each row, whether it counts; None where all do."""
        if only == EVERYTHING:
            return held.allowed
        meeting = np.zeros(held.entry.rows, dtype=np.bool_)
        meeting[self._store.rows_meeting(held.entry, only)] = True
        return meeting if held.allowed is None else meeting & held.allowed

    def _of(self, held: _Held, vectors: Vectors, hashes: Iterable[str]) -> npt.NDArray[np.float32]:
        """The query's cosine with each of these pictures."""
        return _cosines(vectors, self._rows(held.entry, list(hashes)))

    def _rows(self, entry: ModelEntry, hashes: Sequence[str]) -> npt.NDArray[np.float32]:
        """(n, dim) of these pictures, NaN where there is no vector."""
        found = self._store.rows_of(entry, hashes)
        vectors = np.full((len(hashes), entry.dim), np.nan, dtype=np.float32)
        there = [i for i, sha256 in enumerate(hashes) if sha256 in found]
        vectors[there] = self._store.vectors(entry)[[found[hashes[i]] for i in there]]
        return vectors

    def _held(self, entry: ModelEntry, drawn: Sequence[str]) -> _Held:
        """The model's index and sample, as they are in this snapshot."""
        dead = self._store.dead_rows(entry)
        held = self._models.get(entry.name)
        if held is None or (held.entry, held.dead, held.drawn) != (entry, len(dead), drawn):
            allowed = None
            if dead:
                allowed = np.ones(entry.rows, dtype=np.bool_)
                allowed[dead] = False
            index = ExactIndex(self._store.vectors(entry))
            held = _Held(entry, len(dead), index, allowed, drawn, self._rows(entry, drawn))
            self._models[entry.name] = held
        return held


def _nearest(
    held: _Held, vectors: Vectors, count: int, allowed: npt.NDArray[np.bool_] | None
) -> tuple[list[int], list[float]]:
    """The best rows of those that are allowed, each once, and their cosines, falling."""
    cosines, rows = held.index.search(vectors, count, allowed=allowed)
    if len(rows) == 1:
        kept = rows[0] >= 0
        return rows[0][kept].tolist(), cosines[0][kept].tolist()
    best: dict[int, float] = {}
    for row, cosine in zip(rows.ravel().tolist(), cosines.ravel().tolist(), strict=True):
        if row >= 0:
            best[row] = max(cosine, best.get(row, -1.0))
    order = sorted(best, key=lambda row: (-best[row], row))[:count]
    return order, [best[row] for row in order]


def _cosines(vectors: Vectors, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(n,) the cosine of each row with the nearest of the vectors."""
    # Half precision rounds lengths: a picture is not more than equal to itself.
    return np.asarray(np.clip(np.einsum("vd,nd->vn", vectors, rows), -1, 1).max(axis=0), dtype=np.float32)


def usual_of(cosines: npt.NDArray[np.floating]) -> Usual:
    """What is usual among a query's cosines with pictures that were drawn by lot; NaN is left out."""
    others = cosines[np.isfinite(cosines) & (cosines < SAME)].astype(np.float64)
    if len(others) < 2:
        return Usual(0.0, 1.0)
    # A few of the sample may be near-duplicates of the query: the middle half does not see them.
    low, middle, high = np.quantile(others, [0.25, 0.5, 0.75])
    return Usual(float(middle), max(float(high - low) / 1.349, NARROW))


def _hits(
    groups: Sequence[Sequence[ImageRef]], cosines: Sequence[float], left_out: set[str], k: int
) -> tuple[Hit, ...]:
    found = [
        (cosine, image)
        for group, cosine in zip(groups, cosines, strict=True)
        for image in group
        if image.path not in left_out
    ]
    return tuple(Hit(rank, cosine, image) for rank, (cosine, image) in enumerate(found[:k], 1))
