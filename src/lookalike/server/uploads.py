"""Pictures that were asked for, kept by the hash of their bytes, so that an address with one works after a reload.

An upload becomes a file only after it was decoded: what is kept is an image. Files are named by their hash alone.
"""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

from lookalike import images
from lookalike.errors import StorageError
from lookalike.types import ImageRef
from lookalike.writing import write_whole

_ID = re.compile(r"[0-9a-f]{64}")


class Uploads:
    """A folder of at most `kept_bytes`; what was used least recently goes first. Threads may share it."""

    def __init__(self, folder: Path, kept_bytes: int) -> None:
        self._folder = folder
        self._kept_bytes = kept_bytes
        self._lock = threading.Lock()

    def put(self, data: bytes) -> ImageRef:
        """Keep the bytes of an image. Raises UnreadableImage where they are none, StorageError."""
        picture = images.read(data, side=512)
        image_id = images.content_hash(data)
        with self._lock:
            if self.get(image_id) is None:
                try:
                    self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                except OSError as error:
                    raise StorageError(f"{self._folder}: uploads cannot be kept there ({error.strerror})") from error
                write_whole(self._folder / image_id, lambda part: Path(part).write_bytes(data))
                self._drop_oldest()
        return ImageRef(image_id, str(self._folder / image_id), picture.width, picture.height, picture.taken)

    def get(self, image_id: str) -> bytes | None:
        """The bytes of an upload, or None where it is not kept (any more)."""
        if not _ID.fullmatch(image_id):
            return None
        place = self._folder / image_id
        try:
            data = place.read_bytes()
            os.utime(place)
        except OSError:
            return None
        return data if images.content_hash(data) == image_id else None

    def has(self, image_id: str) -> bool:
        """Whether an upload is kept, without reading it."""
        return _ID.fullmatch(image_id) is not None and (self._folder / image_id).is_file()

    def _drop_oldest(self) -> None:
        kept = sorted((status.st_mtime, status.st_size, path) for path, status in self._kept())
        total = sum(size for _, size, _ in kept)
        for _, size, path in kept[:-1]:
            if total <= self._kept_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size

    def _kept(self) -> list[tuple[Path, os.stat_result]]:
        return [(path, path.stat()) for path in self._folder.iterdir() if _ID.fullmatch(path.name)]
