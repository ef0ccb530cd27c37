"""The published measures, against the definitions of their papers, worked out here the long way, and by hand."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lookalike.bench import protocols
from lookalike.bench.datasets import CAP, Dataset, Query, capped
from lookalike.errors import UsageError
from tests.unit.plain_measures import measure

Ranking = list[tuple[str, float]]
NAMES = [f"g{i:02d}" for i in range(14)]


def figures(dataset: Dataset, rankings: Mapping[str, Ranking]) -> Mapping[str, float]:
    return protocols.judge(dataset, rankings).figures


def first_right(dataset: Dataset, rankings: Mapping[str, Ranking]) -> dict[str, bool]:
    by_query = protocols.judge(dataset, rankings).by_query[protocols.first(dataset)]
    return {id_: value == 1 for id_, value in by_query.items()}


def gallery(names: Sequence[str] = NAMES) -> dict[str, Path]:
    return {name: Path(f"{name}.jpg") for name in names}


def asked(id_: str, truths: str = "", hard: str = "", junk: str = "") -> Query:
    sets = (frozenset(text.split()) for text in (truths, hard, junk))
    return Query(id_, Path(f"{id_}.jpg"), *sets)


def drawn(rng: np.random.Generator, names: Sequence[str] = NAMES, scores: int = 6) -> Ranking:
    """Some of the names in any order, with few different scores: there are ties everywhere."""
    count = int(rng.integers(0, len(names) + 1))
    return [(str(n), float(rng.integers(scores)) / scores) for n in rng.permutation(list(names))[:count]]


def worst_order(ranking: Ranking, right: set[str], junk: set[str] = frozenset()) -> list[bool]:  # type: ignore[assignment]
    return [name in right for name, _ in sorted(ranking, key=lambda p: (-p[1], p[0] in right)) if name not in junk]


# -- copies ------------------------------------------------------------------------------------------------------------


def average_precision_of_all(queries: Sequence[Query], rankings: dict[str, Ranking]) -> tuple[float, float]:
    """As the challenge defines it: precision at each right prediction, over the number of truths; recall at P90."""
    truths = {query.id: query.truths for query in queries}
    pool = sorted(
        ((score, name in truths[id_]) for id_, ranking in rankings.items() for name, score in ranking),
        key=lambda p: (-p[0], p[1]),
    )
    wanted, found = sum(map(len, truths.values())), 0
    total, recall = Fraction(0), Fraction(0)
    for place, (_, right) in enumerate(pool, 1):
        found += right
        if right:
            total += Fraction(found, place)
        if Fraction(found, place) >= Fraction(9, 10):
            recall = max(recall, Fraction(found, wanted))
    return float(total / wanted), float(recall)


@pytest.mark.parametrize("seed", range(20))
def test_copies_are_judged_as_the_challenge_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries = [asked("q0", "g01"), asked("q1", "g02"), asked("q2", "g03 g04"), asked("none"), asked("silent", "g05")]
    rankings = {query.id: drawn(rng) for query in queries[:4]}
    found = figures(Dataset("disc21", "disc21", gallery(), queries, 10), rankings)
    uap, ninety = average_precision_of_all(queries, rankings)
    assert found["uap"] == pytest.approx(uap)
    assert found["recall@p90"] == pytest.approx(ninety)
    for k in (1, 3):
        hits = [any(worst_order(rankings.get(q.id, []), set(q.truths))[:k]) for q in queries if q.truths]
        assert found[f"accuracy@{k}"] == pytest.approx(np.mean(hits))


def test_copies_agree_with_the_measures_of_other_benchmarks() -> None:
    rng = np.random.default_rng(5)
    truths = {f"q{i}": None if i % 3 == 0 else NAMES[i] for i in range(12)}
    queries = [asked(id_, truth or "") for id_, truth in truths.items()]
    rankings = {id_: drawn(rng) for id_ in truths}
    found = figures(Dataset("disc21", "disc21", gallery(), queries, 10), rankings)
    same = measure(rankings, truths)
    assert found == pytest.approx(
        {
            "uap": same.micro_ap,
            "recall@p90": same.recall_at_p90,
            "accuracy@1": same.accuracy_at_1,
            "accuracy@3": same.top_3,
        }
    )


def test_the_article_has_accuracies_alone() -> None:
    data = Dataset("disc21-article", "disc21-article", gallery(), [asked("q", "g01")], 10)
    assert figures(data, {"q": [("g01", 0.5)]}) == {"accuracy@1": 1, "accuracy@3": 1}


def test_nothing_to_find_and_nothing_found() -> None:
    nothing = figures(Dataset("disc21", "disc21", gallery(), [asked("q")], 10), {"q": [("g01", 1.0)]})
    assert all(math.isnan(value) for value in nothing.values())
    silent = figures(Dataset("disc21", "disc21", gallery(), [asked("q", "g01")], 10), {})
    assert set(silent.values()) == {0.0}


def test_only_the_best_scores_count_under_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    rankings = {"a": [("g00", 0.9), ("g01", 0.2)], "b": [("g02", 0.5), ("g03", 0.1)]}
    assert capped(rankings, 3) == ({"a": [("g00", 0.9), ("g01", 0.2)], "b": [("g02", 0.5)]}, 1)
    assert capped(rankings, 4) == (rankings, 0)
    assert protocols.CAP == CAP == 500_000
    data = Dataset("disc21", "disc21", gallery(), [asked("a", "g01"), asked("b")], 10)
    assert figures(data, rankings)["uap"] == pytest.approx(1 / 3)
    monkeypatch.setattr(protocols, "CAP", 3)
    assert figures(data, rankings)["uap"] == pytest.approx(1 / 3)
    tied = {**rankings, "b": [("g02", 0.5), ("g03", 0.2)]}  # at the cap too the wrong one is taken
    assert figures(data, tied)["uap"] == 0
    assert figures(data, tied)["accuracy@1"] == 0


# -- labelled ----------------------------------------------------------------------------------------------------------


def labelled(labels: dict[str, str]) -> Dataset:
    sets = {name: frozenset([label]) for name, label in labels.items()}
    queries = [asked(name, junk=name) for name, label in labels.items() if list(labels.values()).count(label) > 1]
    return Dataset("labelled", "labelled", gallery(list(labels)), queries, len(labels), labels=sets)


def majority_whatever_is_taken(ranking: Ranking, labels: dict[str, str], label: str, k: int) -> bool:
    """Tries every choice among equals at the edge of the k: the label must lead in all of them."""
    ranked = sorted(ranking, key=lambda p: -p[1])
    if not ranked:
        return False
    edge = ranked[min(k, len(ranked)) - 1][1]
    sure = [labels[name] for name, score in ranked if score > edge]
    tied = [labels[name] for name, score in ranked if score == edge]
    for choice in itertools.combinations(tied, min(k, len(ranked)) - len(sure)):
        votes = Counter([*sure, *choice])
        if votes[label] <= max((count for other, count in votes.items() if other != label), default=0):
            return False
    return True


@pytest.mark.parametrize("seed", range(20))
def test_neighbours_vote_and_are_recalled(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = {name: "abc"[int(rng.integers(3))] for name in NAMES[:-1]} | {NAMES[-1]: "alone"}
    data = labelled(labels)
    # A query's own entry, which is junk, comes first where it comes at all.
    rankings = {
        query.id: [*drawn(rng, [n for n in NAMES if n != query.id], 4), (query.id, 2.0)] for query in data.queries
    }
    found = figures(data, rankings)
    by_hand: dict[str, list[float]] = {}
    for query in data.queries:
        label = labels[query.id]
        ranking = [(name, score) for name, score in rankings[query.id] if name != query.id]
        same = {name for name in NAMES if labels[name] == label and name != query.id}
        order = worst_order(ranking, same)
        for k in (1, 5, 20):
            by_hand.setdefault(f"knn@{k}", []).append(majority_whatever_is_taken(ranking, labels, label, k))
        for k in (1, 2, 4, 8, 10):
            by_hand.setdefault(f"recall@{k}", []).append(any(order[:k]))
        r = len(same)
        precisions = [sum(order[: i + 1]) / (i + 1) for i in range(min(r, len(order))) if order[i]]
        by_hand.setdefault("map@r", []).append(sum(precisions) / r)
    assert found == pytest.approx({name: np.mean(values) for name, values in by_hand.items()})


def test_mean_average_precision_at_r_of_the_papers_example() -> None:
    """Ten of a class, of which the first alone is found first: 1/10, though recall@1 is 1."""
    labels = {f"n{i}": "same" if i < 11 else "other" for i in range(30)}
    data = labelled(labels)
    data = Dataset("labelled", "labelled", data.gallery, [asked("n0", junk="n0")], 30, labels=data.labels)
    order = ["n1", *(f"n{i}" for i in range(11, 30)), *(f"n{i}" for i in range(2, 11))]
    found = figures(data, {"n0": [(name, 1 - i / 100) for i, name in enumerate(order)]})
    assert found["map@r"] == pytest.approx(0.1)
    assert found["recall@1"] == found["knn@1"] == 1
    assert found["knn@5"] == found["knn@20"] == 0


def test_the_same_score_for_all_gains_nothing() -> None:
    data = labelled({name: "ab"[i % 2] for i, name in enumerate(NAMES)})
    rankings = {query.id: [(name, 0.5) for name in NAMES if name != query.id] for query in data.queries}
    found = figures(data, rankings)
    assert found["recall@1"] == found["recall@4"] == found["knn@1"] == found["knn@5"] == found["map@r"] == 0
    assert found["recall@8"] == 1  # seven are wrong: the eighth is right, however they come
    assert not any(first_right(data, rankings).values())


# -- shared categories -------------------------------------------------------------------------------------------------


def test_shared_categories() -> None:
    labels = {"g00": {"cat", "dog"}, "g01": {"dog"}, "g02": {"cat"}, "g03": {"bus"}, "g04": set()}
    data = Dataset(
        "coco",
        "coco",
        gallery([*labels, "g05"]),
        [asked(name, junk=name) for name, known in labels.items() if known],
        11,
        labels={name: frozenset(known) for name, known in labels.items()},
    )
    rankings = {
        "g00": [("g00", 1.0), ("g01", 0.9), ("g03", 0.8), ("g02", 0.7)],
        "g01": [("g02", 0.9), ("g03", 0.8)],
        "g02": [("g00", 0.5)],
    }
    found = figures(data, rankings)
    assert found["shared@1"] == pytest.approx((1 + 0 + 1 + 0) / 4)
    assert found["shared@5"] == pytest.approx((2 / 5 + 0 + 1 / 5 + 0) / 4)
    assert found["shared@10"] == pytest.approx((2 / 10 + 0 + 1 / 10 + 0) / 4)
    assert found["shared@all"] == pytest.approx((2 + 1 + 1 + 0) / (4 * 5))
    assert first_right(data, rankings) == {"g00": True, "g01": False, "g02": True, "g03": False}
    assert math.isnan(figures(Dataset("coco", "coco", gallery(), (), 11), {})["shared@5"])


# -- Copydays, and Oxford and Paris ------------------------------------------------------------------------------------


def area_under_straight_lines(order: Sequence[bool], wanted: int) -> float:
    """The curve of precision over recall as a polygon: before each right answer, and after it."""
    total, found = Fraction(0), 0
    for place, right in enumerate(order):
        if right:
            before = Fraction(found, place) if place else Fraction(1)
            found += 1
            total += (before + Fraction(found, place + 1)) / 2 / wanted
    return float(total)


@pytest.mark.parametrize("seed", range(20))
def test_revisited_levels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries = [
        asked("q0", "g00 g01 g02 g03", "g02 g03", "g04 g05"),
        asked("q1", "g06 g07", "g06 g07"),  # nothing easy
        asked("q2", "g01", "", "g00"),  # nothing hard
        asked("q3", "", "", "g00"),  # nothing at all
    ]
    rankings = {query.id: drawn(rng) for query in queries}
    if seed % 2:  # everything is ranked, as the protocol has it
        rankings = {id_: [(str(n), float(rng.integers(9))) for n in rng.permutation(NAMES)] for id_ in rankings}
    found = figures(Dataset("roxford", "revisited", gallery(), queries, 14), rankings)
    for level in ("easy", "medium", "hard"):
        areas, precisions = [], []
        for query in queries:
            easy, hard, junk = set(query.truths - query.hard), set(query.hard), set(query.junk)
            wanted = {"easy": easy, "medium": easy | hard, "hard": hard}[level]
            passed_over = junk | {"easy": hard, "medium": set(), "hard": easy}[level]
            if not wanted:
                continue
            order = worst_order(rankings[query.id], wanted, passed_over)
            areas.append(area_under_straight_lines(order, len(wanted)))
            complete = sum(order) == len(wanted)
            last = max(i for i, right in enumerate(order, 1) if right) if complete else 99
            precisions.append([sum(order[: min(last, k)]) / min(last, k) for k in (1, 5, 10)])
        assert found[f"map/{level}"] == pytest.approx(np.mean(areas))
        for k, mean in zip((1, 5, 10), np.mean(precisions, axis=0), strict=True):
            assert found[f"mp@{k}/{level}"] == pytest.approx(mean)


def test_revisited_by_hand() -> None:
    query = asked("q", "g01 g03", "g03", "g00")
    data = Dataset("rparis", "revisited", gallery(), [query], 14)
    found = figures(data, {"q": [("g00", 0.9), ("g02", 0.8), ("g01", 0.7), ("g03", 0.6)]})
    # Easy without g00 and g03: g02, g01. One right, second: (0/1 + 1/2) / 2.
    assert found["map/easy"] == pytest.approx(0.25)
    # Medium: g02, g01, g03: ((0 + 1/2) + (1/2 + 2/3)) / 4.
    assert found["map/medium"] == pytest.approx(5 / 12)
    assert found["map/hard"] == pytest.approx(0.25)
    assert (found["mp@1/medium"], found["mp@5/medium"]) == (0, pytest.approx(2 / 3))
    assert first_right(data, {"q": [("g00", 0.9), ("g03", 0.8)]}) == {"q": True}


def test_a_level_without_an_answer_is_not_a_number() -> None:
    data = Dataset("roxford", "revisited", gallery(), [asked("q", "g01")], 14)
    found = figures(data, {"q": [("g01", 0.9)]})
    assert found["map/easy"] == found["map/medium"] == found["mp@10/easy"] == 1
    assert math.isnan(found["map/hard"]) and math.isnan(found["mp@1/hard"])


@pytest.mark.parametrize("seed", range(5))
def test_copydays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries = [asked(f"strong/2{i:03d}01", NAMES[i]) for i in range(6)] + [asked("crops/50/200000", "g00")]
    rankings = {query.id: drawn(rng) for query in queries}
    found = figures(Dataset("copydays", "copydays", gallery(), queries, 14), rankings)
    orders = [worst_order(rankings[query.id], set(query.truths)) for query in queries]
    areas = [area_under_straight_lines(order, 1) for order in orders]
    assert found == pytest.approx(
        {
            "map": np.mean(areas[:6]),
            "accuracy@1": np.mean([order[:1] == [True] for order in orders[:6]]),
            "map/crops/50": areas[6],
        }
    )


# -- what is common to them --------------------------------------------------------------------------------------------


def test_means_are_those_of_the_queries() -> None:
    data = labelled({name: "ab"[i % 2] for i, name in enumerate(NAMES)})
    rng = np.random.default_rng(1)
    rankings = {query.id: drawn(rng, [n for n in NAMES if n != query.id]) for query in data.queries}
    each = protocols.judge(data, rankings).by_query
    assert figures(data, rankings) == pytest.approx({m: np.mean(list(v.values())) for m, v in each.items()})
    assert set(each["map@r"]) == set(NAMES)
    first = first_right(data, rankings)
    assert first == {id_: value == 1 for id_, value in each["recall@1"].items()}


@pytest.mark.parametrize(
    ("rankings", "why"),
    [
        ({"stranger": []}, "stranger: no such query"),
        ({"q": [("g01", 0.5), ("g01", 0.4)]}, "named twice"),
        ({"q": [("nowhere", 0.5)]}, "nowhere is not in the gallery"),
        ({"q": [("g01", math.nan)]}, "not a finite number"),
        ({"q": [("g01", math.inf)]}, "not a finite number"),
    ],
)
def test_rankings_that_cannot_be_judged(rankings: dict[str, Ranking], why: str) -> None:
    data = Dataset("disc21", "disc21", gallery(), [asked("q", "g01")], 10)
    with pytest.raises(UsageError, match=why):
        figures(data, rankings)
