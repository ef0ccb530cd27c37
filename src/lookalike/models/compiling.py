"""Compiling: a network is made anew as ONNX, held against the original on pictures, measured, and kept if it passes."""

from __future__ import annotations

import contextlib
import errno
import importlib
import importlib.util
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lookalike import images
from lookalike.errors import LookalikeError, ModelUnavailable, UnreadableImage, UsageError
from lookalike.models import compiled
from lookalike.models.compiled import INT8, PHOTOS, PICTURES, Compiled, precision
from lookalike.models.drawn import drawn
from lookalike.models.weights import FILES
from lookalike.types import Backbone, ModelCard, Picture, TextBackbone, Vectors

log = logging.getLogger("lookalike")

LEAST_COSINE = {"fp32": 0.9999, INT8: 0.995}
"""What is further from the original on any picture is refused."""

PATIENCE = 8.0
"""Seconds that the original may take for its share of the check: a very large network is checked on fewer pictures."""

NEEDED = ("onnx", "onnxscript")

TEXTS = ("a cat", "two dogs on a beach at night", "Ein Café in Århus, 東京の夜", "a very long story " * 30)
"""What networks that read are checked on."""


Loads = Callable[[], Backbone]


@runtime_checkable
class Exportable(Protocol):
    """A backbone that can write itself as ONNX: `compiled.PICTURES`, and what goes with it, into a folder."""

    def export(self, folder: Path) -> None: ...


def load(card: ModelCard, original: Loads, source: Loads, photos: Sequence[str] = ()) -> Backbone:
    """The network as it is best run here: compiled, which is done first where it has not been.

    Args:
        original: loads the network uncompiled, to be run where it cannot be compiled.
        source: loads what it is compiled from.
        photos: paths; what is compiled now is checked on some of them.

    Where it cannot be compiled, the original is run, and the log says why. Raises ModelUnavailable where 8 bits were
    asked for and cannot be had.
    """
    eight = precision(card) == INT8
    try:
        found = ready(card)
        if found is None and (reason := compiled.refusal(card)):
            raise ModelUnavailable(reason)
        if found is None:
            found = compile_network(card, source, photos)
            log.warning("%s: compiled: %s", card.name, compiled.summary(found))
        return opened(card, found, original)
    except ModelUnavailable as error:
        if eight:
            raise
        backbone = original()  # if this fails, that is what is wrong
        log.warning("%s: it runs uncompiled, which is slower: %s", card.name, error)
        return backbone


def ready(card: ModelCard) -> Compiled | None:
    """The compiled network if it is here and whole; where it is not, but something is there, the log says so."""
    if problem := compiled.trouble(card):
        log.warning("%s: what was compiled of it %s: it is made anew", card.name, problem)
        return None
    return compiled.find(card)


def opened(card: ModelCard, found: Compiled, original: Loads) -> Backbone:
    """The compiled network. Raises ModelUnavailable where this machine's ONNX Runtime cannot run it."""
    from lookalike.models.backbones.compiled import CompiledBackbone, CompiledWordsBackbone

    def words() -> TextBackbone:
        backbone = original()
        assert isinstance(backbone, TextBackbone)  # noqa: S101 - the card says so
        return backbone

    return CompiledWordsBackbone(card, found, words) if card.texts else CompiledBackbone(card, found)


def compile_network(card: ModelCard, source: Loads, photos: Sequence[str] = (), *, again: bool = False) -> Compiled:
    """Compile, check and keep a network.

    Args:
        card: of the network to be made; its `precision` says how.
        source: loads the network that it is made of and held against: for 8 bits the compiled one in 32.
        photos: paths of pictures to check it on, beside drawn ones.
        again: even if it was compiled before.

    Raises:
        ModelUnavailable: it cannot be exported or quantised, what comes of it is not near enough, or there is no room.
            Then nothing of it is kept, but why, so that it is not tried at every start.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelUnavailable(f"compiling needs {' and '.join(missing)}: pip install 'lookalike[torch]'")
    try:
        with compiled.alone():
            if not again and (found := ready(card)):  # another process has been here meanwhile
                return found
            return _compile(card, source(), photos)
    except OSError as error:
        place = compiled.home(card).parent
        why = (error.strerror or str(error)).lower()
        raise ModelUnavailable(
            f"model {card.name!r}: what is compiled cannot be kept in {place} ({why}):"
            " make room, or set LOOKALIKE_MODELS"
        ) from error


def _compile(card: ModelCard, original: Backbone, photos: Sequence[str]) -> Compiled:
    began = time.perf_counter()
    log.warning("%s: compiling it for this machine, once (half a minute, more where it is large) ...", card.name)
    _refuse_full_disk(card, original)
    about = {
        "model": card.name,
        "base": compiled.network(card).fingerprint,
        "precision": precision(card),
        "made_with": compiled.made_with(),
    }
    with compiled.placing(card) as folder:
        try:
            _made(card, original, folder)
            facts = _measured(card, original, Compiled(folder, {"files": {}}), photos)
        except ModelUnavailable as error:
            for path in folder.iterdir():
                path.unlink()
            compiled.describe(folder, about | {"refused": str(error)})
        else:
            compiled.describe(folder, about | facts | {"seconds": round(time.perf_counter() - began, 1)})
    now = card if precision(card) != INT8 else compiled.in_int8(compiled.in_fp32(card))  # of 8 bits, named anew
    found = compiled.find(now)
    if found is None:
        raise ModelUnavailable(compiled.refusal(card) or f"{compiled.home(card)}: is gone already: compile again")
    return found


def _made(card: ModelCard, original: Backbone, folder: Path) -> None:
    try:
        if precision(card) == INT8:
            _quantise(card, _folder_of(original), folder)
        elif isinstance(original, Exportable):
            original.export(folder)
        else:
            raise ModelUnavailable(f"model {card.name!r} {compiled.NOTHING}")
    except (LookalikeError, OSError):
        raise
    except Exception as error:  # exporters raise whatever their passes do
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelUnavailable(f"model {card.name!r} cannot be compiled: {line}") from error


def _quantise(card: ModelCard, base: Path, folder: Path) -> None:
    quantising = importlib.import_module("lookalike.models.backbones.quantising")
    try:
        quantising.quantise(base / PICTURES, folder / PICTURES, drawn(card.input.size))
    except UsageError as error:
        raise ModelUnavailable(f"model {card.name!r}: {str(error).removeprefix(f'{base / PICTURES}: ')}") from error
    for name in (compiled.WORDS, f"{compiled.WORDS}.data", compiled.TOKENIZER):
        if (base / name).exists():
            _linked(base / name, folder / name)


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
    from lookalike.models.backbones.compiled import CompiledBackbone, read_with
    from lookalike.models.backbones.onnx import OnnxBackbone

    backbone = CompiledBackbone(card, made)
    for each in (backbone, original):
        if isinstance(each, OnnxBackbone):
            each.tune(workers=1, batch=1)
    with _pytorch_on_one_thread():
        shown, taken = _sample(card, original, photos)
        (wanted, wanted_seconds), (found, found_seconds) = _side_by_side((original, backbone), shown)
    if precision(card) != INT8 and (made.folder / compiled.WORDS).exists() and isinstance(original, TextBackbone):
        wanted_words, found_words = original.embed_texts(TEXTS), read_with(card, made)(TEXTS)
        wanted, found = np.concatenate([wanted, wanted_words]), np.concatenate([found, found_words])
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
            f" {len(cosines)} pictures and texts (mean {cosines.mean():.4f}), {limit} is the least: use it uncompiled"
            + (f" or in fp32: --model {card.name.removesuffix('@int8')}" if precision(card) == INT8 else "")
        )
    return facts


def _sample(card: ModelCard, original: Backbone, photos: Sequence[str]) -> tuple[list[Picture], int]:
    """Pictures to check on, photos first, and how many of them are photos."""
    simple = [images.read(array) for array in drawn(card.input.size)]
    original.embed(simple[:1])  # the first is always slow
    began = time.perf_counter()
    original.embed(simple[:1])
    most = int(max(8, min(PHOTOS, PATIENCE / (time.perf_counter() - began))))
    step = max(1, len(photos) // most)
    shown: list[Picture] = []
    for path in photos[::step][:most]:
        with contextlib.suppress(UnreadableImage):
            shown.append(images.read(path, side=card.input.read_side))
    return shown + simple[:most], len(shown)


@contextlib.contextmanager
def _pytorch_on_one_thread() -> Iterator[None]:
    """Like the compiled network beside it: threads that wait for each other use up time, too."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    try:
        if torch:
            torch.set_num_threads(1)
        yield
    finally:
        if torch:
            torch.set_num_threads(before)


def _side_by_side(backbones: Sequence[Backbone], pictures: Sequence[Picture]) -> list[tuple[Vectors, float]]:
    """Each picture by each in turn: the vectors, and the CPU-seconds that a picture takes at the median."""
    rows: list[list[Vectors]] = [[] for _ in backbones]
    seconds: list[list[float]] = [[] for _ in backbones]
    for backbone in backbones:
        backbone.embed(pictures[:1])  # the first is always slow
    for picture in pictures:
        for i, backbone in enumerate(backbones):
            began = time.process_time()
            rows[i].append(backbone.embed([picture]))
            seconds[i].append(time.process_time() - began)
    return [(np.concatenate(r), float(np.median(s))) for r, s in zip(rows, seconds, strict=True)]


def _overlap(a: Vectors, b: Vectors, k: int) -> float:
    """Of the k nearest others of each row, the share that is the same in both."""
    nearest = []
    for vectors in (a, b):
        likeness = vectors @ vectors.T
        np.fill_diagonal(likeness, -np.inf)
        nearest.append(np.argsort(-likeness, axis=1, kind="stable")[:, :k])
    shared = [len(set(x) & set(y)) for x, y in zip(*(rows.tolist() for rows in nearest), strict=True)]
    return sum(shared) / (k * len(a))


def _refuse_full_disk(card: ModelCard, original: Backbone) -> None:
    """Before anything is written: a disk that runs full in the middle is trouble for everybody on it."""
    found = compiled.find(original.card)
    place = found.folder if found else Path(original.card.path) if original.card.path else None
    need = 0
    if place is not None:
        files = [place] if place.is_file() else [path for path in place.iterdir() if path.suffix in (*FILES, ".bin")]
        need = max((path.stat().st_size for path in files), default=0)
    if shutil.disk_usage(compiled.home(card).parent).free < need + (64 << 20):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
