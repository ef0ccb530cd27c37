"""A benchmark as Markdown tables, for a README."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lookalike.bench.results import GROUPS, BenchReport, Row
from lookalike.bench.words import chance, number, plain, points, sentence, share, title
from lookalike.wording import counted
from lookalike.writing import showable


def render(report: BenchReport) -> str:
    """All tables, with the recommendation before and the machine behind them. Ends with a line feed."""
    rows, pairs = report.rows(), report.pairs()
    measures = list(rows[0].measures) if rows else []
    asked = counted(len(report.dataset.queries), "query", "queries")
    units = "queries" if report.originals is None else "originals"
    parts = [
        f"# Benchmark: {_text(report.dataset.name)}",
        f"{_text(report.folder)}: {asked}, {counted(len(report.dataset.gallery), 'image')}, seed {report.seed}.",
        _text(report.recommendation()),
        f"Shares in percent, with 95% intervals from a bootstrap over the {units}. Ties count against a method."
        " CPU-ms a query count all but embedding the query as it is.",
        _table(
            ["entry", *map(title, measures), "images/s", "bytes a vector", "CPU-ms a query"],
            [[_text(row.model), *_figures(row, measures)] for row in rows],
        ),
    ]
    notes = [f"{_text(row.model)}: {_text(row.entry.note)}" for row in rows if row.entry.note]
    if notes:
        parts.append("\n".join(f"- {note}" for note in notes))
    for group in GROUPS:
        scores = [row.groups[group] for row in rows if group in row.groups]
        if scores:
            parts += [
                f"## {sentence(title(report.headline))} by {group}",
                _table(
                    [group, "queries", *(_text(row.model) for row in rows)],
                    [
                        [_text(label), str(first.queries), *(share(each[label].accuracy) for each in scores)]
                        for label, first in scores[0].items()
                    ],
                ),
            ]
    if pairs:
        parts += [
            f"## Differences in {title(report.headline)}",
            f"p by sign flips of whole {units}, corrected for all comparisons (Holm)."
            " Queries are counted by whether the first answer is right.",
            _table(
                ["a", "b", "a is higher by", "p", "", "both", "neither", "only a", "only b"],
                [
                    [
                        *(
                            _text(pair.a),
                            _text(pair.b),
                            points(pair.difference),
                            chance(pair.p_holm).removeprefix("= "),
                        ),
                        "a is better" if pair.significant else "no difference shown",
                        *(f"{len(ids):,}" for ids in (pair.both, pair.neither, pair.only_a, pair.only_b)),
                    ]
                    for pair in pairs
                ],
            ),
        ]
    if report.warnings:
        parts += ["## Notes", "\n".join(f"- {_text(warning)}" for warning in report.warnings)]
    for heading, facts in (("Data", report.facts), ("Machine", report.machine), ("Versions", report.versions)):
        if facts:
            parts += [
                f"## {heading}",
                "\n".join(f"- {_text(key.replace('_', ' '))}: {_text(plain(value))}" for key, value in facts.items()),
            ]
    return "\n\n".join(parts) + "\n"


def _figures(row: Row, measures: Sequence[str]) -> list[str]:
    costs = (row.entry.images_per_second, row.entry.bytes_per_vector, row.entry.ms_per_query)
    return [
        *(share(row.measures[measure]) for measure in measures),
        *("" if cost is None else number(cost) for cost in costs),
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _text(text: str) -> str:
    """Text that Markdown takes for nothing else: sift|verify:50 holds a table's bar."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", showable(text))
