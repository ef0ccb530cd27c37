"""Counts and lists in sentences."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, one: str, more: str | None = None) -> str:
    """A number and its noun: 1 query, 2,000 queries. `more` is the plural where it does not end in s alone."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def listed(names: Sequence[str], word: str = "and") -> str:
    """One, two and three. `names` holds at least one."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"
