"""From vectors to points in the plane.

pca     by the two directions in which the vectors differ most. The same vectors give the same points
pacmap  by keeping neighbours near and others apart: Wang et al., "Understanding How Dimension Reduction Tools Work"
        (JMLR 2021). Shows groups far better, takes longer, and needs an extra
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from lookalike.errors import ModelUnavailable

Method = Literal["pca", "pacmap"]
METHODS: tuple[Method, ...] = get_args(Method)

Floats: TypeAlias = npt.NDArray[np.float32]

COMPONENTS = 48
"""Directions that are kept for whatever comes after: the rest of the vectors is mostly noise."""

_SAMPLE = 5000
"""Vectors that the directions are found by."""

_BLOCK = 8192
_MARGIN = 0.02
_TAIL = 0.005
"""Of the points at each end, how many may lie in the margin, so that a few odd ones do not squeeze all others."""


def components(vectors: npt.NDArray[Any], seed: int = 0) -> Floats:
    """(n, at most COMPONENTS) principal components of (n, dim) vectors, the one that says most first."""
    count, dim = vectors.shape
    if not count:
        return np.zeros((0, 2), dtype=np.float32)
    drawn = np.sort(np.random.default_rng(seed).permutation(count)[:_SAMPLE])
    sample = np.asarray(vectors[drawn], dtype=np.float64)
    mean = sample.mean(axis=0)
    _, directions = np.linalg.eigh((sample - mean).T @ (sample - mean))
    axes = directions[:, ::-1][:, : min(COMPONENTS, dim)]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])  # else the sign is the library's whim
    blocks = (np.asarray(vectors[i : i + _BLOCK], dtype=np.float32) - mean for i in range(0, count, _BLOCK))
    return np.concatenate([block @ axes for block in blocks]).astype(np.float32)


def laid_out(parts: Floats, method: Method = "pca", seed: int = 0) -> Floats:
    """(n, 2) points, 0 to 1, of (n, c) principal components. Raises ModelUnavailable where the extra is missing."""
    plane = parts[:, :2] if method == "pca" or len(parts) < 10 else _pacmap(parts, seed)
    if plane.shape[1] < 2:
        plane = np.hstack([plane, np.zeros_like(plane)])
    return _scaled(plane)


def missing(method: Method) -> str | None:
    """Why a method cannot run here, with the remedy; or None."""
    if method == "pca" or importlib.util.find_spec(method):
        return None
    return f"a map by {method} needs an extra: run pip install 'lookalike[map]', or use pca"


def _pacmap(parts: Floats, seed: int) -> Floats:
    if problem := missing("pacmap"):
        raise ModelUnavailable(problem)
    pacmap = importlib.import_module("pacmap")
    neighbours = min(10, len(parts) - 1)
    reducer = pacmap.PaCMAP(n_components=2, n_neighbors=neighbours, random_state=seed, apply_pca=False)
    return np.asarray(reducer.fit_transform(np.ascontiguousarray(parts), init="pca"), dtype=np.float32)


def _scaled(points: Floats) -> Floats:
    """Each axis so that all but the outermost lie between the margins, and those within them, squeezed."""
    if not len(points):
        return points
    low, high = np.quantile(points, [_TAIL, 1 - _TAIL], axis=0)
    span = np.where(high > low, high - low, 1) / (1 - 2 * _MARGIN)
    places = np.where(high > low, _MARGIN + (points - low) / span, 0.5)
    inside = np.clip(places, _MARGIN, 1 - _MARGIN)
    squeezed = _MARGIN * np.tanh((places - inside) / (4 * _MARGIN))
    return np.asarray(np.clip(inside + squeezed, 0, 1), dtype=np.float32)
