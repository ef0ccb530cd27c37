"""Compiling: a network is made anew as ONNX, held against the original on pictures, measured, and kept if it passes."""

from __future__ import annotations

import contextlib
import errno
import importlib
import importlib.util
import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lookalike import images
from lookalike.errors import LookalikeError, ModelUnavailable, UnreadableImage, UsageError
from lookalike.models import compiled
from lookalike.models.compiled import INT8, PICTURES, Compiled, precision
from lookalike.models.drawn import drawn
from lookalike.types import Backbone, ModelCard, Picture, TextBackbone, Vectors

log = logging.getLogger("lookalike")

LEAST_COSINE = {"fp32": 0.9999, INT8: 0.995}
"""What is further from the original on any picture is refused."""

PHOTOS = 32
PATIENCE = 8.0
"""Seconds that the original may take for its share of the check: a very large network is checked on fewer pictures."""

NEEDED = ("onnx", "onnxscript")


@runtime_checkable
class Exportable(Protocol):
    """A backbone that can write itself as ONNX: `compiled.PICTURES`, and what goes with it, into a folder."""

    def export(self, folder: Path) -> None: ...


def load(card: ModelCard, original: Callable[[], Backbone], photos: Sequence[str] = ()) -> Backbone:
    """The network as it is best run here: compiled, which is done first where it has not been.

    Args:
        original: loads what it is made of: the network itself, or for 8 bits the compiled network in 32.
        photos: paths; what is compiled now is checked on some of them.

    Where it cannot be compiled, the original is run, and the log says why. Raises ModelUnavailable where 8 bits were
    asked for and cannot be had.
    """
    try:
        found = ready(card)
        if found is None:
            log.warning("%s: compiling it for this machine, once (it takes some seconds) ...", card.name)
            found = compile_network(card, original(), photos)
            log.warning("%s: %s", card.name, compiled.summary(found))
        return opened(card, found, original)
    except (ModelUnavailable, OSError) as error:
        if precision(card) == INT8:
            raise error if isinstance(error, ModelUnavailable) else _no_room(card, error) from error
        why = error if isinstance(error, ModelUnavailable) else _no_room(card, error)
        log.warning("%s: it runs uncompiled, which is slower: %s", card.name, why)
        return original()


def ready(card: ModelCard) -> Compiled | None:
    """The compiled network if it is here and whole; where it is not, but something is there, the log says so."""
    if problem := compiled.trouble(card):
        log.warning("%s: what was compiled of it %s: it is made anew", card.name, problem)
        return None
    return compiled.find(card)


def opened(card: ModelCard, found: Compiled, original: Callable[[], Backbone]) -> Backbone:
    """The compiled network. Raises ModelUnavailable where this machine's ONNX Runtime cannot run it."""
    from lookalike.models.backbones.compiled import CompiledBackbone, CompiledWordsBackbone

    def words() -> TextBackbone:
        backbone = original()
        assert isinstance(backbone, TextBackbone)  # noqa: S101 - the card says so
        return backbone

    return CompiledWordsBackbone(card, found, words) if card.texts else CompiledBackbone(card, found)


def compile_network(card: ModelCard, original: Backbone, photos: Sequence[str] = ()) -> Compiled:
    """Compile, check and keep a network.

    Args:
        card: of the network to be made; its `precision` says how.
        original: the network that it is made of and held against: for 8 bits a `CompiledBackbone` in 32.
        photos: paths of pictures to check it on, beside drawn ones.

    Raises:
        ModelUnavailable: it cannot be exported or quantised, or what comes of it is not near enough.
        OSError: there is no room for it.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelUnavailable(f"compiling needs {' and '.join(missing)}: pip install 'lookalike[torch]'")
    began = time.perf_counter()
    with compiled.alone():
        _refuse_full_disk(card, original)
        with compiled.placing(card) as folder:
            try:
                _made(card, original, folder)
            except (LookalikeError, OSError):
                raise
            except Exception as error:  # exporters raise whatever their passes do
                line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
                raise ModelUnavailable(f"model {card.name!r} cannot be compiled: {line}") from error
            facts = _measured(card, original, Compiled(folder, {"files": {}}), photos)
            compiled.describe(folder, _about(card) | facts | {"seconds": round(time.perf_counter() - began, 1)})
    found = compiled.find(card)
    if found is None:
        raise ModelUnavailable(f"{compiled.home(card)}: what was just written there is gone: compile again")
    return found


def _made(card: ModelCard, original: Backbone, folder: Path) -> None:
    if precision(card) == INT8:
        base = _folder_of(original)
        quantising = importlib.import_module("lookalike.models.backbones.quantising")
        try:
            quantising.quantise(base / PICTURES, folder / PICTURES, drawn(card.input.size))
        except UsageError as error:
            raise ModelUnavailable(f"model {card.name!r}: {str(error).removeprefix(f'{base / PICTURES}: ')}") from error
        for name in (compiled.WORDS, f"{compiled.WORDS}.data", compiled.TOKENIZER):
            if (base / name).exists():
                _linked(base / name, folder / name)
    elif isinstance(original, Exportable):
        original.export(folder)
    else:
        raise ModelUnavailable(f"model {card.name!r} has nothing to compile: only networks have")


def _folder_of(original: Backbone) -> Path:
    found = compiled.find(original.card)
    if found is None:
        raise ModelUnavailable(f"model {original.card.name!r} is not compiled in fp32, so it cannot be in int8")
    return found.folder


def _linked(source: Path, target: Path) -> None:
    """The same file under another name, where the file system knows such a thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _measured(card: ModelCard, original: Backbone, made: Compiled, photos: Sequence[str]) -> dict[str, Any]:
    """Deviation from the original, overlap of the neighbours, and speed. Raises ModelUnavailable beyond the limit."""
    from lookalike.models.backbones.compiled import CompiledBackbone
    from lookalike.models.backbones.onnx import OnnxBackbone

    backbone = CompiledBackbone(card, made)
    for each in (backbone, original):
        if isinstance(each, OnnxBackbone):
            each.tune(workers=1, batch=1)
    shown, taken = _sample(card, original, photos)
    wanted, wanted_seconds = _one_by_one(original, shown)
    found, found_seconds = _one_by_one(backbone, shown)
    cosines = (wanted * found).sum(axis=1)
    least, limit = float(cosines.min()), LEAST_COSINE[precision(card)]
    facts = {
        "cosine_least": round(least, 7),
        "cosine_mean": round(float(cosines.mean()), 7),
        "photos": taken,
        "drawn": len(shown) - taken,
        "cpu_ms": round(found_seconds * 1e3, 2),
        "speedup": round(wanted_seconds / max(found_seconds, 1e-9), 3),
    }
    if taken > 4:
        k = min(10, taken // 2)
        facts |= {"neighbours": k, "overlap": round(_overlap(wanted[:taken], found[:taken], k), 4)}
    if not least >= limit:
        raise ModelUnavailable(
            f"model {card.name!r} in {precision(card)} strays too far from the original: cosine {least:.4f} on one of"
            f" {len(shown)} pictures (mean {cosines.mean():.4f}), {limit} is the least: use it uncompiled"
            + (f" or in fp32: --model {card.name.removesuffix('@int8')}" if precision(card) == INT8 else "")
        )
    return facts


def _sample(card: ModelCard, original: Backbone, photos: Sequence[str]) -> tuple[list[Picture], int]:
    """Pictures to check on, photos first, and how many of them are photos."""
    simple = [images.read(array) for array in drawn(card.input.size)]
    original.embed(simple[:1])  # the first is always slow
    began = time.perf_counter()
    original.embed(simple[:1])
    most = int(max(4, min(PHOTOS, PATIENCE / (time.perf_counter() - began))))
    step = max(1, len(photos) // most)
    shown: list[Picture] = []
    for path in photos[::step][:most]:
        with contextlib.suppress(UnreadableImage):
            shown.append(images.read(path, side=card.input.read_side))
    return shown + simple[:most], len(shown)


def _one_by_one(backbone: Backbone, pictures: Sequence[Picture]) -> tuple[Vectors, float]:
    """Each by itself: the vectors, and the CPU-seconds that a picture takes at the median."""
    backbone.embed(pictures[:1])
    rows, seconds = [], []
    for picture in pictures:
        began = time.process_time()
        rows.append(backbone.embed([picture]))
        seconds.append(time.process_time() - began)
    return np.concatenate(rows), float(np.median(seconds))


def _overlap(a: Vectors, b: Vectors, k: int) -> float:
    """Of the k nearest others of each row, the share that is the same in both."""
    nearest = []
    for vectors in (a, b):
        likeness = vectors @ vectors.T
        np.fill_diagonal(likeness, -np.inf)
        nearest.append(np.argsort(-likeness, axis=1, kind="stable")[:, :k])
    shared = [len(set(x) & set(y)) for x, y in zip(*(rows.tolist() for rows in nearest), strict=True)]
    return sum(shared) / (k * len(a))


def _about(card: ModelCard) -> dict[str, Any]:
    packages = ("lookalike", "onnxruntime", "onnx", "torch", "transformers")
    made_with = {}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            made_with[name] = metadata.version(name)
    return {
        "model": card.name,
        "fingerprint": card.fingerprint,
        "precision": precision(card),
        "made_with": made_with,
    }


def _refuse_full_disk(card: ModelCard, original: Backbone) -> None:
    """Before anything is written: a disk that runs full in the middle is trouble for everybody on it."""
    source = compiled.find(original.card)
    place = source.folder if source else Path(original.card.path or "")
    need = sum(file.stat().st_size for file in ([place] if place.is_file() else place.glob("*")) if file.is_file())
    if shutil.disk_usage(compiled.home(card).parent).free < need + (64 << 20):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _no_room(card: ModelCard, error: OSError) -> ModelUnavailable:
    place = compiled.home(card).parent
    why = (error.strerror or str(error)).lower()
    return ModelUnavailable(f"what is compiled cannot be kept in {place} ({why}): make room, or set LOOKALIKE_MODELS")
