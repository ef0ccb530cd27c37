"""Several models' opinions of the same pictures, made into one.

scores  the mean of how many deviations each model's cosine is above what is usual for the query, scaled so that the
        same picture has 1 and a usual one 0: a model whose cosines hardly vary counts no less than others.
        Of the kind of Lee, "Analyses of Multiple Evidence Combination" (SIGIR 1997)
ranks   the mean of 61 / (60 + rank): only the order counts. Cormack et al., "Reciprocal Rank Fusion Outperforms
        Condorcet and Individual Rank Learning Methods" (SIGIR 2009)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from lookalike.types import Usual

Fuse = Literal["scores", "ranks"]
WAYS: tuple[Fuse, ...] = get_args(Fuse)

Table: TypeAlias = npt.NDArray[np.float64]
"""(models, pictures) cosines; NaN where a model has no vector of the picture."""

_RANK_OFFSET = 60
"""Of the paper: the first few ranks differ little, so that no single model decides."""


def fused(cosines: Table, usual: Sequence[Usual], way: Fuse = "scores") -> npt.NDArray[np.float64]:
    """(pictures,) -1 to 1, the higher the more alike; `usual` is each model's, for the query.

    >>> fused(np.array([[0.9, 0.1], [0.8, 0.6]]), [Usual(0.1, 0.1), Usual(0.6, 0.1)]).round(3)
    array([0.769, 0.   ])
    """
    if way == "ranks":
        known = np.nan_to_num(cosines, nan=-2.0)
        ranks = np.argsort(np.argsort(-known, axis=1, kind="stable"), axis=1, kind="stable") + 1
        return np.asarray(((_RANK_OFFSET + 1) / (_RANK_OFFSET + ranks)).mean(axis=0))
    mean, deviation = np.array([[u.mean, u.deviation] for u in usual]).T[:, :, None]
    above = np.nan_to_num((cosines - mean) / deviation)
    # What is far less alike than usual is not told apart: nobody looks for it.
    return np.asarray(np.clip(above.sum(axis=0) / ((1 - mean) / deviation).sum(), -1, 1))
