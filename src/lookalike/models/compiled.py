"""Compiled networks on this machine: where they lie, whether they are whole, and what was measured of them.

A network is compiled once, from its weights to ONNX, and is run from there ever after: PyTorch takes seconds to
start, and is slower on a CPU. What is here is derived: it may be deleted at any time, and is made anew.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lookalike.models.weights import models_folder, remember, sha256
from lookalike.types import ModelCard

FORMAT = 1
"""Goes up when compiling comes to make other files: those of before are then made anew."""

PICTURES, WORDS, TOKENIZER, RECORD = "pictures.onnx", "words.onnx", "tokenizer.json", "record.json"

INT8 = "int8"
INT8_REVISION = "int8.1"
"""Changes whenever the numbers of 8-bit networks do."""


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
    """The same network in 8 bits: another model, of another fingerprint."""
    return replace(
        card,
        name=f"{card.name}@{INT8}",
        summary=f"{card.summary} (in 8 bits)",
        options={**card.options, "precision": INT8_REVISION},
    )


def in_fp32(card: ModelCard) -> ModelCard:
    """What `in_int8` was made of, but for its summary."""
    options = {key: value for key, value in card.options.items() if key != "precision"}
    return replace(card, name=card.name.removesuffix(f"@{INT8}"), options=options)


def home(card: ModelCard) -> Path:
    """Where the compiled network of a card is, or would be. Its fingerprint is in the name: others are never taken."""
    plain = re.sub(r"[^\w.+-]+", "_", os.path.basename(card.name), flags=re.ASCII)[:60]
    return models_folder() / "compiled" / f"{plain}-{card.fingerprint}"


def find(card: ModelCard) -> Compiled | None:
    """The compiled network, if it is there and its files have the sizes that they should have."""
    folder = home(card)
    try:
        record = json.loads((folder / RECORD).read_bytes())
        if record["format"] == FORMAT and all(
            (folder / name).stat().st_size == file["size"] for name, file in record["files"].items()
        ):
            return Compiled(folder, record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def trouble(card: ModelCard) -> str | None:
    """Why what is there cannot be used, as the end of a sentence; None where it can, or where nothing is there."""
    folder = home(card)
    if not folder.exists():
        return None
    found = find(card)
    if found is None:
        return "is damaged or of another version"
    try:
        whole = all(sha256(folder / name) == file["sha256"] for name, file in found.record["files"].items())
    except OSError:
        whole = False
    return None if whole else "is damaged"


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
        if place.exists():
            place.replace(part.with_name(part.name.replace(".part-", ".old-")))  # the next one clears it away
        part.replace(place)
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
    with filelock.FileLock(folder / ".lock"):
        for leftover in (*folder.glob(".part-*"), *folder.glob(".old-*")):  # of one that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        yield


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
    return (
        f"compiled ({facts['precision']}) in {facts['seconds']:.0f} s, {size:.0f} MB:"
        f" cosine to the original {facts['cosine_mean']:.6f}, at least {facts['cosine_least']:.6f}"
        f" ({facts['photos']} photos, {facts['drawn']} drawn pictures){overlap};"
        f" {facts['speedup']:.2f} times as fast ({facts['cpu_ms']:.1f} CPU-ms a picture)"
    )
