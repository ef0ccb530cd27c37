"""Which keypoints of two pictures are the same, one by one: the ratio test, both ways round.

Lowe, "Distinctive Image Features from Scale-Invariant Keypoints" (IJCV 2004), section 7.1.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import numpy.typing as npt

from lookalike.keypoints.features import Features, Floats

RATIO = 0.85
"""The nearest must be so much nearer than the second nearest: repeated patterns are told from what is there once."""

RATIOS: Mapping[str, float] = {"orb": 0.9, "surf": 0.9, "xfeat": 0.92, "alike": 0.95, "aliked": 0.95, "disk": 0.95}
"""By method, where another than RATIO finds more copies, and next to no unrelated pictures.

Measured on 120 copies in two grades and 500 unrelated pairs; ALIKED and DISK are taken to be like ALIKE. A floor under
the likeness itself, which the authors of the learned methods advise, lost copies and gained nothing beside the ratio.
"""

NETWORKS: Mapping[str, str] = {
    "lighterglue": "lookalike.keypoints.lighterglue:match",
    "lightglue": "lookalike.keypoints.opencv_networks:match",
}
"""Methods whose pairs a network finds."""

Pairs = npt.NDArray[np.int64]
"""(m, 2): places in the one and in the other list of keypoints."""


def match(a: Features, b: Features, ratio: float | None = None) -> Pairs:
    """Pairs that are each other's nearest, and clearly so: by `ratio`, or as suits the method; or as a network finds.

    Raises ValueError for features of two methods, ModelUnavailable where the method's network is not registered.
    """
    if a.method != b.method:
        raise ValueError(f"features of {a.method} and of {b.method} cannot be matched")
    if not len(a) or not len(b):
        return np.zeros((0, 2), dtype=np.int64)
    if a.method in NETWORKS:
        module, _, function = NETWORKS[a.method].partition(":")
        matcher: Callable[[Features, Features], Pairs] = getattr(importlib.import_module(module), function)
        return matcher(a, b)
    likeness = _products(a.directions(), b.directions())
    return _mutual(likeness, RATIOS.get(a.method, RATIO) if ratio is None else ratio)


def _mutual(likeness: Floats, ratio: float) -> Pairs:
    nearest = likeness.argmax(axis=1)
    rows = np.arange(len(likeness))
    best = likeness[rows, nearest]
    mutual = best == likeness.max(axis=0)[nearest]  # far quicker than argmax, but for ties
    likeness[rows, nearest] = -1
    # Of unit vectors: the distance squared is 2 - 2 cos.
    near, next_near = (np.sqrt(np.maximum(2 - 2 * value, 0)) for value in (best, likeness.max(axis=1)))
    kept = np.flatnonzero(mutual & (near < ratio * next_near))
    kept = kept[np.sort(np.unique(nearest[kept], return_index=True)[1])]  # of ties, the first
    return np.stack([rows[kept], nearest[kept]], axis=1)


def _products(a: Floats, b: Floats) -> Floats:
    # By OpenCV, in this thread: NumPy's BLAS starts threads of its own, and pairs wait in its queue.
    return np.asarray(cv2.gemm(a, b, 1, np.empty(0), 0, flags=cv2.GEMM_2_T), dtype=np.float32)
