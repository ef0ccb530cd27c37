"""Colour histograms: which colours a picture has, wherever they are.

Swain and Ballard, "Color Indexing" (IJCV 1991), in a hue-chroma-value space, with soft bins, compared by
Hellinger's kernel (the square root of each bin, so that cosine is the Bhattacharyya coefficient).
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

Table: TypeAlias = npt.NDArray[np.float32]
"""(256, bins): how much of each bin a channel's value 0 to 255 belongs to; rows sum to 1."""

HUES, CHROMAS, VALUES = 16, 3, 6
GREYS = 24
DIM = HUES * CHROMAS * VALUES + GREYS


@dataclass(frozen=True, slots=True)
class ColorHistogram:
    card: ModelCard

    def embed(self, pictures: Sequence[Picture]) -> Vectors:
        rows = [histogram(fit(picture, self.card.input)) for picture in pictures]
        roots = np.sqrt(np.array(rows, dtype=np.float32).reshape(len(rows), DIM))
        return np.asarray(roots / np.linalg.norm(roots, axis=1, keepdims=True), dtype=np.float32)


def load(card: ModelCard) -> ColorHistogram:
    return ColorHistogram(card)


def histogram(pixels: Pixels) -> npt.NDArray[np.float32]:
    """(DIM,) shares of the colours, summing to 1: hue x chroma x value, then the greys.

    Chroma (the largest less the smallest of R, G and B) stands in for saturation, which is noise in the dark.
    A grey has no hue: the less chroma, the more of a pixel goes to the grey bins instead.
    """
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV_FULL).reshape(-1, 3)
    hue, value = hsv[:, 0], hsv[:, 2]
    red, green, blue = pixels.reshape(-1, 3).T
    chroma = value - np.minimum(np.minimum(red, green), blue)
    of_chroma, of_value = _CHROMA[chroma], _VALUE[value]
    tone = (of_chroma[:, 1:, None] * of_value[:, None, :]).reshape(len(hsv), -1)
    # OpenCV, not @: BLAS would start its own threads for so little, and wait for them on a busy machine.
    coloured = np.asarray(cv2.gemm(_HUE[hue], tone, 1, _NOTHING, 0, flags=cv2.GEMM_1_T))
    grey = of_chroma[:, 0] @ _GREY[value]
    shares = np.concatenate([coloured.ravel(), grey])
    return np.asarray(shares / np.float32(len(hsv)), dtype=np.float32)


def _soft(centres: npt.ArrayLike) -> Table:
    """A value between two centres belongs to both, to the nearer one more."""
    centres = np.asarray(centres, dtype=np.float64)
    bins = np.eye(len(centres))
    return np.stack([np.interp(np.arange(256), centres, row) for row in bins], axis=1).astype(np.float32)


def _circular(bins: int) -> Table:
    """The same round a circle: after the last bin comes the first."""
    table = _soft(np.linspace(0, 256, bins + 1))
    table[:, 0] += table[:, -1]
    return np.ascontiguousarray(table[:, :-1])


_HUE = _circular(HUES)
_CHROMA = _soft([2, 12, 40, 110])  # the first one is grey; most of what cameras see has little chroma
_VALUE = _soft((np.arange(VALUES) + 0.5) * 256 / VALUES)
_NOTHING = np.empty((0, 0), dtype=np.float32)  # OpenCV's product adds a third matrix
_GREY = _soft((np.arange(GREYS) + 0.5) * 256 / GREYS)
