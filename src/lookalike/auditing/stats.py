"""Figures with the intervals that images drawn anew would give them, and many tests as one family.

intervals   percentile bootstrap over images: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993); for means
            over pairs of images, a pair counts as often as both of its images were drawn: Snijders and Borgatti,
            "Non-Parametric Standard Errors and Tests for Network Statistics" (1999)
many tests  Holm, "A Simple Sequentially Rejective Multiple Test Procedure" (1979)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ROUNDS = 1000
LEVEL = 0.95

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and where it may well lie, at LEVEL."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        return {"value": round(self.value, 6), "low": round(self.low, 6), "high": round(self.high, 6)}


def mean_of_images(values: npt.ArrayLike, rng: np.random.Generator) -> Estimate:
    """The mean of (n,) or (n, times) numbers, a row an image."""
    rows = np.asarray(values, dtype=np.float64).reshape(len(np.asarray(values)), -1).mean(axis=1)
    drawn = rng.integers(len(rows), size=(ROUNDS, len(rows)))
    return _interval(float(rows.mean()), rows[drawn].mean(axis=1))


def share_of_images(values: npt.ArrayLike, rng: np.random.Generator) -> Estimate:
    """The mean of shares, 0 to 1. Where it is 0 or 1, rounds cannot but agree, and know nothing of what was not seen:
    the interval then is that of Clopper and Pearson, "The Use of Confidence or Fiducial Limits" (1934)."""
    found = mean_of_images(values, rng)
    unseen = 1 - ((1 - LEVEL) / 2) ** (1 / len(np.asarray(values)))
    low = min(found.low, 1 - unseen) if found.value >= 1 else found.low
    high = max(found.high, unseen) if found.value <= 0 else found.high
    return Estimate(found.value, low, high)


def mean_of_pairs(values: npt.ArrayLike, rng: np.random.Generator) -> Estimate:
    """The mean of (n, n) numbers of pairs of different images: the diagonal does not count."""
    table = np.array(values, dtype=np.float64)
    np.fill_diagonal(table, 0)
    count = len(table)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=ROUNDS).astype(np.float64)
    totals = np.einsum("ri,ij,rj->r", weights, table, weights, optimize=True)
    pairs = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
    return _interval(float(table.sum() / (count * (count - 1))), totals[pairs > 0] / pairs[pairs > 0])


def _interval(value: float, rounds: Floats) -> Estimate:
    low, high = (float(edge) for edge in np.quantile(rounds, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    return Estimate(value, min(low, value), max(high, value))


def holm(p: Sequence[float]) -> list[float]:
    """The p values of a family of tests, corrected for their number."""
    corrected, least = [0.0] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        least = max(least, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = least
    return corrected
