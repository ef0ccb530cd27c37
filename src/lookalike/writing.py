"""Files that are written whole or not at all, and their names as they can be shown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lookalike.errors import StorageError

# Surrogates have no UTF-8, control characters no shape, and marks of direction can make "gpj.exe" read
# "exe.jpg": none of them belongs on a page, all of them can be in a file's name.
_UNSHOWABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def showable(text: str) -> str:
    """`text` for the eye: one line, valid Unicode; control characters as their pictures (␊), others as �."""
    return _UNSHOWABLE.sub(lambda m: chr(0x2400 + ord(m[0])) if m[0] < " " else "�", text)


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
            f"{showable(os.fspath(path))}: cannot be written ({why}): name a file in a folder that exists,"
            " has room and lets you write"
        ) from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Let `text`, as UTF-8, take the place of what is at `path`. Raises StorageError where that cannot be."""
    encoded = text.encode()
    write_whole(path, lambda part: Path(part).write_bytes(encoded))
