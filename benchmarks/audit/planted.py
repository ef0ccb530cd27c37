"""Worlds with and without a planted bias: is it found, is its size recovered, and is nothing found where nothing is?

    python benchmarks/audit/planted.py [--seeds N] [--images N] [--seed S] [--out FILE]

A world has images in five groups of unequal size, with looks of 24 numbers. The model's vector of an image is 60 % its
looks and 40 % of its own; an offset of its group, of length a, may be added at a right angle to both, so that two of
one group are a^2 / (1 + a^2) more alike by cosine than two others that look the same. References see the looks.

    confounded  the groups look different: means apart by so many standard deviations of one image
    blurred     references see the looks with noise, of so much of their length: each sees another part of them
    found       worlds with p < 0.05; flagged: told as a bias beyond looks, and so beyond the references' yardstick, too
    coverage    worlds whose interval holds the true effect
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import record
from lookalike.auditing.groups import judge
from lookalike.auditing.labels import Column
from lookalike.auditing.likeness import Audited, Likeness
from lookalike.types import ImageRef

SHARES = (0.35, 0.25, 0.2, 0.12, 0.08)
ROUNDS = 299


@dataclass(frozen=True)
class World:
    """A row of the table."""

    offset: float = 0.0
    confounded: float = 0.0
    blurred: float = 0.0

    @property
    def effect(self) -> float:
        return self.offset**2 / (1 + self.offset**2)


WORLDS = (
    World(),
    World(confounded=0.5),
    World(confounded=0.8),
    World(blurred=0.3, confounded=0.5),
    *(World(offset) for offset in (0.05, 0.075, 0.1, 0.2)),
    *(World(offset, confounded=0.5) for offset in (0.1, 0.2)),
    World(0.3, blurred=0.3, confounded=0.5),
)

COLUMNS = {
    "offset": "offset",
    "confounded": "confounded",
    "blurred": "blurred",
    "effect": "true effect",
    "mean": "mean of estimates",
    "found": "found",
    "flagged": "flagged",
    "coverage": "coverage",
    "half_width": "half width",
}


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def draw(world: World, count: int, rng: np.random.Generator) -> tuple[Audited, Column]:
    groups = rng.choice(len(SHARES), count, p=SHARES)
    means = rng.normal(size=(len(SHARES), 24)) * world.confounded
    looks = unit(means[groups] + rng.normal(size=(count, 24)))
    own = unit(rng.normal(size=(count, 40)))
    vectors = unit(np.hstack([0.6**0.5 * looks, 0.4**0.5 * own, world.offset * np.eye(len(SHARES))[groups]]))
    seen = [unit(looks + world.blurred / 24**0.5 * rng.normal(size=looks.shape)) for _ in range(2)]
    likeness = [
        Likeness.of(name, each, rng) for name, each in zip(("model", "one", "other"), (vectors, *seen), strict=True)
    ]
    images = [ImageRef(str(i), f"{i}.png", 1, 1) for i in range(count)]
    audited = Audited(images, [[image.path] for image in images], count, likeness[0], likeness[1:])
    return audited, Column("group", [f"group {group}" for group in groups], ())


def measure(world: World, seeds: int, count: int, seed: int) -> dict[str, Any]:
    found = []
    for number in range(seeds):
        rng = np.random.default_rng([seed, number])
        audited, column = draw(world, count, rng)
        (grouping,) = judge(audited, [column], rng, lambda what, done, total: None, ROUNDS)
        assert grouping.effect is not None
        found.append(grouping)
    effects = [each.effect for each in found if each.effect]
    return {
        "offset": world.offset,
        "confounded": world.confounded,
        "blurred": world.blurred,
        "effect": round(world.effect, 6),
        "mean": round(float(np.mean([effect.value for effect in effects])), 6),
        "found": float(np.mean([effect.p < 0.05 for effect in effects])),
        "flagged": float(np.mean([each.verdict == "beyond looks" for each in found])),
        "coverage": float(np.mean([effect.low <= world.effect <= effect.high for effect in effects])),
        "half_width": round(float(np.mean([effect.high - effect.low for effect in effects])) / 2, 6),
        "worlds": seeds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=100, help="worlds of each kind [%(default)s]")
    parser.add_argument("--images", type=int, default=120, help="in a world [%(default)s]")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, help="the JSON [benchmarks/results/audit.json]")
    options = parser.parse_args()
    rows = []
    for world in WORLDS:
        rows.append(measure(world, options.seeds, options.images, options.seed))
        print(record.table(rows[-1:], COLUMNS).splitlines()[1], flush=True)
    print("\n" + record.table(rows, COLUMNS))
    out = options.out or Path(__file__).resolve().parent.parent / "results" / "audit.json"
    record.write(__file__, out, options.seed, {"images": options.images, "rounds": ROUNDS, "rows": rows})


if __name__ == "__main__":
    main()
