"""LighterGlue: a network that matches two pictures' XFeat keypoints, all at once, by looks and places.

LightGlue Lindenberger et al., "LightGlue: Local Feature Matching at Light Speed" (ICCV 2023)
"""

from __future__ import annotations

import numpy as np

from lookalike.errors import ModelUnavailable
from lookalike.keypoints import onnx
from lookalike.keypoints.features import Features, Floats
from lookalike.keypoints.matching import Pairs

FAINT = 0.1
"""A match that the network is less sure of is none."""

OUTPUTS = ("matches", "scores")


def match(a: Features, b: Features) -> Pairs:
    """Pairs of XFeat keypoints that the network matches. Raises ModelUnavailable where it is not registered."""
    pairs, scores = onnx.run("lighterglue", OUTPUTS, _inputs(a.directions(), b.directions(), _places(a), _places(b)))
    return np.asarray(pairs[scores >= FAINT], dtype=np.int64)


def trial(path: str) -> None:
    """Raises ModelUnavailable where a file is not this network."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((32, 64)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    places = rng.uniform(-1, 1, (32, 2)).astype(np.float32)
    pairs, scores = onnx.try_out(path, OUTPUTS, _inputs(directions, directions, places, places))
    if pairs.shape != (len(scores), 2) or (pairs[:, 0] != pairs[:, 1]).any():
        raise ModelUnavailable(f"{path}: does not match keypoints with themselves")


def _inputs(a: Floats, b: Floats, places_a: Floats, places_b: Floats) -> dict[str, Floats]:
    return {"desc0": a[None], "desc1": b[None], "kpts0": places_a[None], "kpts1": places_b[None]}


def _places(features: Features) -> Floats:
    """(n, 2) of -1 to 1 along the longer side."""
    size = np.array(features.size, dtype=np.float32)
    return np.asarray((features.points - size / 2) / (size.max() / 2), dtype=np.float32)
