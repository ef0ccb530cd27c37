"""Reading a collection: which files, which pictures, which models, and which vector is whose."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lookalike.errors import CollectionDamaged, CollectionTooNew, NoCollection
from lookalike.store import vectors as vector_file
from lookalike.store.features import FEATURES, MOST_KEYPOINTS, FeatureStore, Wanted
from lookalike.store.thumbnails import THUMBNAILS, Thumbnails
from lookalike.store.trouble import connect_read_only, told_plainly
from lookalike.types import EVERYTHING, ImageFile, ImageRef, Only

FORMAT = 1
CATALOGUE = "catalogue.sqlite"
VOTES = "votes.jsonl"
MAPS = "map-cache"
PRIVATE = ".lookalike"
"""The name of a collection that lies inside its own folder: its paths are relative, so the folder may move."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file as the catalogue knows it.

    covered:   how many of the models in question have its vector
    described: whether all local features in question are kept of it
    """

    size: int
    mtime_ns: int
    readable: bool
    covered: int
    described: bool

    def is_same(self, file: ImageFile) -> bool:
        """Whether `file` was read when it was as it is now."""
        return self.size == file.size and self.mtime_ns == file.mtime_ns and self.readable

    def is_current(self, file: ImageFile, models: int) -> bool:
        """Whether nothing need be done for `file`: it is the same, and all of so many models have its vector."""
        return self.is_described(file) and self.covered == models

    def is_described(self, file: ImageFile) -> bool:
        """Whether the local features in question are those of `file` as it is now."""
        return self.is_same(file) and self.described


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model of the collection, with the card (JSON) that it had when its vectors were made."""

    id: int
    name: str
    fingerprint: str
    dim: int
    rows: int
    file: str
    card: str


class Reader:
    """An open collection directory. Many may read while one writes; threads may share a reader."""

    def __init__(self, directory: Path, connection: sqlite3.Connection) -> None:
        self.directory = directory
        self._db = connection
        self.features = FeatureStore(directory / FEATURES)
        self._thumbnails = Thumbnails(directory / THUMBNAILS)
        weakref.finalize(self, connection.close)
        self._lock = threading.RLock()  # one connection, used from several threads
        self._base = os.fsencode(directory.parent) + os.fsencode(os.sep) if directory.name == PRIVATE else None

    # -- opening ---------------------------------------------------------------------------------------------

    @staticmethod
    def exists(directory: Path) -> bool:
        """Whether anything has been indexed there."""
        try:
            return (directory / CATALOGUE).stat().st_size > 0
        except OSError:
            return False

    @classmethod
    def open(cls, directory: Path) -> Reader:
        """Open for reading; never writes. Raises NoCollection, CollectionTooNew, CollectionDamaged."""
        if not cls.exists(directory):
            raise NoCollection(f"{directory}: no collection here: run 'lookalike index FOLDER' first")
        with told_plainly(str(directory)):
            connection = connect_read_only(directory / CATALOGUE)
            check_format(connection, directory)
            return cls(directory, connection)

    def close(self) -> None:
        """Let go of the files."""
        self._db.close()
        self._thumbnails.close()
        self.features.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # -- paths -----------------------------------------------------------------------------------------------

    def _key(self, path: str) -> bytes:
        raw = os.fsencode(path)
        if self._base and raw.startswith(self._base):
            return raw[len(self._base) :]
        return b"." if self._base and raw + os.fsencode(os.sep) == self._base else raw

    def _path(self, key: bytes) -> str:
        if not self._base:
            return os.fsdecode(key)
        return os.fsdecode(self._base[:-1] if key == b"." else os.path.join(self._base, key))

    def _below(self, folder: str, column: str = "path") -> tuple[str, tuple[bytes, ...]]:
        """A condition on the column of keys that all files below a folder meet, with its values."""
        key = self._key(folder)
        if key == b".":  # the collection's own folder: all keys that are relative
            return f"substr({column}, 1, 1) <> ?", (os.fsencode(os.sep),)
        prefix = key.rstrip(os.fsencode(os.sep)) + os.fsencode(os.sep)
        return f"{column} >= ? AND {column} < ?", (prefix, prefix[:-1] + bytes([prefix[-1] + 1]))

    # -- reading ---------------------------------------------------------------------------------------------

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One consistent view for several reads, whatever a writer commits meanwhile."""
        with self._lock, told_plainly(str(self.directory)):
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK")

    def models(self) -> list[ModelEntry]:
        """The collection's models, in the order of their coming."""
        with self._lock, told_plainly(str(self.directory)):
            rows = self._db.execute("SELECT id, name, fingerprint, dim, rows, file, card FROM models ORDER BY id")
            return [ModelEntry(*row) for row in rows]

    def folders(self) -> list[str]:
        """The folders that were scanned, absolute."""
        with self._lock, told_plainly(str(self.directory)):
            return sorted(self._path(key) for (key,) in self._db.execute("SELECT path FROM folders"))

    def counts(self) -> dict[str, int]:
        """How many images (files), distinct pictures (contents), and unreadable files there are."""
        with self._lock, told_plainly(str(self.directory)):
            images, unreadable = self._db.execute(
                "SELECT count(content_id), count(*) - count(content_id) FROM files"
            ).fetchone()
            pictures = self._db.execute("SELECT count(*) FROM contents").fetchone()[0]
        return {"images": images, "pictures": pictures, "unreadable": unreadable}

    def unreadable(self) -> list[tuple[str, str]]:
        """(path, reason) of the files that could not be read."""
        with self._lock, told_plainly(str(self.directory)):
            rows = self._db.execute("SELECT path, reason FROM files WHERE content_id IS NULL ORDER BY path")
            return [(self._path(key), reason) for key, reason in rows]

    def covered(self, model: ModelEntry) -> int:
        """How many distinct pictures have a vector of this model."""
        with self._lock, told_plainly(str(self.directory)):
            query = "SELECT count(*) FROM vectors WHERE model_id = ?"
            return int(self._db.execute(query, (model.id,)).fetchone()[0])

    def wanted_features(self) -> dict[str, int]:
        """The local features that are kept of every picture: how many keypoints at most, by method."""
        with self._lock, told_plainly(str(self.directory)):
            if not self._db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'local_features'").fetchone():
                return {}  # a collection that is older than this table
            query = (
                "SELECT method, keypoints FROM local_features"
                " WHERE typeof(keypoints) = 'integer' AND keypoints BETWEEN 1 AND ? ORDER BY method"
            )
            return dict(self._db.execute(query, (MOST_KEYPOINTS,)))

    def files_below(
        self, folder: str, models: Sequence[str] = (), features: Wanted | None = None
    ) -> dict[str, FileEntry]:
        """Every known file below `folder`, by absolute path; its `covered` and `described` speak of what is named."""
        names = json.dumps(list(models))
        with self._lock, told_plainly(str(self.directory)):
            covered = dict(
                self._db.execute(
                    "SELECT v.content_id, count(*) FROM vectors v JOIN models m ON m.id = v.model_id"
                    " WHERE m.name IN (SELECT value FROM json_each(?)) GROUP BY v.content_id",
                    (names,),
                )
            )
            bare = self._undescribed(features or {})
            where, values = self._below(folder)
            rows = self._db.execute(f"SELECT path, size, mtime_ns, content_id FROM files WHERE {where}", values)
            prefix = folder.rstrip(os.sep) + os.sep
            return {
                path: FileEntry(size, mtime_ns, content is not None, covered.get(content, 0), content not in bare)
                for key, size, mtime_ns, content in rows
                if (path := self._path(key)).startswith(prefix)
            }

    def _undescribed(self, wanted: Wanted) -> set[int]:
        """The contents of which something that is wanted is not kept."""
        found: set[int] = set()
        contents = self._db.execute("SELECT sha256, id FROM contents")
        while wanted and (some := dict(contents.fetchmany(10_000))):
            for method, limit in wanted.items():
                having = self.features.having(some, method, limit)
                found.update(id_ for sha256, id_ in some.items() if sha256 not in having)
        return found

    def missing(self, sha256: str, models: Sequence[str]) -> list[str]:
        """Which of `models` have no vector of the picture yet."""
        with self._lock, told_plainly(str(self.directory)):
            have = {
                name
                for (name,) in self._db.execute(
                    # In this order, each is found by its key: SQLite by itself may read all vectors.
                    "SELECT m.name FROM contents c CROSS JOIN models m CROSS JOIN vectors v"
                    " WHERE c.sha256 = ? AND v.model_id = m.id AND v.content_id = c.id",
                    (sha256,),
                )
            }
        return [name for name in models if name not in have]

    def hashes(self, paths: Iterable[str]) -> dict[str, str]:
        """The content hash of each of these files that is known and readable."""
        query = "SELECT c.sha256 FROM files f JOIN contents c ON c.id = f.content_id WHERE f.path = ?"
        with self._lock, told_plainly(str(self.directory)):
            found = {path: self._db.execute(query, (self._key(path),)).fetchone() for path in paths}
        return {path: row[0] for path, row in found.items() if row}

    def holds(self, model: ModelEntry) -> bool:
        """Whether all of its vectors are there."""
        return vector_file.holds(self._vector_path(model), model.rows, model.dim)

    def vectors(self, model: ModelEntry) -> vector_file.Halves:
        """(rows, dim) float16, memory-mapped, dead rows included."""
        return vector_file.read(self._vector_path(model), model.rows, model.dim)

    def dead_rows(self, model: ModelEntry) -> list[int]:
        """Rows whose picture has gone."""
        with self._lock, told_plainly(str(self.directory)):
            return [row for (row,) in self._db.execute("SELECT row FROM dead WHERE model_id = ?", (model.id,))]

    def rows_of(self, model: ModelEntry, hashes: Iterable[str]) -> dict[str, int]:
        """The row of each of these pictures that has a vector of the model."""
        query = (
            "SELECT c.sha256, v.row FROM json_each(?) CROSS JOIN contents c CROSS JOIN vectors v"
            " WHERE c.sha256 = value AND v.model_id = ? AND v.content_id = c.id"
        )
        with self._lock, told_plainly(str(self.directory)):
            return dict(self._db.execute(query, (json.dumps(list(hashes)), model.id)))

    def some(self, count: int) -> list[str]:
        """The hashes of so many pictures: always the same ones, and as good as drawn by lot."""
        with self._lock, told_plainly(str(self.directory)):
            rows = self._db.execute("SELECT sha256 FROM contents ORDER BY sha256 LIMIT ?", (count,))
            return [sha256 for (sha256,) in rows]

    def rows_meeting(self, model: ModelEntry, only: Only) -> list[int]:
        """The rows whose picture is shown by a file that meets `only`."""
        condition, values = self._meeting(only)
        query = (
            "SELECT DISTINCT v.row FROM vectors v JOIN contents c ON c.id = v.content_id"
            f" JOIN files f ON f.content_id = c.id WHERE v.model_id = ?{condition}"
        )
        with self._lock, told_plainly(str(self.directory)):
            return [row for (row,) in self._db.execute(query, (model.id, *values))]

    def _meeting(self, only: Only) -> tuple[str, tuple[bytes | str | int, ...]]:
        """The conditions on a file `f` and its content `c` that `only` asks, each behind an AND, with their values."""
        asked: list[tuple[str, tuple[bytes | str | int, ...]]] = []
        if only.folder is not None:
            asked.append(self._below(only.folder, "f.path"))
        when = "substr(coalesce(c.taken, strftime('%Y-%m-%dT%H:%M:%S', f.mtime_ns / 1000000000, 'unixepoch')), 1, ?)"
        asked += [(f"{when} >= ?", (len(only.since), only.since))] if only.since else []
        asked += [(f"{when} <= ?", (len(only.until), only.until))] if only.until else []
        asked += [("max(c.width, c.height) >= ?", (only.least,))] if only.least is not None else []
        asked += [("max(c.width, c.height) <= ?", (only.most,))] if only.most is not None else []
        conditions = "".join(f" AND ({condition})" for condition, _ in asked)
        return conditions, tuple(value for _, values in asked for value in values)

    def images(
        self, model: ModelEntry, rows: Iterable[int] | None = None, only: Only = EVERYTHING
    ) -> dict[int, list[ImageRef]]:
        """The files that show the picture of each row, sorted by path (None: of all rows, in row order).

        With `only`, those of them that meet it.
        """
        condition, values = self._meeting(only)
        chosen = "" if rows is None else " AND v.row IN (SELECT value FROM json_each(?))"
        named = () if rows is None else (json.dumps([int(row) for row in rows]),)
        arguments = (model.id, *named, *values)
        found: dict[int, list[ImageRef]] = {}
        with self._lock, told_plainly(str(self.directory)):
            query = (
                "SELECT v.row, c.sha256, f.path, c.width, c.height, c.taken FROM vectors v"
                " JOIN contents c ON c.id = v.content_id JOIN files f ON f.content_id = c.id"
                f" WHERE v.model_id = ?{chosen}{condition} ORDER BY v.row, f.path"
            )
            for row, sha256, key, width, height, taken in self._db.execute(query, arguments):
                found.setdefault(row, []).append(ImageRef(sha256, self._path(key), width, height, taken))
        return found

    def files(self, start: int, count: int, only: Only = EVERYTHING) -> tuple[int, list[ImageRef]]:
        """How many files there are that meet `only`, and `count` of them, sorted by path, from number `start` on."""
        condition, values = self._meeting(only)
        chosen = f"FROM files f JOIN contents c ON c.id = f.content_id WHERE 1{condition}"
        page = f"SELECT c.sha256, f.path, c.width, c.height, c.taken {chosen} ORDER BY f.path LIMIT ? OFFSET ?"
        with self.snapshot():
            total = int(self._db.execute(f"SELECT count(*) {chosen}", values).fetchone()[0])
            rows = self._db.execute(page, (*values, count, start))
            return total, [ImageRef(sha, self._path(key), w, h, taken) for sha, key, w, h, taken in rows]

    def beginning(self, digits: str) -> list[str]:
        """The hashes of pictures that begin with these hexadecimal digits."""
        with self._lock, told_plainly(str(self.directory)):
            rows = self._db.execute(
                "SELECT sha256 FROM contents WHERE sha256 >= ? AND sha256 < ? ORDER BY sha256", (digits, digits + "g")
            )
            return [sha256 for (sha256,) in rows]

    def showing(self, sha256: str) -> list[ImageRef]:
        """The files with these bytes, sorted by path."""
        query = (
            "SELECT f.path, c.width, c.height, c.taken FROM contents c JOIN files f ON f.content_id = c.id"
            " WHERE c.sha256 = ? ORDER BY f.path"
        )
        with self._lock, told_plainly(str(self.directory)):
            rows = self._db.execute(query, (sha256,))
            return [ImageRef(sha256, self._path(key), w, h, taken) for key, w, h, taken in rows]

    def thumbnail(self, sha256: str) -> bytes | None:
        """The picture as a small JPEG, where one was made."""
        return self._thumbnails.get(sha256)

    def _vector_path(self, model: ModelEntry) -> Path:
        return self.directory / "vectors" / model.file


def check_format(connection: sqlite3.Connection, directory: Path) -> None:
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if not found and not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise NoCollection(f"{directory}: nothing is indexed here yet: run 'lookalike index FOLDER'")
    if found > FORMAT:
        raise CollectionTooNew(
            f"{directory}: made by a newer Lookalike (format {found}, this one reads {FORMAT}):"
            " run 'pip install --upgrade lookalike'"
        )
    if found < 1:
        raise CollectionDamaged(f"{directory / CATALOGUE}: not a Lookalike catalogue: move it away and index again")


def is_own(name: str) -> bool:
    """Whether a file or folder in a collection's directory is part of the collection."""
    return name.startswith((CATALOGUE, THUMBNAILS, FEATURES)) or name in ("vectors", "writer.lock", VOTES, MAPS)
