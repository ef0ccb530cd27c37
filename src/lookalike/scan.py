"""What is in a folder: image files, and how many others."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from lookalike.formats import is_image_name
from lookalike.images import looks_like_image
from lookalike.store import CATALOGUE, PRIVATE, is_own
from lookalike.types import ImageFile


@dataclass(slots=True)
class Scan:
    """Image files in the order of their names, other files counted, and what could not even be looked at."""

    images: list[ImageFile] = field(default_factory=list)
    ignored: int = 0
    unreadable: list[ImageFile] = field(default_factory=list)


def scan(folder: str, exclude: Sequence[str] = (), on_file: Callable[[int], None] | None = None) -> Scan:
    """Walk `folder` for files with an image's suffix or first bytes.

    `exclude` are globs, held against names and against paths relative to `folder`; an excluded folder is not
    entered. Links to files are followed, links to folders are not (they may go round in circles), and what
    collections consist of is passed over. `on_file` hears the number of files seen so far.
    """
    result = Scan()
    for seen, (path, entry) in enumerate(_files(folder, "", exclude, result), 1):
        if on_file:
            on_file(seen)
        try:
            status = entry.stat()
            if not stat.S_ISREG(status.st_mode):
                _report(result, path, "a pipe, a socket or a device, not a file")
            elif is_image_name(path) or looks_like_image(path):
                result.images.append(ImageFile(path, status.st_size, status.st_mtime_ns))
            else:
                result.ignored += 1
        except OSError as error:
            _report(result, path, _why(error))
    return result


def _files(folder: str, relative: str, exclude: Sequence[str], result: Scan) -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        with os.scandir(folder) as entries:
            listing = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        result.unreadable.append(ImageFile(folder, reason=f"the folder cannot be opened: {error.strerror}"))
        return
    if any(entry.name == CATALOGUE for entry in listing):  # a collection may lie among the images
        listing = [entry for entry in listing if not is_own(entry.name)]
    for entry in listing:
        inner = os.path.join(relative, entry.name)
        if entry.name == PRIVATE:
            continue
        if any(fnmatch.fnmatch(entry.name, glob) or fnmatch.fnmatch(inner, glob) for glob in exclude):
            continue
        if entry.is_dir(follow_symlinks=False):
            if is_image_name(entry.name):
                result.unreadable.append(
                    ImageFile(entry.path, reason="a folder, not an image (what it holds was scanned)")
                )
            yield from _files(entry.path, inner, exclude, result)
        elif not (entry.is_symlink() and _is_folder(entry)):
            yield entry.path, entry


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _report(result: Scan, path: str, reason: str) -> None:
    if is_image_name(path):
        result.unreadable.append(ImageFile(path, reason=reason))
    else:
        result.ignored += 1


def _why(error: OSError) -> str:
    return "a link that leads nowhere" if isinstance(error, FileNotFoundError) else str(error.strerror or error).lower()
