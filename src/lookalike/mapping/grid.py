"""From points to the cells of a grid, so that no two pictures overlap and neighbours stay near.

Grid and points are halved together, again and again, along the grid's longer side: O(n log^2 n), in the manner of a k-d
tree (Bentley, 1975).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Whole = npt.NDArray[np.uint32]

ASPECT = 1.5
"""Columns to rows: most screens are wider than they are high."""


def snapped(points: npt.NDArray[np.floating[Any]]) -> tuple[Whole, Whole, int, int]:
    """Where each of (n, 2) points comes to lie: (n,) cells, (n,) order, columns and rows.

    A cell is row * columns + column. `order` lists the points cell by cell as the halves do: points that follow each
    other are neighbours.
    """
    count = len(points)
    columns = max(1, math.ceil(math.sqrt(count * ASPECT)))
    rows = max(1, math.ceil(count / columns))
    cells, order = np.zeros(count, dtype=np.uint32), np.zeros(count, dtype=np.uint32)
    placed = 0
    waiting = [(np.arange(count), 0, 0, columns, rows)]
    while waiting:
        some, left, top, width, height = waiting.pop()
        if len(some) == 1:
            cells[some], order[placed] = top * columns + left, some[0]
            placed += 1
        elif len(some):
            axis = 0 if width >= height else 1
            first = (width if axis == 0 else height) // 2
            room, rest = (first * height, (width - first) * height) if axis == 0 else (first * width, 0)
            rest = rest or (height - first) * width
            cut = min(max(round(len(some) * room / (room + rest)), len(some) - rest), room)
            some = some[np.argsort(points[some, axis], kind="stable")]
            if axis == 0:
                waiting.append((some[cut:], left + first, top, width - first, height))
                waiting.append((some[:cut], left, top, first, height))
            else:
                waiting.append((some[cut:], left, top + first, width, height - first))
                waiting.append((some[:cut], left, top, width, first))
    return cells, order, columns, rows
