"""SIFT, ORB and AKAZE, by OpenCV.

SIFT     Lowe, "Distinctive Image Features from Scale-Invariant Keypoints" (IJCV 2004)
RootSIFT Arandjelović and Zisserman, "Three Things Everyone Should Know..." (CVPR 2012)
ORB      Rublee et al., "ORB: an efficient alternative to SIFT or SURF" (ICCV 2011)
AKAZE    Alcantarilla et al., "Fast Explicit Diffusion for Accelerated Features in Nonlinear Scale Spaces" (BMVC 2013)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lookalike.keypoints.features import Bytes, Features, none
from lookalike.keypoints.pixels import SMALLEST, grey
from lookalike.types import Picture

ROOT_SCALE = 512
"""RootSIFT's numbers are at most 1 and mostly below 0.5: so they fill a byte. The few that are larger are cut."""

ORB_STEP = 1.2
"""How much smaller each level of ORB's pyramid is than the one before."""

AKAZE_FAINT = 0.0005
"""The least determinant of the Hessian, of pixels of 0 to 1: half of OpenCV's, for the sake of soft pictures."""


def sift(picture: Picture, limit: int) -> Features:
    """RootSIFT: (n, 128) bytes."""
    return _detected("sift", picture, limit, cv2.SIFT.create(nfeatures=limit), 128)


def orb(picture: Picture, limit: int) -> Features:
    """(n, 32) bytes of bits."""
    return _detected("orb", picture, limit, cv2.ORB.create(nfeatures=limit, scaleFactor=ORB_STEP, fastThreshold=7), 32)


def akaze(picture: Picture, limit: int) -> Features:
    """(n, 61) bytes of 486 bits."""
    # OpenCV 5 has moved it to its contributed modules, which the wheel that we ask for holds.
    return _detected("akaze", picture, limit, cv2.xfeatures2d.AKAZE.create(threshold=AKAZE_FAINT), 61)


def _detected(method: str, picture: Picture, limit: int, detector: Any, width: int) -> Features:
    pixels, scale = grey(picture)
    if min(pixels.shape) < SMALLEST:
        return none(method, picture, width)
    keypoints, found = detector.detectAndCompute(pixels, None)
    if not keypoints:
        return none(method, picture, width)
    order = _strongest(keypoints, limit)
    chosen = [keypoints[i] for i in order]
    descriptors = np.asarray(found)[order]
    return Features(
        method,
        (picture.width, picture.height),
        (np.array([keypoint.pt for keypoint in chosen], dtype=np.float32) + _centres(method, chosen)) * scale,
        np.array([keypoint.size for keypoint in chosen], dtype=np.float32) * np.float32(scale.mean()),
        np.array([max(keypoint.angle, 0) for keypoint in chosen], dtype=np.float32),
        np.array([keypoint.response for keypoint in chosen], dtype=np.float32),
        _rooted(descriptors) if method == "sift" else np.asarray(descriptors, dtype=np.uint8),
    )


def _strongest(keypoints: Sequence[Any], limit: int) -> npt.NDArray[np.int64]:
    """Where the strongest are; among equals the first found, so that the choice is always the same."""
    responses = np.array([keypoint.response for keypoint in keypoints])
    return np.argsort(-responses, kind="stable")[:limit]


def _centres(method: str, keypoints: Sequence[Any]) -> npt.NDArray[np.float32]:
    """(n, 1) pixels from where OpenCV counts to the picture's corner, from which we do: so that places can be scaled.

    OpenCV counts from the centre of the first pixel: for ORB, of the first of the level where a corner was found. Its
    SIFT doubles the picture to begin with, and is a quarter of a pixel off from that: its own remedy loses a tenth of
    the keypoints that find their like.
    """
    if method == "orb":
        return np.array([[0.5 * ORB_STEP**keypoint.octave] for keypoint in keypoints], dtype=np.float32)
    return np.full((len(keypoints), 1), 0.25 if method == "sift" else 0.5, dtype=np.float32)


def _rooted(descriptors: npt.NDArray[Any]) -> Bytes:
    shares = descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-9)
    return np.asarray(np.minimum(np.sqrt(shares) * ROOT_SCALE, 255).round(), dtype=np.uint8)
