"""Pictures with something drawn on them, for people to look at."""

from __future__ import annotations

import cv2
import numpy as np

from lookalike.keypoints.features import Features
from lookalike.types import Picture, Pixels

SIDE = 1600
"""The longest side of what is drawn: larger than most windows, and lines of one pixel are still seen."""

ORANGE = (230, 159, 0)
"""Of the palette of Okabe and Ito, which everybody can tell apart."""


def draw_keypoints(picture: Picture, features: Features, *, rich: bool = False) -> Pixels:
    """(h, w, 3): the picture with a ring at each keypoint; if `rich`, as large as what it describes, with its angle."""
    canvas, scale = _canvas(picture)
    marks = [
        cv2.KeyPoint(float(x * scale), float(y * scale), float(max(size * scale, 1)), float(angle))
        for (x, y), size, angle in zip(features.points, features.diameters, features.angles, strict=True)
    ]
    flags = cv2.DRAW_MATCHES_FLAGS_DRAW_RICH_KEYPOINTS if rich else cv2.DRAW_MATCHES_FLAGS_DEFAULT
    return np.asarray(cv2.drawKeypoints(canvas, marks, np.empty(0), ORANGE, flags), dtype=np.uint8)


def _canvas(picture: Picture) -> tuple[Pixels, float]:
    """A copy of at most SIDE pixels, in grey so that colours are seen on it, and its scale to the file's picture."""
    pixels = picture.pixels
    height, width = pixels.shape[:2]
    if (shrink := SIDE / max(height, width)) < 1:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(grey, dtype=np.uint8), pixels.shape[1] / picture.width
