"""Groups against looks: `membership`'s test of the model for each column of labels, of references as a yardstick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from lookalike.auditing.labels import Column
from lookalike.auditing.likeness import Audited
from lookalike.auditing.membership import ROUNDS, Adjusted, Arrangements, Effect
from lookalike.indexing import Progress
from lookalike.stats import LEVEL, Floats, Whole, holm

IMAGES = 500
"""Images whose pairs are tested; of more, so many are drawn by lot, as evenly from all groups as there are some."""

NEAREST = 5
"""Neighbours of which the share of one's own group is told."""

Verdict = Literal["none", "as looks", "beyond looks", "apart", "untold"]
"""What can be said of a column.

none:         no effect can be shown
as looks:     there is one, but no larger than what the references, which see nothing but looks, may show beyond each
              other: some of its interval is within theirs
beyond looks: there is one, and larger than that, where there are several references to tell it
apart:        members of one group are held further apart than they look
untold:       labels go with looks so closely that they cannot be told apart
"""


@dataclass(frozen=True, slots=True)
class Group:
    """One group: how many images of it were tested, the effect of two images both being in it; p for all by Holm."""

    name: str
    images: int
    effect: Effect | None
    p_holm: float

    def to_json(self) -> dict[str, Any]:
        return {
            "group": self.name,
            "images": self.images,
            "effect": self.effect.to_json() if self.effect else None,
            "p_holm": round(self.p_holm, 6),
        }


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The share of an image's NEAREST that are of its own group, 0 to 1: by the model; by what the references expect
    of it; by the model if labels change places among lookalikes."""

    model: float
    looks: float
    chance: float

    def to_json(self) -> dict[str, float]:
        return {name: round(getattr(self, name), 6) for name in ("model", "looks", "chance")}


@dataclass(frozen=True, slots=True)
class Grouping:
    """What was found of a column.

    effect:     of being in the same group; None where it cannot be told
    groups:     each by itself; none where there are two, since these are parted by one effect
    p_holm:     corrected for the number of columns
    yardsticks: the same of each reference, judged by the other references
    """

    column: str
    images: int
    notes: tuple[str, ...]
    groups: tuple[Group, ...]
    neighbours: Neighbours
    effect: Effect | None
    yardsticks: tuple[tuple[str, Effect], ...]
    p_holm: float = 1.0

    @property
    def verdict(self) -> Verdict:
        if self.effect is None:
            return "untold"
        if self.p_holm >= 1 - LEVEL:
            return "none"
        if self.effect.value < 0:
            return "apart"
        reached = self.furthest[1].in_deviations[2] if self.furthest else 0.0
        return "beyond looks" if self.effect.in_deviations[1] > reached else "as looks"

    @property
    def furthest(self) -> tuple[str, Effect] | None:
        """The reference whose own effect may be the largest."""
        return max(self.yardsticks, key=lambda each: each[1].in_deviations[2], default=None)

    @property
    def reach(self) -> float:
        """The largest bound of an interval in deviations, above 0: how far a plot must reach."""
        effects = [self.effect, *(effect for _, effect in self.yardsticks), *(group.effect for group in self.groups)]
        return max((abs(bound) for effect in effects if effect for bound in effect.in_deviations), default=0.0) or 1.0

    def to_json(self) -> dict[str, Any]:
        return {
            "column": self.column,
            "images": self.images,
            "notes": list(self.notes),
            "verdict": self.verdict,
            "effect": self.effect.to_json() if self.effect else None,
            "p_holm": round(self.p_holm, 6),
            "nearest_of_own_group": self.neighbours.to_json(),
            "yardsticks": [{"model": name, "effect": effect.to_json()} for name, effect in self.yardsticks],
            "groups": [group.to_json() for group in self.groups],
        }


def judge(
    audited: Audited, columns: Sequence[Column], rng: np.random.Generator, tell: Progress, rounds: int = ROUNDS
) -> tuple[Grouping, ...]:
    """Test each column, and correct for their number."""
    found = []
    for done, column in enumerate(columns, 1):
        found.append(_judge(audited, column, rng, rounds))
        tell("groups", done, len(columns))
    corrected = holm([each.effect.p if each.effect else 1.0 for each in found])
    return tuple(replace(each, p_holm=p) for each, p in zip(found, corrected, strict=True))


def _judge(audited: Audited, column: Column, rng: np.random.Generator, rounds: int) -> Grouping:
    names = column.groups
    numbers = np.array([-1 if label is None else names.index(label) for label in column.labels], dtype=np.intp)
    rows = _evenly(numbers, IMAGES, rng)
    labels = numbers[rows]
    tables = [_table(each.vectors[rows]) for each in (audited.model, *audited.visual)]
    adjusted = Adjusted(tables[0], tables[1:])
    arrangements = Arrangements.draw(labels, adjusted.blocks, rounds, rng)
    names = names if len(names) > 2 else []  # who is in one of two groups is not in the other: a single effect
    effects = [adjusted.effect(arrangements, group) for group in range(len(names))]
    corrected = holm([effect.p if effect else 1.0 for effect in effects])
    yardsticks = []
    for i, each in enumerate(audited.visual):
        others = [table for j, table in enumerate(tables[1:]) if j != i]
        effect = Adjusted(tables[1 + i], others).effect(arrangements) if others else None
        if effect:
            yardsticks.append((each.model, effect))
    notes = column.notes
    if len(rows) < (numbers >= 0).sum():
        notes = (*notes, f"{column.name}: {len(rows):,} of {(numbers >= 0).sum():,} images were drawn by lot")
    return Grouping(
        column=column.name,
        images=len(rows),
        notes=notes,
        groups=tuple(
            Group(name, int((labels == i).sum()), effect, p)
            for i, (name, effect, p) in enumerate(zip(names, effects, corrected, strict=True))
        ),
        neighbours=_neighbours(tables[0], adjusted.looks, arrangements),
        effect=adjusted.effect(arrangements),
        yardsticks=tuple(yardsticks),
    )


def _table(vectors: np.ndarray[Any, np.dtype[np.float32]]) -> Floats:
    return np.asarray(vectors @ vectors.T, dtype=np.float64)


def _evenly(numbers: Whole, most: int, rng: np.random.Generator) -> Whole:
    """Rows of at most so many images that have a number: all of small groups, equally many of large ones."""
    order = rng.permutation(np.flatnonzero(numbers >= 0))
    turn = np.zeros(len(numbers), dtype=np.intp)
    for number in np.unique(numbers[order]):
        own = order[numbers[order] == number]
        turn[own] = np.arange(len(own))
    return np.sort(order[np.argsort(turn[order], kind="stable")][:most])


def _neighbours(similarity: Floats, looks: Floats, arrangements: Arrangements) -> Neighbours:
    labels = arrangements.labels
    nearest = []
    for table in (similarity, looks):
        others = table.copy()
        np.fill_diagonal(others, -np.inf)
        nearest.append(np.argpartition(-others, NEAREST - 1, axis=1)[:, :NEAREST])
    by_model, by_looks = nearest
    own = labels[0][:, None]
    return Neighbours(
        model=float((labels[0][by_model] == own).mean()),
        looks=float((labels[0][by_looks] == own).mean()),
        chance=float(np.mean([(row[by_model] == row[:, None]).mean() for row in labels[1:]])),
    )
