"""What a published data set says of entries: its own measures, with intervals, and which queries only one answers.

report = DatasetReport(dataset, "/data/disc21", results, machine, versions, seed=7, facts={}, warnings=dataset.warnings)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from lookalike.bench import published
from lookalike.bench.advice import chance, number, points
from lookalike.bench.datasets import Dataset, DatasetQuery
from lookalike.bench.markdown import plain
from lookalike.bench.results import KEPT_ANSWERS, BenchReport, EntryResult, Pair, Query
from lookalike.bench.stats import Bootstrap, Flags, Floats, Interval, holm, sign_flip
from lookalike.writing import showable

_ONE_TRUTH = ("disc21", "disc21-article", "copydays")
"""Protocols whose queries are copies of one image: several copies of it are not independent."""


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """An entry's figures by measure, 0 to 1; `low` and `high` are NaN where no interval is known."""

    entry: EntryResult
    measures: Mapping[str, Interval]

    @property
    def model(self) -> str:
        return self.entry.model


def has_page(dataset: Dataset) -> bool:
    """Whether its queries are copies of one image each: what pages of pictures are made for."""
    return dataset.protocol in _ONE_TRUTH and all(len(query.truths) < 2 for query in dataset.queries)


class _Means(Bootstrap):
    """Intervals of means of any values from 0 to 1, such as average precisions."""

    def mean(self, values: Floats, among: Flags) -> Interval:
        return self._interval(self._rounds(values, among), among)


@dataclass(frozen=True, eq=False)
class DatasetReport:
    """The whole of it. Raises UsageError for answers that the data set cannot judge: see `published.measures`.

    root:     the folder of the data set
    warnings: what was passed over, with counts
    """

    dataset: Dataset
    root: str
    results: Sequence[EntryResult]
    machine: Mapping[str, Any]
    versions: Mapping[str, Any]
    seed: int
    facts: Mapping[str, Any]
    warnings: Sequence[str]

    def rows(self) -> tuple[DatasetRow, ...]:
        """The entries' figures, the best by the first measure first."""
        return self._rows

    def pairs(self) -> tuple[Pair, ...]:
        """Each two entries by whether their first answer is right; Holm-corrected over all of them."""
        return self._pairs

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain data: fractions are 0 to 1, None stands for what is not known."""
        return {
            "dataset": self.dataset.name,
            "root": self.root,
            "measures": list(self._rows[0].measures) if self._rows else [],
            "rows": [_row_json(row) for row in self._rows],
            "pairs": [_pair_json(pair) for pair in self._pairs],
            "warnings": list(self.warnings),
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "seed": self.seed,
            "facts": dict(self.facts),
            "queries": [
                {
                    "id": query.id,
                    "truths": sorted(query.truths),
                    "labels": sorted(self.dataset.labels.get(query.id, ())),
                }
                for query in self.dataset.queries
            ],
            "answers": {
                result.model: {id_: [list(pair) for pair in row[:KEPT_ANSWERS]] for id_, row in result.rankings.items()}
                for result in self.results
            },
        }

    def to_markdown(self) -> str:
        """Tables for a README. Ends with a line feed."""
        measures = list(self._rows[0].measures) if self._rows else []
        head = ["entry", *measures, "images/s", "bytes a vector", "ms a query"]
        parts = [
            f"# Benchmark: {_text(self.dataset.name)}",
            f"{_text(self.root)}: {len(self.dataset.queries):,} queries, {len(self.dataset.gallery):,} images.",
            "In percent, with 95 % intervals from a bootstrap where one is known. Ties count against a method.",
            _table(head, [_cells(row, measures) for row in self._rows]),
        ]
        if self._pairs:
            cells = ["a", "b", "a finds more by", "p", "both", "neither", "only a", "only b"]
            parts += [
                "## Whose first answer is right",
                "p by sign flips, corrected for all comparisons (Holm).",
                _table(cells, [_pair_cells(pair) for pair in self._pairs]),
            ]
        if self.warnings:
            parts += ["## Notes", "\n".join(f"- {_text(warning)}" for warning in self.warnings)]
        for title, facts in (("Data", self.facts), ("Machine", self.machine), ("Versions", self.versions)):
            lines = [f"- {_text(key.replace('_', ' '))}: {_text(plain(value))}" for key, value in facts.items()]
            parts += [f"## {title}", "\n".join(lines)]
        return "\n\n".join(parts) + "\n"

    def to_html(self, picture: Callable[[str], bytes | None]) -> str:
        """The page of a report on copies, where `has_page` says so. `picture` gives a small JPEG by query or image."""
        queries = [
            Query(query.id, query.id.rpartition("/")[0], "", 0, _original(query), next(iter(query.truths), None))
            for query in self.dataset.queries
        ]
        facts = {**self.facts, **({"notes": list(self.warnings)} if self.warnings else {})}
        name = self.dataset.name
        made = (self.machine, self.versions, self.seed, facts)
        return BenchReport(name, self.root, queries, self.results, *made).to_html(picture)

    @cached_property
    def _samples(self) -> _Means:
        of_one = self.dataset.protocol in _ONE_TRUTH
        queries = self.dataset.queries
        judged = published.first_right(self.dataset, {})
        clusters = [_original(query) if of_one else query.id for query in queries]
        return _Means.draw(clusters, [query.id in judged for query in queries], self.seed)

    @cached_property
    def _rows(self) -> tuple[DatasetRow, ...]:
        rows = [DatasetRow(result, self._measured(result)) for result in self.results]
        return tuple(sorted(rows, key=lambda row: (*(-_known(i.value) for i in row.measures.values()), row.model)))

    def _measured(self, result: EntryResult) -> dict[str, Interval]:
        values = published.measures(self.dataset, result.rankings)
        found = {measure: Interval(value, math.nan, math.nan) for measure, value in values.items()}
        ids = [query.id for query in self.dataset.queries]
        intervals = {}
        for measure, by_query in published.per_query(self.dataset, result.rankings).items():
            among = np.array([id_ in by_query for id_ in ids])
            intervals[measure] = self._samples.mean(np.array([by_query.get(id_, 0.0) for id_ in ids]), among)
        if "uap" in values:
            intervals["uap"], intervals["recall@p90"] = self._pooled(result)
        for measure, interval in intervals.items():
            # Pooled over queries with several truths each, or beyond the cap, rounds measure something else.
            if np.isclose(interval.value, values[measure], atol=1e-5):
                value = values[measure]
                found[measure] = Interval(value, min(value, interval.low), max(value, interval.high))
        return found

    def _pooled(self, result: EntryResult) -> tuple[Interval, Interval]:
        place = {query.id: i for i, query in enumerate(self.dataset.queries)}
        pairs = [(place[id_], name, score) for id_, ranking in result.rankings.items() for name, score in ranking]
        return self._samples.ranked(
            np.array([i for i, _, _ in pairs], dtype=np.intp),
            np.array([score for _, _, score in pairs], dtype=np.float64),
            np.array([name in self.dataset.queries[i].truths for i, name, _ in pairs], dtype=np.bool_),
        )

    @cached_property
    def _pairs(self) -> tuple[Pair, ...]:
        ids = [query.id for query in self.dataset.queries]
        first = {row.model: published.first_right(self.dataset, row.entry.rankings) for row in self._rows}
        judged = self._samples.wanted
        hits = {model: np.array([right.get(id_, False) for id_ in ids]) for model, right in first.items()}
        # `a` is no worse than `b` in this, whatever the first measure says.
        entries = list(combinations(sorted(hits, key=lambda model: -int(hits[model][judged].sum())), 2))
        p = [sign_flip(self._samples.differences(hits[a], hits[b])) for a, b in entries]

        def those(among: Flags) -> tuple[str, ...]:
            return tuple(id_ for id_, one in zip(ids, among & judged, strict=True) if one)

        return tuple(
            Pair(
                a,
                b,
                self._samples.difference(hits[a], hits[b]),
                one,
                corrected,
                those(hits[a] & hits[b]),
                those(~hits[a] & ~hits[b]),
                those(hits[a] & ~hits[b]),
                those(~hits[a] & hits[b]),
            )
            for (a, b), one, corrected in zip(entries, p, holm(p), strict=True)
        )


def _original(query: DatasetQuery) -> str:
    """What a query is a copy of: its cluster. One that is a copy of nothing is a cluster of its own."""
    return min(query.truths, default=f"nothing/{query.id}")


def _known(value: float) -> float:
    return -1.0 if math.isnan(value) else value


def _cells(row: DatasetRow, measures: Sequence[str]) -> list[str]:
    costs = (row.entry.images_per_second, row.entry.bytes_per_vector, row.entry.ms_per_query)
    return [
        _text(row.model),
        *(_share(row.measures[measure]) for measure in measures),
        *("" if cost is None else number(cost) for cost in costs),
    ]


def _pair_cells(pair: Pair) -> list[str]:
    counts = (pair.both, pair.neither, pair.only_a, pair.only_b)
    told = [_text(pair.a), _text(pair.b), points(pair.difference), chance(pair.p_holm).removeprefix("= ")]
    return [*told, *(f"{len(ids):,}" for ids in counts)]


def _share(interval: Interval) -> str:
    if math.isnan(interval.value):
        return "none to find"
    if math.isnan(interval.low):
        return f"{100 * interval.value:.1f}"
    return f"{100 * interval.value:.1f} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def _text(text: str) -> str:
    """Text that Markdown takes for nothing else."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", showable(text))


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def _row_json(row: DatasetRow) -> dict[str, Any]:
    return {
        "model": row.model,
        **{
            measure: {"value": _plain(one.value), "low": _plain(one.low), "high": _plain(one.high)}
            for measure, one in row.measures.items()
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
        "difference": _plain(pair.difference.value),
        "low": _plain(pair.difference.low),
        "high": _plain(pair.difference.high),
        "p": pair.p,
        "p_holm": pair.p_holm,
        "significant": pair.significant,
        **{name: len(ids) for name, ids in lists.items()},
        "queries": {name: list(ids) for name, ids in lists.items()},
    }
