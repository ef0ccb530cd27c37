"""Pairs that people call similar and no model finds, and why: so far as colours and their places can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from folder import Flag
from measures import TOP, Finds
from palette import ColourMap, palette
from truth import Pair


@dataclass(frozen=True)
class Missed:
    """A pair that no model has among the first three, in either direction.

    The first flag of the two is the one that came closest to the other: at `best_rank`, by `best_model`.
    """

    flags: tuple[str, str]
    names: tuple[str, str]
    relation: str
    note: str
    best_rank: int
    best_model: str
    reason: str

    def told(self) -> dict[str, Any]:
        return asdict(self)


def missed(pairs: Sequence[Pair], flags: Mapping[str, Flag], models: Mapping[str, Finds]) -> list[Missed]:
    """Those of the pairs that no model finds."""
    colours: dict[str, ColourMap] = {flag.code: flag.colours for flag in flags.values()}
    found = []
    for pair in pairs:
        ends = flags[pair.a], flags[pair.b]
        rank, model, a, b = min(
            ((finds[a.code].rank(b.code), name, a, b) for name, finds in models.items() for a, b in (ends, ends[::-1])),
            key=lambda each: each[0],
        )
        if rank > TOP and a != b:
            why = reason(a, b, colours)
            found.append(Missed((a.code, b.code), (a.name, b.name), pair.relation, pair.note, rank, model, why))
    return found


def reason(a: Flag, b: Flag, colours: Mapping[str, ColourMap]) -> str:
    """What colours two flags share, how many others have just these, and how much of the area is alike."""
    one, other = palette(colours[a.code]), palette(colours[b.code])
    area = (
        f"{100 * (colours[a.code] == colours[b.code]).mean():.0f} % of the area has the same colour in the same place"
    )
    if one == other:
        crowd = sum(palette(each) == one for each in colours.values()) - 2
        return f"The same colours: {listed(one)} (other flags with just these: {crowd}). {area}."
    alone = " and ".join(
        f"{flag.name} alone has {listed(own)}" for flag, own in ((a, one - other), (b, other - one)) if own
    )
    return f"In common: {listed(one & other) or 'no colour'}; {alone}. {area}."


def listed(colours: frozenset[str]) -> str:
    return ", ".join(sorted(colours))
