"""ALIKE: a score and a descriptor for every pixel.

ALIKE Zhao et al., "ALIKE: Accurate and Lightweight Keypoint Detection and Descriptor Extraction" (TMM 2022)
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from lookalike.errors import ModelUnavailable
from lookalike.keypoints import onnx
from lookalike.keypoints.features import Features, Floats, none, signed
from lookalike.keypoints.pixels import SMALLEST, colour, is_flat
from lookalike.keypoints.sampling import bilinear
from lookalike.types import Picture, Pixels

SIDE = 512
"""Pixels of the longer side: its arrays are as large as the picture, and of 640 take 0.8 GB, and half a second."""

FAINT = 0.02
"""A score that is less is no keypoint."""

RADIUS = 2
"""Pixels: within so many there is one keypoint at most, and its place is the centre of the scores around."""

SHARP = 10.0
"""How much the higher of two scores counts for more when that centre is taken: exp(SHARP x their difference)."""

SEEN = 16
"""Pixels across that we draw: the network does not say."""

OUTPUTS = ("scores", "descriptors")
WIDTH = 128


def alike(picture: Picture, limit: int) -> Features:
    """(n, 128) bytes; see `features.signed`. Raises ModelUnavailable where the network is not registered."""
    pixels, scale = colour(picture, 32, side=SIDE)
    if min(picture.size) < SMALLEST or is_flat(pixels):
        return none("alike", picture, WIDTH)
    scores, grid = (found[0] for found in onnx.run("alike", OUTPUTS, {"image": _input(pixels)}))
    heat = np.ascontiguousarray(scores[0])
    y, x = _peaks(heat)
    order = np.argsort(-heat[y, x], kind="stable")[:limit]
    y, x = y[order], x[order]
    places = np.stack([x, y], axis=1).astype(np.float32) + _between_pixels(heat, y, x)
    return Features(
        "alike",
        (picture.width, picture.height),
        np.asarray((places + np.float32(0.5)) * scale, dtype=np.float32),
        np.full(len(order), SEEN * scale.mean(), dtype=np.float32),
        np.zeros(len(order), dtype=np.float32),
        np.asarray(heat[y, x], dtype=np.float32),
        signed(bilinear(grid, places)),
    )


def trial(path: str) -> None:
    """Raises ModelUnavailable where a file is not this network."""
    ramp = np.linspace(0, 1, 3 * 64 * 96, dtype=np.float32).reshape(1, 3, 64, 96)
    shapes = [np.shape(found) for found in onnx.try_out(path, OUTPUTS, {"image": ramp})]
    if shapes != [(1, 1, 64, 96), (1, WIDTH, 64, 96)]:
        raise ModelUnavailable(f"{path}: gives arrays of other shapes: {shapes}")


def _input(pixels: Pixels) -> Floats:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], dtype=np.float32) / np.float32(255)


def _peaks(heat: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows and columns of the pixels that nothing near exceeds; at the edge there is only half of what is around."""
    side = 2 * RADIUS + 1
    highest = cv2.dilate(heat, np.ones((side, side), dtype=np.uint8))
    inside = np.zeros_like(heat, dtype=bool)
    inside[RADIUS:-RADIUS, RADIUS:-RADIUS] = True
    y, x = np.nonzero((heat == highest) & (heat > FAINT) & inside)
    return y, x


def _between_pixels(heat: Floats, y: npt.NDArray[np.int64], x: npt.NDArray[np.int64]) -> Floats:
    """(n, 2): how far right of and below its pixel each keypoint lies."""
    down, across = (each.ravel() for each in np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1])
    around = heat[y[:, None] + down, x[:, None] + across]
    weights = np.exp((around - around.max(axis=1, keepdims=True, initial=0)) * SHARP)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.stack([weights @ across, weights @ down], axis=1).astype(np.float32)
