"""Histograms of oriented gradients: where a picture has edges, and which way they run.

Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection" (CVPR 2005), over the whole picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from lookalike.models.preprocess import fit
from lookalike.types import ModelCard, Picture, Pixels, Vectors

Floats: TypeAlias = npt.NDArray[np.float32]

CELL = 16  # pixels a side
ORIENTATIONS = 9  # over 180 degrees: an edge from dark to light is one from light to dark

# Appended to every vector: a flat picture has no gradient at all, and this gives it a direction of its own,
# far from that of any photo (whose other components have a length of about 3).
FLAT = np.float32(0.1)


@dataclass(frozen=True, slots=True)
class Hog:
    card: ModelCard

    def embed(self, pictures: Sequence[Picture]) -> Vectors:
        rows = [np.append(centred(hog(fit(picture, self.card.input))), FLAT) for picture in pictures]
        found = np.array(rows, dtype=np.float32).reshape(len(rows), self.card.dim)
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


def load(card: ModelCard) -> Hog:
    return Hog(card)


def hog(pixels: Pixels) -> Floats:
    """(blocks down * blocks across * 4 * ORIENTATIONS,) features of (height, width, 3) pixels.

    Each pixel votes for one orientation of its cell, by the strength of its gradient; blocks of cells
    overlap, and each is normalised by itself, clipped at 0.2, and normalised again (L2-Hys).
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    down, across = np.zeros_like(grey), np.zeros_like(grey)
    down[1:-1] = grey[2:] - grey[:-2]
    across[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    blocks = _blocks(_cells(down, across))
    blocks = np.minimum(_normalised(blocks), np.float32(0.2))
    return _normalised(blocks).ravel()


def centred(features: Floats) -> Floats:
    """The same, less each cell's mean over its orientations, so that unlike pictures have a cosine near 0.

    That a place is rough in every direction says little; the mean alone would make all photos look alike.
    """
    cells = features.reshape(-1, ORIENTATIONS)
    return np.asarray(cells - cells.mean(axis=1, keepdims=True), dtype=np.float32).ravel()


def _cells(down: Floats, across: Floats) -> Floats:
    """(rows, columns, ORIENTATIONS): the mean gradient of each cell in each direction."""
    rows, columns = down.shape[0] // CELL, down.shape[1] // CELL
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


def _blocks(cells: Floats) -> Floats:
    """(rows, columns, 4 * ORIENTATIONS): 2 x 2 cells each, one cell apart."""
    return np.concatenate([cells[:-1, :-1], cells[:-1, 1:], cells[1:, :-1], cells[1:, 1:]], axis=2)


def _normalised(blocks: Floats) -> Floats:
    length = np.sqrt((blocks**2).sum(axis=2, keepdims=True) + np.float32(1e-10))
    return np.asarray(blocks / length, dtype=np.float32)
