"""Histograms of oriented gradients: where a picture has edges, and which way they run.

Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection" (CVPR 2005), over the whole picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lookalike.keypoints.features import Floats
from lookalike.keypoints.hog import ORIENTATIONS, histograms
from lookalike.models.preprocess import fit
from lookalike.types import ModelCard, Picture, Vectors

# Appended to every vector: a flat picture has no gradient at all, and this gives it a direction of its own,
# far from that of any photo (whose other components have a length of about 3).
FLAT = np.float32(0.1)


@dataclass(frozen=True, slots=True)
class Hog:
    card: ModelCard

    def embed(self, pictures: Sequence[Picture]) -> Vectors:
        rows = [np.append(centred(histograms(fit(picture, self.card.input))), FLAT) for picture in pictures]
        found = np.array(rows, dtype=np.float32).reshape(len(rows), self.card.dim)
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


def load(card: ModelCard) -> Hog:
    return Hog(card)


def centred(features: Floats) -> Floats:
    """The same, less each cell's mean over its orientations, so that unlike pictures have a cosine near 0.

    That a place is rough in every direction says little; the mean alone would make all photos look alike.
    """
    cells = features.reshape(-1, ORIENTATIONS)
    return np.asarray(cells - cells.mean(axis=1, keepdims=True), dtype=np.float32).ravel()
