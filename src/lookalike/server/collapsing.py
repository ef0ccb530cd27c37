"""Near-duplicates among hits, of which the first stands for the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lookalike.collection import Collection
from lookalike.types import Hit, Hits, Usual, Vectors

NEAR = 0.9
"""Of the way from what cosine is usual to that of the same picture: copies in another size or format are as near, and
frames of one scene; another picture of the same kind of thing is not."""

FAR_ABOVE = 12.0
"""Deviations above the usual: what is so far above is near, too. By local features' vectors a copy is hardly ever 0.9
of the way, but mostly more than 12 deviations above, and any other picture less than 5."""

DEEPER = 4
"""Times as many hits are looked at as are wanted in the end."""


def collapse(collection: Collection, hits: Hits, query: Mapping[str, Vectors]) -> tuple[Hits, dict[str, int]]:
    """The hits without those that are near-duplicates of one before them, ranked anew; and how many, by its image's id.

    `query` has the vectors that were searched with, by the name of each model of the ranking: of several, the mean
    decides. Files with the same bytes are near-duplicates; a picture that a model has no vector of is far from any
    other by that model.
    """
    places = {image_id: place for place, image_id in enumerate(dict.fromkeys(hit.image.id for hit in hits))}
    near, table = 1.0, []
    for name, vectors in query.items():
        usual = _usual(collection, name, vectors)
        weight = 1 / (min(NEAR * (1 - usual.mean), FAR_ABOVE * usual.deviation) * len(query))
        near += usual.mean * weight
        table.append(_rows(collection, name, places) * math.sqrt(weight))
    rows = np.hstack(table)  # so scaled that their product tells how much of that is reached, on average, with `near`
    first = _firsts(rows @ rows.T >= near)
    items: list[Hit] = []
    stands: dict[int, str] = {}
    left_out: dict[str, int] = {}
    for hit in hits:
        place = int(first[places[hit.image.id]])
        if place not in stands:
            stands[place] = hit.image.id
            items.append(replace(hit, rank=len(items) + 1))
        else:
            left_out[stands[place]] = left_out.get(stands[place], 0) + 1
    return replace(hits, items=tuple(items)), left_out


def _firsts(near: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """(n,) for each picture the first one that stands for itself and is near to it."""
    first = np.full(len(near), -1)
    for place, its in enumerate(near):
        if first[place] < 0:
            first[its & (first < 0)] = first[place] = place
    return first


def _usual(collection: Collection, name: str, vectors: Vectors) -> Usual:
    return collection.search_vectors({name: vectors}, k=1).usual or Usual(0.0, 1.0)


def _rows(collection: Collection, name: str, image_ids: Mapping[str, int]) -> Vectors:
    """(n, dim) of these pictures, zeros where there is no vector."""
    found = collection.stored(name, image_ids)
    nothing = np.zeros_like(next(iter(found.values()), np.zeros(1, np.float32)))
    return np.asarray([found.get(image_id, nothing) for image_id in image_ids], dtype=np.float32)
