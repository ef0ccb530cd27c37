"""Whether groups that people name explain a model's likeness beyond looks.

For each pair of images, s is the model's cosine, and what the references see of it is a smooth function f of theirs:
s = f(looks) + a + b + effect * same + rest, where `same` is 1 for two members of one group, and a and b are of the one
image and of the other, since some are near to everything. This is a regression on pairs whose rest is not independent
from pair to pair, so it is not its own formula that judges it but labels that change places:

the effect    by least squares. `same` and s are both cleared of the looks, so that groups which look alike are not
              taken for a bias: Krackhardt, "Predicting with Networks" (1988); Dekker, Krackhardt and Snijders,
              "Sensitivity of MRQAP Tests to Collinearity and Autocorrelation Conditions" (2007)
the test      labels change places among images that look alike, in blocks of ten, and nowhere else. Where nothing but
              the looks decides about labels, no arrangement is then likelier than the true one, whatever f is; and the
              test is right, too, where f is. See Berrett, Wang, Barber and Samworth, "The Conditional Permutation Test
              for Independence while Controlling for Confounders" (2020)
the interval  all effects that the same test does not reject: Rosenbaum, "Covariance Adjustment in Randomized
              Experiments and Observational Studies" (2002). The value is the one in the middle: Hodges and Lehmann,
              "Estimates of Location Based on Rank Tests" (1963)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.stats import LEVEL, Floats, Whole

ROUNDS = 1999
"""Arrangements of labels beside the true one: no p is below 1 / 2000."""

BLOCK = 10
"""Images, at least, among which labels change places."""

KNOTS = (0.25, 0.5, 0.75, 0.9, 0.97, 0.99)
"""Quantiles of a reference's cosines where the slope of f may change."""

MOVES = 0.02
"""Where looks, and labels' keeping to their blocks, leave less of who is with whom, groups cannot be told apart."""

_CHUNK = 64
_STEPS = 401


@dataclass(frozen=True, slots=True)
class Effect:
    """How much more alike two members of one group are for a model than two of different groups that look the same.

    value, low, high: in cosines
    deviation: the standard deviation of the model's cosines, a unit in which models can be compared
    p: how likely labels that follow looks alone are as far from nothing; two-sided, uncorrected
    """

    value: float
    low: float
    high: float
    deviation: float
    p: float

    @property
    def in_deviations(self) -> tuple[float, float, float]:
        """Value, low, high in deviations."""
        return self.value / self.deviation, self.low / self.deviation, self.high / self.deviation

    def to_json(self) -> dict[str, Any]:
        value, low, high = self.in_deviations
        return {
            "cosine": {"value": round(self.value, 6), "low": round(self.low, 6), "high": round(self.high, 6)},
            "deviations": {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4)},
            "p": round(self.p, 6),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Arrangements:
    """(1 + rounds, m) labels of m images: the true ones first, then the same with places changed within blocks."""

    labels: npt.NDArray[np.int16]

    @classmethod
    def draw(cls, labels: Whole, blocks: Sequence[Whole], rounds: int, rng: np.random.Generator) -> Arrangements:
        table = np.tile(labels.astype(np.int16), (1 + rounds, 1))
        for block in blocks:
            table[1:, block] = rng.permuted(table[1:, block], axis=1)
        return cls(table)


class Adjusted:
    """A model's cosines of all pairs of m images, with what the references explain of them.

    similarity: (m, m), m above 2: the model's cosines; references: the same of each model that sees looks
    """

    def __init__(self, similarity: Floats, references: Sequence[Floats]) -> None:
        self.count = len(similarity)
        self._a, self._b = np.triu_indices(self.count, 1)
        cosines = similarity[self._a, self._b].astype(np.float64)
        terms = _terms([each[self._a, self._b].astype(np.float64) for each in references])
        directions, sizes, turn = np.linalg.svd(
            np.stack([self._within(term) for term in terms], axis=1), full_matrices=False
        )
        kept = sizes > 1e-6 * sizes[0]
        self._looks = directions[:, kept]
        self.rest = self._cleared(cosines)
        weights = turn[kept].T @ (self._looks.T @ cosines / sizes[kept])
        self.explained = np.asarray(weights @ terms)
        self.deviation = max(float(cosines.std()), 1e-9)

    @cached_property
    def looks(self) -> Floats:
        """(m, m): the cosines that the references would expect of the model."""
        table = np.full((self.count, self.count), self.explained.max())
        table[self._a, self._b] = table[self._b, self._a] = self.explained
        return table

    @cached_property
    def blocks(self) -> list[Whole]:
        """Images that look alike: halved along the widest direction of the looks until they are few."""
        found: list[Whole] = []
        waiting = [np.arange(self.count)]
        while waiting:
            block = waiting.pop()
            if len(block) < 2 * BLOCK:
                found.append(block)
                continue
            table = self.looks[np.ix_(block, block)]
            table = table - table.mean(axis=0)
            widest = np.linalg.eigh(table - table.mean(axis=1, keepdims=True))[1][:, -1]
            order = block[np.argsort(widest, kind="stable")]
            waiting += [np.sort(order[len(order) // 2 :]), np.sort(order[: len(order) // 2])]
        return found

    def effect(self, arrangements: Arrangements, group: int | None = None) -> Effect | None:
        """Of being in one group, or both in this one. None where labels and looks go together too closely to tell."""
        labels = arrangements.labels
        chunks = [labels[start : start + _CHUNK] for start in range(0, len(labels), _CHUNK)]
        usual = self._cleared(sum(self._same(each, group).sum(axis=0) for each in chunks) / len(labels))
        together = self._within(self._same(labels[:1], group)[0])
        own = self._cleared(together)
        if not own @ (own - usual) > MOVES * (together @ together):
            return None
        columns = np.column_stack([self.rest, own, usual, self._looks]).astype(np.float32)
        sums = np.concatenate([self._same(each, group) @ columns for each in chunks]).astype(np.float64)
        # What moves when labels do, d - usual, in which d is `same` cleared of looks: its length, and its product
        # with the rest, and with what a true effect would add to that. Groups keep their sizes, and so what is of
        # single images in `same` keeps its length.
        squared = together @ together - (sums[:, 3:] ** 2).sum(axis=1)
        length = np.sqrt(np.maximum(squared - 2 * sums[:, 2] + usual @ usual, 1e-9))
        found = (sums[:, 0] - self.rest @ usual) / length
        shift = (sums[:, 1] - own @ usual) / length
        value = float(found[0] / shift[0])
        low, high = _accepted(found, shift, value, max(float(found[1:].std() / shift[0]), 1e-9))
        return Effect(value, low, high, self.deviation, float(_chance(found, shift, np.zeros(1))[0]))

    def _within(self, values: npt.ArrayLike) -> Floats:
        """(pairs,) less what is of single images: the mean, and how far each image is from it."""
        whole = np.asarray(values, dtype=np.float64)
        whole = whole - whole.mean()
        own = np.bincount(self._a, whole, self.count) + np.bincount(self._b, whole, self.count)
        share = own / (self.count - 2)
        return np.asarray(whole - share[self._a] - share[self._b])

    def _cleared(self, values: npt.ArrayLike) -> Floats:
        """(pairs,) less what is of single images, and what the looks explain."""
        whole = self._within(values)
        return np.asarray(whole - self._looks @ (self._looks.T @ whole))

    def _same(self, labels: npt.NDArray[np.int16], group: int | None) -> npt.NDArray[np.float32]:
        """(arrangements, pairs): 1 for two members of one group."""
        if group is None:
            together = np.take(labels, self._a, axis=1) == np.take(labels, self._b, axis=1)
        else:
            members = labels == group
            together = np.take(members, self._a, axis=1) & np.take(members, self._b, axis=1)
        return np.asarray(together, dtype=np.float32)


def _terms(references: Sequence[Floats]) -> list[Floats]:
    """(pairs,) each: f is linear from knot to knot in each reference, and in their products."""
    scaled = [(each - each.mean()) / max(float(each.std()), 1e-9) for each in references]
    terms = []
    for i, each in enumerate(scaled):
        knots = np.unique(np.quantile(each, KNOTS))
        terms += [each, *(np.maximum(each - knot, 0) for knot in knots), *(each * other for other in scaled[:i])]
    return terms


def _chance(found: Floats, shift: Floats, effects: Floats) -> Floats:
    """The p value of each of these effects, were it the true one."""
    far = np.abs(found[:, None] - shift[:, None] * effects)
    return np.asarray((far >= far[0] * (1 - 1e-6)).mean(axis=0))


def _accepted(found: Floats, shift: Floats, value: float, step: float) -> tuple[float, float]:
    """The least and the largest effect that the test does not reject, within what cosines can differ by."""
    reach = 4 * step
    while True:
        effects = value + np.linspace(-reach, reach, _STEPS)
        kept = effects[_chance(found, shift, effects) > 1 - LEVEL]
        if reach > 2 or not len(kept) or (kept[0] > effects[0] and kept[-1] < effects[-1]):
            break
        reach *= 2
    if not len(kept):
        return value, value
    width = 2 * reach / (_STEPS - 1)
    return max(-2.0, float(kept[0]) - width), min(2.0, float(kept[-1]) + width)
