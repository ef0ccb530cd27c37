"""XFeat: keypoints, reliability and descriptors of a picture by one small network.

XFeat Potje et al., "XFeat: Accelerated Features for Lightweight Image Matching" (CVPR 2024)
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from lookalike.errors import ModelUnavailable
from lookalike.keypoints import onnx
from lookalike.keypoints.features import Features, Floats, none, signed
from lookalike.keypoints.networks import find
from lookalike.keypoints.pixels import SMALLEST, colour, is_flat
from lookalike.keypoints.sampling import bicubic, bilinear
from lookalike.types import Picture, Pixels

CELL = 8
"""Pixels a side: what one descriptor of the network's own grid stands for."""

FAINT = 0.05
"""A place whose chance to be a keypoint is less is none."""

ALONE = 5
"""Pixels a side within which there is one keypoint at most."""

SEEN = 4 * CELL
"""Pixels across that we draw: how much the network really looks at is more, and fades outwards."""

ENLARGE = 2.0
"""How much small pictures are enlarged at most: a third more keypoints find their like, for twice the 10 CPU-ms."""

OUTPUTS = ("descriptors", "keypoint_logits", "reliability")
WIDTH = 64
HALF = np.float32(0.5)


def xfeat(picture: Picture, limit: int) -> Features:
    """(n, 64) bytes; see `features.signed`. Raises ModelUnavailable where the network is not registered."""
    return _features("xfeat", picture, limit)


def lighterglue(picture: Picture, limit: int) -> Features:
    """The same, to be matched by LighterGlue."""
    for name in ("xfeat", "lighterglue"):
        find(name)
    return _features("lighterglue", picture, limit)


def trial(path: str) -> None:
    """Raises ModelUnavailable where a file is not this network."""
    grey = np.linspace(0, 1, 64 * 96, dtype=np.float32).reshape(1, 1, 64, 96)
    shapes = [np.shape(found) for found in onnx.try_out(path, OUTPUTS, {"image": grey})]
    if shapes != [(1, WIDTH, 8, 12), (1, CELL * CELL + 1, 8, 12), (1, 1, 8, 12)]:
        raise ModelUnavailable(f"{path}: gives arrays of other shapes: {shapes}")


def _features(method: str, picture: Picture, limit: int) -> Features:
    pixels, scale = colour(picture, 32, enlarge=ENLARGE)
    if min(picture.size) < SMALLEST or is_flat(pixels):
        return none(method, picture, WIDTH)
    grid, logits, reliability = (found[0] for found in onnx.run("xfeat", OUTPUTS, {"image": _grey(pixels)}))
    heat = _heat(logits)
    y, x = _peaks(heat)
    places = np.stack([x, y], axis=1).astype(np.float32) + HALF
    cells = np.asarray(places / CELL - HALF, dtype=np.float32)
    strengths = np.asarray(heat[y, x] * bilinear(reliability, cells)[:, 0], dtype=np.float32)
    order = np.argsort(-strengths, kind="stable")[:limit]
    return Features(
        method,
        (picture.width, picture.height),
        np.asarray(places[order] * scale, dtype=np.float32),
        np.full(len(order), SEEN * scale.mean(), dtype=np.float32),
        np.zeros(len(order), dtype=np.float32),
        strengths[order],
        signed(bicubic(grid, cells[order])),
    )


def _grey(pixels: Pixels) -> Floats:
    """(1, 1, h, w) of 0 to 1: the plain mean of the three, as the network was taught."""
    return np.asarray(pixels.mean(axis=2, dtype=np.float32)[None, None] / np.float32(255), dtype=np.float32)


def _heat(logits: Floats) -> Floats:
    """(h, w): how likely each pixel is a keypoint; a cell has a chance for each of its pixels, and one for none."""
    shares = np.exp(logits - logits.max(axis=0))
    shares /= shares.sum(axis=0)
    rows, columns = shares.shape[1:]
    pixels = shares[:-1].reshape(CELL, CELL, rows, columns).transpose(2, 0, 3, 1)
    return np.ascontiguousarray(pixels.reshape(rows * CELL, columns * CELL))


def _peaks(heat: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows and columns of the pixels that nothing near exceeds."""
    highest = cv2.dilate(heat, np.ones((ALONE, ALONE), dtype=np.uint8))
    y, x = np.nonzero((heat == highest) & (heat > FAINT))
    return y, x
