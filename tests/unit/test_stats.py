"""The statistics, against slow implementations from the definitions, known values, and simulated worlds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from lookalike import stats
from lookalike.bench.datasets import Dataset, Edits, Query
from lookalike.bench.results import BenchReport, EntryResult
from lookalike.errors import UsageError
from lookalike.stats import Bootstrap, Interval, holm, mean_of_images, mean_of_pairs, share_of_images, sign_flip
from tests.unit.plain_measures import Measures, measure

Rankings = dict[str, list[tuple[str, float]]]
Answer = Callable[[np.random.Generator, str, str | None], list[tuple[str, float]]]

GALLERY = [f"{i}.jpg" for i in range(60)]


def world(seed: int, originals: int = 30, negatives: int = 8) -> list[Query]:
    """One to four queries an original, one a negative."""
    rng = np.random.default_rng(seed)
    queries = []
    for i in range(originals):
        queries += [copy(f"q{i}-{j}", GALLERY[i], ("mild", "hard")[j % 2]) for j in range(int(rng.integers(1, 5)))]
    return queries + [negative(i) for i in range(negatives)]


def copy(id_: str, original: str, grade: str = "mild") -> Query:
    return Query(id_, Path(id_), frozenset([original]), original=original, edits=Edits("crop", grade, 0))


def negative(i: int) -> Query:
    return Query(f"n{i}", Path(f"n{i}"), original=f"absent {i}.jpg", edits=Edits("blur", "mild", 0))


def answered(queries: Sequence[Query], seed: int, answer: Answer) -> Rankings:
    rng = np.random.default_rng(seed)
    return {query.id: answer(rng, query.id, query.truth) for query in queries}


def noisy(rng: np.random.Generator, id_: str, truth: str | None) -> list[tuple[str, float]]:
    """Six answers with coarse scores, so that many tie; the truth is likelier to have a high one."""
    names = [str(name) for name in rng.permutation(GALLERY)[:6]]
    if truth and truth not in names and rng.random() < 0.8:
        names[0] = truth
    return sorted(
        ((name, float(rng.integers(0, 5) + 2 * (name == truth)) / 7) for name in names), key=lambda hit: -hit[1]
    )


def report(queries: Sequence[Query], *entries: tuple[str, Rankings], seed: int = 3) -> BenchReport:
    results = [EntryResult(name, rankings, None, None, None) for name, rankings in entries]
    gallery = {name: Path(name) for name in [*GALLERY, "another.jpg", "x.jpg"]}
    return BenchReport(Dataset("copies", "copies", gallery, queries, 60), "folder", results, {}, {}, seed, {})


def drawn_again(queries: Sequence[Query], rankings: Rankings, times: Mapping[str, int]) -> Measures:
    """The measures of a sample in which each original's queries are there so many times: truly copied."""
    truths, copies = {}, {}
    for query in queries:
        for i in range(times[str(query.original)]):
            truths[f"{query.id}/{i}"] = query.truth
            copies[f"{query.id}/{i}"] = rankings[query.id]
    return measure(copies, truths)


@pytest.mark.parametrize("seed", range(4))
def test_every_round_measures_the_sample_that_it_drew(seed: int) -> None:
    """Against the plain measures of queries that are copied as often as they were drawn, ties and all."""
    queries = world(seed)
    rankings = answered(queries, seed, noisy)
    names = list(dict.fromkeys(str(query.original) for query in queries))
    whole = Bootstrap.draw([str(q.original) for q in queries], [q.truth is not None for q in queries], seed, rounds=12)
    slow = []
    for column in range(13):
        times = dict(zip(names, whole.weights[:, column].astype(int).tolist(), strict=True))
        slow.append(drawn_again(queries, rankings, times))
    number = {query.id: i for i, query in enumerate(queries)}
    flat = [
        (-score, name == queries[number[id_]].truth, number[id_]) for id_ in rankings for name, score in rankings[id_]
    ]
    _, right, query = (np.array(column) for column in zip(*sorted(flat), strict=True))
    truths = np.array([len(query.truths) for query in queries])
    for column in range(13):
        one = Bootstrap(whole.cluster, whole.wanted, whole.weights[:, [column]])
        with np.errstate(invalid="ignore"):
            area, recall = one.ranked(query, right, truths)
        assert area.value == pytest.approx(slow[column].micro_ap, abs=1e-12)
        assert recall.value == pytest.approx(slow[column].recall_at_p90, abs=1e-12)
    area, _ = whole.ranked(query, right, truths)
    assert area.low == pytest.approx(np.percentile([s.micro_ap for s in slow[1:]], 2.5))
    assert area.high == pytest.approx(np.percentile([s.micro_ap for s in slow[1:]], 97.5))


@pytest.mark.parametrize("seed", range(3))
def test_the_rows_agree_with_the_plain_measures(seed: int) -> None:
    queries = world(seed)
    rankings = answered(queries, seed, noisy)
    row = report(queries, ("noisy", rankings)).rows()[0]
    plain = measure(rankings, {query.id: query.truth for query in queries})
    assert row.measures["accuracy@1"].value == pytest.approx(plain.accuracy_at_1)
    assert row.measures["accuracy@3"].value == pytest.approx(plain.top_3)
    assert row.measures["uap"].value == pytest.approx(plain.micro_ap)
    assert row.measures["recall@p90"].value == pytest.approx(plain.recall_at_p90)
    hard = [query for query in queries if query.edits and query.edits.grade == "hard"]
    alone = measure({q.id: rankings[q.id] for q in hard}, {q.id: q.truth for q in hard})
    assert row.groups["grade"]["hard"].accuracy.value == pytest.approx(alone.accuracy_at_1)
    assert row.groups["grade"]["hard"].queries == len(hard)
    assert set(row.groups["operator"]) == {"crop"}  # no query of the other has a match


def test_a_large_sample_is_worked_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = world(5)
    rankings = answered(queries, 5, noisy)
    whole = report(queries, ("noisy", rankings)).rows()[0]
    monkeypatch.setattr("lookalike.stats._MOST_CELLS", 5000)
    parts = report(queries, ("noisy", rankings)).rows()[0]
    assert whole.measures == parts.measures


def test_samples_keep_the_number_of_originals_and_of_negatives() -> None:
    queries = world(1)
    samples = Bootstrap.draw([str(q.original) for q in queries], [q.truth is not None for q in queries], 1, rounds=50)
    assert samples.weights[:, 0].tolist() == [1] * 38
    assert samples.weights[:30].sum(axis=0).tolist() == [30] * 51
    assert samples.weights[30:].sum(axis=0).tolist() == [8] * 51
    again = Bootstrap.draw([str(q.original) for q in queries], [q.truth is not None for q in queries], 1, rounds=50)
    other = Bootstrap.draw([str(q.original) for q in queries], [q.truth is not None for q in queries], 2, rounds=50)
    assert np.array_equal(samples.weights, again.weights)
    assert not np.array_equal(samples.weights, other.weights)


def test_an_interval_of_independent_queries_is_the_one_of_the_textbook() -> None:
    """900 queries, each an original of its own, 60 % found: 0.6 +- 1.96 sqrt(0.6 x 0.4 / 900)."""
    hits = np.arange(900) % 5 < 3
    interval = Bootstrap.draw([str(i) for i in range(900)], [True] * 900, 0).share(hits)
    assert interval.value == pytest.approx(0.6)
    assert interval.low == pytest.approx(0.568, abs=0.005)
    assert interval.high == pytest.approx(0.632, abs=0.005)


def test_queries_of_one_original_do_not_count_as_many() -> None:
    """Four queries an original that are found together: as wide as with a quarter of them."""
    hits = np.repeat(np.arange(200) % 2 == 0, 4)
    names = [str(i) for i in np.repeat(np.arange(200), 4)]
    together = Bootstrap.draw(names, [True] * 800, 0).share(hits)
    apart = Bootstrap.draw([str(i) for i in range(800)], [True] * 800, 0).share(hits)
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(2, abs=0.2)


def test_intervals_hold_what_they_promise() -> None:
    """Of 200 benchmarks of a world where 70 % are found, in clusters that are alike, about 190 have it within."""
    rng = np.random.default_rng(0)
    names = [str(i) for i in np.repeat(np.arange(50), 3)]
    within = 0
    for seed in range(200):
        hits = rng.random(150) < np.repeat(rng.beta(3.5, 1.5, 50), 3)
        interval = Bootstrap.draw(names, [True] * 150, seed, rounds=300).share(hits)
        within += interval.low <= 0.7 <= interval.high
    assert 176 <= within <= 199


def test_all_found_is_not_certainty() -> None:
    """20 of 20 found: the exact bound of Clopper and Pearson is 83.2 %; nothing found mirrors it."""
    samples = Bootstrap.draw([str(i) for i in range(20)], [True] * 20, 0)
    every = samples.share(np.ones(20, dtype=bool))
    none = samples.share(np.zeros(20, dtype=bool))
    assert (every.value, every.high, none.value, none.low) == (1, 1, 0, 0)
    assert every.low == pytest.approx(0.8316, abs=1e-4)
    assert none.high == pytest.approx(0.1684, abs=1e-4)
    same = samples.difference(np.ones(20, dtype=bool), np.ones(20, dtype=bool))
    assert (same.low, same.value, same.high) == pytest.approx((-0.1684, 0, 0.1684), abs=1e-4)


def test_differences_are_paired() -> None:
    """Two that differ in one query of a hundred: a narrow interval, however wide their own are."""
    a = np.arange(100) % 2 == 0
    b = a.copy()
    b[0] = False
    samples = Bootstrap.draw([str(i) for i in range(100)], [True] * 100, 0)
    difference = samples.difference(a, b)
    assert difference.value == pytest.approx(0.01)
    assert 0 <= difference.low <= difference.high <= 0.04
    assert samples.share(a).high - samples.share(a).low > 0.15
    assert samples.difference(b, a).value == pytest.approx(-0.01)


def naive_sign_flip(differences: Sequence[int]) -> float:
    observed = abs(sum(differences))
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
            for signs in itertools.product((1, -1), repeat=len(differences))]  # fmt: skip
    return sum(one >= observed for one in sums) / len(sums)


@pytest.mark.parametrize("seed", range(10))
def test_sign_flips_against_trying_all(seed: int) -> None:
    differences = np.random.default_rng(seed).integers(-3, 4, size=11)
    assert sign_flip(differences) == pytest.approx(naive_sign_flip(differences.tolist()), abs=1e-12)


def test_sign_flips_of_known_value() -> None:
    assert sign_flip(np.array([1] * 5)) == pytest.approx(2 / 32)
    assert sign_flip(np.array([0, 0, 0])) == 1
    assert sign_flip(np.array([], dtype=int)) == 1
    assert sign_flip(np.array([2, -2])) == 1
    # With one query an original it is McNemar's exact test: 8 against 2 gives 2 x P(B(10, 1/2) <= 2).
    assert sign_flip(np.array([1] * 8 + [-1] * 2 + [0] * 90)) == pytest.approx(2 * 56 / 1024)
    assert 0 < sign_flip(np.ones(5000, dtype=int)) < 1e-300  # never 0


def test_sign_flips_of_thousandths() -> None:
    """Average precisions: the same as of whole numbers, to the rounding; a common factor changes nothing."""
    differences = np.array([300, -250, 120, 75, 410, -33, 6])
    assert sign_flip(differences) == pytest.approx(naive_sign_flip(differences.tolist()), abs=1e-12)
    assert sign_flip(np.array([1000] * 5)) == sign_flip(np.array([1] * 5))
    a, b = np.array([0.25, 1.0, 0.5]), np.array([0.75, 0.5, 0.125])
    samples = Bootstrap.draw(["x", "x", "y"], [True] * 3, 0)
    assert samples.differences(a, b).tolist() == [0, 375]
    assert samples.difference(a, b).value == pytest.approx(0.125)
    assert samples.share(a).value == pytest.approx(7 / 12)


def test_sign_flips_raise_no_more_false_alarms_than_they_say() -> None:
    rng = np.random.default_rng(1)
    alarms = sum(sign_flip(rng.integers(-2, 3, size=40)) < 0.05 for _ in range(400))
    assert alarms <= 32  # 20 are expected at the most; 32 are 2.75 deviations above


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_means_of_pairs_leave_out_the_diagonal() -> None:
    table = np.full((5, 5), 2.0) + 100 * np.eye(5)
    found = mean_of_pairs(table, np.random.default_rng(0))
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))


def test_means_and_shares_of_images() -> None:
    rng = np.random.default_rng(1)
    never = share_of_images(np.zeros(40), rng)
    assert (never.value, never.low, never.high) == (0, 0, pytest.approx(0.0881, abs=1e-4))
    always = share_of_images(np.ones((40, 2)), rng)
    assert (always.value, always.low, always.high) == (1, pytest.approx(0.9119, abs=1e-4), 1)
    single = mean_of_images(rng.normal(size=400), rng)
    assert single.high - single.low == pytest.approx(2 * 1.96 / 20, rel=0.2)


def test_a_figure_that_no_round_has_claims_nothing() -> None:
    assert stats.interval(0.5, np.full(9, np.nan)) == Interval(0.5, 0.5, 0.5)
    assert stats.interval(0.5, np.array([np.nan, 0.25, 0.25])) == Interval(0.5, 0.25, 0.5)
    assert stats.interval(1.0, np.ones(9)) == Interval(1.0, 1.0, 1.0)
    assert stats.interval(1.0, np.ones(9), units=20).low == pytest.approx(0.8316, abs=1e-4)


def test_a_seed_gives_the_figures_that_it_always_gave() -> None:
    """Of reports that were written before: whoever repeats one must find the same."""
    rng = np.random.default_rng(0)
    names = [str(number) for number in rng.integers(0, 30, size=100)]
    samples = Bootstrap.draw(names, (rng.random(100) < 0.8).tolist(), 0)
    hits, values = rng.random(100) < 0.6, rng.random(100)
    table = rng.random((20, 20))
    found = [
        samples.share(hits),
        samples.difference(values, hits),
        mean_of_images(values, np.random.default_rng(0)),
        mean_of_pairs(table, np.random.default_rng(0)),
    ]
    assert [list(each.to_json().values()) for each in found] == [
        [0.577465, 0.479356, 0.681176],
        [-0.058438, -0.188596, 0.06305],
        [0.534666, 0.477527, 0.588578],
        [0.498483, 0.454082, 0.546566],
    ]


# --- The harness itself: what is known beforehand must come out. ---


def random_order(rng: np.random.Generator, id_: str, truth: str | None) -> list[tuple[str, float]]:
    return [(str(name), 1 - i / 60) for i, name in enumerate(rng.permutation(GALLERY)[:50])]


def test_noise_comes_out_at_chance_and_an_oracle_at_all() -> None:
    queries = [copy(f"q{i}", GALLERY[i % 60]) for i in range(1200)]
    queries += [negative(i) for i in range(100)]

    def oracle(rng: np.random.Generator, id_: str, truth: str | None) -> list[tuple[str, float]]:
        return [(truth, 0.9), ("another.jpg", 0.1)] if truth else [("another.jpg", 0.1)]

    def ties(rng: np.random.Generator, id_: str, truth: str | None) -> list[tuple[str, float]]:
        """Knows the truth and puts it first, but gives every image the same score."""
        first = truth or GALLERY[0]
        return [(first, 0.5), *((name, 0.5) for name in GALLERY if name != first)][:50]

    made = report(
        queries,
        ("noise", answered(queries, 1, random_order)),
        ("oracle", answered(queries, 1, oracle)),
        ("ties", answered(queries, 1, ties)),
    )
    rows = {row.model: row.measures for row in made.rows()}
    assert rows["noise"]["accuracy@1"].low <= 1 / 60 <= rows["noise"]["accuracy@1"].high
    assert rows["noise"]["accuracy@3"].low <= 3 / 60 <= rows["noise"]["accuracy@3"].high
    assert rows["noise"]["uap"].value < 0.03
    for interval in rows["oracle"].values():
        assert (interval.value, interval.high) == (pytest.approx(1), pytest.approx(1))
    assert rows["ties"]["accuracy@1"].value == rows["ties"]["accuracy@3"].value == 0
    assert rows["ties"]["recall@p90"].value == 0
    assert rows["ties"]["uap"].value < 1 / 30
    assert [row.model for row in made.rows()] == ["oracle", "noise", "ties"]
    oracle_noise = made.pairs()[0]
    assert (oracle_noise.a, oracle_noise.b, oracle_noise.significant) == ("oracle", "noise", True)
    assert len(oracle_noise.both + oracle_noise.neither + oracle_noise.only_a + oracle_noise.only_b) == 1200
    assert not oracle_noise.neither and not oracle_noise.only_b


def test_equal_methods_are_not_told_apart() -> None:
    """Forty pairs of equally good methods, each pair a family of its own: hardly one differs significantly."""
    alarms = 0
    for seed in range(40):
        queries = world(seed, originals=20, negatives=0)
        made = report(
            queries, ("one", answered(queries, seed, noisy)), ("other", answered(queries, seed + 1000, noisy))
        )
        alarms += made.pairs()[0].significant
    assert alarms <= 6


def test_what_cannot_be_judged_is_refused() -> None:
    queries = world(0)
    good = answered(queries, 0, noisy)
    with pytest.raises(UsageError, match="stranger: no such query"):
        report(queries, ("a", {"stranger": []}))
    with pytest.raises(ValueError, match="'a' is there twice"):
        report(queries, ("a", good), ("a", good))
    with pytest.raises(UsageError, match="finite"):
        report(queries, ("a", {queries[0].id: [("x.jpg", float("nan"))]}))
    with pytest.raises(UsageError, match="an answer is named twice"):
        report(queries, ("a", {queries[0].id: [("x.jpg", 1.0), ("x.jpg", 0.5)]}))
    with pytest.raises(UsageError, match="no query has a match"):
        report([query for query in queries if query.truth is None], ("a", {}))
    with pytest.raises(ValueError, match="there twice"):
        report([*queries, queries[0]], ("a", good))
