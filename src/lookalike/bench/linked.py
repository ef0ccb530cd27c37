"""Folders with just the files of a data set that count, as links, so that a collection embeds no other.

Galleries share folders with queries, queries with distractors that nobody asks for, and a part of a million references
may be all that is wanted.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from lookalike.bench.datasets import Query
from lookalike.errors import StorageError, UnreadableImage
from lookalike.writing import showable, write_whole


def link_files(folder: Path, files: Mapping[str, Path], root: Path) -> dict[str, str]:
    """Make `folder` hold links to these files, and no others, laid out as they are below `root`.

    Returns the name of each file by the real path of its link. Raises StorageError.
    """
    base = os.path.realpath(folder)
    names = {os.path.join(base, os.path.relpath(path, root)): name for name, path in files.items()}
    try:
        os.makedirs(base, exist_ok=True)
        _remove_others(base, names)
        for path, name in names.items():
            _link(path, os.path.abspath(files[name]))
    except OSError as error:
        raise unwritable(folder, error) from error
    return names


def query_files(folder: Path, queries: Sequence[Query], root: Path) -> dict[str, str]:
    """As `link_files`, for queries: those with a box are cut to it, without loss."""
    found = link_files(folder / "whole", {query.id: query.path for query in queries if query.box is None}, root)
    base = os.path.join(os.path.realpath(folder), "cut")
    for query in queries:
        if query.box is None:
            continue
        edges = "-".join(f"{edge:g}" for edge in query.box)
        target = os.path.join(base, f"{query.id} {edges}.png")
        found[target] = query.id
        try:
            os.makedirs(base, exist_ok=True)
            if not os.path.exists(target) or os.path.getmtime(target) < os.path.getmtime(query.path):
                image = query.picture().image
                write_whole(target, lambda part, image=image: image.save(part, "PNG", compress_level=1))  # type: ignore[misc]
        except UnreadableImage:
            continue  # counted where its vector is missed
        except OSError as error:
            raise unwritable(folder, error) from error
    return found


def _remove_others(base: str, wanted: Mapping[str, str]) -> None:
    for place, _, names in os.walk(base):
        for name in names:
            if (path := os.path.join(place, name)) not in wanted:
                os.unlink(path)


def _link(path: str, target: str) -> None:
    if os.path.islink(path):
        if os.readlink(path) == target:
            return
        os.unlink(path)
    elif os.path.exists(path):
        if os.path.samefile(path, target):
            return
        os.unlink(path)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    for make in (os.symlink, os.link, shutil.copyfile):  # not every file system has links, nor lets everybody make them
        try:
            make(target, path)
            return
        except OSError:
            if make is shutil.copyfile:
                raise


def unwritable(folder: Path, error: OSError) -> StorageError:
    """The error to raise where the work cannot be kept."""
    why = (error.strerror or type(error).__name__).lower()
    return StorageError(f"{showable(str(folder))}: cannot be written ({why}): name a place for the work with --into")
