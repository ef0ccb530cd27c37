"""Pictures that clients add to a collection, and take out again: in a folder of their own, and in no other.

What a user has put into a folder is never changed or deleted from afar.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lookalike import images
from lookalike.collection import Collection
from lookalike.errors import CollectionBusy, StorageError
from lookalike.formats import format_of
from lookalike.server.pictures import checked
from lookalike.server.problems import Problem
from lookalike.server.service import Service
from lookalike.store import PRIVATE
from lookalike.types import ImageRef
from lookalike.writing import write_whole

FOLDER = "lookalike-uploads"
"""Below the folder of a private collection, so that later runs of 'lookalike index' keep what is there; of any other,
in its directory."""

_writing = threading.Lock()


def add(service: Service, data: bytes, name: str | None = None) -> tuple[ImageRef, bool]:
    """Put a picture into a collection, embedded by all of its models; whether it is new there.

    Raises Problem 404 or 413, UnreadableImage, CollectionBusy, ModelUnavailable, StorageError: then nothing has
    changed.
    """
    checked(data, service.settings)
    collection, image_id = service.shelf.collection(name), images.content_hash(data)
    if known := service.shelf.image(image_id, name):
        return known, False
    with _one_at_a_time(collection):
        images.read(data, side=512)  # here, or as many as come would be decoded at the same time
        folder = _folder(collection)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{folder}: cannot be made ({error.strerror})") from error
        path = folder / (image_id + format_of(data, None).suffixes.split()[0])
        write_whole(path, lambda part: Path(part).write_bytes(data))
        try:
            collection.add(folder)
            (added,) = collection.showing(image_id)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return added, True


def remove(service: Service, image_id: str, name: str | None = None) -> None:
    """Take a picture out of a collection that was added here.

    Raises Problem 404, or 403 for one of the user's own; CollectionBusy: then nothing has changed.
    """
    collection = service.shelf.collection(name)
    with _one_at_a_time(collection):
        folder = _folder(collection)
        path = next(folder.glob(f"{image_id}.*"), None)
        if path is None:
            if service.shelf.image(image_id, name):
                raise Problem(403, "a picture of the user's own folder: only what was added here can be taken out")
            raise Problem(404, f"no picture {image_id} in this collection")
        away = collection.directory / f"{image_id}.removed"
        os.replace(path, away)
        try:
            collection.add(folder, allow_empty=True)
        except BaseException:
            os.replace(away, path)
            raise
        away.unlink()


def _folder(collection: Collection) -> Path:
    directory = collection.directory
    return (directory.parent if directory.name == PRIVATE else directory) / FOLDER


@contextmanager
def _one_at_a_time(collection: Collection) -> Iterator[None]:
    if not _writing.acquire(blocking=False):
        raise CollectionBusy(f"{collection.directory}: another picture is being added or taken out")
    try:
        yield
    finally:
        _writing.release()
