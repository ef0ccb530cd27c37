"""ALIKED, DISK and LightGlue by OpenCV 5's own classes, with the user's files of them.

ALIKED    Zhao et al., "ALIKED: A Lighter Keypoint and Descriptor Extraction Network..." (TIM 2023)
DISK      Tyszkiewicz et al., "DISK: Learning local features with policy gradient" (NeurIPS 2020)
LightGlue Lindenberger et al., "LightGlue: Local Feature Matching at Light Speed" (ICCV 2023)
"""

from __future__ import annotations

import re
import threading
from typing import Any

import cv2
import numpy as np

from lookalike.errors import ModelUnavailable
from lookalike.keypoints.features import Features, Floats, none, signed
from lookalike.keypoints.matching import Pairs
from lookalike.keypoints.networks import find
from lookalike.keypoints.pixels import SMALLEST, colour, is_flat
from lookalike.types import Picture, Pixels

FAINT = 0.1
"""A match that LightGlue is less sure of is none."""

SEEN = 16
"""Pixels across that we draw: the networks do not say."""

WIDTH = 128

_CLASSES = {"aliked": "ALIKED", "disk": "DISK", "lightglue": "LightGlueMatcher"}
_held: dict[str, tuple[str, Any]] = {}
_turn = threading.Lock()
"""OpenCV's networks keep their input and output in themselves: they run one at a time."""


def aliked(picture: Picture, limit: int) -> Features:
    """(n, 128) bytes; see `features.signed`. Raises ModelUnavailable where the network is not registered."""
    return _features("aliked", "aliked", picture, limit)


def disk(picture: Picture, limit: int) -> Features:
    """(n, 128) bytes; see `features.signed`. Raises ModelUnavailable where the network is not registered."""
    return _features("disk", "disk", picture, limit)


def lightglue(picture: Picture, limit: int) -> Features:
    """ALIKED's features, to be matched by LightGlue."""
    for name in ("aliked", "lightglue"):
        find(name)
    return _features("lightglue", "aliked", picture, limit)


def match(a: Features, b: Features) -> Pairs:
    """Pairs of ALIKED keypoints that LightGlue matches. Raises ModelUnavailable where it is not registered."""
    path, digest = find("lightglue")
    with _turn:
        return _matched(path, _network("lightglue", path, digest), a, b)


def try_aliked(path: str) -> None:
    """Raises ModelUnavailable where a file is not this network."""
    _try_extractor("aliked", path)


def try_disk(path: str) -> None:
    """Likewise."""
    _try_extractor("disk", path)


def try_lightglue(path: str) -> None:
    """Likewise."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 640, (32, 2)).astype(np.float32)
    empty = np.zeros(32, dtype=np.float32)
    noise = signed(rng.standard_normal((32, WIDTH)).astype(np.float32))
    features = Features("lightglue", (640, 640), points, empty, empty, empty, noise)
    pairs = _matched(path, _opened("lightglue", path), features, features)
    if (pairs[:, 0] != pairs[:, 1]).any():
        raise ModelUnavailable(f"{path}: does not match keypoints with themselves")


def _features(method: str, network: str, picture: Picture, limit: int) -> Features:
    pixels, scale = colour(picture)
    if min(pixels.shape[:2]) < SMALLEST or is_flat(pixels):
        return none(method, picture, WIDTH)
    path, digest = find(network)
    with _turn:
        points, strengths, descriptors = _detected(path, _network(network, path, digest), pixels)
    order = np.argsort(-strengths, kind="stable")[:limit]
    return Features(
        method,
        (picture.width, picture.height),
        np.clip(points[order] * scale, 0, (picture.width, picture.height)).astype(np.float32),
        np.full(len(order), SEEN * scale.mean(), dtype=np.float32),
        np.zeros(len(order), dtype=np.float32),
        np.asarray(strengths[order], dtype=np.float32),
        signed(descriptors[order]),
    )


def _network(name: str, path: str, digest: str) -> Any:
    held = _held.get(name)
    if held is None or held[0] != digest:
        held = _held[name] = (digest, _opened(name, path))
    return held[1]


def _opened(name: str, path: str) -> Any:
    maker = getattr(cv2, _CLASSES[name], None)
    if maker is None:
        raise ModelUnavailable(
            f"OpenCV {cv2.__version__} does not run {name}: pip install 'opencv-contrib-python-headless>=5'"
        )
    if not path.lower().endswith(".onnx"):  # OpenCV would take the ending's word, and many other formats
        raise ModelUnavailable(f"{path}: not an ONNX file: its name does not end in .onnx")
    try:
        return maker.create(path)
    except (cv2.error, SystemError) as error:
        raise ModelUnavailable(f"{path}: not an ONNX file that can be run: {_reason(error)}") from error


def _detected(path: str, network: Any, pixels: Pixels) -> tuple[Floats, Floats, Floats]:
    """(n, 2) places, (n,) strengths and (n, WIDTH) directions."""
    try:
        keypoints, found = network.detectAndCompute(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), None)
    except (cv2.error, SystemError) as error:
        raise ModelUnavailable(f"{path}: does not take or give what is wanted: {_reason(error)}") from error
    directions = np.zeros((0, WIDTH)) if found is None else np.asarray(found)
    if directions.shape != (len(keypoints), WIDTH) or not np.isfinite(directions).all():
        raise ModelUnavailable(f"{path}: gives descriptors of {directions.shape}, not {(len(keypoints), WIDTH)}")
    points = np.array([keypoint.pt for keypoint in keypoints], dtype=np.float32).reshape(-1, 2)
    strengths = np.array([keypoint.response for keypoint in keypoints], dtype=np.float32)
    return points, strengths, directions.astype(np.float32)


def _matched(path: str, network: Any, a: Features, b: Features) -> Pairs:
    try:
        network.setPairInfo(a.points, b.points, a.size, b.size)
        found = network.match(a.directions(), b.directions())
    except (cv2.error, SystemError) as error:
        raise ModelUnavailable(f"{path}: does not take or give what is wanted: {_reason(error)}") from error
    pairs = [(pair.queryIdx, pair.trainIdx) for pair in found if 1 - pair.distance >= FAINT]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _try_extractor(name: str, path: str) -> None:
    rng = np.random.default_rng(0)
    noise = cv2.resize(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8), (320, 240))
    _detected(path, _opened(name, path), np.asarray(noise, dtype=np.uint8))


def _reason(error: Exception) -> str:
    """What an error of OpenCV's says, in one line, without its number and where in the source it arose."""
    line = " ".join(str(error).split())
    found = re.search(r"error: \(-\d+:([^)]*)\) ?(.*?) ?(?:in function .*)?$", line)
    return ((found and (found[2] or found[1])) or line)[:200]
