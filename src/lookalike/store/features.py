"""Local features of what a collection holds, in a file of their own: derived, and no loss where it is lost.

Each row says how many keypoints were asked for when it was made: for fewer it is cut, for more it is made again. It
also says which revision of the method made it, so that what has changed is made anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lookalike.errors import LookalikeError
from lookalike.keypoints.features import Features
from lookalike.keypoints.methods import revision
from lookalike.store.derived import Derived
from lookalike.store.packing import pack, packed_bytes, strongest, unpack

FEATURES = "features.sqlite"
MOST_KEYPOINTS = 20_000
MAX_BYTES = 32_000_000
"""Many times what so many keypoints take: anything larger in the file is none of ours, and is not read."""

# The index answers all questions but the one for the features themselves: reading it takes a thousandth of the bytes.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS features (
    method TEXT NOT NULL,      -- name:revision
    sha256 TEXT NOT NULL,
    asked  INTEGER NOT NULL,   -- keypoints, at most
    bytes  INTEGER NOT NULL,
    packed BLOB NOT NULL,
    PRIMARY KEY (method, sha256)
);
CREATE INDEX IF NOT EXISTS features_kept ON features (method, sha256, asked, bytes);
"""
_PUT = "INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?, ?)"
_PAGE = 16384

Wanted = Mapping[str, int]
"""How many keypoints are wanted, by method."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The features of one picture on their way into the file."""

    sha256: str
    method: str
    asked: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one method for so many keypoints: of how many pictures, and in how many bytes."""

    method: str
    keypoints: int
    pictures: int
    bytes: int


class FeatureStore:
    """Local features in a file, by method and by the SHA-256 of the file they were found in. Threads may share it."""

    def __init__(self, path: Path) -> None:
        self._kept = Derived(path, "features", _SCHEMA, _PAGE)

    def get(self, sha256: str, method: str, limit: int) -> Features | None:
        """The `limit` strongest; None where so many were not asked for, or what is kept is lost, damaged or old.

        Raises what `keypoints.methods.revision` does.
        """
        query = (
            "SELECT packed FROM features WHERE method = ? AND sha256 = ? AND asked >= ?"
            " AND typeof(packed) = 'blob' AND length(packed) < ?"
        )
        found = self._kept.rows(query, (_key(method), sha256, limit, MAX_BYTES))
        features = unpack(method, found[0][0]) if found else None
        return features and strongest(features, limit)

    def having(self, hashes: Iterable[str], method: str, limit: int) -> set[str]:
        """Of which of these pictures so many keypoints were asked for. Raises as `get` does."""
        query = (
            "SELECT value FROM json_each(?) WHERE EXISTS"
            " (SELECT 1 FROM features INDEXED BY features_kept WHERE method = ? AND sha256 = value AND asked >= ?)"
        )
        return {sha256 for (sha256,) in self._kept.rows(query, (json.dumps(list(hashes)), _key(method), limit))}

    def lacking(self, sha256: str, wanted: Wanted) -> dict[str, int]:
        """What of a picture is wanted and not kept. Raises as `get` does."""
        return {method: limit for method, limit in wanted.items() if not self.having([sha256], method, limit)}

    def put(self, rows: Iterable[Packed]) -> None:
        """Keep features, also in the place of others. Raises StorageError, and what `get` does."""
        if values := _values(rows):
            self._kept.change(_PUT, values)

    def offer(self, rows: Iterable[Packed]) -> None:
        """Keep features if that can be done at once; else leave it."""
        with suppress(LookalikeError):
            self._kept.offer(_PUT, _values(rows))

    def summary(self) -> list[Kept]:
        """What is kept, by method and number of keypoints, of the present revision or not."""
        query = (
            "SELECT substr(method, 1, instr(method, ':') - 1) AS name, asked, count(*), sum(bytes)"
            " FROM features WHERE typeof(asked) = 'integer' AND typeof(bytes) = 'integer' AND bytes BETWEEN 0 AND ?"
            " GROUP BY name, asked ORDER BY name, asked"
        )
        found = self._kept.rows(query, (MAX_BYTES,))
        return [Kept(str(name), asked, pictures, size) for name, asked, pictures, size in found]

    def estimate(self, method: str, limit: int, width: int) -> int:
        """Bytes that a picture will take, as those that are there say; at first, those of all keypoints.

        `width` is the bytes of a descriptor.
        """
        most = packed_bytes(limit, width)
        known = [kept for kept in self.summary() if kept.method == method]
        if not known:
            return most
        near = min(known, key=lambda kept: abs(kept.keypoints - limit))
        return min(most, round(near.bytes / near.pictures * max(1.0, limit / max(1, near.keypoints))))

    def bound(self, wanted: Wanted) -> None:
        """Cut what is kept of these methods to so many keypoints; 0 drops all of them. Raises StorageError."""
        for method, limit in wanted.items():
            if not self._kept.path.exists():
                return
            if not limit:
                self._kept.change(
                    "DELETE FROM features WHERE substr(method, 1, ?) = ?", [(len(method) + 1, method + ":")]
                )
                continue
            key, query = _key(method), "SELECT sha256 FROM features WHERE method = ? AND asked > ?"
            larger = [sha256 for (sha256,) in self._kept.rows(query, (key, limit))]
            for sha256 in larger:
                features = self.get(sha256, method, limit)
                if features is not None:
                    self.put([Packed(sha256, method, limit, pack(features))])

    def drop_strangers(self, catalogue: Path) -> None:
        """Drop the features of pictures that the catalogue does not name, and those of other revisions.

        See `Derived.drop_strangers`.
        """
        self._kept.drop_strangers(catalogue)
        for (key,) in self._kept.rows("SELECT DISTINCT method FROM features"):
            with suppress(LookalikeError):  # a method that is not on this machine: nobody knows its revision
                if key != _key(str(key).partition(":")[0]):
                    self._kept.change("DELETE FROM features WHERE method = ?", [(key,)])

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        self._kept.close()


def _key(method: str) -> str:
    return f"{method}:{revision(method)}"


def _values(rows: Iterable[Packed]) -> list[tuple[object, ...]]:
    return [(_key(row.method), row.sha256, row.asked, len(row.data), row.data) for row in rows]
