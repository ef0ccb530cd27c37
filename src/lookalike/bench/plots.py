"""Plots of a benchmark as SVG that lies in a page: places along x in percent, so that text keeps its size on a phone.

Entries have a number and a colour, the same in all plots: classes c1 to c8 of the page's style (Okabe and Ito, "Color
Universal Design", 2008: told apart by colour-blind readers too).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from lookalike.bench.results import Row
from lookalike.stats import Interval
from lookalike.writing import showable

COLOURS = 8

LEFT, RIGHT = 9.0, 97.0
"""Where the plot begins and ends, in percent of the width."""

TOP, BOTTOM, HEIGHT = 16.0, 320.0, 356
"""The same from above, in pixels."""

_STEPS = (1, 2, 5)

_NEAR = 1.0, 10.0
"""Percent of the width and pixels of the height: points that are less far apart cover each other."""

_BESIDE = 22
"""Pixels by which such a point stands beside the other."""


def colour(number: int) -> str:
    """The class of the entry with this number, from 1."""
    return f"c{(number - 1) % COLOURS + 1}"


def scatter(rows: Sequence[Row], pareto: Sequence[Row], headline: str) -> Markup:
    """The headline with its interval against images/s on a log axis, and the Pareto line; empty without any speed.

    Points bear the entry's number, from 1, in the order of `rows`; such as would cover each other stand side by side.
    """
    timed = [(i, row) for i, row in enumerate(rows, 1) if row.entry.images_per_second]
    if not timed:
        return Markup("")
    speeds = [row.entry.images_per_second or 1.0 for _, row in timed]
    ticks = _log_ticks(min(speeds), max(speeds))
    low = math.floor(min(row.headline.low for _, row in timed) * 10) / 10
    high = math.ceil(max(row.headline.high for _, row in timed) * 10) / 10
    high = max(high, low + 0.1)

    def x(speed: float | None) -> float:
        place = math.log((speed or 1.0) / ticks[0]) / math.log(ticks[-1] / ticks[0])
        return LEFT + (RIGHT - LEFT) * (0.03 + 0.94 * place)

    def y(share: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (share - low) / (high - low)

    parts = [_share_line(tenth, y(tenth / 10)) for tenth in _tenths(low, high)]
    parts += [_speed_line(tick, x(tick)) for tick in ticks]
    parts += _steps([(x(row.entry.images_per_second), y(row.headline.value)) for row in pareto])
    places = [(i, row, x(row.entry.images_per_second), [y(v) for v in _values(row.headline)]) for i, row in timed]
    asides = _asides([(at, ys[1]) for _, _, at, ys in places])
    drawn = list(zip(places, asides, strict=True))[::-1]
    # Intervals behind all points. The best last: it is on top.
    parts += [_spread(number, at, ys, aside) for (number, _, at, ys), aside in drawn]
    parts += [_point(number, row, at, ys[1], aside) for (number, row, at, ys), aside in drawn]
    return Markup('<svg class="scatter" height="{}" role="img" aria-label="{}">{}</svg>').format(
        HEIGHT, f"{headline} against images per second: the figures are in the table above", Markup("").join(parts)
    )


def bar(interval: Interval, number: int) -> Markup:
    """A share as a bar with its interval, if one is known; what it says is beside it as text."""
    edges = (interval.value if math.isnan(v) else v for v in _values(interval))
    low, value, high = (0.0 if math.isnan(v) else 100 * min(max(v, 0.0), 1.0) for v in edges)
    return Markup(
        '<svg class="bar {}" aria-hidden="true"><rect class="track" width="100%" height="100%"/>'
        '<rect class="fill" width="{:.1f}%" height="100%"/>'
        '<line class="whisker" x1="{:.1f}%" x2="{:.1f}%" y1="50%" y2="50%"/>'
        '<line class="whisker" x1="{:.1f}%" x2="{:.1f}%" y1="20%" y2="80%"/>'
        '<line class="whisker" x1="{:.1f}%" x2="{:.1f}%" y1="20%" y2="80%"/></svg>'
    ).format(colour(number), value, low, high, low, low, high, high)


def _values(interval: Interval) -> tuple[float, float, float]:
    return interval.low, interval.value, interval.high


def _tenths(low: float, high: float) -> list[int]:
    """Grid lines at each 10%; at each 20% where these would be many."""
    every = 1 if high - low < 0.65 else 2
    return [tenth for tenth in range(round(low * 10), round(high * 10) + 1) if tenth % every == 0]


def _log_ticks(least: float, most: float) -> list[float]:
    """Round numbers from below `least` to above `most`, at least two: 1, 2 and 5 times powers of ten, or the powers."""
    powers = range(math.floor(math.log10(least)) - 1, math.ceil(math.log10(most)) + 2)
    for steps in (_STEPS, (1,)):
        ticks = [step * 10.0**power for power in powers for step in steps]
        first = max(i for i, tick in enumerate(ticks) if tick <= least)
        last = min(i for i, tick in enumerate(ticks) if tick >= most)
        ticks = ticks[first : max(last, first + 1) + 1]
        if len(ticks) <= 7:
            break
    return ticks


def _share_line(tenth: int, y: float) -> Markup:
    return Markup(
        '<line class="grid" x1="{}%" x2="{}%" y1="{:.1f}" y2="{:.1f}"/><text class="end" x="{}%" y="{:.1f}">{}%</text>'
    ).format(LEFT, RIGHT, y, y, LEFT - 1, y + 4, 10 * tenth)


def _speed_line(tick: float, x: float) -> Markup:
    return Markup(
        '<line class="grid" x1="{:.2f}%" x2="{:.2f}%" y1="{}" y2="{}"/>'
        '<text class="middle" x="{:.2f}%" y="{}">{}</text>'
    ).format(x, x, TOP, BOTTOM, x, BOTTOM + 20, f"{tick:,.12g}")


def _steps(points: Sequence[tuple[float, float]]) -> list[Markup]:
    """The Pareto line through (x, y), the fastest first: nothing that was tried lies beyond it."""
    parts, below = [], BOTTOM
    for i, (x, y) in enumerate(points):
        slower = points[i + 1][0] if i + 1 < len(points) else LEFT
        parts.append(_line(x, x, below, y))
        parts.append(_line(x, slower, y, y))
        below = y
    return parts


def _line(x1: float, x2: float, y1: float, y2: float) -> Markup:
    return Markup('<line class="pareto" x1="{:.2f}%" x2="{:.2f}%" y1="{:.1f}" y2="{:.1f}"/>').format(x1, x2, y1, y2)


def _asides(points: Sequence[tuple[float, float]]) -> list[int]:
    """By how many pixels each point (x, y) is moved to the right, for those before it that are in the same place."""
    return [
        _BESIDE * sum(abs(x - u) < _NEAR[0] and abs(y - v) < _NEAR[1] for u, v in points[:i])
        for i, (x, y) in enumerate(points)
    ]


def _spread(number: int, x: float, ys: Sequence[float], aside: int) -> Markup:
    low, _, high = ys
    return Markup(
        '<g class="{}" transform="translate({} 0)">'
        '<line class="spread" x1="{:.2f}%" x2="{:.2f}%" y1="{:.1f}" y2="{:.1f}"/></g>'
    ).format(colour(number), aside, x, x, low, high)


def _point(number: int, row: Row, x: float, y: float, aside: int) -> Markup:
    return Markup(
        '<g class="{}" transform="translate({} 0)"><title>{}</title><circle cx="{:.2f}%" cy="{:.1f}" r="10"/>'
        '<text class="middle on" x="{:.2f}%" y="{:.1f}">{}</text></g>'
    ).format(colour(number), aside, showable(row.model), x, y, x, y + 4, number)
