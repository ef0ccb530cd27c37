"""What is derived from pictures, kept in a SQLite file of its own: no loss where it is lost."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from lookalike.errors import CollectionDamaged, LookalikeError
from lookalike.store.trouble import Connection, connect, connect_read_only, told_plainly

PATIENCE_MS = 10_000
"""How long a writer waits for another one to finish."""

# A kill loses nothing of a log that was not synced; should the machine itself fail, what was put last may be lost.
_OPEN = "PRAGMA auto_vacuum=FULL; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"


class Derived:
    """A table of rows by the SHA-256 of the picture that each was made of. Threads may share it.

    `schema` makes the table, with a column `sha256`, where there is none; `page` is the bytes of a page of the file.
    """

    def __init__(self, path: Path, table: str, schema: str, page: int = 4096) -> None:
        self.path = path
        self._table = table
        self._schema = f"PRAGMA page_size={page}; {_OPEN} {schema}"
        self._lock = threading.RLock()
        self._reading: Connection | None = None
        self._writing: Connection | None = None

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a query finds: nothing, where the file is lost or damaged."""
        with self._lock:
            try:
                with told_plainly(str(self.path)):
                    self._reading = self._reading or self._kept(connect_read_only(self.path))
                    return self._reading.execute(query, values).fetchall()
            except LookalikeError:
                if self._reading:
                    self._reading.close()
                self._reading = None  # a writer may have made the file anew by the next time
                return []

    def change(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Change rows in one go. A damaged file is begun anew. Raises StorageError."""
        with self._lock:  # of several threads that find it damaged, one begins anew, and the others write to that
            try:
                self._change(statement, rows)
            except CollectionDamaged:
                self._start_anew()
                self._change(statement, rows)

    def offer(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Change rows if that can be done at once, and without harm to anybody; else leave it."""
        with suppress(LookalikeError):
            self._change(statement, rows, patience=0)

    def drop_strangers(self, catalogue: Path) -> None:
        """Drop what the catalogue does not name any more, or never came to name.

        Raises StorageError, and CollectionDamaged where the catalogue is: then nothing is dropped.
        """
        if self.path.exists():
            named = "SELECT 1 FROM catalogue.contents c WHERE c.sha256 = t.sha256"
            stale = f"SELECT t.rowid FROM {self._table} t WHERE NOT EXISTS ({named})"
            try:
                self._change(f"DELETE FROM {self._table} WHERE rowid IN ({stale})", [()], beside=catalogue)
            except CollectionDamaged:
                if self._is_whole():
                    raise
                self._start_anew()

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._lock:
            for connection in (self._reading, self._writing):
                if connection:
                    connection.close()
            self._reading = self._writing = None

    def _change(
        self,
        statement: str,
        rows: Sequence[Sequence[object]],
        beside: Path | None = None,
        patience: int = PATIENCE_MS,
    ) -> None:
        with self._lock, told_plainly(str(self.path)):
            db = self._writing or self._opened(patience)
            db.execute(f"PRAGMA busy_timeout={patience}")
            if beside:
                db.execute("ATTACH ? AS catalogue", (f"{beside.absolute().as_uri()}?mode=ro",))
            db.execute("BEGIN")
            try:
                db.executemany(statement, rows)
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                if beside:
                    db.execute("DETACH catalogue")

    def _opened(self, patience: int) -> Connection:
        db = connect(self.path)
        try:
            db.execute(f"PRAGMA busy_timeout={patience}")
            db.executescript(self._schema)
        except BaseException:
            db.close()
            raise
        self._writing = self._kept(db)
        return db

    def _is_whole(self) -> bool:
        try:
            with told_plainly(str(self.path)), closing(connect_read_only(self.path)) as alone:
                return bool(alone.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
        except CollectionDamaged:
            return False

    def _start_anew(self) -> None:
        self.close()
        with told_plainly(str(self.path)):
            for end in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + end).unlink()

    def _kept(self, connection: Connection) -> Connection:
        weakref.finalize(self, connection.close)
        return connection
