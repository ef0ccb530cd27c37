"""Pictures as extractors want them: not too large, in grey or in colour."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from lookalike.keypoints.features import Floats
from lookalike.types import Picture, Pixels

SIDE = 640
"""Pixels of the longer side at which keypoints are looked for: what larger pictures add does not last."""

SMALLEST = 16
"""Pixels a side: less holds no keypoint, and OpenCV has its troubles with such slivers."""


FLAT = 8
"""Of 256 levels: a picture in which no colour varies by more shows nothing."""


def grey(picture: Picture, enlarge: float = 1.0) -> tuple[npt.NDArray[np.uint8], Floats]:
    """(h, w) of at most SIDE pixels, and how much larger the file's own picture is in x and y.

    A small picture is enlarged so many times at most, as long as it stays within SIDE.
    """
    pixels = np.asarray(cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    return _resized(pixels, picture, enlarge=enlarge)


def colour(picture: Picture, multiple: int = 1, enlarge: float = 1.0, side: int = SIDE) -> tuple[Pixels, Floats]:
    """The same as (h, w, 3), with sides that are multiples of a number: networks halve them again and again."""
    return _resized(picture.pixels, picture, multiple, enlarge, side)


def is_flat(pixels: Pixels) -> bool:
    """Whether there is nothing to see: some networks find keypoints all the same."""
    return bool((pixels.max(axis=(0, 1)).astype(int) - pixels.min(axis=(0, 1)) < FLAT).all())


def _resized(
    pixels: npt.NDArray[np.uint8], picture: Picture, multiple: int = 1, enlarge: float = 1.0, side: int = SIDE
) -> tuple[npt.NDArray[np.uint8], Floats]:
    height, width = pixels.shape[:2]
    shrink = min(enlarge, side / max(height, width))
    small = (_side(width * shrink, multiple), _side(height * shrink, multiple))
    if small != (width, height):
        way = cv2.INTER_AREA if shrink < 1 else cv2.INTER_LINEAR
        pixels = np.asarray(cv2.resize(pixels, small, interpolation=way), dtype=np.uint8)
    scale = np.array([picture.width / pixels.shape[1], picture.height / pixels.shape[0]], dtype=np.float32)
    return pixels, scale


def _side(length: float, multiple: int) -> int:
    return max(1, round(length / multiple)) * multiple
