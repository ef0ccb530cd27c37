"""How far the figures of a study can be trusted, and which differences are more than luck.

What was made of one original, or told of one image, is not independent: the original is the unit, a cluster of queries.

intervals     percentile bootstrap over the units: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993);
              over clusters: Field and Welsh, "Bootstrapping Clustered Data" (2007). Clusters with a match in the
              gallery and clusters without one are drawn apart, since their numbers are a matter of design. For means
              over pairs of images, a pair counts as often as both of its images were drawn: Snijders and Borgatti,
              "Non-Parametric Standard Errors and Tests for Network Statistics" (1999). Where a share is 0 or 1, the
              exact bound: Clopper and Pearson, "The Use of Confidence or Fiducial Limits" (1934)
differences   the same rounds for both, so that they are paired; tested by flipping the signs of whole clusters:
              Fisher, "The Design of Experiments" (1935); Winkler et al., "Permutation Inference for the General
              Linear Model" (2014)
many tests    Holm, "A Simple Sequentially Rejective Multiple Test Procedure" (1979)
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

ROUNDS = 1000
LEVEL = 0.95
"""Of the intervals; the tests hold to its complement, 0.05, over all pairs together."""

_MOST_CELLS = 8_000_000
"""Predictions times rounds that are held at once: 32 MB."""

Flags = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and where it may well lie, at LEVEL: low <= value <= high."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """In millionths."""
        return {"value": round(self.value, 6), "low": round(self.low, 6), "high": round(self.high, 6)}


def interval(value: float, rounds: Floats, units: int | None = None, least: float = 0.0) -> Interval:
    """Of a figure, from the values that it has in samples drawn anew; NaN where a sample had none.

    units: of a share, 0 to 1, or of what has 1 as its most and another `least`: of how many it is
    """
    rest = rounds[~np.isnan(rounds)]
    if np.isnan(value) or not rest.size:
        return Interval(value, value, value)
    low, high = (float(edge) for edge in np.quantile(rest, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    # Where all were found, or none, rounds cannot but agree: they know nothing of what has not been seen.
    if units is not None and value >= 1:
        low = min(low, certain(units))
    if units is not None and value <= least:
        high = max(high, least + 1 - certain(units))
    return Interval(value, min(low, value), max(high, value))


def certain(units: int) -> float:
    """The smallest share that may well come out as 1 in so many units."""
    return float(((1 - LEVEL) / 2) ** (1 / max(1, units)))


def mean_of_images(values: npt.ArrayLike, rng: np.random.Generator) -> Interval:
    """The mean of (n,) or (n, times) numbers, a row an image."""
    value, rounds, _ = _images_drawn(values, rng)
    return interval(value, rounds)


def share_of_images(values: npt.ArrayLike, rng: np.random.Generator) -> Interval:
    """The same of shares, 0 to 1."""
    return interval(*_images_drawn(values, rng))


def _images_drawn(values: npt.ArrayLike, rng: np.random.Generator) -> tuple[float, Floats, int]:
    """The mean, in each round, and of how many images."""
    rows = np.asarray(values, dtype=np.float64).reshape(len(np.asarray(values)), -1).mean(axis=1)
    drawn = rng.integers(len(rows), size=(ROUNDS, len(rows)))
    return float(rows.mean()), rows[drawn].mean(axis=1), len(rows)


def mean_of_pairs(values: npt.ArrayLike, rng: np.random.Generator) -> Interval:
    """The mean of (n, n) numbers of pairs of different images: the diagonal does not count."""
    table = np.array(values, dtype=np.float64)
    np.fill_diagonal(table, 0)
    count = len(table)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=ROUNDS).astype(np.float64)
    totals = np.einsum("ri,ij,rj->r", weights, table, weights, optimize=True)
    pairs = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
    return interval(float(table.sum() / (count * (count - 1))), totals[pairs > 0] / pairs[pairs > 0])


@dataclass(frozen=True, slots=True, eq=False)
class Bootstrap:
    """Samples of clusters, drawn once and used for all figures, so that these can be compared round by round.

    cluster: (q,) the number of each query's cluster
    wanted:  (q,) whether the query has a match that can be found
    weights: (clusters, 1 + rounds) float32, how often each cluster was drawn; the first column is the sample itself
    """

    cluster: Whole
    wanted: Flags
    weights: npt.NDArray[np.float32]

    @classmethod
    def draw(cls, names: Sequence[str], wanted: Sequence[bool], seed: int, rounds: int = ROUNDS) -> Self:
        """Draw `rounds` samples. `names` are the clusters of the queries. The same seed gives the same samples."""
        numbers: dict[str, int] = {}
        cluster = np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.intp)
        flags = np.array(wanted, dtype=bool)
        matched = np.bincount(cluster[flags], minlength=len(numbers)) > 0
        weights = np.ones((len(numbers), 1 + rounds), dtype=np.float32)
        rng = np.random.default_rng(seed)
        for stratum in (np.flatnonzero(matched), np.flatnonzero(~matched)):
            for column in range(1, 1 + rounds):
                drawn = rng.integers(len(stratum), size=len(stratum)) if len(stratum) else stratum
                weights[stratum, column] = np.bincount(drawn, minlength=len(stratum))
        return cls(cluster, flags, weights)

    def share(self, values: Flags | Floats, among: Flags | None = None) -> Interval:
        """The mean of (q,) values from 0 to 1, such as hits, over the queries that have a match, or those `among`."""
        counted = self.wanted if among is None else among
        return self._interval(self._rounds(values, counted), counted)

    def difference(self, a: Flags | Floats, b: Flags | Floats) -> Interval:
        """How much larger the mean of (q,) values is in `a` than in `b`, -1 to 1, paired by query."""
        if np.array_equal(a[self.wanted], b[self.wanted]):
            unseen = 1 - certain(self._units(self.wanted))
            return Interval(0.0, -unseen, unseen)
        return self._interval(self._rounds(a.astype(float) - b, self.wanted), self.wanted, least=-1.0)

    def differences(self, a: Flags | Floats, b: Flags | Floats) -> Whole:
        """(clusters,) how much more `a` has in each cluster than `b`, in thousandths of a hit."""
        more = np.where(self.wanted, np.rint(1000 * (a.astype(float) - b)), 0)
        return self._sums(more).astype(np.intp)

    def ranked(self, query: Whole, right: Flags, truths: Whole) -> tuple[Interval, Interval]:
        """Micro-AP and recall@P90 of predictions of all queries in one list, the best first: see `bench.protocols`.

        `query` (p,) is whose each is, `right` (p,) whether it is right, `truths` (q,) how many each query has.
        A query that was drawn twice counts as two queries with the same predictions.
        """
        cluster = self.cluster[query]
        if not right.any():
            nothing = np.zeros(self.weights.shape[1])
            return self._interval(nothing, self.wanted), self._interval(nothing, self.wanted)
        places = np.flatnonzero(right)
        wrong = np.flatnonzero(~right[: places[-1]])
        # Only what is wrong before a right one matters. It is summed up from one right one to the next.
        section = np.searchsorted(places, wrong)
        sections, starts = np.unique(section, return_index=True)
        wanted = self._sums(truths.astype(float)) @ self.weights
        areas, recalls = np.empty(len(wanted)), np.empty(len(wanted))
        step = max(1, _MOST_CELLS // (len(cluster) + 1))
        for start in range(0, len(wanted), step):
            weights = self.weights[:, start : start + step]
            wrongs = np.zeros((len(places), weights.shape[1]))
            if len(wrong):
                wrongs[sections] = np.add.reduceat(weights[cluster[wrong]], starts, axis=0)
            area, found = _curve(np.cumsum(wrongs, axis=0), weights[cluster[places]].astype(float))
            with np.errstate(invalid="ignore"):
                areas[start : start + step] = area / wanted[start : start + step]
                recalls[start : start + step] = found / wanted[start : start + step]
        return self._interval(areas, self.wanted), self._interval(recalls, self.wanted)

    def _sums(self, values: Floats) -> npt.NDArray[np.float32]:
        """(clusters,) of (q,) whole numbers: exact in float32."""
        return np.bincount(self.cluster, weights=values, minlength=len(self.weights)).astype(np.float32)

    def _rounds(self, values: Floats | Flags, counted: Flags) -> Floats:
        """(1 + rounds,) means of the `counted` ones of (q,) values; NaN where a round drew none of them."""
        with np.errstate(invalid="ignore"):
            totals = (self._sums(np.where(counted, values, 0)) @ self.weights).astype(float)
            means: Floats = totals / (self._sums(counted.astype(float)) @ self.weights)
        return means

    def _units(self, counted: Flags) -> int:
        """Clusters that have any of the `counted` queries."""
        return len(np.unique(self.cluster[counted]))

    def _interval(self, found: Floats, counted: Flags, least: float = 0.0) -> Interval:
        """From a figure's value and those in all rounds, (1 + rounds,)."""
        return interval(float(found[0]), found[1:], self._units(counted), least)


def _curve(wrong: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """From (right ones, rounds) the wrong ones before each and how often it was drawn: area and found@P90, (rounds,).

    A right one that was drawn w times adds the precision at each: the sum of (found + i) / (all + i) for i from 1 to
    w is w - wrong * (1 / (all + 1) + ... + 1 / (all + w)), with harmonic numbers for the bracket.
    """
    found = np.cumsum(weight, axis=0)
    everything = (wrong + found).astype(np.intp)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, everything.max(initial=0) + 1))])
    before = everything - weight.astype(np.intp)
    area = (weight - wrong * (harmonic[everything] - harmonic[before])).sum(axis=0)
    ninety = found / np.maximum(everything, 1) >= 0.9
    return area, np.where(ninety, found, 0).max(axis=0)


def sign_flip(differences: Whole) -> float:
    """How likely differences, (clusters,) whole numbers, sum up as far from 0 if each could as well be the other way.

    Two-sided, and exact for any number of clusters: the sum's distribution is built up cluster by cluster. Never 0.
    """
    differences = differences // max(1, int(np.gcd.reduce(differences)))
    sizes = np.abs(differences[differences != 0])
    reach = int(sizes.sum())
    chances = np.zeros(2 * reach + 1)  # of the sums -reach to reach
    chances[reach] = 1
    held = 0
    for size in sizes.tolist():
        low, high = reach - held, reach + held + 1
        part = chances[low:high] / 2
        chances[low:high] = 0
        chances[low - size : high - size] += part
        chances[low + size : high + size] += part
        held += size
    far = np.abs(np.arange(-reach, reach + 1)) >= abs(int(differences.sum()))
    return min(1.0, max(float(chances[far].sum()), sys.float_info.min))


def holm(p: Sequence[float]) -> list[float]:
    """The p values of a family of tests, corrected for their number: those below 0.05 hold together at that level."""
    corrected = [0.0] * len(p)
    least = 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        least = max(least, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = least
    return corrected
