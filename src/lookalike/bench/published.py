"""The measures of the published protocols, by their own definitions. All are 0 to 1; NaN where nothing can be found.

disc21     "uap", "recall@p90": over all queries at once, of the 500,000 predictions with the highest scores;
           "accuracy@1", "accuracy@3": a truth is first, or among three. Douze et al., "The 2021 Image Similarity
           Dataset and Challenge" (2021). disc21-article: the accuracies alone
labelled   "knn@1", "knn@5", "knn@20": most of the nearest have the image's label; "recall@1", 2, 4, 8, 10: one of them
           has it, as in Oh Song et al., "Deep Metric Learning via Lifted Structured Feature Embedding" (2016); "map@r":
           Musgrave et al., "A Metric Learning Reality Check" (2020)
coco       "shared@5", "shared@10": the share of the nearest that show something of a category of the image;
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
from itertools import chain

import numpy as np
import numpy.typing as npt

from lookalike.bench.datasets import CAP, Dataset, DatasetQuery
from lookalike.bench.measures import Ranking
from lookalike.errors import UsageError
from lookalike.writing import showable

NEIGHBOURS = (1, 5, 20)
RECALLS = (1, 2, 4, 8, 10)
SHARED = (5, 10)
PRECISIONS = (1, 5, 10)

Flags = npt.NDArray[np.bool_]
Rankings = Mapping[str, Ranking]


def measures(dataset: Dataset, rankings: Rankings) -> dict[str, float]:
    """By name, the figures of the rankings: by query id, names of the gallery and scores, in any order.

    Raises UsageError for rankings that name what the data set does not have, a name twice, or no finite score.
    """
    _check(dataset, rankings)
    found = {measure: _mean(list(values.values())) for measure, values in per_query(dataset, rankings).items()}
    if dataset.protocol == "disc21":
        found = {**_pooled(dataset, rankings), **found}
    if dataset.protocol == "coco" and dataset.queries:
        found["shared@all"] = _shared_by_all(dataset)
    return found


def per_query(dataset: Dataset, rankings: Rankings) -> dict[str, dict[str, float]]:
    """By measure and query id, whatever is a mean over queries: for intervals. Each has the queries that it judges."""
    found: dict[str, dict[str, float]] = {measure: {} for measure in _names(dataset)}
    judge = _JUDGES[dataset.protocol](dataset)
    for query in dataset.queries:
        for measure, value in judge(query, rankings.get(query.id, ())):
            found.setdefault(measure, {})[query.id] = value
    return found


def first_right(dataset: Dataset, rankings: Rankings) -> dict[str, bool]:
    """By query id, whether the first answer is right, for those that have one: what both, neither or one found."""
    found = {}
    for query in dataset.queries:
        if query.truths or query.id in dataset.labels:
            flags = _flags(dataset, query, rankings.get(query.id, ()))
            found[query.id] = bool(flags[:1].any())
    return found


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


def _pooled(dataset: Dataset, rankings: Rankings) -> dict[str, float]:
    queries = {query.id: query for query in dataset.queries}
    wanted = sum(len(query.truths) for query in queries.values())
    if not wanted:
        return {"uap": math.nan, "recall@p90": math.nan}
    scored = [(score, name in queries[id_].truths) for id_, ranking in rankings.items() for name, score in ranking]
    right = _pessimistic([score for score, _ in scored], [flag for _, flag in scored])[:CAP]
    found = np.cumsum(right)
    precision, recall = found / np.arange(1, len(found) + 1), found / wanted
    ninety = recall[precision >= 0.9]
    return {"uap": float(precision[right].sum() / wanted), "recall@p90": float(ninety.max()) if ninety.size else 0.0}


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

Judge = Callable[[DatasetQuery, Ranking], Iterator[tuple[str, float]]]


def _copies(dataset: Dataset) -> Judge:
    def judge(query: DatasetQuery, ranking: Ranking) -> Iterator[tuple[str, float]]:
        if query.truths:
            flags = _flags(dataset, query, ranking)
            yield "accuracy@1", float(flags[:1].any())
            yield "accuracy@3", float(flags[:3].any())

    return judge


def _labelled(dataset: Dataset) -> Judge:
    sizes = Counter(dataset.labels.values())

    def judge(query: DatasetQuery, ranking: Ranking) -> Iterator[tuple[str, float]]:
        label = dataset.labels[query.id]
        others = sizes[label] - 1
        if not others:
            return
        neighbours = [(dataset.labels[name], score) for name, score in ranking if name not in query.junk]
        for k in NEIGHBOURS:
            yield f"knn@{k}", float(_most_agree(neighbours, label, k))
        flags = _flags(dataset, query, ranking)
        for k in RECALLS:
            yield f"recall@{k}", float(flags[:k].any())
        first = flags[:others]
        precision = np.cumsum(first) / np.arange(1, len(first) + 1)
        yield "map@r", float(precision[first].sum() / others)

    return judge


def _coco(dataset: Dataset) -> Judge:
    def judge(query: DatasetQuery, ranking: Ranking) -> Iterator[tuple[str, float]]:
        flags = _flags(dataset, query, ranking)
        for k in SHARED:
            yield f"shared@{k}", float(flags[:k].sum() / k)

    return judge


def _copydays(dataset: Dataset) -> Judge:
    def judge(query: DatasetQuery, ranking: Ranking) -> Iterator[tuple[str, float]]:
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
    def judge(query: DatasetQuery, ranking: Ranking) -> Iterator[tuple[str, float]]:
        easy = query.truths - query.hard
        for level, wanted, junk in (
            ("easy", easy, query.junk | query.hard),
            ("medium", query.truths, query.junk),
            ("hard", query.hard, query.junk | easy),
        ):
            if not wanted:
                continue
            kept = [(score, name in wanted) for name, score in ranking if name not in junk]
            places = np.flatnonzero(_pessimistic([score for score, _ in kept], [flag for _, flag in kept]))
            yield f"map/{level}", _area(places, len(wanted))
            last = places[-1] + 1 if len(places) == len(wanted) else math.inf
            for k in PRECISIONS:  # one that has found all that there is need not go on to k
                among = min(last, k)
                yield f"mp@{k}/{level}", float((places < among).sum() / among)

    return judge


_JUDGES: Mapping[str, Callable[[Dataset], Judge]] = {
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


def _flags(dataset: Dataset, query: DatasetQuery, ranking: Ranking) -> Flags:
    """Which answers are right, the best first, without junk."""
    kept = [(score, dataset.is_right(query, name)) for name, score in ranking if name not in query.junk]
    return _pessimistic([score for score, _ in kept], [flag for _, flag in kept])


def _pessimistic(scores: Sequence[float], right: Sequence[bool]) -> Flags:
    """The flags by falling score; among equals the wrong ones first."""
    flags = np.array(right, dtype=bool)
    order: npt.NDArray[np.intp] = np.lexsort((flags, -np.array(scores, dtype=np.float64)))
    return np.asarray(flags[order], dtype=bool)


def _area(places: npt.NDArray[np.intp], wanted: int) -> float:
    """Average precision by trapezoids: `places` from 0, rising, of the right answers, of which there are `wanted`."""
    before = np.arange(len(places))
    left = np.where(places > 0, before / np.maximum(places, 1), 1.0)
    right = (before + 1) / (places + 1)
    return float((left + right).sum() / (2 * wanted))


def _most_agree(neighbours: Sequence[tuple[frozenset[str], float]], label: frozenset[str], k: int) -> bool:
    """Whether more of the k nearest have this label than any other, whichever of equal score are taken."""
    ranked = sorted(neighbours, key=lambda pair: -pair[1])
    if not ranked:
        return False
    last = ranked[:k][-1][1]
    sure = Counter(each for each, score in ranked if score > last)
    tied = Counter(each for each, score in ranked if score == last)
    open_places = min(k, len(ranked)) - sure.total()
    mine = sure[label] + max(0, open_places - (tied.total() - tied[label]))
    rivals = (sure.keys() | tied.keys()) - {label}
    return mine > max((sure[each] + min(open_places, tied[each]) for each in rivals), default=0)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
