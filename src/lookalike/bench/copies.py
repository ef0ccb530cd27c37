"""Edited copies of pictures, as people make them, in three grades: what a copy detector is tried on.

    copy = make(pixels, "crop", "hard", seed=7, others=[some, other, photos])

The same pixels, operator, grade, seed and others give the same copy, with the same versions of Pillow, OpenCV and
NumPy. Where an operator moves the picture, the copy says how.

Kinds of edits after Douze et al., "The 2021 Image Similarity Dataset and Challenge" (2021).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from lookalike.bench import operators
from lookalike.bench.operators import Edit, Strength
from lookalike.types import Pixels

Grade = Literal["mild", "medium", "hard"]
GRADES: tuple[Grade, ...] = get_args(Grade)

Operator: TypeAlias = Callable[[Pixels, Strength], Edit]

OPERATORS: dict[str, Operator] = {
    "crop": operators.crop,
    "resize": operators.resize,
    "aspect": operators.aspect,
    "rotate": operators.rotate,
    "shear": operators.shear,
    "perspective": operators.perspective,
    "flip": operators.flip,
    "flip-vertical": operators.flip_vertical,
    "pad": operators.pad,
    "jpeg": operators.jpeg,
    "blur": operators.blur,
    "noise": operators.noise,
    "pixelate": operators.pixelate,
    "brightness": operators.brightness,
    "contrast": operators.contrast,
    "colours": operators.colours,
    "grey": operators.grey,
    "filter": operators.colour_filter,
    "erase": operators.erase,
    "text": operators.text,
    "emoji": operators.emoji,
    "stickers": operators.stickers,
    "print": operators.printed,
    "screenshot": operators.screenshot,
    "collage": operators.collage,
    "paste": operators.paste,
    "social": operators.social,
}


@dataclass(frozen=True, slots=True, eq=False)
class Copy:
    """An edited copy. `transform` (3, 3) takes a point (x, y, 1) of the original to where the copy shows it."""

    pixels: Pixels
    operator: str
    grade: Grade
    seed: int
    transform: npt.NDArray[np.float64]


Step: TypeAlias = tuple[str, Grade]
"""An operator and its grade."""


def combine(pixels: Pixels, steps: Sequence[Step], seed: int, others: Sequence[Pixels] = ()) -> Copy:
    """A copy by several operators, one after the other in the order of OPERATORS: moved, then coloured, then framed.

    It bears the name and grade of the first of `steps`. Raises KeyError as `make` does, ValueError for no steps.
    """
    if not steps:
        raise ValueError("no steps: name an operator and its grade")
    order = list(OPERATORS)
    transform = np.eye(3)
    for operator, grade in sorted(steps, key=lambda step: order.index(step[0])):
        made = make(pixels, operator, grade, seed, others)
        pixels, transform = made.pixels, made.transform @ transform
    return Copy(pixels, *steps[0], seed, transform)


def make(pixels: Pixels, operator: str, grade: Grade, seed: int, others: Sequence[Pixels] = ()) -> Copy:
    """A copy of (h, w, 3) pixels by one operator.

    `others` are pictures that "collage" and "paste" put it beside or into; without any they draw their own.
    Raises KeyError for an operator that is none of OPERATORS.
    """
    edit = OPERATORS[operator]
    # Of the picture itself too: or all pictures of a run would be cropped at the same place.
    key = zlib.crc32(pixels.tobytes())
    rng = np.random.default_rng([seed, zlib.crc32(operator.encode()), GRADES.index(grade), key])
    edited, transform = edit(pixels, Strength(GRADES.index(grade), rng, others))
    return Copy(np.ascontiguousarray(edited, dtype=np.uint8), operator, grade, seed, transform)
