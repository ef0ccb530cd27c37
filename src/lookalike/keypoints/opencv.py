"""SIFT and ORB, by OpenCV.

SIFT     Lowe, "Distinctive Image Features from Scale-Invariant Keypoints" (IJCV 2004)
RootSIFT Arandjelović and Zisserman, "Three Things Everyone Should Know..." (CVPR 2012)
ORB      Rublee et al., "ORB: an efficient alternative to SIFT or SURF" (ICCV 2011)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lookalike.keypoints.features import Bytes, Features, none
from lookalike.types import Picture

SIDE = 640
"""Pixels of the longer side at which keypoints are looked for: what larger pictures add does not last."""

SMALLEST = 16
"""Pixels a side: less holds no keypoint, and OpenCV has its troubles with such slivers."""

ROOT_SCALE = 512
"""RootSIFT's numbers are at most 1 and mostly below 0.5: so they fill a byte. The few that are larger are cut."""


def sift(picture: Picture, limit: int) -> Features:
    """RootSIFT: (n, 128) bytes."""
    return _detected("sift", picture, limit, cv2.SIFT.create(nfeatures=limit), 128)


def orb(picture: Picture, limit: int) -> Features:
    """(n, 32) bytes of bits."""
    return _detected("orb", picture, limit, cv2.ORB.create(nfeatures=limit, fastThreshold=7), 32)


def _detected(method: str, picture: Picture, limit: int, detector: Any, width: int) -> Features:
    grey, scale = _grey(picture)
    if min(grey.shape) < SMALLEST:
        return none(method, picture, width)
    keypoints, found = detector.detectAndCompute(grey, None)
    if not keypoints:
        return none(method, picture, width)
    order = _strongest(keypoints, limit)
    chosen = [keypoints[i] for i in order]
    descriptors = np.asarray(found)[order]
    return Features(
        method,
        (picture.width, picture.height),
        np.array([keypoint.pt for keypoint in chosen], dtype=np.float32) * scale,
        np.array([keypoint.size for keypoint in chosen], dtype=np.float32) * np.float32(scale.mean()),
        np.array([max(keypoint.angle, 0) for keypoint in chosen], dtype=np.float32),
        np.array([keypoint.response for keypoint in chosen], dtype=np.float32),
        _rooted(descriptors) if method == "sift" else np.asarray(descriptors, dtype=np.uint8),
    )


def _strongest(keypoints: Sequence[Any], limit: int) -> npt.NDArray[np.int64]:
    """Where the strongest are; among equals the first found, so that the choice is always the same."""
    responses = np.array([keypoint.response for keypoint in keypoints])
    return np.argsort(-responses, kind="stable")[:limit]


def _grey(picture: Picture) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """(h, w) of at most SIDE pixels, and how much larger the file's own picture is in x and y."""
    pixels = cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY)
    height, width = pixels.shape
    shrink = min(1.0, SIDE / max(height, width))
    if shrink < 1:
        small = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    scale = np.array([picture.width / pixels.shape[1], picture.height / pixels.shape[0]], dtype=np.float32)
    return np.asarray(pixels, dtype=np.uint8), scale


def _rooted(descriptors: npt.NDArray[Any]) -> Bytes:
    shares = descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-9)
    return np.asarray(np.minimum(np.sqrt(shares) * ROOT_SCALE, 255).round(), dtype=np.uint8)
