"""How alike models find the pictures of a collection, in a measure that they share: deviations above what is usual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lookalike.collection import Collection
from lookalike.errors import UsageError
from lookalike.indexing import Progress
from lookalike.ranking import NARROW, SAMPLE
from lookalike.stats import Floats, Whole
from lookalike.types import ImageRef, Vectors

MOST = 50_000
"""Pictures that are audited; of more, so many are drawn by lot."""

LEAST = 12
"""Pictures without which there is nothing to audit."""

BLOCK = 256
"""Pictures that are held against all others at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """One model's view of the audited pictures.

    vectors: (n, dim) float32 unit rows
    mean, deviation: (n,) the cosines of each picture with any other: the middle, and how far the middle half reaches
    """

    model: str
    vectors: Vectors
    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, model: str, vectors: Vectors, rng: np.random.Generator) -> Likeness:
        """By a sample of the pictures; see `ranking.usual_of`."""
        some = vectors[np.sort(rng.permutation(len(vectors))[:SAMPLE])]
        edges = [
            np.quantile(vectors[start : start + BLOCK] @ some.T, [0.25, 0.5, 0.75], axis=1)
            for start in range(0, len(vectors), BLOCK)
        ]
        low, middle, high = np.concatenate(edges, axis=1).astype(np.float64)
        return cls(model, vectors, middle, np.maximum((high - low) / 1.349, NARROW))

    def cosines(self, rows: Whole) -> Floats:
        """(len(rows), n) of these pictures with all."""
        return (self.vectors[rows] @ self.vectors.T).astype(np.float64)

    def standard(self, rows: Whole) -> Floats:
        """(len(rows), n): how many deviations each cosine is above what is usual, for the one and the other."""
        cosines = self.cosines(rows)
        own = (cosines - self.mean[rows, None]) / self.deviation[rows, None]
        return np.asarray((own + (cosines - self.mean) / self.deviation) / 2)

    def standard_pairs(self, a: Whole, b: Whole) -> Floats:
        """(len(a),) the same, of pairs."""
        found = np.empty(len(a))
        for start in range(0, len(a), 4 * BLOCK):  # gathered vectors are large
            i, j = a[start : start + 4 * BLOCK], b[start : start + 4 * BLOCK]
            cosines = np.einsum("nd,nd->n", self.vectors[i], self.vectors[j]).astype(np.float64)
            ways = ((cosines - self.mean[each]) / self.deviation[each] for each in (i, j))
            found[start : start + 4 * BLOCK] = sum(ways) / 2
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Audited:
    """What is audited: pictures, the model's view of them, and the references' that see looks alone.

    images: (n,) one a picture: files with the same bytes count once
    files:  the paths that show each of the images
    total:  how many pictures the collection has vectors of by all the models
    """

    images: Sequence[ImageRef]
    files: Sequence[Sequence[str]]
    total: int
    model: Likeness
    visual: Sequence[Likeness]

    def looks(self, rows: Whole) -> Floats:
        """(len(rows), n): how alike the references find them together, in deviations."""
        return np.asarray(np.mean([each.standard(rows) for each in self.visual], axis=0))

    def looks_of_pairs(self, a: Whole, b: Whole) -> Floats:
        """(len(a),) the same, of pairs."""
        return np.asarray(np.mean([each.standard_pairs(a, b) for each in self.visual], axis=0))


def gather(where: Collection, model: str, visual: Sequence[str], rng: np.random.Generator, tell: Progress) -> Audited:
    """The pictures that all the models have vectors of. Raises UsageError where a model has none, or they are few."""
    names = [model, *visual]
    files: dict[str, list[ImageRef]] = {}
    vectors: dict[str, dict[str, int]] = {}
    tables: dict[str, Vectors] = {}
    for done, name in enumerate(names, 1):
        images, tables[name] = where.vectors(name)
        vectors[name] = {image.id: row for row, image in enumerate(images)}
        if name == model:
            for image in images:
                files.setdefault(image.id, []).append(image)
        tell("vectors", done, len(names))
    shared = [id_ for id_ in files if all(id_ in rows for rows in vectors.values())]
    if len(shared) < LEAST:
        raise UsageError(
            f"{where.directory}: {len(shared)} pictures have vectors of {', '.join(names)}: an audit needs {LEAST}:"
            " index more with 'lookalike index FOLDER'"
        )
    chosen = [shared[i] for i in sorted(rng.permutation(len(shared))[:MOST].tolist())]
    found = {name: Likeness.of(name, tables.pop(name)[[vectors[name][id_] for id_ in chosen]], rng) for name in names}
    return Audited(
        images=[files[id_][0] for id_ in chosen],
        files=[[image.path for image in files[id_]] for id_ in chosen],
        total=len(shared),
        model=found[model],
        visual=[found[name] for name in visual],
    )
