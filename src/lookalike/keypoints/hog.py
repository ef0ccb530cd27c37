"""Histograms of oriented gradients: where a picture has edges, and which way they run.

HOG Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection" (CVPR 2005)
"""

from __future__ import annotations

import cv2
import numpy as np

from lookalike.keypoints.features import Features, Floats, none
from lookalike.keypoints.pixels import grey
from lookalike.types import Picture, Pixels

CELL = 16
"""Pixels a side."""

ORIENTATIONS = 9
"""Over 180 degrees: an edge from dark to light is one from light to dark."""

FAINT = 0.5
"""Grey levels a pixel: a block whose mean gradient is less is flat, and what is seen in it is noise."""


def hog(picture: Picture, limit: int) -> Features:
    """Blocks of 2 x 2 cells as features, (n, 36) bytes: those with the strongest gradients.

    Their places are a grid and they are upright: they match only where a copy was neither turned nor scaled, and was
    moved by whole cells. They are here to be looked at.
    """
    pixels, scale = grey(picture)
    if min(pixels.shape) < 2 * CELL:
        return none("hog", picture, 4 * ORIENTATIONS)
    cells = gradients(pixels)
    strengths = blocks(cells).mean(axis=2).ravel() * ORIENTATIONS
    rows, columns = cells.shape[0] - 1, cells.shape[1] - 1
    order = np.argsort(-strengths, kind="stable")[:limit]
    order = order[strengths[order] >= FAINT]
    y, x = np.divmod(order, columns)
    points = (np.stack([x, y], axis=1).astype(np.float32) + 1) * CELL * scale
    shares = normalised_blocks(cells).reshape(rows * columns, -1)[order]
    shares /= np.maximum(shares.max(axis=1, keepdims=True, initial=0), np.float32(1e-9))
    return Features(
        "hog",
        (picture.width, picture.height),
        np.asarray(points, dtype=np.float32),
        np.full(len(order), 2 * CELL * scale.mean(), dtype=np.float32),
        np.zeros(len(order), dtype=np.float32),
        np.asarray(strengths[order], dtype=np.float32),
        (shares * 255).round().astype(np.uint8),
    )


def histograms(pixels: Pixels) -> Floats:
    """(blocks down * blocks across * 4 * ORIENTATIONS,) features of (height, width, 3) pixels."""
    return normalised_blocks(gradients(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)))).ravel()


def normalised_blocks(cells: Floats) -> Floats:
    """(rows - 1, columns - 1, 4 * ORIENTATIONS): blocks, each normalised by itself, clipped at 0.2, and normalised
    again (L2-Hys)."""
    return _normalised(np.minimum(_normalised(blocks(cells)), np.float32(0.2)))


def gradients(pixels: Pixels) -> Floats:
    """(rows, columns, ORIENTATIONS): the mean gradient of each cell in each direction, of (height, width) pixels.

    Each pixel votes for one orientation of its cell, by the strength of its gradient.
    """
    light = pixels.astype(np.float32)
    down, across = np.zeros_like(light), np.zeros_like(light)
    down[1:-1] = light[2:] - light[:-2]
    across[:, 1:-1] = light[:, 2:] - light[:, :-2]
    rows, columns = light.shape[0] // CELL, light.shape[1] // CELL
    down, across = down[: rows * CELL, : columns * CELL], across[: rows * CELL, : columns * CELL]
    degrees = np.rad2deg(np.arctan2(down, across))
    degrees = np.where(degrees >= 180, degrees - 180, degrees)  # by hand: % takes longer than all the rest
    degrees = np.where(degrees < 0, degrees + 180, degrees)
    direction = np.minimum((degrees * (ORIENTATIONS / 180)).astype(np.int64), ORIENTATIONS - 1)
    y, x = np.ogrid[: down.shape[0], : down.shape[1]]
    cell = (y // CELL) * columns + x // CELL
    votes = np.bincount(
        (cell * ORIENTATIONS + direction).ravel(),
        weights=np.hypot(down, across).ravel(),
        minlength=rows * columns * ORIENTATIONS,
    )
    return (votes / CELL**2).astype(np.float32).reshape(rows, columns, ORIENTATIONS)


def blocks(cells: Floats) -> Floats:
    """(rows - 1, columns - 1, 4 * ORIENTATIONS): 2 x 2 cells each, one cell apart."""
    return np.concatenate([cells[:-1, :-1], cells[:-1, 1:], cells[1:, :-1], cells[1:, 1:]], axis=2)


def _normalised(parts: Floats) -> Floats:
    length = np.sqrt((parts**2).sum(axis=2, keepdims=True) + np.float32(1e-10))
    return np.asarray(parts / length, dtype=np.float32)
