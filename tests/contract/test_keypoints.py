"""Local features on real photos that were tilted and then compressed hard: how many keypoints find their like."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from lookalike import images
from lookalike.keypoints.features import Features
from lookalike.keypoints.geometry import verify
from lookalike.keypoints.matching import match
from lookalike.keypoints.methods import extract
from lookalike.types import Pixels

SETS = ("kodak", "pets", "bsds500", "flowers", "imagenet_sample", "caltech101", "grocery", "coco_*")

# Method: how many pairs are right on average, and what share of all; measured were 278 and 0.97 for SIFT, 346 and
# 0.96 for ORB, 183 and 0.98 for AKAZE, 142 and 0.62 for SURF, 414 and 0.91 for XFeat, 463 and 0.92 for ALIKE, 478 and
# 0.95 for LighterGlue.
WANTED = {
    "sift": (220, 0.9),
    "orb": (270, 0.9),
    "akaze": (140, 0.9),
    "surf": (100, 0.5),
    "xfeat": (330, 0.8),
    "alike": (370, 0.8),
    "lighterglue": (380, 0.85),
}

Tilted = tuple[Pixels, Pixels, np.ndarray]


@pytest.fixture(scope="module")
def tilted(shared: Path) -> list[Tilted]:
    """Photos, their copies, and the homography between them."""
    found = []
    for name in SETS:
        files = sorted((shared / "data" / "photos" / "images").glob(f"{name}/**/*.jpg"))
        photo = np.asarray(Image.open(files[len(files) // 2]).convert("RGB"))
        height, width = photo.shape[:2]
        start = np.float32([(0, 0), (width, 0), (width, height), (0, height)])
        end = np.float32([(width * 0.1, height * 0.05), (width * 0.85, 0), (width, height * 0.95), (0, height * 0.85)])
        transform = cv2.getPerspectiveTransform(start, end)
        shift = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # OpenCV counts from the centre of a pixel
        moved = np.linalg.inv(shift) @ transform @ shift
        copy = cv2.warpPerspective(photo, moved, (width, height), flags=cv2.INTER_AREA)
        packed = io.BytesIO()
        Image.fromarray(copy).save(packed, "JPEG", quality=30)
        found.append((photo, np.asarray(Image.open(packed)), transform))
    return found


@pytest.mark.parametrize("method", WANTED)
def test_keypoints_find_their_like(tilted: list[Tilted], add_network: Callable[[str], None], method: str) -> None:
    if method == "surf":
        pytest.importorskip("mahotas")
    for name in {"xfeat": ["xfeat"], "alike": ["alike"], "lighterglue": ["xfeat", "lighterglue"]}.get(method, []):
        add_network(name)
    features = [(features_of(photo, method), features_of(copy, method)) for photo, copy, _ in tilted]
    right, shares = [], []
    for (a, b), (_, _, transform) in zip(features, tilted, strict=True):
        pairs = match(a, b)
        there = cv2.perspectiveTransform(a.points[pairs[:, :1]], transform)[:, 0]
        good = np.linalg.norm(there - b.points[pairs[:, 1]], axis=1) <= 3
        right.append(good.sum())
        shares.append(good.mean())
        assert verify(a, b).count > 0.6 * good.sum()
    least, share = WANTED[method]
    assert np.mean(right) > least
    assert np.mean(shares) > share
    unrelated = [verify(features[i][0], features[j][1]).count for i in range(8) for j in range(8) if i < j]
    assert max(unrelated) < 20
    assert np.mean(unrelated) < 2


def features_of(pixels: Pixels, method: str) -> Features:
    return extract(images.read(pixels), method)
