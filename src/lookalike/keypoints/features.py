"""Local features: where a picture has its keypoints, and what each of them looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lookalike.types import Picture

Floats: TypeAlias = npt.NDArray[np.float32]
Bytes: TypeAlias = npt.NDArray[np.uint8]

LIMIT = 1000
"""Keypoints of a picture, where nothing else is asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """The keypoints of one picture, the strongest first.

    method:      what found them; only features of one method can be matched
    size:        (width, height) of the picture, in whose pixels all places and lengths are
    points:      (n, 2) x and y
    diameters:   (n,) of what was found: a blob, a corner, a cell
    angles:      (n,) degrees, clockwise from the right; 0 for methods of `UPRIGHT`
    strengths:   (n,) the higher, the surer; comparable within one picture only
    descriptors: (n, d) bytes: numbers of 0 to 255; for methods of `BINARY`, d x 8 bits; for methods of `SIGNED`,
                 numbers of -127 to 127, kept as 1 to 255
    """

    method: str
    size: tuple[int, int]
    points: Floats
    diameters: Floats
    angles: Floats
    strengths: Floats
    descriptors: Bytes

    def __len__(self) -> int:
        return len(self.points)

    def directions(self) -> Floats:
        """(n, dim) rows of length 1, whose products are how alike two keypoints are; bits become +1 and -1."""
        if self.method in BINARY:
            signs = np.unpackbits(self.descriptors, axis=1).astype(np.float32) * 2 - 1
            return np.asarray(signs / np.sqrt(np.float32(max(1, signs.shape[1]))), dtype=np.float32)
        rows = self.descriptors.astype(np.float32)
        if self.method in SIGNED:
            rows -= ZERO
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), dtype=np.float32)


BINARY = ("orb", "akaze")
"""Methods whose descriptors are bits."""

SIGNED = ("surf", "xfeat", "lighterglue", "alike", "aliked", "lightglue", "disk")
"""Methods whose descriptors are directions with components below 0 as well."""

UPRIGHT = ("hog", "xfeat", "lighterglue", "alike", "aliked", "lightglue", "disk")
"""Methods that know no angle."""

ZERO = 128
"""What stands for 0 in the bytes of those."""


def encoding(method: str) -> str:
    """How a method's descriptors are to be read, in words."""
    if method in BINARY:
        return "bits, eight a byte, the highest first"
    return f"numbers plus {ZERO}; their length says nothing" if method in SIGNED else "numbers of 0 to 255"


def signed(directions: Floats) -> Bytes:
    """(n, d) bytes of (n, d) numbers, for methods of `SIGNED`: each row's largest becomes 127; lengths are lost."""
    largest = np.maximum(np.abs(directions).max(axis=1, keepdims=True, initial=0), 1e-9)
    return np.asarray((directions * (127 / largest)).round() + ZERO, dtype=np.uint8)


def _mirror() -> npt.NDArray[np.int64]:
    row, column, direction = np.ogrid[:4, :4, :8]
    return np.asarray(((3 - row) * 4 + column) * 8 + (-direction) % 8, dtype=np.int64).ravel()


SIFT_MIRROR = _mirror()
"""(128,): where each component of SIFT's 4 rows x 4 columns x 8 directions lies in the mirrored patch."""

Extractor: TypeAlias = Callable[[Picture, int], Features]
"""A picture, and how many keypoints at most -> its features."""


def none(method: str, picture: Picture, width: int) -> Features:
    """The features of a picture that has no keypoint; a descriptor would have `width` bytes."""
    empty = np.zeros(0, dtype=np.float32)
    return Features(
        method,
        (picture.width, picture.height),
        np.zeros((0, 2), dtype=np.float32),
        empty,
        empty,
        empty,
        np.zeros((0, width), dtype=np.uint8),
    )
