"""Writing a collection.

Order of a commit: local features and thumbnails are put away and vectors appended and fsynced first, then one SQLite
transaction names them. A process killed in between leaves bytes that no row names, so the collection is always what
the last commit said. Features and thumbnails that cannot be kept are left out: they are derived.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import filelock
import numpy as np

from lookalike.errors import CollectionBusy, LookalikeError
from lookalike.store import vectors as vector_file
from lookalike.store.features import FEATURES, Packed, Wanted
from lookalike.store.reader import CATALOGUE, FORMAT, ModelEntry, Reader, check_format
from lookalike.store.thumbnails import THUMBNAILS
from lookalike.store.trouble import Connection, connect, told_plainly
from lookalike.types import ImageFile, ModelCard

log = logging.getLogger("lookalike")

GRACE_SECONDS = 600
"""How long a file of vectors that is used no more stays: readers may still be about to open it."""


class Writer(Reader):
    """The one process that may change a collection: `with Writer.session(directory) as store: ...`."""

    def __init__(self, directory: Path, connection: Connection) -> None:
        super().__init__(directory, connection)
        self._left_out: set[str] = set()

    @classmethod
    @contextmanager
    def session(cls, directory: Path) -> Iterator[Writer]:
        """Open for writing, making the collection where there is none. Only one process at a time.

        Raises CollectionBusy where another one writes, StorageError where the disk is full or read-only.
        """
        with contextlib.ExitStack() as stack:
            with told_plainly(str(directory)):
                (directory / "vectors").mkdir(parents=True, exist_ok=True)
                lock = filelock.FileLock(directory / "writer.lock")
                try:
                    stack.enter_context(lock.acquire(timeout=0))
                except filelock.Timeout as error:
                    raise CollectionBusy(
                        f"{directory}: another process is indexing into it: wait until it has finished"
                    ) from error
                _create(directory / CATALOGUE)
                connection = connect(directory / CATALOGUE)
                store = cls(directory, connection)
                stack.callback(store.close)
                connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;")
                check_format(connection, directory)
                # As in the schema, for collections that are older than these lines of it.
                connection.execute("CREATE INDEX IF NOT EXISTS vectors_of_content ON vectors (content_id)")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS local_features"
                    " (method TEXT PRIMARY KEY, keypoints INTEGER NOT NULL) WITHOUT ROWID"
                )
                store._mend()
            yield store
            store._spare(THUMBNAILS, lambda: store._thumbnails.drop_strangers(directory / CATALOGUE))
            store._spare(FEATURES, lambda: store.features.drop_strangers(directory / CATALOGUE))

    def _mend(self) -> None:
        """Leave behind what an interrupted run left: stray files, and models whose vectors have been lost."""
        models = self.models()
        for model in models:
            if not self.holds(model):
                with self._transaction():
                    self._db.execute("DELETE FROM models WHERE id = ?", (model.id,))
                    self._insert_model(model.name, model.fingerprint, model.card, model.dim)
        named = {model.file for model in self.models()}
        for path in (self.directory / "vectors").glob("*.f16"):
            if path.name not in named and path.stat().st_mtime < time.time() - GRACE_SECONDS:
                path.unlink()

    def _spare(self, file: str, change: Callable[[], None]) -> None:
        """Change a file of what is derived; at the first trouble say so, and go on without it."""
        if file not in self._left_out:
            try:
                change()
            except LookalikeError as error:
                if file in self._left_out:  # another thread has told
                    return
                self._left_out.add(file)
                log.warning(
                    "%s: %s are left out of this run (%s): move the file away if that stays so",
                    self.directory / file,
                    "thumbnails" if file == THUMBNAILS else "local features",
                    error.__cause__ or error,
                )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, told_plainly(str(self.directory)):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def add_folder(self, folder: str) -> None:
        """Remember that `folder` belongs to the collection."""
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO folders VALUES (?)", (self._key(folder),))

    def add_model(self, card: ModelCard, fingerprint: str | None = None) -> bool:
        """Make room for a model's vectors. Those of another revision are dropped: True says that some were."""
        wanted = fingerprint or card.fingerprint
        entry = next((model for model in self.models() if model.name == card.name), None)
        if entry and entry.fingerprint == wanted:
            return False
        with self._transaction():
            self._db.execute("DELETE FROM models WHERE name = ?", (card.name,))
            self._insert_model(card.name, wanted, json.dumps(card.as_json()), card.dim)
        if entry:
            self._discard(entry)
        return bool(entry and entry.rows)

    def _insert_model(self, name: str, fingerprint: str, card: str, dim: int) -> None:
        self._db.execute(
            "INSERT INTO models (name, fingerprint, card, dim, file) VALUES (?, ?, ?, ?, ?)",
            (name, fingerprint, card, dim, _new_file(name, fingerprint)),
        )

    def _discard(self, old: ModelEntry) -> None:
        """A reader may be about to open the file that its snapshot names: a later session removes it."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._vector_path(old))

    def remove_model(self, name: str) -> None:
        """Drop a model and its vectors."""
        for entry in self.models():
            if entry.name == name:
                with self._transaction():
                    self._db.execute("DELETE FROM models WHERE id = ?", (entry.id,))
                self._discard(entry)

    def want_features(self, wanted: Wanted) -> None:
        """Have so many keypoints of every picture kept, by method, from now on; 0 forgets a method and what is kept."""
        with self._transaction():
            for method, limit in wanted.items():
                self._db.execute("DELETE FROM local_features WHERE method = ?", (method,))
                if limit:
                    self._db.execute("INSERT INTO local_features VALUES (?, ?)", (method, limit))
        self._spare(FEATURES, lambda: self.features.bound(wanted))

    @property
    def keeps_features(self) -> bool:
        """Whether features can be kept: not, where that has failed in this session."""
        return FEATURES not in self._left_out

    def keep_features(self, rows: Sequence[Packed]) -> None:
        """Put local features away, before the commit that names their pictures. Threads may call it."""
        self._spare(FEATURES, lambda: self.features.put(rows))

    def commit(self, files: Sequence[ImageFile]) -> None:
        """Make a batch durable: all of it, or, if anything goes wrong, none of it."""
        models = {model.name: model for model in self.models()}
        # Two files with the same bytes may have been embedded at the same time: one row is enough.
        rows = {
            name: {file.sha256: file.vectors[name] for file in files if file.sha256 and name in file.vectors}
            for name in models
        }
        for name, block in rows.items():
            for sha256 in self.rows_of(models[name], block):
                del block[sha256]
        small = {file.sha256: file.thumbnail for file in files if file.sha256 and file.thumbnail}
        self._spare(THUMBNAILS, lambda: self._thumbnails.put(small))
        with told_plainly(str(self.directory)):
            for name, block in rows.items():
                if block:
                    model = models[name]
                    halves = np.stack(list(block.values())).astype(np.float16)
                    vector_file.append(self._vector_path(model), model.rows, model.dim, halves)
        with self._transaction():
            before = self._contents_of(file.path for file in files)
            self._db.executemany(
                "INSERT INTO contents (sha256, width, height, taken) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (sha256) DO NOTHING",
                [(f.sha256, f.width, f.height, f.taken) for f in files if f.sha256 and f.reason is None],
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, (SELECT id FROM contents WHERE sha256 = ?), ?)",
                [(self._key(f.path), f.size, f.mtime_ns, f.sha256, f.reason) for f in files],
            )
            for name, block in rows.items():
                model = models[name]
                self._db.executemany(
                    "INSERT INTO vectors SELECT ?, id, ? FROM contents WHERE sha256 = ?",
                    [(model.id, model.rows + i, sha256) for i, sha256 in enumerate(block)],
                )
                self._db.execute("UPDATE models SET rows = rows + ? WHERE id = ?", (len(block), model.id))
            self._bury(before)

    def forget(self, paths: Iterable[str]) -> None:
        """Drop files, and the pictures that no file shows any more."""
        paths = list(paths)
        with self._transaction():
            before = self._contents_of(paths)
            self._db.executemany("DELETE FROM files WHERE path = ?", [(self._key(path),) for path in paths])
            self._bury(before)
        for model in self.models():
            if len(self.dead_rows(model)) > max(1000, model.rows // 4):
                self._rewrite(model)

    def _contents_of(self, paths: Iterable[str]) -> list[int]:
        """The pictures that these files show now."""
        keys = [self._key(path) for path in paths]
        found: list[int] = []
        for start in range(0, len(keys), 500):  # no more than any SQLite takes at once
            some = keys[start : start + 500]
            query = f"SELECT content_id FROM files WHERE content_id NOTNULL AND path IN ({', '.join('?' * len(some))})"
            found += [id_ for (id_,) in self._db.execute(query, some)]
        return found

    def _bury(self, contents: Sequence[int]) -> None:
        """Drop those of `contents` that no file shows any more."""
        if not contents:
            return
        orphans = "SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM files WHERE content_id = value)"
        which = (json.dumps(sorted(set(contents))),)
        self._db.execute(f"INSERT INTO dead SELECT model_id, row FROM vectors WHERE content_id IN ({orphans})", which)
        self._db.execute(f"DELETE FROM vectors WHERE content_id IN ({orphans})", which)
        self._db.execute(f"DELETE FROM contents WHERE id IN ({orphans})", which)

    def _rewrite(self, model: ModelEntry) -> None:
        """Write the living rows into a new file. Readers keep the old one until they open the next snapshot."""
        living = [
            (row, content)
            for row, content in self._db.execute(
                "SELECT row, content_id FROM vectors WHERE model_id = ? ORDER BY row", (model.id,)
            )
        ]
        old = self.vectors(model)
        file = _new_file(model.name, model.fingerprint)
        with told_plainly(str(self.directory)):
            done = 0
            for start in range(0, len(living), 65536):
                block = old[[row for row, _ in living[start : start + 65536]]]
                vector_file.append(self.directory / "vectors" / file, done, model.dim, block)
                done += len(block)
        with self._transaction():
            self._db.execute("DELETE FROM vectors WHERE model_id = ?", (model.id,))
            self._db.execute("DELETE FROM dead WHERE model_id = ?", (model.id,))
            self._db.executemany(
                "INSERT INTO vectors VALUES (?, ?, ?)",
                [(model.id, content, row) for row, (_, content) in enumerate(living)],
            )
            self._db.execute("UPDATE models SET rows = ?, file = ? WHERE id = ?", (len(living), file, model.id))
        self._discard(model)


def _new_file(name: str, fingerprint: str) -> str:
    """A name that no generation of any model's vectors has had."""
    plain = re.sub(r"[^\w.+-]+", "_", os.path.basename(name), flags=re.ASCII)[:60]
    return f"{plain}-{fingerprint}-{os.urandom(4).hex()}.f16"


def _create(catalogue: Path) -> None:
    """Make the catalogue where there is none: all of it under another name first, so that it is never half there."""
    if catalogue.exists() and catalogue.stat().st_size:
        return
    part = catalogue.with_suffix(".part")
    part.unlink(missing_ok=True)
    try:
        schema = resources.files("lookalike.store").joinpath("schema.sql").read_text(encoding="utf-8")
        with contextlib.closing(connect(part)) as connection:
            connection.executescript(f"BEGIN; {schema} PRAGMA user_version={FORMAT}; COMMIT;")
        part.replace(catalogue)
        vector_file.sync_folder(catalogue.parent)
    finally:
        part.unlink(missing_ok=True)
