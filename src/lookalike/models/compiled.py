"""Compiled networks on this machine: where they lie, whether they are whole, and what was measured of them.

A network is compiled once, from its weights to ONNX, and is run from there ever after: PyTorch takes seconds to
start, and is slower on a CPU. What is here is derived: it may be deleted at any time, and is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from lookalike.models import aspects
from lookalike.models.weights import models_folder, remember, sha256
from lookalike.types import ModelCard

FORMAT = 1
"""Goes up when compiling comes to make other files: those of before are then made anew."""

PICTURES, WORDS, TOKENIZER, RECORD = "pictures.onnx", "words.onnx", "tokenizer.json", "record.json"

MEASURED = ("seconds", "cosine_mean", "cosine_least", "photos", "drawn", "speedup", "cpu_ms")
"""What every record has, as numbers."""

INT8 = "int8"
INT8_REVISION = "int8.1"
"""Changes whenever the numbers of 8-bit networks do."""

PHOTOS = 32
"""Photos that a freshly compiled network is checked on."""

NOTHING = "has nothing to compile: only networks have"


@dataclass(frozen=True, slots=True)
class Compiled:
    """The folder of a compiled network. `record` says what it was made of, and what was measured of it."""

    folder: Path
    record: Mapping[str, Any]

    @property
    def reads_words(self) -> bool:
        return WORDS in self.record["files"] and TOKENIZER in self.record["files"]


def precision(card: ModelCard) -> str:
    """ "fp32" or "int8"."""
    return INT8 if "precision" in card.options else "fp32"


def in_int8(card: ModelCard) -> ModelCard:
    """The same network in 8 bits: another model.

    Which numbers an 8-bit network has follows from measurements, so what was compiled here is part of its revision.
    """
    eight = replace(
        card,
        name=f"{card.name}@{INT8}",
        summary=f"{card.summary} (in 8 bits)",
        options={**card.options, "precision": INT8_REVISION},
    )
    found = find(eight)
    return replace(eight, revision=f"{card.revision}+{INT8}:{_identity(found)[:16]}") if found else eight


def in_fp32(card: ModelCard) -> ModelCard:
    """What `in_int8` was made of, but for its summary; a card of 32 bits is its own."""
    if precision(card) != INT8:
        return card
    options = {key: value for key, value in card.options.items() if key != "precision"}
    revision = card.revision.partition(f"+{INT8}:")[0]
    return replace(card, name=card.name.removesuffix(f"@{INT8}"), options=options, revision=revision)


def network(card: ModelCard) -> ModelCard:
    """The card that a compiled network goes by: in 32 bits, and however pictures come to their size before it."""
    return aspects.in_own(in_fp32(card))


def home(card: ModelCard) -> Path:
    """Where the compiled network of a card is, or would be. The fingerprint is in the name: others are never taken."""
    base = network(card)
    plain = re.sub(r"[^\w.+-]+", "_", os.path.basename(base.name), flags=re.ASCII)[:60]
    ending = f"-{INT8}" if precision(card) == INT8 else ""
    return models_folder() / "compiled" / f"{plain}-{base.fingerprint}{ending}"


def find(card: ModelCard) -> Compiled | None:
    """The compiled network, if it is there and its files have the sizes that they should have."""
    folder = home(card)
    record = _record(card)
    try:
        if record and all((folder / name).stat().st_size == file["size"] for name, file in record["files"].items()):
            found = Compiled(folder, record)
            mark = card.revision.partition(f"+{INT8}:")[2]
            return found if _identity(found).startswith(mark) else None
    except OSError:
        pass
    return None


def trouble(card: ModelCard) -> str | None:
    """Why what is there cannot be used, as the end of a sentence; None where it can, or where nothing is there."""
    folder = home(card)
    if not folder.exists() or refusal(card):
        return None
    found = find(card)
    if found is None:
        return "is damaged or of another version"
    try:
        whole = all(sha256(folder / name) == file["sha256"] for name, file in found.record["files"].items())
    except OSError:
        whole = False
    return None if whole else "is damaged"


def refusal(card: ModelCard) -> str | None:
    """Why the network cannot be compiled here, where that was found out before with the same libraries."""
    try:
        record = json.loads((home(card) / RECORD).read_bytes())
        reason = str(record["refused"])
        if record["format"] == FORMAT and record["made_with"] == made_with():
            return reason
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def made_with() -> dict[str, str]:
    """The versions of what takes part in compiling."""
    found = {}
    for name in ("lookalike", "onnxruntime", "onnx", "torch", "transformers"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _record(card: ModelCard) -> dict[str, Any] | None:
    """The record of what is there; None where there is none, or none that can be believed."""
    try:
        record = json.loads((home(card) / RECORD).read_bytes())
        files = record["files"]
        told = (record["format"], record["base"], record["precision"])
        whole = (
            told == (FORMAT, network(card).fingerprint, precision(card))
            and PICTURES in files
            and all(name == os.path.basename(name) and name not in ("", os.curdir, os.pardir) for name in files)
            and all(isinstance(file["size"], int) and isinstance(file["sha256"], str) for file in files.values())
            and all(isinstance(record[name], (int, float)) for name in MEASURED)
        )
        return record if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _identity(found: Compiled) -> str:
    """A hash of the network that sees."""
    hashes = [file["sha256"] for name, file in sorted(found.record["files"].items()) if name.startswith(PICTURES)]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


@contextmanager
def placing(card: ModelCard) -> Iterator[Path]:
    """A new folder to compile into. At the end it takes its place, whole or not at all.

    The caller writes the files, and their record by `describe`. Raises OSError where there is no room.
    """
    place = home(card)
    place.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=place.parent, prefix=".part-"))
    try:
        yield part
        for path in (*part.iterdir(), part):  # a name must never outlive, in a power cut, what it names
            _sync(path)
        if place.exists():
            place.replace(part.with_name(part.name.replace(".part-", ".old-")))
        part.replace(place)
        shutil.rmtree(part.with_name(part.name.replace(".part-", ".old-")), ignore_errors=True)
        files = json.loads((place / RECORD).read_bytes())["files"]
        remember({place / name: file["sha256"] for name, file in files.items()})
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def alone() -> Iterator[None]:
    """Only one process compiles at a time: the others wait, and may then find it done."""
    import filelock  # here, for a search never comes here, and is to start at once

    folder = models_folder() / "compiled"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock", is_singleton=True):  # 8 bits are compiled from 32, within the same turn
        for leftover in (*folder.glob(".part-*"), *folder.glob(".old-*")):  # of one that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        yield


def _sync(path: Path) -> None:
    if os.name == "nt":  # where neither a folder nor a file that is only read can be synced
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def describe(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the record of a folder's files, with what else is known."""
    files = {
        path.name: {"size": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.iterdir())
        if path.name != RECORD
    }
    record = {"format": FORMAT, **facts, "files": files}
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def summary(found: Compiled) -> str:
    """What was measured, in one line."""
    facts = found.record
    size = sum(file["size"] for file in facts["files"].values()) / 1e6
    overlap = f", the same {facts['neighbours']} neighbours for {facts['overlap']:.1%}" if "overlap" in facts else ""
    photos = f"{facts['photos']} photo{'s' if facts['photos'] != 1 else ''}"
    against = "fp32" if facts["precision"] == INT8 else "the original"
    return (
        f"{facts['precision']}, {size:.0f} MB, made in {facts['seconds']:.0f} s:"
        f" cosine to {against} {facts['cosine_mean']:.6f}, at least {facts['cosine_least']:.6f}"
        f" ({photos}, {facts['drawn']} drawn pictures){overlap};"
        f" {facts['speedup']:.2f} times as fast as {against} on one thread ({facts['cpu_ms']:.1f} ms a picture)"
    )


def usage() -> tuple[int, int]:
    """How many compiled networks are here, and how many bytes they take."""
    folders = [path for path in (models_folder() / "compiled").glob("*-*") if path.is_dir()]
    sizes = {(s.st_dev, s.st_ino): s.st_size for folder in folders for path in folder.iterdir() for s in [path.stat()]}
    return len(folders), sum(sizes.values())
