"""A benchmark as one HTML page that opens anywhere, offline: tables, plots, and queries as pictures.

Its own Content-Security-Policy lets nothing load, and no script and no style run but the page's own, known by hash.
Each picture lies in the page once, however often it is shown. Without a script all is there but the choice of the
two entries whose answers are compared: it shows the first two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup

from lookalike.bench import plots
from lookalike.bench.datasets import Query
from lookalike.bench.results import GROUPS, BenchReport, Pair, Row
from lookalike.bench.words import chance, number, percent, plain, points, sentence, share, span, title
from lookalike.report import Pages, data_uri
from lookalike.stats import Interval
from lookalike.wording import counted
from lookalike.writing import showable

LISTED = 12
"""Queries at most in each list of a pair."""

MOST_COLUMNS = 4
COLUMNS = {
    "labelled": ("recall@1", "recall@10", "knn@5", "map@r"),
    "revisited": ("map/medium", "map/easy", "map/hard", "mp@10/medium"),
}
"""Measures in the table: where there are more, bars show all of them."""

MOST_PICTURES = 500
"""In a page; where that is too few, the lists are shorter."""

KINDS = ("only_a", "only_b", "neither", "both")


def render(report: BenchReport, picture: Callable[[str], bytes | None]) -> str:
    """The report as HTML text, free of surrogates. `picture` gives a small JPEG by query id or image name, or None."""
    rows = report.rows()
    numbers = {row.model: i for i, row in enumerate(rows, 1)}
    measures = list(rows[0].measures) if rows else []
    gallery = _Gallery(report, numbers, picture)
    return _pages.fill(
        "bench.html",
        report=report,
        rows=rows,
        pairs=report.pairs(),
        number_of=numbers,
        units="queries" if report.originals is None else "originals",
        columns=COLUMNS.get(report.dataset.protocol, measures[:MOST_COLUMNS]),
        panels=_panels(rows, measures),
        scatter=plots.scatter(rows, report.pareto(), title(report.headline)),
        untimed=[row.model for row in rows if not row.entry.images_per_second],
        gallery=gallery,
        kinds=KINDS,
        most=MOST_PICTURES,
        data=gallery.as_data() if gallery.any() else None,
        bar=plots.bar,
        colour=plots.colour,
    )


@dataclass(frozen=True, slots=True)
class Panel:
    """A grade, an operator or a measure: how many queries, where that is worth saying, and each entry's score."""

    label: str
    queries: int | None
    scores: list[tuple[str, Interval]]


def _panels(rows: Sequence[Row], measures: Sequence[str]) -> dict[str, list[Panel]]:
    """Bars by what they tell apart: grades and operators, the hardest first; or measures, where these are many."""
    found = {}
    for group in GROUPS if rows else ():
        each = [
            Panel(label, score.queries, [(row.model, row.groups[group][label].accuracy) for row in rows])
            for label, score in rows[0].groups.get(group, {}).items()
        ]
        if group == "operator":
            each.sort(key=lambda panel: sum(score.value for _, score in panel.scores))
        found[group] = each
    if not any(found.values()):
        found["measure"] = [
            Panel(title(measure), None, [(row.model, row.measures[measure]) for row in rows]) for measure in measures
        ]
    return {kind: each for kind, each in found.items() if each}


@dataclass(frozen=True, slots=True)
class Answer:
    """What an entry put first: `name` is None where it found nothing; `tied` where others scored as high."""

    name: str | None
    score: float
    right: bool
    tied: bool


@dataclass(eq=False)
class _Gallery:
    """Which queries are shown for which pair, and the pictures for that: a random sample, settled by the seed."""

    report: BenchReport
    numbers: Mapping[str, int]
    picture: Callable[[str], bytes | None]
    shown: dict[tuple[str, str], dict[str, list[Query]]] = field(init=False)
    listed: int = field(init=False)
    pictures: dict[str, tuple[int, str]] = field(init=False)
    """By name: its number in the page, and its data URI."""

    def __post_init__(self) -> None:
        queries = self.report.asked
        order = np.random.default_rng(self.report.seed).permutation(len(queries)).tolist()
        self._query = {queries[i].id: queries[i] for i in order}
        self._rank = {id_: rank for rank, id_ in enumerate(self._query)}
        self._result = {result.model: result for result in self.report.results}
        self._right = {model: self.report.first_right(model) for model in self._result}
        self._labelled = _two_of_each(self.report.dataset.labels)
        for self.listed in (LISTED, LISTED // 2, LISTED // 3, LISTED // 6, 1):
            self.shown = {(pair.a, pair.b): self._lists(pair) for pair in self.report.pairs()}
            names = dict.fromkeys(name for pair in self.shown for name in self._needed(pair))
            if len(names) <= MOST_PICTURES:
                break
        kept = ((name, self.picture(name)) for name in list(names)[:MOST_PICTURES])
        found = [(name, data) for name, data in kept if data]
        self.pictures = {name: (i, data_uri(data)) for i, (name, data) in enumerate(found)}

    def any(self) -> bool:
        """Whether there is something to show."""
        return any(queries for lists in self.shown.values() for queries in lists.values())

    def number(self, name: str | None) -> int | None:
        """Of a picture in the page; None where there is none."""
        return self.pictures[name][0] if name in self.pictures else None

    def answer(self, model: str, query: Query) -> Answer:
        ranking = [hit for hit in self._result[model].rankings.get(query.id, ()) if hit[0] not in query.junk]
        if not ranking:
            return Answer(None, 0.0, False, False)
        name, score = max(ranking, key=lambda hit: hit[1])
        right = self._right[model][query.id]
        return Answer(name, float(score), right, not right and self.report.dataset.is_right(query, name))

    def match(self, query: Query) -> str | None:
        """What is to be found: where that are several, one that is not hard to find."""
        if query.truths:
            return min(query.truths - query.hard or query.truths)
        labels = sorted(self.report.dataset.labels.get(query.id, ()))
        return next((name for label in labels for name in self._labelled[label] if name != query.id), None)

    def as_data(self) -> Markup:
        """What the script needs to show the other pairs, as JSON that ends no script element."""
        used = {query.id: query for lists in self.shown.values() for some in lists.values() for query in some}
        place = {id_: i for i, id_ in enumerate(used)}
        data = {
            "models": [showable(model) for model in self.numbers],
            "queries": [
                [showable(_heading(query)), showable(match or ""), self.number(id_), self.number(match)]
                for id_, query in used.items()
                for match in [self.match(query)]
            ],
            "answers": [[self._answer_data(model, query) for query in used.values()] for model in self.numbers],
            "pairs": {
                f"{self.numbers[pair.a] - 1}-{self.numbers[pair.b] - 1}": [
                    [len(getattr(pair, kind)), [place[query.id] for query in self.shown[pair.a, pair.b][kind]]]
                    for kind in KINDS
                ]
                for pair in self.report.pairs()
            },
        }
        text = json.dumps(data, separators=(",", ":"))
        return Markup(text.replace("<", "\\u003c").replace("&", "\\u0026"))  # noqa: S704 - neither < nor & is left

    def _answer_data(self, model: str, query: Query) -> list[Any]:
        answer = self.answer(model, query)
        verdict = "right" if answer.right else "tied" if answer.tied else "wrong"
        name = None if answer.name is None else showable(answer.name)
        return [name, round(answer.score, 3), verdict, self.number(answer.name)]

    def _lists(self, pair: Pair) -> dict[str, list[Query]]:
        return {
            kind: [
                self._query[id_]
                for id_ in sorted(self._rank.keys() & {*getattr(pair, kind)}, key=self._rank.__getitem__)[: self.listed]
            ]
            for kind in KINDS
        }

    def _needed(self, models: tuple[str, str]) -> Iterator[str]:
        for queries in self.shown[models].values():
            for query in queries:
                for name in (query.id, self.match(query), *(self.answer(model, query).name for model in models)):
                    if name is not None:
                        yield name


def _two_of_each(labels: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    """By label, the first two names: one of them is not the query."""
    found: dict[str, list[str]] = {}
    for name, each in labels.items():
        for label in each:
            if len(some := found.setdefault(label, [])) < 2:
                some.append(name)
    return found


def _heading(query: Query) -> str:
    """What was done to it, or what it is called."""
    return query.id if query.edits is None else f"{query.edits.words}, {query.edits.grade}"


def _breakable(model: str) -> Markup:
    """A long entry breaks before its steps: vit-tiny+sift |mirror |verify:50."""
    return Markup("<wbr/>").join(re.split(r"(?=[|+])", showable(model)))


_pages = Pages(
    breakable=_breakable,
    chance=chance,
    counted=counted,
    heading=_heading,
    number=number,
    percent=percent,
    plain=plain,
    points=points,
    sentence=sentence,
    share=share,
    span=span,
    title=title,
)
