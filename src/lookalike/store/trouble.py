"""SQLite files: how they are opened, and what they and the disk say, told as one line with a remedy."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lookalike.errors import CollectionBusy, CollectionDamaged, StorageError

Connection = sqlite3.Connection

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


def connect(path: Path, options: str = "") -> sqlite3.Connection:
    """Open a SQLite file, which threads may then share. `options` as in SQLite's URIs."""
    uri = f"{path.absolute().as_uri()}?{options}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10)


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open a SQLite file that is there, for reading; never writes. To be called where trouble is told plainly."""
    connection = None
    try:
        connection = connect(path, "mode=ro")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        return connection
    except sqlite3.Error as error:
        if connection:
            connection.close()
        if not isinstance(error, sqlite3.OperationalError):
            raise
        # Where it may not write, SQLite cannot make the shared memory of its log, nor need it: an empty log says
        # that nobody is writing.
        if os.access(path.parent, os.W_OK):
            raise
        if _size(path.with_name(f"{path.name}-wal")):
            raise StorageError(
                f"{path.parent}: was not closed properly, and may not be written to: make it writable once,"
                " or search a copy"
            ) from None
        return connect(path, "immutable=1")


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


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
