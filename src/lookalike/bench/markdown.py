"""A benchmark as Markdown tables, for a README."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from lookalike.bench.advice import chance, counted, number, percent, points, span
from lookalike.bench.results import BenchReport, GroupScore, Row
from lookalike.bench.stats import Interval
from lookalike.writing import showable


def render(report: BenchReport) -> str:
    """All tables, with the recommendation before and the machine behind them. Ends with a line feed."""
    rows, pairs = report.rows(), report.pairs()
    parts = [
        f"# Benchmark: {_text(report.dataset)}",
        f"{_text(report.folder)}: {counted(len(report.queries), 'query', 'queries')}, seed {report.seed}.",
        _text(report.recommendation()),
        "Shares in percent, with 95 % intervals from a bootstrap over the originals. Ties count against a method.",
        _table(
            ["entry", "accuracy@1", "top 3", "µAP", "recall@P90", "images/s", "bytes a vector", "ms a query"],
            [[_text(row.model), *_figures(row)] for row in rows],
        ),
    ]
    notes = [f"{_text(row.model)}: {_text(row.entry.note)}" for row in rows if row.entry.note]
    if notes:
        parts.append("\n".join(f"- {note}" for note in notes))
    for title, groups in (("grade", [row.by_grade for row in rows]), ("operator", [row.by_operator for row in rows])):
        labels = list(dict.fromkeys(label for group in groups for label in group))
        if labels:
            parts += [
                f"## Accuracy@1 by {title}",
                _table(
                    [title, "queries", *(_text(row.model) for row in rows)],
                    [
                        [_text(label), str(groups[0][label].queries), *(_group(group[label]) for group in groups)]
                        for label in labels
                    ],
                ),
            ]
    if pairs:
        parts += [
            "## Differences in accuracy@1",
            "p by sign flips of whole originals, corrected for all comparisons (Holm).",
            _table(
                ["a", "b", "a finds more by", "p", "", "both", "neither", "only a", "only b"],
                [
                    [
                        *(
                            _text(pair.a),
                            _text(pair.b),
                            points(pair.difference),
                            chance(pair.p_holm).removeprefix("= "),
                        ),
                        "a is better" if pair.significant else "no difference shown",
                        *(str(len(ids)) for ids in (pair.both, pair.neither, pair.only_a, pair.only_b)),
                    ]
                    for pair in pairs
                ],
            ),
        ]
    for title, facts in (("Data", report.facts), ("Machine", report.machine), ("Versions", report.versions)):
        if facts:
            parts += [
                f"## {title}",
                "\n".join(f"- {_text(key.replace('_', ' '))}: {_text(plain(value))}" for key, value in facts.items()),
            ]
    return "\n\n".join(parts) + "\n"


def plain(value: Any) -> str:
    """A fact as text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(one) for one in value) or "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "unknown" if value is None else str(value)


def _figures(row: Row) -> list[str]:
    intervals = (row.accuracy_at_1, row.accuracy_at_3, row.micro_ap, row.recall_at_p90)
    costs = (row.entry.images_per_second, row.entry.bytes_per_vector, row.entry.ms_per_query)
    return [*map(_share, intervals), *("" if cost is None else number(cost) for cost in costs)]


def _share(interval: Interval) -> str:
    return f"{percent(interval.value).removesuffix(' %')} ({span(interval)})"


def _group(score: GroupScore) -> str:
    return _share(score.accuracy)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _text(text: str) -> str:
    """Text that Markdown takes for nothing else: sift|verify:50 holds a table's bar."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", showable(text))
