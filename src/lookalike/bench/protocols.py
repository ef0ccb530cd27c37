"""What each protocol measures, by its own definition. All figures are 0 to 1; NaN where nothing can be found.

copies     of a user's own folder: "accuracy@1", "accuracy@3", "uap", "recall@p90", as disc21 has them
disc21     "uap", "recall@p90": over all queries at once, of the 500,000 predictions with the highest scores;
           "accuracy@1", "accuracy@3": a truth is first, or among three. Douze et al., "The 2021 Image Similarity
           Dataset and Challenge" (2021). disc21-article: the accuracies alone
labelled   "knn@1", "knn@5", "knn@20": most of the nearest have the image's label; "recall@1", 2, 4, 8, 10: one of them
           has it, as in Oh Song et al., "Deep Metric Learning via Lifted Structured Feature Embedding" (2016); "map@r":
           Musgrave et al., "A Metric Learning Reality Check" (2020)
coco       "shared@1", "shared@5", "shared@10": the share of the nearest that show something of a category of the image;
           "shared@all": of the whole gallery, which is what chance gives
copydays   "map", "accuracy@1" of the strong copies, "map/jpeg/3" and the like of each other folder: as in the
           evaluation of INRIA Holidays, Jegou et al. (2008), whose AP is the area under straight lines
revisited  "map/easy", "mp@1/easy", 5, 10, and the same of medium and hard: Radenovic et al., "Revisiting Oxford and
           Paris" (CVPR 2018). Easy counts hard answers as junk, hard the easy ones; medium wants both

Ties are broken against the method: among equal scores the wrong ones come first. A query with nothing to find counts
in "uap" and "recall@p90" alone. What a ranking does not name is not found.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from lookalike.bench.datasets import CAP, Dataset, Query, Ranking
from lookalike.errors import UsageError
from lookalike.stats import Flags, Floats, Whole
from lookalike.writing import showable

NEIGHBOURS = (1, 5, 20)
RECALLS = (1, 2, 4, 8, 10)
SHARED = (1, 5, 10)
PRECISIONS = (1, 5, 10)

HEADLINE: dict[str, str] = {"labelled": "recall@1", "coco": "shared@1", "copydays": "map", "revisited": "map/medium"}
"""The measure that entries are ordered and told apart by, a mean over queries; "accuracy@1" where nothing is said."""

FIRST: dict[str, str] = {**HEADLINE, "copydays": "accuracy@1", "revisited": "mp@1/medium"}
"""Whether the first answer is right; "accuracy@1" where nothing is said."""

Rankings = Mapping[str, Ranking]


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """The predictions of all queries in one list, the best first: of which query each is, and whether it is right."""

    query: Whole
    right: Flags


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a protocol makes of rankings.

    figures:  by measure
    by_query: by measure and query id, whatever is a mean over queries: each has the queries that it judges
    pool:     what "uap" and "recall@p90" are of
    """

    figures: Mapping[str, float]
    by_query: Mapping[str, Mapping[str, float]]
    pool: Pool | None


def judge(dataset: Dataset, rankings: Rankings) -> Judged:
    """Judge rankings: by query id, names of the gallery and scores, in any order.

    Raises UsageError for rankings that name what the data set does not have, a name twice, or no finite score.
    """
    _check(dataset, rankings)
    by_query: dict[str, dict[str, float]] = {measure: {} for measure in _names(dataset)}
    judged = _JUDGES[dataset.protocol](dataset)
    for query in dataset.queries:
        for measure, value in judged(query, rankings.get(query.id, ())):
            by_query.setdefault(measure, {})[query.id] = value
    figures = {measure: _mean(list(values.values())) for measure, values in by_query.items()}
    pool = _pooled(dataset, rankings) if dataset.protocol in ("copies", "disc21") else None
    if pool is not None:
        figures |= _of_all(pool, sum(len(query.truths) for query in dataset.queries))
    if dataset.protocol == "coco" and dataset.queries:
        figures["shared@all"] = _shared_by_all(dataset)
    return Judged(figures, by_query, pool)


def headline(dataset: Dataset) -> str:
    return HEADLINE.get(dataset.protocol, "accuracy@1")


def first(dataset: Dataset) -> str:
    return FIRST.get(dataset.protocol, "accuracy@1")


def _check(dataset: Dataset, rankings: Rankings) -> None:
    asked = {query.id for query in dataset.queries}
    for id_, ranking in rankings.items():
        where = f"{dataset.name}, {showable(id_)}"
        if id_ not in asked:
            raise UsageError(f"{where}: no such query")
        names = {name for name, _ in ranking}
        if len(names) < len(ranking):
            raise UsageError(f"{where}: an answer is named twice")
        if strange := next((name for name in names if name not in dataset.gallery), None):
            raise UsageError(f"{where}: {showable(strange)} is not in the gallery")
        if not all(math.isfinite(score) for _, score in ranking):
            raise UsageError(f"{where}: a score is not a finite number")


# -- of all queries at once --------------------------------------------------------------------------------------------


def _pooled(dataset: Dataset, rankings: Rankings) -> Pool:
    """As far as the challenge allows: CAP predictions."""
    asked = [(i, query.truths, rankings.get(query.id, ())) for i, query in enumerate(dataset.queries)]
    numbers = np.array([i for i, _, ranking in asked for _ in ranking], dtype=np.intp)
    right = np.array([name in truths for _, truths, ranking in asked for name, _ in ranking], dtype=bool)
    order = _pessimistic([score for _, _, ranking in asked for _, score in ranking], right)[:CAP]
    return Pool(numbers[order], right[order])


def _of_all(pool: Pool, wanted: int) -> dict[str, float]:
    if not wanted:
        return {"uap": math.nan, "recall@p90": math.nan}
    found = np.cumsum(pool.right)
    precision, recall = found / np.arange(1, len(found) + 1), found / wanted
    ninety = recall[precision >= 0.9]
    area = float(precision[pool.right].sum() / wanted)
    return {"uap": area, "recall@p90": float(ninety.max()) if ninety.size else 0.0}


def _shared_by_all(dataset: Dataset) -> float:
    """The mean over queries of how much of the rest of the gallery shares a label with it."""
    numbers = {label: i for i, label in enumerate(sorted(set(chain.from_iterable(dataset.labels.values()))))}
    table = np.zeros((len(dataset.gallery), len(numbers)), dtype=np.float32)
    place = {name: i for i, name in enumerate(dataset.gallery)}
    for name, labels in dataset.labels.items():
        table[place[name], [numbers[label] for label in labels]] = 1
    asked = [place[query.id] for query in dataset.queries]
    blocks = (table[asked[start : start + 200]] @ table.T > 0 for start in range(0, len(asked), 200))
    shared = sum(int(block.sum()) - len(block) for block in blocks)  # each shares all with itself
    return shared / (len(asked) * max(1, len(table) - 1))


# -- query by query ----------------------------------------------------------------------------------------------------

Judge = Callable[[Query, Ranking], Iterator[tuple[str, float]]]


def _copies(dataset: Dataset) -> Judge:
    def judge(query: Query, ranking: Ranking) -> Iterator[tuple[str, float]]:
        if query.truths:
            flags = _flags(dataset, query, ranking)
            yield "accuracy@1", float(flags[:1].any())
            yield "accuracy@3", float(flags[:3].any())

    return judge


def _labelled(dataset: Dataset) -> Judge:
    sizes = Counter(dataset.labels.values())
    numbers = {label: i for i, label in enumerate(sizes)}
    number = {name: numbers[label] for name, label in dataset.labels.items()}

    def judge(query: Query, ranking: Ranking) -> Iterator[tuple[str, float]]:
        label, others = number[query.id], sizes[dataset.labels[query.id]] - 1
        if not others:
            return
        kept = [(number[name], score) for name, score in ranking if name not in query.junk]
        labels = np.array([each for each, _ in kept], dtype=np.intp)
        scores = np.array([score for _, score in kept], dtype=np.float64)
        order = _pessimistic(scores, labels == label)
        labels, scores = labels[order], scores[order]
        for k in NEIGHBOURS:
            yield f"knn@{k}", float(_most_agree(labels, scores, label, k))
        flags = labels == label
        for k in RECALLS:
            yield f"recall@{k}", float(flags[:k].any())
        first = flags[:others]
        precision = np.cumsum(first) / np.arange(1, len(first) + 1)
        yield "map@r", float(precision[first].sum() / others)

    return judge


def _coco(dataset: Dataset) -> Judge:
    def judge(query: Query, ranking: Ranking) -> Iterator[tuple[str, float]]:
        flags = _flags(dataset, query, ranking)
        for k in SHARED:
            yield f"shared@{k}", float(flags[:k].sum() / k)

    return judge


def _copydays(dataset: Dataset) -> Judge:
    def judge(query: Query, ranking: Ranking) -> Iterator[tuple[str, float]]:
        flags = _flags(dataset, query, ranking)
        block = query.id.rpartition("/")[0]
        precision = _area(np.flatnonzero(flags), len(query.truths))
        if block == "strong":
            yield "map", precision
            yield "accuracy@1", float(flags[:1].any())
        else:
            yield f"map/{block}", precision

    return judge


def _revisited(dataset: Dataset) -> Judge:
    def judge(query: Query, ranking: Ranking) -> Iterator[tuple[str, float]]:
        easy = query.truths - query.hard
        for level, wanted, junk in (
            ("easy", easy, query.junk | query.hard),
            ("medium", query.truths, query.junk),
            ("hard", query.hard, query.junk | easy),
        ):
            if not wanted:
                continue
            kept = [(score, name in wanted) for name, score in ranking if name not in junk]
            places = np.flatnonzero(_sorted(kept))
            yield f"map/{level}", _area(places, len(wanted))
            last = places[-1] + 1 if len(places) == len(wanted) else math.inf
            for k in PRECISIONS:  # one that has found all that there is need not go on to k
                among = min(last, k)
                yield f"mp@{k}/{level}", float((places < among).sum() / among)

    return judge


_JUDGES: Mapping[str, Callable[[Dataset], Judge]] = {
    "copies": _copies,
    "disc21": _copies,
    "disc21-article": _copies,
    "labelled": _labelled,
    "coco": _coco,
    "copydays": _copydays,
    "revisited": _revisited,
}


def _names(dataset: Dataset) -> Sequence[str]:
    """The measures that there always are, whether a query bears on them or not."""
    return {
        "labelled": [*(f"knn@{k}" for k in NEIGHBOURS), *(f"recall@{k}" for k in RECALLS), "map@r"],
        "coco": [f"shared@{k}" for k in SHARED],
        "copydays": ["map", "accuracy@1"],
        "revisited": [
            f"{measure}/{level}"
            for level in ("easy", "medium", "hard")
            for measure in ("map", *(f"mp@{k}" for k in PRECISIONS))
        ],
    }.get(dataset.protocol, ["accuracy@1", "accuracy@3"])


# -- what they share ---------------------------------------------------------------------------------------------------


def _flags(dataset: Dataset, query: Query, ranking: Ranking) -> Flags:
    """Which answers are right, the best first, without junk."""
    return _sorted([(score, dataset.is_right(query, name)) for name, score in ranking if name not in query.junk])


def _sorted(scored: Sequence[tuple[float, bool]]) -> Flags:
    """The flags by falling score; among equals the wrong ones first."""
    right = np.array([flag for _, flag in scored], dtype=bool)
    return np.asarray(right[_pessimistic([score for score, _ in scored], right)], dtype=bool)


def _pessimistic(scores: Sequence[float] | Floats, right: Flags) -> npt.NDArray[np.intp]:
    """The order by falling score; among equals the wrong ones first."""
    return np.lexsort((right, -np.array(scores, dtype=np.float64)))


def _area(places: npt.NDArray[np.intp], wanted: int) -> float:
    """Average precision by trapezoids: `places` from 0, rising, of the right answers, of which there are `wanted`."""
    before = np.arange(len(places))
    left = np.where(places > 0, before / np.maximum(places, 1), 1.0)
    right = (before + 1) / (places + 1)
    return float((left + right).sum() / (2 * wanted))


def _most_agree(labels: Whole, scores: Floats, label: int, k: int) -> bool:
    """Whether more of the k nearest have this label than any other, whichever of equal score are taken."""
    if not len(labels):
        return False
    last = scores[:k][-1]
    sure = Counter(labels[scores > last].tolist())
    tied = Counter(labels[scores == last].tolist())
    open_places = min(k, len(labels)) - sure.total()
    mine = sure[label] + max(0, open_places - (tied.total() - tied[label]))
    rivals = (sure.keys() | tied.keys()) - {label}
    return mine > max((sure[each] + min(open_places, tied[each]) for each in rivals), default=0)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
