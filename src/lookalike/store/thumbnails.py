"""Small pictures of what a collection holds, in a file of their own: derived, and no loss where it is lost.

Measured on JPEGs of 640 x 480: 0.4 CPU-ms to make one, 12 KB to keep it. An exact 256 pixels would save a quarter of
the bytes and take twice as long; WebP a tenth of them, and three times.
"""

from __future__ import annotations

import io
import threading
import weakref
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from PIL import Image

from lookalike.errors import CollectionDamaged, LookalikeError
from lookalike.store.trouble import Connection, connect, connect_read_only, told_plainly
from lookalike.types import Picture

THUMBNAILS = "thumbnails.sqlite"
SIDE, MOST = 256, 320
QUALITY = 65
MAX_BYTES = 1_000_000
"""Many times what a thumbnail takes: anything larger in the file is none of ours, and is not read."""

_JPEG = b"\xff\xd8\xff"

# A kill loses nothing of a log that was not synced; should the machine itself fail, thumbnails may be lost.
_OPEN = """
PRAGMA auto_vacuum=FULL; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;
CREATE TABLE IF NOT EXISTS thumbnails (sha256 TEXT PRIMARY KEY, jpeg BLOB NOT NULL);
"""


def small_jpeg(picture: Picture) -> bytes:
    """The picture as a JPEG whose longer side has SIDE to 1.5 SIDE pixels; a smaller one keeps its size."""
    image = picture.image
    longest = max(image.size)
    if longest >= 2 * SIDE:
        image = image.reduce(longest // SIDE)  # whole blocks averaged: any filter to an exact size takes twice as long
    elif longest > MOST:
        image = image.resize([max(1, round(n * MOST / longest)) for n in image.size], Image.Resampling.BILINEAR)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY, comment=b"")  # Pillow would copy the one of the file, however long
    return out.getvalue()


class Thumbnails:
    """Small JPEGs in a file, by the SHA-256 of the file that they show. Threads may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._reading: Connection | None = None
        self._writing: Connection | None = None

    def get(self, sha256: str) -> bytes | None:
        """None where there is none, or no JPEG of that size, or where the file is lost or damaged."""
        with self._lock:
            try:
                with told_plainly(str(self._path)):
                    self._reading = self._reading or self._kept(connect_read_only(self._path))
                    row = self._reading.execute(
                        "SELECT jpeg FROM thumbnails WHERE sha256 = ? AND typeof(jpeg) = 'blob' AND length(jpeg) < ?",
                        (sha256, MAX_BYTES),
                    ).fetchone()
            except LookalikeError:
                self._reading = None  # a writer may have made the file anew by the next time
                return None
        return row[0] if row and row[0].startswith(_JPEG) else None

    def put(self, jpegs: Mapping[str, bytes]) -> None:
        """Keep small JPEGs by their pictures' SHA-256. Raises StorageError."""
        if jpegs:
            try:
                self._change("INSERT OR IGNORE INTO thumbnails VALUES (?, ?)", list(jpegs.items()))
            except CollectionDamaged:
                self._start_anew()
                self._change("INSERT OR IGNORE INTO thumbnails VALUES (?, ?)", list(jpegs.items()))

    def drop_strangers(self, catalogue: Path) -> None:
        """Drop what the catalogue does not name any more, or never came to name.

        Raises StorageError, and CollectionDamaged where the catalogue is: then nothing is dropped.
        """
        if self._path.exists():
            named = "SELECT 1 FROM catalogue.contents c WHERE c.sha256 = t.sha256"
            stale = f"SELECT t.rowid FROM thumbnails t WHERE NOT EXISTS ({named})"
            try:
                self._change(f"DELETE FROM thumbnails WHERE rowid IN ({stale})", [()], beside=catalogue)
            except CollectionDamaged:
                if self._is_whole():
                    raise
                self._start_anew()

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        for connection in (self._reading, self._writing):
            if connection:
                connection.close()
        self._reading = self._writing = None

    def _change(self, statement: str, rows: list[tuple[object, ...]], beside: Path | None = None) -> None:
        with self._lock, told_plainly(str(self._path)):
            if self._writing is None:
                self._writing = self._kept(connect(self._path))
                self._writing.executescript(_OPEN)
            if beside:
                self._writing.execute("ATTACH ? AS catalogue", (f"{beside.absolute().as_uri()}?mode=ro",))
            self._writing.execute("BEGIN")
            try:
                self._writing.executemany(statement, rows)
                self._writing.execute("COMMIT")
            finally:
                if self._writing.in_transaction:
                    self._writing.execute("ROLLBACK")
                if beside:
                    self._writing.execute("DETACH catalogue")

    def _is_whole(self) -> bool:
        try:
            with told_plainly(str(self._path)), closing(connect_read_only(self._path)) as alone:
                return bool(alone.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
        except CollectionDamaged:
            return False

    def _start_anew(self) -> None:
        self.close()
        with told_plainly(str(self._path)):
            for end in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    self._path.with_name(self._path.name + end).unlink()

    def _kept(self, connection: Connection) -> Connection:
        weakref.finalize(self, connection.close)
        return connection
