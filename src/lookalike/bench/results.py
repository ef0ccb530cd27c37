"""What a benchmark found: the queries, what each entry answered, and all that follows from these.

    report = BenchReport("copies", "photos", queries, results, machine, versions, seed=1, facts={"gallery": 1669})
    print(report.recommendation())

Figures carry 95 % intervals and differences are tested: see `stats`. Measures are those of `measures`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from lookalike.bench.measures import Ranking, place
from lookalike.bench.stats import LEVEL, Bootstrap, Flags, Floats, Interval, holm, sign_flip

KEPT_ANSWERS = 5
"""Of each query and entry, in the JSON."""


@dataclass(frozen=True, slots=True)
class Query:
    """An edited copy that is looked for.

    operator: the main one, in this grade; `steps` are all that were applied, each with its own grade
    original: what it was made of, a path relative to the folder; queries of one original are one cluster
    truth:    what is to be found; None where the gallery has no match
    """

    id: str
    operator: str
    grade: str
    seed: int
    original: str
    truth: str | None
    steps: tuple[tuple[str, str], ...] = ()

    @property
    def edits(self) -> str:
        """All operators, the main one first, for the reader."""
        return " + ".join(operator for operator, _ in self.steps) or self.operator


@dataclass(frozen=True, slots=True)
class EntryResult:
    """What an entry answered: by query id, names and scores, the best first; a query that is missing found nothing.

    Scores decide, and not the order: among equal ones the wrong come first. `note` is for the reader.
    """

    model: str
    rankings: Mapping[str, Ranking]
    images_per_second: float | None
    bytes_per_vector: int | None
    ms_per_query: float | None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class GroupScore:
    """Accuracy@1 of some of the queries that have a match, and how many these are."""

    accuracy: Interval
    queries: int


@dataclass(frozen=True, slots=True)
class Row:
    """An entry's figures, 0 to 1."""

    entry: EntryResult
    accuracy_at_1: Interval
    accuracy_at_3: Interval
    micro_ap: Interval
    recall_at_p90: Interval
    by_grade: Mapping[str, GroupScore]
    by_operator: Mapping[str, GroupScore]

    @property
    def model(self) -> str:
        return self.entry.model


@dataclass(frozen=True, slots=True)
class Pair:
    """Two entries, `a` no worse than `b`, by accuracy@1: the lists are the ids of queries that have a match."""

    a: str
    b: str
    difference: Interval
    p: float
    p_holm: float
    both: tuple[str, ...]
    neither: tuple[str, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]

    @property
    def significant(self) -> bool:
        return self.p_holm < 1 - LEVEL


@dataclass(frozen=True, eq=False)
class BenchReport:
    """The whole of a benchmark. Raises ValueError for results that cannot be judged.

    machine, versions, facts: for the reader; `facts` are counts of what the benchmark was made of
    """

    dataset: str
    folder: str
    queries: Sequence[Query]
    results: Sequence[EntryResult]
    machine: Mapping[str, Any]
    versions: Mapping[str, Any]
    seed: int
    facts: Mapping[str, Any]

    def __post_init__(self) -> None:
        ids = [query.id for query in self.queries]
        _all_differ(ids, "queries")
        _all_differ([result.model for result in self.results], "entries")
        if all(query.truth is None for query in self.queries):
            raise ValueError("no query has a match: there is nothing to find")
        for result in self.results:
            if strangers := result.rankings.keys() - set(ids):
                raise ValueError(f"{result.model}: ranks for queries that were not asked, such as {min(strangers)!r}")
            for id_, ranking in result.rankings.items():
                _all_differ([name for name, _ in ranking], f"{result.model}, {id_}: answers")
                if not all(math.isfinite(score) for _, score in ranking):
                    raise ValueError(f"{result.model}, {id_}: a score is not a finite number")

    def rows(self) -> tuple[Row, ...]:
        """The entries' figures, the best accuracy@1 first."""
        return self._rows

    def pairs(self) -> tuple[Pair, ...]:
        """Each two entries, as `rows` has them; Holm-corrected over all of them."""
        return self._pairs

    def recommendation(self) -> str:
        """What the figures say, and no more, in a few sentences."""
        from lookalike.bench.advice import advise

        return advise(self)

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain data: fractions are 0 to 1, None stands for what is not known."""
        return {
            "rows": [_row_json(row) for row in self.rows()],
            "pairs": [_pair_json(pair) for pair in self.pairs()],
            "recommendation": self.recommendation(),
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "seed": self.seed,
            "dataset": self.dataset,
            "folder": self.folder,
            "facts": dict(self.facts),
            "queries": [{key: getattr(query, key) for key in Query.__slots__} for query in self.queries],
            "answers": {
                result.model: {
                    id_: [[name, float(score)] for name, score in ranking[:KEPT_ANSWERS]]
                    for id_, ranking in result.rankings.items()
                }
                for result in self.results
            },
        }

    def to_markdown(self) -> str:
        """Tables for a README."""
        from lookalike.bench.markdown import render

        return render(self)

    def to_html(self, picture: Callable[[str], bytes | None]) -> str:
        """One page that needs nothing beside it. `picture` gives a small JPEG by a query's id or an image's name."""
        from lookalike.bench.report import render

        return render(self, picture)

    def hits(self, model: str) -> Flags:
        """(queries,) whether each was found first; KeyError for an entry that is none."""
        first: Flags = self._ranks[model] == 1
        return first

    def pareto(self) -> tuple[Row, ...]:
        """The entries that no other beats in both accuracy@1 and images/s, the fastest first."""
        line: list[Row] = []
        timed = [row for row in self.rows() if row.entry.images_per_second is not None]
        for row in sorted(timed, key=lambda row: (-(row.entry.images_per_second or 0), -row.accuracy_at_1.value)):
            if not line or row.accuracy_at_1.value > line[-1].accuracy_at_1.value:
                line.append(row)
        return tuple(line)

    @cached_property
    def _samples(self) -> Bootstrap:
        wanted = [query.truth is not None for query in self.queries]
        return Bootstrap.draw([query.original for query in self.queries], wanted, self.seed)

    @cached_property
    def _ranks(self) -> dict[str, Floats]:
        """By entry, (queries,) the rank of the truth; infinite where it was not found, or where there is none."""
        return {
            result.model: np.array(
                [
                    math.inf if query.truth is None else place(result.rankings.get(query.id, ()), query.truth)
                    for query in self.queries
                ]
            )
            for result in self.results
        }

    @cached_property
    def _rows(self) -> tuple[Row, ...]:
        rows = [self._row(result) for result in self.results]
        return tuple(sorted(rows, key=lambda row: (-row.accuracy_at_1.value, -row.micro_ap.value, row.model)))

    def _row(self, result: EntryResult) -> Row:
        places, samples = self._ranks[result.model], self._samples
        first = places == 1
        number = {query.id: i for i, query in enumerate(self.queries)}
        query, score, right = [], [], []
        for id_, ranking in result.rankings.items():
            i = number[id_]
            query += [i] * len(ranking)
            score += [score for _, score in ranking]
            right += [name == self.queries[i].truth for name, _ in ranking]
        area, recall = samples.ranked(
            np.array(query, dtype=np.intp), np.array(score, dtype=float), np.array(right, dtype=bool)
        )

        def groups(key: str) -> dict[str, GroupScore]:
            labels = np.array([getattr(query, key) for query in self.queries])
            found = {}
            for label in dict.fromkeys(getattr(query, key) for query in self.queries):
                among = labels == label
                if label and (count := int((among & samples.wanted).sum())):
                    found[label] = GroupScore(samples.share(first, among), count)
            return found

        return Row(
            result, samples.share(first), samples.share(places <= 3), area, recall, groups("grade"), groups("operator")
        )

    @cached_property
    def _pairs(self) -> tuple[Pair, ...]:
        entries = list(combinations([row.model for row in self.rows()], 2))
        hits = {model: self.hits(model) for model in self._ranks}
        p = [sign_flip(self._samples.differences(hits[a], hits[b])) for a, b in entries]
        return tuple(
            Pair(
                a,
                b,
                self._samples.difference(hits[a], hits[b]),
                one,
                corrected,
                self._ids(hits[a] & hits[b]),
                self._ids(~hits[a] & ~hits[b]),
                self._ids(hits[a] & ~hits[b]),
                self._ids(~hits[a] & hits[b]),
            )
            for (a, b), one, corrected in zip(entries, p, holm(p), strict=True)
        )

    def _ids(self, among: Flags) -> tuple[str, ...]:
        return tuple(
            query.id for query, one in zip(self.queries, among, strict=True) if one and query.truth is not None
        )


def _all_differ(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what}: {name!r} is there twice")
        seen.add(name)


def _interval_json(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _row_json(row: Row) -> dict[str, Any]:
    def groups(scores: Mapping[str, GroupScore]) -> dict[str, Any]:
        return {name: {**_interval_json(one.accuracy), "queries": one.queries} for name, one in scores.items()}

    return {
        "model": row.model,
        "accuracy@1": _interval_json(row.accuracy_at_1),
        "accuracy@3": _interval_json(row.accuracy_at_3),
        "uap": _interval_json(row.micro_ap),
        "recall@p90": _interval_json(row.recall_at_p90),
        "by_grade": groups(row.by_grade),
        "by_operator": groups(row.by_operator),
        "images_per_second": row.entry.images_per_second,
        "bytes_per_vector": row.entry.bytes_per_vector,
        "ms_per_query": row.entry.ms_per_query,
        "note": row.entry.note,
    }


def _pair_json(pair: Pair) -> dict[str, Any]:
    return {
        "a": pair.a,
        "b": pair.b,
        "difference": pair.difference.value,
        "low": pair.difference.low,
        "high": pair.difference.high,
        "p": pair.p,
        "p_holm": pair.p_holm,
        "significant": pair.significant,
        "both": len(pair.both),
        "neither": len(pair.neither),
        "only_a": len(pair.only_a),
        "only_b": len(pair.only_b),
    }
