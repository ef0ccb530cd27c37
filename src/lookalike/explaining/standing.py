"""Where a score stands among those of pictures that have nothing to do with each other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lookalike.collection import Collection
from lookalike.ranking import SAME, SAMPLE, Ranker
from lookalike.store import Reader
from lookalike.types import ModelCard, Score, Usual, Vectors

PAIRS = 2000
"""Pairs of pictures of the collection that are looked at, at most: a share is then known to about 1 %."""

FEWEST = 10
"""Fewer pairs say nothing."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is usual for one model in a collection, beside a score.

    usual:    of the cosines that the first picture has with any picture of the collection
    standard: how many deviations the score is above that
    above:    0 to 1: the share of unrelated pairs of the collection that are less alike
    pairs:    how many pairs were looked at
    """

    usual: Usual
    standard: float
    above: float
    pairs: int


def standings(
    collection: Collection, cards: Sequence[ModelCard], vectors: Sequence[Vectors], scores: Sequence[Score]
) -> dict[str, Standing]:
    """By model: only of those whose vectors the collection has, by the same revision, of enough pictures.

    `vectors` are the first picture's, (dim,) by each of `cards`. Raises NoCollection, CollectionDamaged.
    """
    found: dict[str, Standing] = {}
    with Reader.open(collection.directory) as store, store.snapshot():
        entries = {entry.name: entry for entry in store.models()}
        ranker, hashes = Ranker(store), store.some(SAMPLE)
        for card, vector, score in zip(cards, vectors, scores, strict=True):
            entry = entries.get(card.name)
            if entry is None or entry.fingerprint != card.fingerprint:
                continue
            rows = sorted(store.rows_of(entry, hashes).values())
            others = _between(np.asarray(store.vectors(entry)[rows], dtype=np.float32))
            if len(others) < FEWEST:
                continue
            usual = ranker.usual(entry, vector[None])
            above = float((others < score.cosine).mean())
            found[card.name] = Standing(usual, usual.standard(score.cosine), above, len(others))
    return found


def holds(collection: Collection, path: str) -> bool:
    """Whether a file is one of the collection's. Raises CollectionDamaged, CollectionTooNew."""
    # As a scan has it: its folder's real path, but of a link its own.
    place = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    with Reader.open(collection.directory) as store:
        return bool(store.hashes([place]))


def told(standing: Standing) -> str:
    """The share in words: "all of 2,000", "99.8 %"."""
    if standing.above == 1:
        return f"all of {standing.pairs:,}"
    # Downwards: "100.0 %" would be more than is true.
    return f"{np.floor(standing.above * 1000) / 10:.1f} %"


def as_plain(standings: Mapping[str, Standing], model: str) -> dict[str, float | int] | None:
    """The contract of `compare --why --json`; None of a model of which nothing is known."""
    if (standing := standings.get(model)) is None:
        return None
    return {
        "mean": round(standing.usual.mean, 6),
        "deviation": round(standing.usual.deviation, 6),
        "standard": round(standing.standard, 3),
        "above": round(standing.above, 6),
        "pairs": standing.pairs,
    }


def _between(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(n,) cosines of pairs of rows, the same pairs each time; copies of each other are not unrelated."""
    one, other = np.triu_indices(len(rows), 1)
    if len(one) > PAIRS:
        chosen = np.random.default_rng(0).choice(len(one), PAIRS, replace=False)
        one, other = one[chosen], other[chosen]
    cosines = np.einsum("nd,nd->n", rows[one], rows[other]) if len(one) else np.zeros(0, dtype=np.float32)
    return np.asarray(cosines[cosines < SAME], dtype=np.float32)
