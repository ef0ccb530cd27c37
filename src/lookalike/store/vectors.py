"""The vectors of one model: float16 rows in one append-only file, read in place by memory mapping.

The catalogue says how many rows are committed. Bytes beyond that belong to a batch that was cut off: readers do
not see them, and the next writer cuts them away.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lookalike.errors import CollectionDamaged

Halves = npt.NDArray[np.float16]


def read(path: Path, rows: int, dim: int) -> Halves:
    """The first `rows` vectors as a (rows, dim) memory map.

    Raises CollectionDamaged where the file is missing or shorter than that.
    """
    if rows == 0:
        return np.empty((0, dim), dtype=np.float16)
    if not holds(path, rows, dim):
        raise CollectionDamaged(f"{path}: vectors are missing: run 'lookalike index' to embed them again")
    return np.memmap(path, dtype=np.float16, mode="r", shape=(rows, dim))


def holds(path: Path, rows: int, dim: int) -> bool:
    """Whether the file has at least so many rows."""
    try:
        return path.stat().st_size >= rows * dim * 2
    except FileNotFoundError:
        return rows == 0


def append(path: Path, rows: int, dim: int, vectors: Halves) -> None:
    """Write (n, dim) `vectors` after the first `rows` rows, and return when the disk has them."""
    if vectors.shape[1] != dim:  # cutting at the wrong place would destroy what is committed
        raise ValueError(f"{path}: rows of {dim} numbers are wanted, not of {vectors.shape[1]}")
    is_new = not path.exists()
    with path.open("ab" if is_new else "r+b") as file:
        file.truncate(rows * dim * 2)
        file.seek(0, os.SEEK_END)
        file.write(np.ascontiguousarray(vectors).tobytes())
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable, where the system knows how (Windows does not need it)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
