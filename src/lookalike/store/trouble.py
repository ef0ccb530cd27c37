"""What disks and SQLite say, told as one line with a remedy."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from lookalike.errors import CollectionBusy, CollectionDamaged, StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def told_plainly(directory: str) -> Iterator[None]:
    """Turn errors of the disk and of SQLite below `directory` into the tree of `lookalike.errors`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise _full(directory) from error
        if error.errno in _FORBIDDEN:
            raise _forbidden(directory) from error
        raise StorageError(f"{directory}: {error.strerror or error}") from error
    except sqlite3.Error as error:
        message = str(error)
        if "full" in message:
            raise _full(directory) from error
        if "disk I/O" in message:
            raise StorageError(
                f"{directory}: the disk failed, or no space is left on it: what was committed is kept"
            ) from error
        if "readonly" in message or "unable to open" in message:
            raise _forbidden(directory) from error
        if "locked" in message or "busy" in message:
            raise CollectionBusy(f"{directory}: another process is busy with it: try again in a moment") from error
        raise CollectionDamaged(
            f"{directory}: the catalogue cannot be read ({message}): move it away and run 'lookalike index' again"
        ) from error


def _full(directory: str) -> StorageError:
    return StorageError(
        f"{directory}: no space is left on the disk: free some and run the same command again"
        " (what was committed is kept)"
    )


def _forbidden(directory: str) -> StorageError:
    return StorageError(f"{directory}: may not be written to: choose another place for the collection with --into DIR")
