"""Finding the collection that is meant: of a folder, or of the place where one stands."""

from __future__ import annotations

import os
from pathlib import Path

from lookalike.collection import Collection
from lookalike.errors import NoCollection
from lookalike.indexing import existing_folder
from lookalike.store import CATALOGUE, PRIVATE, Reader


def open_collection(path: str | os.PathLike[str], *, into: str | os.PathLike[str] | None = None) -> Collection:
    """Open the collection of a folder, or a collection's own directory (`lookalike.open`).

    `path` may be a folder that holds a collection, a folder that has none yet (`add()` makes `path/.lookalike`),
    or a collection directory. With `into` the collection lies there, and `path` is the folder that `add()` takes.

    Raises UsageError where `path` is no folder.
    """
    real = os.path.realpath(path)
    if into is not None:
        return Collection(into, real)
    if os.path.exists(os.path.join(real, CATALOGUE)):
        return Collection(real)
    return Collection(os.path.join(existing_folder(path), PRIVATE), real)


def nearest_collection(start: str | os.PathLike[str] = ".") -> Collection:
    """The collection of `start` or of the nearest folder above it, found as git finds its repository.

    Raises NoCollection where there is none.
    """
    folder = Path(os.path.realpath(start))
    for place in (folder, *folder.parents):
        for directory in (place, place / PRIVATE):
            if Reader.exists(directory):
                return Collection(directory)
    raise NoCollection(
        f"{folder}: no collection here or above: name one with --collection DIR, or run 'lookalike index FOLDER'"
    )
