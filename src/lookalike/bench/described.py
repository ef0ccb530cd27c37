"""What somebody's descriptors answer, as the descriptor track of ISC2021 has it.

A pair's score is the negated square of the L2 distance, and of all pairs of a query and a reference the CAP best are
the predictions. For vectors of length 1 that is the order of inner products. Douze et al., "The 2021 Image Similarity
Dataset and Challenge" (2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lookalike.bench.answers import Best, Scores
from lookalike.bench.datasets import CAP, Dataset, Ranking, read_descriptors
from lookalike.errors import UsageError
from lookalike.types import Vectors
from lookalike.wording import counted
from lookalike.writing import showable

MOST_DIMENSIONS = 256
"""That the challenge allows."""

_QUERIES, _ROWS = 512, 8192
_LONGEST = 1e15
"""Longer vectors have squares that single precision cannot tell apart, or cannot hold."""


def describe(paths: Sequence[Path], dataset: Dataset) -> tuple[dict[str, Ranking], int]:
    """Rankings by query, of HDF5 files that hold the vectors of all queries and all references; and their dimensions.

    A ranking holds what is among the CAP best pairs of all, and the `depth` best of the query, which accuracy takes.
    Raises UsageError, with the file, for names that the data set does not have or that are there twice, for vectors
    that are missing, that differ in length, or whose numbers are too large.
    """
    vectors = _read(paths, dataset)
    ids, names = [query.id for query in dataset.queries], list(dataset.gallery)
    queries, gallery = (np.stack([vectors[name] for name in some]) for some in (ids, names))
    most = _Most(CAP)
    rankings: dict[str, dict[str, float]] = {}
    for first in range(0, len(ids), _QUERIES):
        some = queries[first : first + _QUERIES]
        best = Best(len(some), min(len(names), dataset.depth))
        for start in range(0, len(names), _ROWS):
            scores = _scores(some, gallery[start : start + _ROWS])
            best.add(start, scores)
            most.add(first, start, scores)
        for i in range(len(some)):
            rankings[ids[first + i]] = {names[place]: score for place, score in best.of(i)}
    for query, place, score in most:
        rankings[ids[query]][names[place]] = score
    return {id_: list(found.items()) for id_, found in rankings.items()}, queries.shape[1]


def _read(paths: Sequence[Path], dataset: Dataset) -> dict[str, Vectors]:
    """Each vector by its name, of all files."""
    wanted = {query.id for query in dataset.queries} | set(dataset.gallery)
    found: dict[str, Vectors] = {}
    for path in paths:
        shown = showable(str(path))
        names, rows = read_descriptors(path)
        if strange := [name for name in names if name not in wanted]:
            raise UsageError(
                f"{shown}: {dataset.name} asks for no query and has no reference {showable(strange[0])!r}"
                f" ({counted(len(strange), 'such name')})"
            )
        if twice := next((name for name in names if name in found), None):
            raise UsageError(f"{shown}: {showable(twice)!r} has a vector in another file, too: keep one of them")
        dim = len(next(iter(found.values()))) if found else rows.shape[1]
        if rows.shape[1] != dim:
            raise UsageError(f"{shown}: its vectors have {rows.shape[1]} dimensions, those of another file {dim}")
        if rows.size and float(np.abs(rows).max()) * dim**0.5 > _LONGEST:
            raise UsageError(f"{shown}: its numbers are too large to be told apart in single precision: scale them")
        found |= zip(names, rows, strict=True)
    if missing := sorted(wanted - found.keys()):
        raise UsageError(
            f"{', '.join(showable(str(path)) for path in paths)}: no vector of {showable(missing[0])!r}"
            f" ({len(missing):,} of {len(wanted):,} are missing): queries and references are needed, all of them"
        )
    return found


def _scores(queries: Vectors, rows: Vectors) -> Scores:
    """(queries, rows) negated squares of the distances."""
    squares = np.einsum("qd,qd->q", queries, queries)[:, None] + np.einsum("nd,nd->n", rows, rows)
    return np.asarray(np.minimum(2 * (queries @ rows.T) - squares, 0))


class _Most:
    """The `cap` best pairs of all: numbers of query and reference, and the score."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self._pairs = np.zeros((0, 2), dtype=np.int64)
        self._scores = np.zeros(0, dtype=np.float32)
        self._least = -np.inf

    def add(self, first: int, start: int, scores: Scores) -> None:
        """(queries, rows) of the queries from `first` on, and the references from `start` on."""
        queries, places = np.nonzero(scores > self._least)
        self._pairs = np.concatenate([self._pairs, np.stack([first + queries, start + places], axis=1)])
        self._scores = np.concatenate([self._scores, scores[queries, places]])
        if len(self._scores) > 2 * self.cap:
            self._cut()

    def _cut(self) -> None:
        kept = np.argpartition(-self._scores, self.cap - 1)[: self.cap]
        self._pairs, self._scores = self._pairs[kept], self._scores[kept]
        self._least = float(self._scores.min())

    def __iter__(self) -> Iterator[tuple[int, int, float]]:
        if len(self._scores) > self.cap:
            self._cut()
        for (query, place), score in zip(self._pairs.tolist(), self._scores.tolist(), strict=True):
            yield query, place, score
