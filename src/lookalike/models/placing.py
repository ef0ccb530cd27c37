"""Where pulled weights are put: beside their place while they are not whole, then there in one step, and locked."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from lookalike.errors import ModelUnavailable, StorageError
from lookalike.models import weights
from lookalike.models.weights import Lock
from lookalike.types import ModelCard

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def is_held(path: Path, lock: Lock | None) -> bool:
    """Whether what is here is what the lock says; without one, all is well."""
    try:
        return lock is None or all(
            weights.sha256(path / name if path.is_dir() else path) == digest for name, digest in lock.files.items()
        )
    except OSError:
        return False


@contextlib.contextmanager
def place(card: ModelCard, target: Path) -> Iterator[Path]:
    """Where to gather what will be `target`, for one process at a time.

    What is there afterwards stays for a later pull to go on with, but not where the disk was full. Raises
    StorageError for all that is wrong with the disk.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        with _alone(target.name, timeout=0):
            if target.exists() and target.name not in {lock.path for lock in weights.locks().values()}:
                raise ModelUnavailable(
                    f"{target} was not put there by 'lookalike models pull', which does not replace it: move it away"
                )
            yield part
    except Timeout as error:
        raise ModelUnavailable(f"{card.name!r} is being pulled by another process: wait for that one") from error
    except OSError as error:
        if error.errno in _FULL:
            discard(part)
            raise _no_room(target.parent) from error
        raise StorageError(
            f"{error.filename or target.parent}: {error.strerror or error}:"
            " point LOOKALIKE_MODELS to a folder that can be written to"
        ) from error


def refuse_without_room(place: Path, size: int) -> None:
    """Raise OSError before so many bytes are written where they do not fit."""
    if shutil.disk_usage(place.parent).free < size:
        raise OSError(errno.ENOSPC, "No space left on device", str(place))


def settle(source: str, part: Path, target: Path, lock: Lock) -> None:
    """Give what was gathered its final name, instead of what bore it, and record it."""
    with _alone(weights.LOCKS, timeout=30):
        others = {of: held for of, held in weights.locks().items() if held.path != lock.path}
        write_locks({**others, source: lock})
    old = target.with_name(f".{target.name}.old")
    discard(old)
    if target.exists():
        target.rename(old)
    part.rename(target)
    discard(old)
    weights.remember({(target / name if target.is_dir() else target): digest for name, digest in lock.files.items()})


def write_locks(held: Mapping[str, Lock]) -> None:
    """Replace the lock file."""
    sources = {
        source: {"path": lock.path, "commit": lock.commit, "files": dict(sorted(lock.files.items()))}
        for source, lock in sorted(held.items())
    }
    text = json.dumps({"format": 1, "sources": sources}, indent=2) + "\n"
    weights.write_atomically(weights.models_folder() / weights.LOCKS, text)


def discard(part: Path) -> None:
    """Remove a file or folder, and what belongs to it."""
    for path in part.parent.glob(f"{part.name}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()


def _alone(name: str, timeout: float) -> FileLock:
    folder = weights.models_folder() / ".locks"  # what locks leave behind, for removing it is a race
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / name, timeout=timeout)


def _no_room(folder: Path) -> StorageError:
    return StorageError(
        f"{folder}: no space is left on the disk: free some, or point LOOKALIKE_MODELS to another disk, and run the"
        " same command again (what had come was removed)"
    )
