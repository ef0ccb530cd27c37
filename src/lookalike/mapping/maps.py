"""A map of a collection: made once, kept beside it, and made anew when the collection has changed."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lookalike.collection import Collection
from lookalike.errors import ModelUnavailable, StorageError
from lookalike.indexing import Progress
from lookalike.mapping.grid import snapped
from lookalike.mapping.groups import clusters
from lookalike.mapping.layout import Floats, Method, components, laid_out, missing
from lookalike.store import MAPS, ModelEntry
from lookalike.writing import write_whole

Whole = npt.NDArray[np.uint32]

_STEPS = ("finding directions", "laying out", "grouping", "snapping to a grid")


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """All pictures that have a vector of a model, each once; neighbours in the lists are neighbours on the grid.

    ids:    content hashes
    points: (n, 2) 0 to 1: x to the right, y down
    cells:  (n,) on the grid: row * columns + column; no two pictures share one
    groups: (n,) numbers of the groups that the vectors fall into
    state:  changes whenever the map does
    """

    ids: tuple[str, ...]
    points: Floats
    cells: Whole
    groups: Whole
    columns: int
    rows: int
    state: str

    def __len__(self) -> int:
        return len(self.ids)


def map_of(
    collection: Collection, model: str, method: Method = "pca", *, seed: int = 0, progress: Progress | None = None
) -> Map:
    """The map of a collection by one of its models: the kept one, else made now, and kept where that can be.

    Raises ModelUnavailable where the method needs an extra, and UsageError where there are no vectors of the model.
    """
    if found := kept_map(collection, model, method, seed=seed):
        return found
    if problem := missing(method):
        raise ModelUnavailable(problem)

    def step(number: int) -> None:
        if progress:
            progress(_STEPS[number], number, len(_STEPS))

    step(0)
    files, halves = collection.mapped(model)
    rows = {image.id: row for image, row in files.items()}
    state = state_of(collection, model, method, seed=seed)
    ids, vectors = list(rows), halves[list(rows.values())]
    parts = components(vectors, seed)
    step(1)
    points = laid_out(parts, method, seed)
    step(2)
    groups = clusters(parts, seed)
    step(3)
    cells, order, columns, lines = snapped(points)
    made = Map(tuple(ids[i] for i in order.tolist()), points[order], cells[order], groups[order], columns, lines, state)
    with suppress(StorageError):  # derived: where nothing can be written, it is made again
        _keep(collection, made, _place(collection, _entry(collection, model), method, seed))
    return made


def kept_map(collection: Collection, model: str, method: Method = "pca", *, seed: int = 0) -> Map | None:
    """The map that was made of the collection as it is now; None where there is none."""
    place = _place(collection, _entry(collection, model), method, seed)
    try:
        with open(place, "rb") as file, np.load(file, allow_pickle=False) as kept:
            ids, points, cells, groups = (kept[name] for name in ("ids", "points", "cells", "groups"))
            columns, lines = (int(side) for side in kept["shape"])
            state = str(kept["state"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    shapes = (ids.shape, points.shape, cells.shape, groups.shape)
    count = len(ids)
    sound = shapes == ((count, 32), (count, 2), (count,), (count,)) and ids.dtype == np.uint8
    if not sound or state != state_of(collection, model, method, seed=seed):
        return None
    names = tuple(row.tobytes().hex() for row in ids)
    return Map(
        names, points.astype(np.float32), cells.astype(np.uint32), groups.astype(np.uint32), columns, lines, state
    )


def _keep(collection: Collection, made: Map, place: Path) -> None:
    try:
        place.parent.mkdir(exist_ok=True)
        living = tuple(Path(entry.file).stem for entry in collection.entries())
        for old in place.parent.glob("*.npz"):
            if not old.name.startswith(living):
                old.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{place}: cannot be written ({error.strerror or error})") from error
    ids = np.frombuffer(bytes.fromhex("".join(made.ids)), dtype=np.uint8).reshape(-1, 32)
    write_whole(
        place,
        lambda part: np.savez(
            part,
            ids=ids,
            points=made.points,
            cells=made.cells,
            groups=made.groups,
            shape=np.array([made.columns, made.rows]),
            state=np.array(made.state),
        ),
    )


def _entry(collection: Collection, model: str) -> ModelEntry:
    collection.stored(model, [])  # says what is wrong with a model that the collection does not have
    return next(entry for entry in collection.entries() if entry.name == model)


def _place(collection: Collection, entry: ModelEntry, method: Method, seed: int) -> Path:
    """The file of vectors is named by model and fingerprint, and is another one after each rewrite."""
    return collection.directory / MAPS / f"{Path(entry.file).stem}-{method}-{seed}.npz"


def state_of(collection: Collection, model: str, method: Method = "pca", *, seed: int = 0) -> str:
    """What the map of the collection as it is now would have as its `state`, in no time.

    Raises UsageError where there are no vectors of the model.
    """
    # Rows are only ever added, and those that are covered become fewer when pictures go: together they tell.
    entry = _entry(collection, model)
    covered = next(one["pictures"] for one in collection.info()["models"] if one["name"] == model)
    return f"{Path(entry.file).stem}-{method}-{seed}-{entry.rows}-{covered}"
