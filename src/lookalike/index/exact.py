"""Exact search: every vector is looked at. The reference for any faster index."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.types import Rows, Vectors

faiss: Any = importlib.import_module("faiss")  # its stubs lack half of what is used here
Halves = npt.NDArray[np.float16]


class ExactIndex:
    """Top k by cosine over (n, dim) float16 unit vectors, searched where they lie.

    `vectors` may be a memory map: FAISS's half-precision scanner reads it in place, so a search needs no
    private memory beyond its results, and runs near the memory's bandwidth.
    """

    def __init__(self, vectors: Halves) -> None:
        n, dim = vectors.shape
        self._vectors = np.ascontiguousarray(vectors)  # a view where it already is; kept alive for FAISS
        self._index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        if n:
            # FAISS's own memory-mapped indexes look at foreign memory the same way, but its Python layer
            # has no constructor for such a view: the codes of this format are just the halves in a row.
            codes, address = self._index.codes, faiss.swig_ptr(self._vectors.view(np.uint8).reshape(-1))
            codes.is_owned = False
            codes.view_data = codes.c_ptr = address
            codes.view_size = codes.c_size = self._vectors.nbytes
            self._index.ntotal = n

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, vectors: Vectors, k: int, *, allowed: npt.NDArray[np.bool_] | None = None) -> tuple[Vectors, Rows]:
        """See `lookalike.types.Index`."""
        queries = np.ascontiguousarray(np.atleast_2d(vectors), dtype=np.float32)
        parameters = None
        if allowed is not None:
            bits = np.packbits(allowed, bitorder="little")  # must outlive the search: the selector points at it
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))
        threads = faiss.omp_get_max_threads()
        if len(queries) == 1:  # FAISS shares out queries, not rows: for one, OpenMP's other threads would only be woken
            faiss.omp_set_num_threads(1)
        try:
            cosines, rows = self._index.search(queries, max(1, min(k, len(self) or 1)), params=parameters)
        finally:
            faiss.omp_set_num_threads(threads)
        # float16 rounds lengths by up to 5e-4: a picture is not more than equal to itself.
        cosines = np.where(rows < 0, -np.inf, np.clip(cosines, -1, 1)).astype(np.float32)
        order = np.lexsort((rows, -cosines), axis=-1)
        return np.take_along_axis(cosines, order, -1), np.take_along_axis(rows, order, -1)
