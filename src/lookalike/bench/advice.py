"""What a benchmark comes to, in words that its figures bear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lookalike.bench.results import BenchReport, Pair, Row
from lookalike.bench.words import chance, number, percent, points, span, title
from lookalike.stats import Interval
from lookalike.wording import counted, listed

REACH = 0.05
"""An entry is within reach of the best where its loss, at the far end of the interval, is no more than this."""

FASTER = 1.1
"""Times as fast as another: less is the weather of one run."""

NOTICED = 10.0
"""CPU-ms of a query that are worth saving: as much as reading a photo takes."""

CHEAPER = 0.5
"""Of what a query of the best costs: so much or less is worth a loss."""


@dataclass(frozen=True, slots=True)
class Told:
    """A headline in words: what an entry does in 70% of the queries, and does not do in any."""

    does: str
    never: str
    more: str = "{} more"
    less: str = "finds {} less"


_SHARES = Told("finds the match first in", "no match was found first in")
_AREAS = Told("has a mean average precision ({}) of", "no match was found in", "{} higher", "is {} lower")
TOLD = {
    "labelled": Told("finds an image of the same class first in", "no image of the same class was found first in"),
    "coco": Told("finds an image with a category in common first in", "none with a category in common was first in"),
    "copydays": _AREAS,
    "revisited": _AREAS,
}


def told(report: BenchReport) -> Told:
    return TOLD.get(report.dataset.protocol, _SHARES)


def advise(report: BenchReport) -> str:
    """The best entry and those that cannot be told from it, then the best for its speed, and for what a query costs."""
    rows = report.rows()
    if not rows:
        return "Nothing was tried."
    best, words = rows[0], told(report)
    does = words.does.format(title(report.headline))
    asked = counted(len(report.asked), "query", "queries")
    if report.originals is not None:
        asked += f" of {counted(report.originals, 'original')}"
    if best.headline.value == 0:
        return f"Nothing works here: {words.never} {asked}, by none of {listed(_names(rows))}."
    over = "over" if words is _AREAS else "of"
    found = f"{percent(best.headline.value)} {over} {asked} (95% interval {span(best.headline)})"
    if len(rows) == 1:
        return f"{best.model} {does} {found}. It was tried alone: name a second model to compare."
    against = {pair.b: pair for pair in report.pairs() if pair.a == best.model}
    alike = [row for row in rows[1:] if not against[row.model].significant]
    worse = [row for row in rows[1:] if against[row.model].significant]
    said = [f"{'Highest' if alike else 'Best'} here: {best.model} {does} {found}."]
    if alike:
        said.append(
            f"No difference can be shown between it and {listed(_names(alike), 'or')}:"
            " they may be as good, or more images would tell."
        )
    if worse:
        said.append(_lead(words, worse, against[worse[0].model], len(report.pairs())))
    return " ".join([*said, *_speed(words, report, against), *_asking(words, report, against)])


def _lead(words: Told, worse: Sequence[Row], nearest: Pair, tests: int) -> str:
    """Which others the best is better than, and by how much."""
    shown = f"p {chance(nearest.p_holm)} by sign flips, corrected for {counted(tests, 'comparison')}"
    if len(worse) == 1:
        return f"It is better than {nearest.b}: {words.more.format(points(nearest.difference))}, {shown}."
    return f"It is better than {listed(_names(worse))}: the nearest, {nearest.b}, {_less(words, nearest)}, {shown}."


def _less(words: Told, pair: Pair) -> str:
    """How much `b` is behind `a`."""
    if _rounded(pair.difference) == 0:
        return f"does as well ({span(pair.difference)} points)"
    return words.less.format(points(pair.difference))


def _rounded(interval: Interval) -> float:
    return round(100 * interval.value, 1)


def _speed(words: Told, report: BenchReport, against: dict[str, Pair]) -> list[str]:
    """The fastest entry to index on the Pareto line that loses little for certain."""
    best = report.rows()[0]
    speed = best.entry.images_per_second
    timed = [row for row in report.rows() if row.entry.images_per_second is not None]
    if not speed or len(timed) < 2:
        return []
    faster = [row for row in report.pareto() if (row.entry.images_per_second or 0) > FASTER * speed]
    if not faster:
        none = f"nothing tried is clearly faster than its {number(speed)} images/s"
        return [f"Nothing better for its speed of indexing: {none}."]
    within = [row for row in faster if against[row.model].difference.high <= REACH]
    row = within[0] if within else faster[-1]
    pair = against[row.model]
    fast = row.entry.images_per_second or 0.0
    said = (
        f"{row.model} indexes {number(fast / speed)} times as fast ({number(fast)} against {number(speed)} images/s)"
        f"{_dearer(row, best)} and {_less(words, pair)}"
    )
    if within:
        unproven = "" if pair.significant else "; that there is a difference cannot be shown"
        return [f"Best for its speed of indexing: {said}{unproven}."]
    reach = f"{100 * REACH:.0f} points"
    return [f"Nothing that indexes faster is sure to come within {reach} of it. The nearest: {said}{_open(pair)}."]


def _dearer(row: Row, best: Row) -> str:
    """What a query costs, where that speaks against an entry that indexes faster."""
    cost, usual = row.entry.ms_per_query, best.entry.ms_per_query
    if cost is None or usual is None or cost < NOTICED or cost * CHEAPER < usual:
        return ""
    return f", though a query costs {number(cost)} CPU-ms against {number(usual)},"


def _asking(words: Told, report: BenchReport, against: dict[str, Pair]) -> list[str]:
    """What a query of the best costs, where it is mirrored, cropped or verified, and the best that costs much less."""
    best, *others = report.rows()
    cost = best.entry.ms_per_query
    if cost is None or cost < NOTICED:
        return []
    said = f"A query costs {best.model} {number(cost)} CPU-ms besides embedding it as it is"
    cheap = [row for row in others if row.entry.ms_per_query is not None and row.entry.ms_per_query <= CHEAPER * cost]
    if not cheap:
        return [f"{said}; nothing tried costs half as much or less."]
    row, pair = cheap[0], against[cheap[0].model]
    return [
        f"{said}. Best for half of that or less: {row.model} costs {number(row.entry.ms_per_query or 0.0)}"
        f" and {_less(words, pair)}{_open(pair)}."
    ]


def _open(pair: Pair) -> str:
    return "" if pair.significant else "; a difference cannot be shown, nor be ruled out"


def _names(rows: Sequence[Row]) -> list[str]:
    return [row.model for row in rows]
