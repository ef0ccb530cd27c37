"""Which images of a folder play which part in its benchmark, and which edited copies of them are asked for.

The parts are disjoint: what a query was made of is in the gallery, or it is a negative; what copies are pasted into,
and what whitening and the like are fitted on, is neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lookalike.bench.copies import GRADES, OPERATORS, Grade, Step
from lookalike.bench.datasets import Edits, Query
from lookalike.errors import UsageError
from lookalike.wording import counted

FEWEST_IMAGES = 30
BACKGROUNDS, NEGATIVES, FITTING = 0.08, 0.12, 0.20
"""Shares of the images; the rest is the gallery."""

MOST_BACKGROUNDS, MOST_FITTING = 20, 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """Names are paths relative to the folder; those of queries are relative to where they are made."""

    gallery: list[str]
    fitting: list[str]
    backgrounds: list[str]
    queries: list[Query]


def plan(names: Sequence[str], seed: int, originals: int, *, besides: str = "") -> Plan:
    """Deal out the images, and draw up three queries for each of `originals` of the gallery: one in every grade.

    Every operator comes up equally often in every grade. Few pictures are edited in one way only: in the medium grade
    another operator joins in mildly, in the hard grade one in each of the lesser grades. Negatives, a quarter as many
    as originals, are asked for once. Raises UsageError for fewer than FEWEST_IMAGES; `besides` tells what
    else was there.
    """
    if len(names) < FEWEST_IMAGES:
        raise UsageError(
            f"{counted(len(names), 'different image')}{besides}: a benchmark needs {FEWEST_IMAGES} at the very least,"
            " to be split into a gallery, queries without a match, and others; some hundreds tell models apart:"
            " name a larger folder"
        )
    rng = np.random.default_rng([seed, 1])
    shuffled = [str(name) for name in rng.permutation(sorted(names))]
    sizes = [
        min(max(2, int(BACKGROUNDS * len(names))), MOST_BACKGROUNDS),
        min(max(2, int(NEGATIVES * len(names))), max(2, originals // 4)),
        min(max(4, int(FITTING * len(names))), MOST_FITTING),
    ]
    backgrounds, negatives, fitting, gallery = np.split(np.array(shuffled, dtype=object), np.cumsum(sizes).tolist())
    operators = list(OPERATORS)
    queries: list[Query] = []
    for i, original in enumerate([*gallery[:originals], *negatives]):
        wanted = GRADES if i < min(originals, len(gallery)) else (GRADES[i % len(GRADES)],)
        for grade in wanted:
            # A step that shares no factor with the number of operators: each comes up in every grade.
            operator = operators[(i + GRADES.index(grade) * 7) % len(operators)]
            name = f"{len(queries):05d}-{operator}-{grade}"
            steps = _steps(operator, grade, rng)
            queries.append(
                Query(
                    name,
                    Path(f"{name}.jpg"),
                    frozenset([str(original)] if i < min(originals, len(gallery)) else []),
                    original=str(original),
                    edits=Edits(operator, grade, int(rng.integers(2**31)), steps),
                )
            )
    return Plan(sorted(map(str, gallery)), sorted(map(str, fitting)), sorted(map(str, backgrounds)), queries)


def _steps(operator: str, grade: Grade, rng: np.random.Generator) -> tuple[Step, ...]:
    """The main operator and those that join in, no two alike."""
    lesser = GRADES[: GRADES.index(grade)]
    others = rng.permutation([each for each in OPERATORS if each != operator])[: len(lesser)]
    return ((operator, grade), *((str(each), less) for each, less in zip(others, lesser, strict=True)))
