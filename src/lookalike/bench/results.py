"""What a benchmark found: what was asked, what each entry answered, and all that follows from these.

    report = BenchReport(dataset, "photos", results, machine, versions, seed=1, facts={"gallery": 1669})
    print(report.recommendation())

Figures carry 95% intervals and differences are tested: see `stats`. Measures are those of `protocols`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from lookalike.bench import protocols
from lookalike.bench.datasets import Dataset, Query, Ranking
from lookalike.bench.protocols import Judged
from lookalike.errors import UsageError
from lookalike.stats import LEVEL, Bootstrap, Flags, Floats, Interval, holm, sign_flip

KEPT_ANSWERS = 5
"""Of each query and entry, in the JSON: names and scores. What is measured does not rest on these."""

GROUPS = ("grade", "operator")
"""By which the headline is told apart, where queries were edited here."""


@dataclass(frozen=True, slots=True)
class EntryResult:
    """What an entry answered: by query id, names and scores, the best first; a query that is missing found nothing.

    Scores decide, and not the order: among equal ones the wrong come first. `ms_per_query` are those of all
    cores together, without embedding the query as it is. `note` is for the reader.
    """

    model: str
    rankings: Mapping[str, Ranking]
    images_per_second: float | None
    bytes_per_vector: int | None
    ms_per_query: float | None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class GroupScore:
    """The headline of some of the queries, and how many these are."""

    accuracy: Interval
    queries: int


@dataclass(frozen=True, slots=True)
class Row:
    """An entry's figures by measure, 0 to 1; `low` and `high` are NaN where no interval is known."""

    entry: EntryResult
    measures: Mapping[str, Interval]
    headline: Interval
    groups: Mapping[str, Mapping[str, GroupScore]]
    """By GROUPS, and by label."""

    @property
    def model(self) -> str:
        return self.entry.model


@dataclass(frozen=True, slots=True)
class Pair:
    """Two entries, `a` no worse than `b` by the headline.

    The lists are the ids of queries by whether the first answer is right, of those that this can be said of.
    """

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
    """The whole of a benchmark. Raises UsageError for results that cannot be judged: see `protocols.judge`.

    folder:         of the user's images, or of the data set
    machine, versions, facts: for the reader; `facts` are counts of what the benchmark was made of
    warnings:       what was passed over, with counts
    """

    dataset: Dataset
    folder: str
    results: Sequence[EntryResult]
    machine: Mapping[str, Any]
    versions: Mapping[str, Any]
    seed: int
    facts: Mapping[str, Any]
    warnings: Sequence[str] = ()

    def __post_init__(self) -> None:
        _all_differ((query.id for query in self.dataset.queries), "queries")
        _all_differ((result.model for result in self.results), "entries")
        if not self._wanted.any():
            raise UsageError(f"{self.dataset.name}: no query has a match: there is nothing to find")
        _ = self._judged

    @property
    def headline(self) -> str:
        """The measure that entries are ordered and told apart by."""
        return protocols.headline(self.dataset)

    @property
    def asked(self) -> list[Query]:
        """The queries that the headline is a mean of."""
        return [query for query, wanted in zip(self.dataset.queries, self._wanted, strict=True) if wanted]

    @property
    def originals(self) -> int | None:
        """How many images these are copies of: the units of the statistics. None where each is one by itself."""
        clusters = {_cluster(query) for query in self.asked}
        return len(clusters) if any(query.original is not None for query in self.asked) else None

    def rows(self) -> tuple[Row, ...]:
        """The entries' figures, the best headline first."""
        return self._rows

    def pairs(self) -> tuple[Pair, ...]:
        """Each two entries, as `rows` has them; Holm-corrected over all of them."""
        return self._pairs

    def recommendation(self) -> str:
        """What the figures say, and no more, in a few sentences."""
        from lookalike.bench.advice import advise

        return advise(self)

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain data: fractions are 0 to 1, None stands for what is not known.

        All figures can be worked out from it: `values` has those of each query, in the order of `queries`, of whatever
        is a mean; `pool` the predictions of all queries in one list, the best first, to the last that is right: whose
        each is, by its place in `queries`, and the places in the list of those that are right.
        """
        return {
            "rows": [_row_json(row) for row in self.rows()],
            "pairs": [_pair_json(pair) for pair in self.pairs()],
            "recommendation": self.recommendation(),
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "seed": self.seed,
            "dataset": self.dataset.name,
            "headline": self.headline,
            "folder": self.folder,
            "facts": dict(self.facts),
            "warnings": list(self.warnings),
            "queries": [_query_json(self.dataset, query) for query in self.dataset.queries],
            "answers": {
                result.model: {
                    id_: [[name, float(score)] for name, score in ranking[:KEPT_ANSWERS]]
                    for id_, ranking in result.rankings.items()
                }
                for result in self.results
            },
            "values": {model: self._values_json(judged) for model, judged in self._judged.items()},
            "pool": {model: _pool_json(judged) for model, judged in self._judged.items() if judged.pool is not None},
        }

    def to_markdown(self) -> str:
        """Tables for a README."""
        from lookalike.bench.markdown import render

        return render(self)

    def to_html(self, picture: Callable[[str], bytes | None]) -> str:
        """One page that needs nothing beside it. `picture` gives a small JPEG by a query's id or an image's name."""
        from lookalike.bench.report import render

        return render(self, picture)

    def first_right(self, model: str) -> Mapping[str, bool]:
        """By query id, whether the first answer is right, for those that have one; KeyError for a strange entry."""
        return {id_: value == 1 for id_, value in self._judged[model].by_query[protocols.first(self.dataset)].items()}

    def pareto(self) -> tuple[Row, ...]:
        """The entries that no other beats in both the headline and images/s, the fastest first."""
        line: list[Row] = []
        timed = [row for row in self.rows() if row.entry.images_per_second is not None]
        for row in sorted(timed, key=lambda row: (-(row.entry.images_per_second or 0), -row.headline.value)):
            if not line or row.headline.value > line[-1].headline.value:
                line.append(row)
        return tuple(line)

    @cached_property
    def _wanted(self) -> Flags:
        judged = protocols.judge(self.dataset, {}).by_query[self.headline]
        return np.array([query.id in judged for query in self.dataset.queries], dtype=bool)

    @cached_property
    def _samples(self) -> Bootstrap:
        return Bootstrap.draw([_cluster(query) for query in self.dataset.queries], self._wanted.tolist(), self.seed)

    @cached_property
    def _judged(self) -> dict[str, Judged]:
        return {result.model: protocols.judge(self.dataset, result.rankings) for result in self.results}

    def _values(self, by_query: Mapping[str, float]) -> Floats:
        """(queries,) NaN where nothing is judged."""
        return np.array([by_query.get(query.id, math.nan) for query in self.dataset.queries])

    @cached_property
    def _rows(self) -> tuple[Row, ...]:
        rows = [self._row(result) for result in self.results]
        order = {
            row.model: (-row.headline.value, *(-_known(one.value) for one in row.measures.values())) for row in rows
        }
        return tuple(sorted(rows, key=lambda row: (order[row.model], row.model)))

    def _row(self, result: EntryResult) -> Row:
        judged, samples = self._judged[result.model], self._samples
        spans: dict[str, Interval] = {}
        for measure, by_query in judged.by_query.items():
            values = self._values(by_query)
            spans[measure] = samples.share(np.nan_to_num(values), ~np.isnan(values))
        if judged.pool is not None:
            truths = np.array([len(query.truths) for query in self.dataset.queries], dtype=np.intp)
            spans["uap"], spans["recall@p90"] = samples.ranked(judged.pool.query, judged.pool.right, truths)
        measures = {measure: _around(value, spans.get(measure)) for measure, value in judged.figures.items()}
        groups = {group: self._groups(group, judged.by_query[self.headline]) for group in GROUPS}
        return Row(result, measures, measures[self.headline], {group: each for group, each in groups.items() if each})

    def _groups(self, group: str, by_query: Mapping[str, float]) -> dict[str, GroupScore]:
        labels = [getattr(query.edits, group, "") for query in self.dataset.queries]
        values, found = np.nan_to_num(self._values(by_query)), {}
        for label in dict.fromkeys(labels):
            among = (np.array(labels) == label) & self._wanted
            if label and among.any():
                found[label] = GroupScore(self._samples.share(values, among), int(among.sum()))
        return found

    @cached_property
    def _pairs(self) -> tuple[Pair, ...]:
        entries = list(combinations([row.model for row in self.rows()], 2))
        values = {
            model: np.nan_to_num(self._values(judged.by_query[self.headline])) for model, judged in self._judged.items()
        }
        first = {model: self.first_right(model) for model in self._judged}
        p = [sign_flip(self._samples.differences(values[a], values[b])) for a, b in entries]

        def those(a: str, b: str, which: tuple[bool, bool]) -> tuple[str, ...]:
            return tuple(id_ for id_, right in first[a].items() if (right, first[b][id_]) == which)

        return tuple(
            Pair(
                a,
                b,
                self._samples.difference(values[a], values[b]),
                one,
                corrected,
                both=those(a, b, (True, True)),
                neither=those(a, b, (False, False)),
                only_a=those(a, b, (True, False)),
                only_b=those(a, b, (False, True)),
            )
            for (a, b), one, corrected in zip(entries, p, holm(p), strict=True)
        )

    def _values_json(self, judged: Judged) -> dict[str, list[float | None]]:
        return {
            measure: [
                None if (value := by_query.get(query.id)) is None else _short(value) for query in self.dataset.queries
            ]
            for measure, by_query in judged.by_query.items()
        }


def _cluster(query: Query) -> str:
    """Queries of one cluster are not independent: several copies of one image. Others are clusters of their own."""
    return f"query {query.id}" if query.original is None else f"image {query.original}"


def _all_differ(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what}: {name!r} is there twice")
        seen.add(name)


def _around(value: float, interval: Interval | None) -> Interval:
    """The figure itself, which rounds know in single precision, and their interval."""
    if interval is None or not math.isclose(value, interval.value, abs_tol=1e-5):
        return Interval(value, math.nan, math.nan)
    return Interval(value, min(value, interval.low), max(value, interval.high))


def _known(value: float) -> float:
    return -1.0 if math.isnan(value) else value


def _short(value: float) -> float:
    return int(value) if value in (0, 1) else value


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def _interval_json(interval: Interval) -> dict[str, float | None]:
    return {key: _plain(value) for key, value in asdict(interval).items()}


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "model": row.model,
        **{measure: _interval_json(one) for measure, one in row.measures.items()},
        **{
            f"by_{group}": {
                label: {**_interval_json(one.accuracy), "queries": one.queries} for label, one in each.items()
            }
            for group, each in row.groups.items()
        },
        "images_per_second": row.entry.images_per_second,
        "bytes_per_vector": row.entry.bytes_per_vector,
        "ms_per_query": row.entry.ms_per_query,
        "note": row.entry.note,
    }


def _pair_json(pair: Pair) -> dict[str, Any]:
    lists = {"both": pair.both, "neither": pair.neither, "only_a": pair.only_a, "only_b": pair.only_b}
    return {
        "a": pair.a,
        "b": pair.b,
        "difference": pair.difference.value,
        "low": pair.difference.low,
        "high": pair.difference.high,
        "p": pair.p,
        "p_holm": pair.p_holm,
        "significant": pair.significant,
        **{name: len(ids) for name, ids in lists.items()},
        "queries": {name: list(ids) for name, ids in lists.items()},
    }


def _query_json(dataset: Dataset, query: Query) -> dict[str, Any]:
    if query.edits is not None:
        return {"id": query.id, **asdict(query.edits), "original": query.original, "truth": query.truth}
    return {
        "id": query.id,
        "original": query.original,
        "truths": sorted(query.truths),
        "labels": sorted(dataset.labels.get(query.id, ())),
    }


def _pool_json(judged: Judged) -> dict[str, list[int]]:
    right = np.flatnonzero(judged.pool.right) if judged.pool is not None else np.array([], dtype=np.intp)
    if judged.pool is None or not right.size:
        return {"query": [], "right": []}
    return {"query": judged.pool.query[: right[-1] + 1].tolist(), "right": right.tolist()}
