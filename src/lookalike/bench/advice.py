"""What a benchmark comes to, in words that its figures bear."""

from __future__ import annotations

from collections.abc import Sequence

from lookalike.bench.results import BenchReport, Pair, Row
from lookalike.bench.stats import Interval

REACH = 0.05
"""An entry is within reach of the best where its loss, at the far end of the interval, is no more than this."""

FASTER = 1.1
"""Times as fast as another: less is the weather of one run."""


def advise(report: BenchReport) -> str:
    """The best entry and those that cannot be told from it, then the best for its speed."""
    rows = report.rows()
    if not rows:
        return "Nothing was tried."
    best = rows[0]
    wanted = [query for query in report.queries if query.truth is not None]
    originals = len({query.original for query in wanted})
    asked = f"{counted(len(wanted), 'query', 'queries')} of {counted(originals, 'original')}"
    if best.accuracy_at_1.value == 0:
        return f"Nothing works here: no match was found first in {asked}, by none of {listed(_names(rows))}."
    found = f"{percent(best.accuracy_at_1.value)} of {asked} (95 % interval {span(best.accuracy_at_1)})"
    if len(rows) == 1:
        return f"{best.model} finds the match first in {found}. It was tried alone: name a second model to compare."
    against = {pair.b: pair for pair in report.pairs() if pair.a == best.model}
    alike = [row for row in rows[1:] if not against[row.model].significant]
    worse = [row for row in rows[1:] if against[row.model].significant]
    said = [f"{'Highest' if alike else 'Best'} here: {best.model} finds the match first in {found}."]
    if alike:
        said.append(
            f"No difference can be shown between it and {listed(_names(alike), 'or')}:"
            " they may be as good, or more images would tell."
        )
    if worse:
        said.append(_lead(worse, against[worse[0].model], len(report.pairs())))
    return " ".join([*said, *_speed(report, against)])


def _lead(worse: Sequence[Row], nearest: Pair, tests: int) -> str:
    """Which others the best is better than, and by how much."""
    told = f"p {chance(nearest.p_holm)} by sign flips, corrected for {counted(tests, 'comparison')}"
    if len(worse) == 1:
        return f"It is better than {nearest.b}: {points(nearest.difference)} more, {told}."
    return (
        f"It is better than {listed(_names(worse))}: the nearest, {nearest.b}, finds"
        f" {points(nearest.difference)} less, {told}."
    )


def _speed(report: BenchReport, against: dict[str, Pair]) -> list[str]:
    """The fastest entry on the Pareto line that loses little for certain."""
    best = report.rows()[0]
    speed = best.entry.images_per_second
    timed = [row for row in report.rows() if row.entry.images_per_second is not None]
    if not speed or len(timed) < 2:
        return []
    faster = [row for row in report.pareto() if (row.entry.images_per_second or 0) > FASTER * speed]
    if not faster:
        return [f"Nothing better for its speed: nothing tried is clearly faster than its {number(speed)} images/s."]
    within = [row for row in faster if against[row.model].difference.high <= REACH]
    row = within[0] if within else faster[-1]
    pair = against[row.model]
    fast = row.entry.images_per_second or 0.0
    said = (
        f"{row.model} is {number(fast / speed)} times as fast ({number(fast)} against {number(speed)} images/s)"
        f" and finds {points(pair.difference)} less"
    )
    if within:
        unproven = "" if pair.significant else "; that there is a difference cannot be shown"
        return [f"Best for its speed: {said}{unproven}."]
    unproven = "" if pair.significant else "; a difference cannot be shown, nor be ruled out"
    reach = f"{100 * REACH:.0f} points"
    return [f"Nothing faster is sure to come within {reach} of it. The nearest: {said}{unproven}."]


def _names(rows: Sequence[Row]) -> list[str]:
    return [row.model for row in rows]


def listed(names: Sequence[str], word: str = "and") -> str:
    """One, two and three."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def counted(number: int, one: str, more: str | None = None) -> str:
    """A number and its noun."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def percent(share: float) -> str:
    """A fraction as text."""
    return f"{100 * share:.1f} %"


def span(interval: Interval) -> str:
    """From where to where, in percent or in points."""
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def points(interval: Interval) -> str:
    """A difference of shares with its interval."""
    return f"{100 * interval.value:.1f} points ({span(interval)})"


def chance(p: float) -> str:
    """A p value after the letter: = 0.012, < 0.001."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


def number(amount: float) -> str:
    """Two digits that count, or all before the point: 0.43, 4.3, 43, 4,300."""
    if amount >= 10 or amount == 0:
        return f"{amount:,.0f}"
    return f"{amount:.1f}" if amount >= 1 else f"{amount:.2g}"
