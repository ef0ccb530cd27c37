"""Grids of numbers, read between their cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lookalike.keypoints.features import Floats

BEND = -0.75
"""The parameter of the cubic kernel: that which the networks were taught with."""


def bilinear(grid: Floats, points: Floats) -> Floats:
    """(n, channels): a (channels, h, w) grid at (n, 2) x and y, cells counted from 0; beyond the edge, the edge."""
    return _sampled(grid, points, 0, lambda part: np.stack([1 - part, part]))


def bicubic(grid: Floats, points: Floats) -> Floats:
    """The same by 4 x 4 cells each.

    Keys, "Cubic Convolution Interpolation for Digital Image Processing" (1981)
    """
    return _sampled(grid, points, 1, _cubic)


def _sampled(grid: Floats, points: Floats, before: int, weigh: Callable[[Floats], Floats]) -> Floats:
    """`weigh` gives, for the parts of a cell (0 to 1) that points are beyond one, the weights of it and its
    neighbours, `before` of which come before it."""
    height, width = grid.shape[1:]
    places = np.clip(points, 0, (width - 1, height - 1)).astype(np.float32)
    first = np.floor(places).astype(np.int64)
    across, down = (weigh(part) for part in (places - first).T.astype(np.float32))
    found = np.zeros((len(grid), len(points)), dtype=np.float32)
    for i, row_weight in enumerate(down):
        row = np.clip(first[:, 1] + i - before, 0, height - 1)
        for j, column_weight in enumerate(across):
            column = np.clip(first[:, 0] + j - before, 0, width - 1)
            found += grid[:, row, column] * (row_weight * column_weight)
    return np.ascontiguousarray(found.T)


def _cubic(part: Floats) -> Floats:
    """(4, n) weights of the cells at -1, 0, 1 and 2."""
    near = np.stack([part, 1 - part])
    far = near + 1
    inner = (BEND + 2) * near**3 - (BEND + 3) * near**2 + 1
    outer = BEND * (far**3 - 5 * far**2 + 8 * far - 4)
    return np.stack([outer[0], inner[0], inner[1], outer[1]]).astype(np.float32)
