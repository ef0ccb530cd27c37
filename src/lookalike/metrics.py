"""The measures of likeness, in one place."""

from __future__ import annotations

import numpy as np

from lookalike.types import Vectors


def normalised(vectors: Vectors) -> Vectors:
    """Rows scaled to length 1; a row of zeros stays zero: its cosine to anything is 0.

    >>> normalised(np.array([[3.0, 4.0]], dtype=np.float32))
    array([[0.6, 0.8]], dtype=float32)
    """
    x = np.asarray(vectors, dtype=np.float32)
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.asarray(x / np.where(length > 0, length, 1), dtype=np.float32)


def cosine(a: Vectors, b: Vectors) -> float:
    """The cosine of two vectors, -1 to 1, summed in float64."""
    x, y = np.asarray(a, dtype=np.float64).ravel(), np.asarray(b, dtype=np.float64).ravel()
    length = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(np.clip(x @ y / length, -1, 1)) if length else 0.0
