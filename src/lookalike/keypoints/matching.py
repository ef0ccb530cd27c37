"""Which keypoints of two pictures are the same, one by one: the ratio test, both ways round.

Lowe, "Distinctive Image Features from Scale-Invariant Keypoints" (IJCV 2004), section 7.1.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from lookalike.keypoints.features import Features, Floats

RATIO = 0.85
"""The nearest must be so much nearer than the second nearest: repeated patterns are told from what is there once."""

Pairs = npt.NDArray[np.int64]
"""(m, 2): places in the one and in the other list of keypoints."""


def match(a: Features, b: Features, ratio: float = RATIO) -> Pairs:
    """Pairs that are each other's nearest, and clearly so. Raises ValueError for features of two methods."""
    if a.method != b.method:
        raise ValueError(f"features of {a.method} and of {b.method} cannot be matched")
    if not len(a) or not len(b):
        return np.zeros((0, 2), dtype=np.int64)
    return _mutual(_products(a.directions(), b.directions()), ratio)


def _mutual(likeness: Floats, ratio: float) -> Pairs:
    nearest = likeness.argmax(axis=1)
    rows = np.arange(len(likeness))
    best = likeness[rows, nearest]
    back = likeness.argmax(axis=0)
    second = likeness.copy()
    second[rows, nearest] = -1
    # Of unit vectors: the distance squared is 2 - 2 cos.
    near, next_near = (np.sqrt(np.maximum(2 - 2 * value, 0)) for value in (best, second.max(axis=1)))
    kept = (back[nearest] == rows) & (near < ratio * next_near)
    return np.stack([rows[kept], nearest[kept]], axis=1)


def _products(a: Floats, b: Floats) -> Floats:
    # By OpenCV, in this thread: NumPy's BLAS starts threads of its own, and pairs wait in its queue.
    return np.asarray(cv2.gemm(a, b, 1, np.empty(0), 0, flags=cv2.GEMM_2_T), dtype=np.float32)
