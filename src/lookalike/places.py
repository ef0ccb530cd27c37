"""Where the user's models lie on this machine, and the small files of ours that lie with them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

HASHES = "hashes.cache"
"""Not called *.json: such a file in this folder is the card of a model of the user's."""


def models_folder() -> Path:
    """Where the user's models and pulled weights lie: $LOOKALIKE_MODELS, or the system's place for such things."""
    return Path(os.environ.get("LOOKALIKE_MODELS") or platformdirs.user_data_path("lookalike") / "models")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, remembered for as long as its size, date and inode stay."""
    key, mark = stamp(path)
    known = read_json(models_folder() / HASHES).get(key)
    if isinstance(known, list) and known[:-1] == mark and isinstance(known[-1], str):
        return known[-1]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if stamp(path) == (key, mark):  # nobody wrote to it meanwhile
        remember({path: digest})
    return digest


def remember(digests: Mapping[Path, str]) -> None:
    """Keep hashes that were just computed. Where the folder may not be written to, they are computed again."""
    place = models_folder() / HASHES
    fresh = {key: [*mark, digest] for path, digest in digests.items() for key, mark in [stamp(path)]}
    kept = {key: value for key, value in read_json(place).items() if os.path.exists(key)}
    with contextlib.suppress(OSError):
        write_atomically(place, json.dumps(kept | fresh, indent=1))


def write_atomically(place: Path, text: str) -> None:
    """Write a small file so that readers see the old one or the new one, never half."""
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(part).replace(place)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def read_json(place: Path) -> dict[str, Any]:
    """A small file of ours that may be missing or damaged: then it is empty."""
    try:
        data = json.loads(place.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def stamp(path: Path) -> tuple[str, list[int]]:
    """A file's real path, and its size, date and inode: another file, or another content, has others."""
    status = path.stat()
    return os.path.realpath(path), [status.st_size, status.st_mtime_ns, status.st_ino]
