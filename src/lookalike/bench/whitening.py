"""Whitening: directions in which all pictures differ alike count for less.

Jégou and Chum, "Negative Evidences and Co-occurrences in Image Retrieval: The Benefit of PCA and Whitening" (ECCV 2012)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from lookalike.metrics import normalised
from lookalike.types import Vectors

_LEAST_VARIANCE = 1e-6
"""Of the largest: directions in which next to nothing differs would be blown up to noise."""


@dataclass(frozen=True, slots=True)
class Whitening:
    """(dim,) and (dim, kept): fitted on vectors that are not judged."""

    mean: npt.NDArray[np.float64]
    projection: npt.NDArray[np.float64]

    @classmethod
    def fit(cls, vectors: Vectors, dim: int) -> Self:
        """From (n, d) vectors to the `dim` directions of most variance, or to as many as n vectors can tell."""
        x = np.asarray(vectors, dtype=np.float64)
        mean = x.mean(axis=0)
        _, scale, directions = np.linalg.svd(x - mean, full_matrices=False)
        variance = scale**2 / max(1, len(x) - 1)
        kept = min(dim, int((variance > _LEAST_VARIANCE * variance.max()).sum()), len(x) - 1)
        # Between the two: with few vectors, the small variances are underestimated.
        shrunk = variance[:kept] + variance.mean() * 0.1
        return cls(mean, directions[:kept].T / np.sqrt(shrunk))

    def __call__(self, vectors: Vectors) -> Vectors:
        """(n, kept) of length 1."""
        return normalised(((np.asarray(vectors, dtype=np.float64) - self.mean) @ self.projection).astype(np.float32))
