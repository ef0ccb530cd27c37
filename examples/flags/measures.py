"""Ranks into figures: the nine tests, recall@k and mean reciprocal rank with their intervals.

intervals  percentile bootstrap of the flags: each round draws as many flags as there are, with replacement, and a pair
           counts as often as both its flags were drawn, since pairs that share a flag are not independent. Snijders and
           Borgatti, "Non-Parametric Standard Errors and Tests for Network Statistics" (Connections 22, 1999).
           Where all rounds agree, as when every pair was found, they know nothing of what was not asked: there it is
           the exact bound for as many pairs as share no flag, and so are independent. Clopper and Pearson, "The Use of
           Confidence or Fiducial Limits" (Biometrika 26, 1934)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from folder import Flag
from truth import NINE_TESTS, Pair

from lookalike.stats import certain

ROUNDS = 2000
TOP = 3
"""A partner is found that is among the nearest so many."""


@dataclass(frozen=True)
class Found:
    """What one model finds for one flag: the cosines of all others, by their codes."""

    cosines: Mapping[str, float]

    @cached_property
    def nearest(self) -> list[str]:
        return sorted(self.cosines, key=lambda code: (-self.cosines[code], code))

    def rank(self, code: str) -> int:
        """From 1. Ties go against the model: whatever is as near as the flag comes before it."""
        least = self.cosines.get(code, -math.inf)
        return sum(cosine >= least for cosine in self.cosines.values()) + (code not in self.cosines)


Finds: TypeAlias = Mapping[str, Found]
"""What one model finds for each flag, by its code."""

Floats: TypeAlias = npt.NDArray[np.float64]

Ways: TypeAlias = list[tuple[str, str]]
"""Who is asked for, and who should be found."""


def both_ways(pairs: Sequence[Pair], flags: Mapping[str, Flag]) -> Ways:
    """Each pair there and back, once, as drawings; not those whose flags are one drawing."""
    drawings = ((flags[pair.a].code, flags[pair.b].code) for pair in pairs)
    return list(dict.fromkeys(way for a, b in drawings if a != b for way in ((a, b), (b, a))))


def figures(finds: Finds, ways: Ways, seed: int) -> dict[str, Any]:
    """recall@1, @3, @5 and mrr over the ways, and the 95 % intervals of each."""
    return summed(ranks_of(finds, ways), ways, seed)


def ranks_of(finds: Finds, ways: Ways) -> list[int]:
    return [finds[a].rank(b) for a, b in ways]


def best_possible(ways: Ways, seed: int) -> dict[str, Any]:
    """The figures of a model that ranks nothing before the partners: not all of several can be first."""
    seen: dict[str, int] = {}
    ranks = []
    for a, _ in ways:
        seen[a] = seen.get(a, 0) + 1
        ranks.append(seen[a])
    return summed(ranks, ways, seed)


def summed(ranks: Sequence[int], ways: Ways, seed: int) -> dict[str, Any]:
    rank, weights = np.array(ranks), drawn(ways, seed)
    values = {f"recall@{k}": (rank <= k).astype(float) for k in (1, 3, 5)} | {"mrr": 1 / rank}
    told: dict[str, Any] = {name: round(float(value.mean()), 4) for name, value in values.items()}
    return {**told, "intervals": {name: interval(value, ways, weights) for name, value in values.items()}}


def behind(finds: Finds, best: Finds, ways: Ways, seed: int) -> dict[str, Any]:
    """How much lower a model's recall@3 is than the best one's, and the interval: paired, of the same rounds."""
    if finds is best:
        return {"recall@3": 0.0, "interval": [0.0, 0.0]}
    less = np.array([
        float(other <= TOP) - float(own <= TOP)
        for own, other in zip(ranks_of(finds, ways), ranks_of(best, ways), strict=True)
    ])  # fmt: skip
    return {"recall@3": round(float(less.mean()), 4), "interval": interval(less, ways, drawn(ways, seed), least=-1)}


def drawn(ways: Ways, seed: int) -> Floats:
    """(rounds, ways) how often each way counts in each round."""
    numbers = {code: i for i, code in enumerate(dict.fromkeys(code for way in ways for code in way))}
    ends = np.array([[numbers[code] for code in way] for way in ways])
    rng = np.random.default_rng(seed)
    flags = rng.multinomial(len(numbers), np.full(len(numbers), 1 / len(numbers)), size=ROUNDS)
    weights = (flags[:, ends[:, 0]] * flags[:, ends[:, 1]]).astype(float)
    return np.asarray(weights[weights.sum(axis=1) > 0])


def interval(values: Floats, ways: Ways, weights: Floats, least: float = 0) -> list[float]:
    """Where the mean of (ways,) values, `least` to 1, may well lie (95 %) if other flags had been drawn."""
    means = weights @ values / weights.sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    if np.isclose(low, high):
        seen = certain(apart(ways))
        low, high = least + seen * (low - least), 1 - seen * (1 - high)
    return [round(float(edge), 4) for edge in (low, high)]


def apart(ways: Ways) -> int:
    """How many pairs there are of which no two share a flag."""
    taken: set[str] = set()
    for a, b in ways:
        if taken.isdisjoint((a, b)):
            taken |= {a, b}
    return len(taken) // 2


def nine_tests(finds: Finds, flags: Mapping[str, Flag]) -> list[dict[str, Any]]:
    """Each test with the rank of the expected flag there and back; `passed` is None where a flag is not there.

    A test is passed when every pair of its group has the other flag among the first three in one direction or both.
    """
    told: list[dict[str, Any]] = []
    for test in NINE_TESTS:
        here = {code: flags[code] for code in test if code in flags}
        pairs = [(a, b) for a, b in combinations(here.values(), 2) if a != b]
        ranks = [there_and_back(finds, a.code, b.code) for a, b in pairs]
        passed = all(min(both) <= TOP for both in ranks) if len(here) == len(test) else None
        asked = [{"flags": [a.code, b.code], "ranks": both} for (a, b), both in zip(pairs, ranks, strict=True)]
        told.append({"countries": list(test.values()), "passed": passed, "pairs": asked})
    return told


def there_and_back(finds: Finds, a: str, b: str) -> list[int]:
    return [finds[a].rank(b), finds[b].rank(a)]


def by_relation(finds: Finds, pairs: Sequence[Pair], flags: Mapping[str, Flag]) -> dict[str, Any]:
    """recall@3 of every relation that the pairs have, both ways. Of those that are "different", none is the best."""
    told = {}
    for relation in dict.fromkeys(pair.relation for pair in pairs):
        own = [pair for pair in pairs if pair.relation == relation]
        if ways := both_ways(own, flags):
            hits = sum(finds[a].rank(b) <= TOP for a, b in ways)
            told[relation] = {
                "similar": " or ".join(dict.fromkeys(pair.similar for pair in own)),
                "pairs": len(ways) // 2,
                "recall@3": round(hits / len(ways), 4),
            }
    return told
