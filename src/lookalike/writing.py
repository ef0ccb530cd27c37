"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from lookalike.errors import StorageError


def write_whole(path: str | os.PathLike[str], write: Callable[[str], object]) -> None:
    """Let `write` fill a file beside `path`, which then takes its place. Raises StorageError where that cannot be."""
    target = os.path.realpath(path)
    stem, ending = os.path.splitext(target)
    beside = f"{stem}.{os.getpid()}.part{ending}"  # the ending tells some writers what to write
    try:
        try:
            write(beside)
            os.replace(beside, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise StorageError(
            f"{os.fspath(path)}: cannot be written ({why}): name a file in a folder that exists, has room and lets you"
            " write"
        ) from error
