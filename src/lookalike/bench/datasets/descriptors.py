"""Vectors of images in HDF5, as ISC2021 has them: `vectors` (n, dim) float32 and `image_names` (n,).

Needs h5py. A file may point to others, or claim a size that it has not: such ones are refused.
"""

from __future__ import annotations

import importlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.bench.datasets.dataset import image_id
from lookalike.errors import UsageError
from lookalike.types import Vectors
from lookalike.writing import showable, write_whole

LONGEST_NAME = 1024
_BLOCK = 256
_MOST_PACKED = 100
"""Float32 that means something is never packed so many times; a claim of more is a trap for memory."""


def write_descriptors(path: str | os.PathLike[str], names: Sequence[str], vectors: Vectors) -> None:
    """Write (n, dim) vectors and their n names, which keep no suffix. Raises UsageError, StorageError."""
    h5py = hdf5()
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if rows.ndim != 2 or len(rows) != len(names):
        raise UsageError(f"{showable(os.fspath(path))}: {len(names)} names for vectors of shape {rows.shape}")
    encoded = np.array([name.encode(errors="surrogateescape") for name in names], dtype=np.bytes_)

    def save(part: str) -> None:
        with h5py.File(part, "w") as file:
            file.create_dataset("vectors", data=rows)
            file.create_dataset("image_names", data=encoded)

    write_whole(path, save)


def read_descriptors(path: Path) -> tuple[list[str], Vectors]:
    """The names, without an image's suffix, and (n, dim) float32 in their order, not normalised.

    Raises UsageError for a file that is none, is damaged, names an image twice, or holds what is not finite.
    """
    h5py = hdf5()
    shown = showable(str(path))
    if not path.is_file():
        raise UsageError(f"{shown}: no such file")
    try:
        with h5py.File(path, "r") as file:
            vectors, names = (_own(h5py, file, key, shown) for key in ("vectors", "image_names"))
            if vectors.ndim != 2 or vectors.dtype.kind != "f" or names.shape != vectors.shape[:1]:
                raise UsageError(
                    f"{shown}: `vectors` must be (n, dim) float32 and `image_names` (n,):"
                    f" they are {vectors.shape} {vectors.dtype} and {names.shape}"
                )
            size = path.stat().st_size
            if max(vectors.size * 4, vectors.nbytes, names.nbytes) > _MOST_PACKED * size:
                raise UsageError(f"{shown}: claims more vectors than a file of {size:,} bytes can hold")
            found = _names(names, shown)
            rows = np.asarray(vectors[()], dtype=np.float32)
    except UsageError:
        raise
    # h5py raises what it likes on damaged files: nothing else is called in there.
    except Exception as error:
        raise UsageError(f"{shown}: no HDF5 file, or damaged ({type(error).__name__}): write it anew") from error
    if len(set(found)) < len(found):
        twice, _ = Counter(found).most_common(1)[0]
        raise UsageError(f"{shown}: `image_names` has {showable(twice)!r} twice")
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise UsageError(f"{shown}: the vector of {showable(found[int(finite.argmin())])!r} is not finite")
    return found, rows


def _own(h5py: Any, file: Any, key: str, shown: str) -> Any:
    """A dataset that lies in this very file."""
    link = file.get(key, getlink=True)
    if link is None:
        raise UsageError(f"{shown}: no `{key}` in it: it must hold `vectors` and `image_names`")
    if not isinstance(link, h5py.HardLink):
        raise UsageError(f"{shown}: `{key}` is a link to something else")
    found = file[key]
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise UsageError(f"{shown}: `{key}` is not in this file")
    return found


def _names(names: Any, shown: str) -> list[str]:
    found: list[str] = []
    for start in range(0, len(names), _BLOCK):
        for name in names[start : start + _BLOCK].tolist():
            if not isinstance(name, bytes | str) or not 0 < len(name) <= LONGEST_NAME:
                raise UsageError(f"{shown}: entry {len(found):,} of `image_names` is no name")
            found.append(image_id(name.decode(errors="surrogateescape") if isinstance(name, bytes) else name))
    return found


def hdf5() -> Any:
    """The library that reads and writes it. Raises UsageError where it is not there."""
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise UsageError("HDF5 needs h5py: pip install 'lookalike[hdf5]'") from error
