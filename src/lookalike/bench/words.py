"""Figures and facts as words, the same in every report."""

from __future__ import annotations

import math
import re
from typing import Any

from lookalike.stats import Interval

_TITLES = {"accuracy@3": "top 3", "uap": "µAP", "recall@p90": "recall@P90", "map@r": "mAP@R"}


def title(measure: str) -> str:
    """What a measure is called over a column: µAP, mAP@R, mAP/medium, mP@10/hard."""
    return _TITLES.get(
        measure, re.sub("^ma?p(?=[@/]|$)", lambda found: found[0].replace("p", "P").replace("a", "A"), measure)
    )


def sentence(text: str) -> str:
    """With a capital in front, but for names such as mAP."""
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]


def percent(share: float) -> str:
    """A fraction as text."""
    return f"{100 * share:.1f}%"


def span(interval: Interval) -> str:
    """From where to where, in percent or in points; empty where no interval is known."""
    return "" if math.isnan(interval.low) else f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def share(interval: Interval) -> str:
    """A figure in percent and its interval, for a table whose head says so."""
    if math.isnan(interval.value):
        return "none to find"
    return f"{100 * interval.value:.1f}" + (f" ({between})" if (between := span(interval)) else "")


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


def plain(value: Any) -> str:
    """A fact as text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(one) for one in value) or "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "unknown" if value is None else str(value)
