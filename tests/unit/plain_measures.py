"""How good a ranking is, against the truth: worked out plainly, for tests to hold the library's measures against.

accuracy@1, top-3  the share of queries with a truth that is found first, or among the first three
micro-AP           the area under precision over recall of all predictions of all queries in one list, by their score:
                   scores must mean the same for every query. Queries without a truth can only do harm. Perronnin et
                   al., "A Family of Contextual Measures of Similarity between Distributions" (CVPR 2009); as in
                   Douze et al., "The 2021 Image Similarity Dataset and Challenge" (2021)
recall@P90         the share of truths that are found while nine of ten predictions are right

Ties are broken against the method: among equal scores the wrong ones come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from lookalike.bench.datasets import Ranking

Truths: TypeAlias = Mapping[str, str | None]
"""By query, what it is a copy of; None where of nothing."""


@dataclass(frozen=True, slots=True)
class Measures:
    """All in 0 to 1; NaN where no query has a truth."""

    accuracy_at_1: float
    top_3: float
    micro_ap: float
    recall_at_p90: float


def measure(rankings: Mapping[str, Ranking], truths: Truths) -> Measures:
    """Judge rankings by query; a query that is missing found nothing. Raises KeyError for one without a truth entry."""
    wanted = [query for query, truth in truths.items() if truth is not None]
    places = [place(rankings.get(query, ()), truths[query] or "") for query in wanted]
    scores, right = [], []
    for query, ranking in rankings.items():
        for name, score in ranking:
            scores.append(score)
            right.append(name == truths[query])
    precision, recall = _curve(np.array(scores), np.array(right, dtype=bool), len(wanted))
    steps = np.diff(recall, prepend=0.0)
    ninety = recall[precision >= 0.9]
    nothing = float("nan")
    return Measures(
        accuracy_at_1=float(np.mean([p == 1 for p in places])) if wanted else nothing,
        top_3=float(np.mean([p <= 3 for p in places])) if wanted else nothing,
        micro_ap=float((steps * precision).sum()) if wanted else nothing,
        recall_at_p90=float(ninety.max()) if ninety.size else 0.0 if wanted else nothing,
    )


def place(ranking: Ranking, truth: str) -> float:
    """The rank of the truth, from 1, behind whatever has the same score; infinite where it was not found."""
    score = next((score for name, score in ranking if name == truth), None)
    if score is None:
        return float("inf")
    return sum(other >= score for _, other in ranking)


def _curve(scores: np.ndarray, right: np.ndarray, truths: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall after each prediction, by falling score."""
    order = np.lexsort((right, -scores))  # among equals the wrong ones first
    found = np.cumsum(right[order])
    return found / np.arange(1, len(found) + 1), found / max(1, truths)
