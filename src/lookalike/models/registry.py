"""Models by name: the built-in rows, the user's own, and folders of weights. The only place that loads one."""

from __future__ import annotations

import contextlib
import ctypes
import difflib
import importlib
import importlib.util
import json
import os
import platform
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from lookalike.errors import LookalikeError, ModelUnavailable, UnknownModel, UsageError
from lookalike.models import aspects, compiled, custom, weights
from lookalike.models.catalog import CARDS
from lookalike.models.weights import models_folder
from lookalike.types import Backbone, InputSpec, ModelCard, TextBackbone

DEFAULT = "sift"
RESERVED = ("add", "check", "compile", "pull", "remove", "show")  # what `lookalike models` takes for commands

EXTRAS = {"torch": ("torch", "transformers", "safetensors")}
"""What an extra of ours installs: the modules without which its models cannot run, or be compiled."""

COMPILE = "LOOKALIKE_COMPILE"
"""Set to "no", nothing is compiled unless it is asked for."""

_loaded: dict[str, Backbone] = {}
_loading = threading.RLock()


class Obstacle(NamedTuple):
    """What keeps a model from running here now, and the one command that would change that."""

    reason: str
    command: str


def cards() -> dict[str, ModelCard]:
    """Every model by name: the built-in ones first, then the user's."""
    known = {card.name: card for card in CARDS}
    for own in custom.cards():
        known.setdefault(own.name, own)
    for path in sorted(models_folder().glob("*.json")):
        with contextlib.suppress(UsageError):  # one damaged card must not take the other models away
            own = read_card(path)
            known.setdefault(own.name, own)
    return known


def card(name: str) -> ModelCard:
    """The card of a model, with its weights found and identified where it has any and they are on this machine.

    `name` is one of `cards()`, a folder in Hugging Face's format ("./folder"), or "hf:OWNER/NAME"; "@cls" and the
    like at its end choose how tokens are pooled, "@squash", "@pad" and "@crop" how pictures come to the size that it
    takes, "@int8" the network compiled in 8 bits. Their order makes no difference.

    Raises UnknownModel, which names the nearest ones; UsageError for a folder that is no model, or a way that makes no
    sense for it; ModelUnavailable for a repository that is not on this machine.
    """
    known = cards()
    if name in known:
        return _with_weights(known[name])
    if not os.path.isdir(name):
        first, *ways = name.split("@")
        *rest, last = [first, *sorted(ways, key=_turn)]
        base = "@".join(rest)
        if last == compiled.INT8 and compiled.INT8 not in rest:
            return compiled.in_int8(card(base))
        if last in aspects.ASPECTS and rest:
            return aspects.in_aspect(card(base), last)
    if (own := models_folder() / f"{name}.json").is_file():
        read_card(own)  # says what is wrong with it
    place, _, pool = (name, "", "") if os.path.isdir(name) else name.partition("@")
    if place in known and pool:
        return _pooled(known[place], name, pool)
    if place.startswith("hf:"):
        return _with_weights(_of_repository(place, name, pool or None))
    if os.sep in place or place.startswith((".", "~")) or os.path.isdir(place):
        folder = os.path.realpath(os.path.expanduser(place))
        return _with_weights(_of_folder(folder, f"{folder}@{pool}" if pool else folder, pool or None))
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(known)}"
    raise UnknownModel(f"no model is called {name!r}: {hint} ('lookalike models' lists them)")


def _turn(way: str) -> int:
    """When a way, of those behind a model's name, is gone: its tokens first, for they may make a card of their own."""
    return 2 if way == compiled.INT8 else 1 if way in aspects.ASPECTS else 0


def knows(name: str) -> bool:
    """Whether there is a model of that name, path or repository here."""
    try:
        card(name)
    except LookalikeError:
        return False
    return True


def downloadless() -> list[str]:
    """The built-in models that need no download."""
    return [card.name for card in CARDS if card.weights is None]


def obstacle(card: ModelCard) -> Obstacle | None:
    """What keeps the model from running here now, or None."""
    if compiled.precision(card) == compiled.INT8 and compiled.find(card) is None:
        base = compiled.in_fp32(card)
        command = f"lookalike models compile {base.name} --precision {compiled.INT8}"
        if base.kind != "network":
            return Obstacle(f"it {compiled.NOTHING}", "")
        return obstacle(base) or Obstacle(f"it is not compiled in 8 bits yet: run '{command}'", command)
    if compiled.find(card) is not None and compiled.trouble(card) is None:
        return None
    if card.extra and not all(importlib.util.find_spec(module) for module in EXTRAS[card.extra]):
        command = f"pip install 'lookalike[{card.extra}]'"
        return Obstacle(f"PyTorch and what goes with it are not installed: {command}", command)
    if card.weights and weights.find(card) is None:
        fetch = f"lookalike models pull {card.name}"
        bring = f"cp CHECKPOINT {models_folder() / weights.home(card)}.pth"
        return Obstacle(weights.missing_message(card), bring if card.weights == "file" else fetch)
    if not card.weights and card.path and not Path(card.path).exists():
        command = f"lookalike models add NEW_PLACE.onnx --name {card.name} ..."
        return Obstacle(f"{card.path} is gone: put it back, or run '{command}'", command)
    module = card.loader.partition(":")[0]
    if not module or importlib.util.find_spec(module.partition(".")[0]) is None:
        return Obstacle(f"its loader {card.loader!r} is not installed", "")
    return None


def load(card: ModelCard, *, photos: Sequence[str] = ()) -> Backbone:
    """The model itself, loaded once a process; a network of PyTorch's is compiled at its first use: see `compiling`.

    `photos` are paths of pictures on which a network that is compiled now is checked. Raises ModelUnavailable with
    the remedy.
    """
    key = f"{card.name} {card.fingerprint}"
    if (loaded := _loaded.get(key)) is not None:  # without waiting for another that is being compiled
        return loaded
    with _loading:
        if key not in _loaded:
            if problem := obstacle(card):
                raise ModelUnavailable(f"model {card.name!r} cannot run: {problem.reason}")
            _loaded[key] = _best(card, photos) if _is_compiled(card) else _original(card)
        return _loaded[key]


def compile_now(card: ModelCard, *, photos: Sequence[str] = ()) -> compiled.Compiled:
    """Compile a model, whether or not that was done before.

    Raises ModelUnavailable where it cannot be compiled, or what comes of it strays too far from the original.
    """
    from lookalike.models import compiling

    with _loading:
        base = compiled.in_fp32(card)
        if base.kind != "network":
            raise ModelUnavailable(f"model {base.name!r} {compiled.NOTHING}")
        if problem := obstacle(base):
            raise ModelUnavailable(f"model {card.name!r} cannot run: {problem.reason}")
        found = compiling.compile_network(card, lambda: _source(card, photos), photos, again=True)
        name = compiled.network(card).name
        for key in [key for key in _loaded if key.startswith((f"{name} ", f"{name}@"))]:
            del _loaded[key]
        return found


def _is_compiled(card: ModelCard) -> bool:
    """Whether the model is to run compiled: what 8 bits demand, and what pays for PyTorch's networks on a CPU."""
    if compiled.precision(card) == compiled.INT8:
        return True
    if card.extra != "torch" or (card.path or "").endswith(".onnx"):
        return compiled.find(card) is not None
    if os.environ.get(COMPILE, "").lower() in ("no", "0", "off", "false"):
        return False
    return not (_has_gpu() and importlib.util.find_spec("torch"))


def _best(card: ModelCard, photos: Sequence[str]) -> Backbone:
    from lookalike.models import compiling

    backbone = compiling.load(card, lambda: _original(compiled.in_fp32(card)), lambda: _source(card, photos), photos)
    if compiled.precision(card) == compiled.INT8:
        now = compiled.in_int8(compiled.in_fp32(card))
        if now.fingerprint != card.fingerprint:
            raise ModelUnavailable(f"model {card.name!r} was made anew, and its numbers are others: run that again")
    return backbone


def _source(card: ModelCard, photos: Sequence[str]) -> Backbone:
    """What the card's compiled network is made of: for 8 bits the compiled one in 32, else the model as it is."""
    from lookalike.models import compiling

    base = compiled.in_fp32(card)
    if base is card and card.extra == "torch":
        from lookalike.models.backbones.torch_runtime import on_cpu

        with on_cpu():
            return _original(card)
    if base is card:
        return _original(card)
    found = compiling.ready(base) or compiling.compile_network(base, lambda: _source(base, photos), photos)
    return compiling.opened(base, found, lambda: _original(base))


def _original(card: ModelCard) -> Backbone:
    module, _, function = card.loader.partition(":")
    backbone: Backbone = getattr(importlib.import_module(module), function)(card)
    return backbone


def _has_gpu() -> bool:
    """Whether there is a GPU that PyTorch may use, told without importing it."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    with contextlib.suppress(OSError):
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    return False


def load_for_texts(card: ModelCard) -> TextBackbone:
    """The same, for words. Raises ModelUnavailable where the model cannot read any."""
    if card.texts:
        backbone = load(card)
        if isinstance(backbone, TextBackbone):
            return backbone
    readers = ", ".join(name for name, other in cards().items() if other.texts)
    raise ModelUnavailable(f"model {card.name!r} cannot read words: choose one that can with --model ({readers})")


def like(model: str, file: str, name: str) -> ModelCard:
    """The card of a checkpoint file of the user's, which is read as a row of the catalogue says.

    Raises UsageError where there is no such file, or the row's model is not read from one file.
    """
    row = next((each for each in CARDS if each.name == model), None) or card(model)
    if row.weights is None or row.weights.startswith("hf:"):
        choice = ", ".join(each.name for each in CARDS if each.weights and not each.weights.startswith("hf:"))
        raise UsageError(f"--like {model}: is not read from a checkpoint file: choose from {choice}")
    if not os.path.isfile(file):
        raise UsageError(f"{file}: no such file")
    own = replace(row, name=name, weights="file", path=os.path.realpath(file), summary=f"like {row.name}, from {file}")
    return _with_weights(own)


def save_card(card: ModelCard) -> Path:
    """Register a user's model. Raises UsageError where the name is a built-in model's."""
    if any(card.name == built_in.name for built_in in CARDS) or card.name in RESERVED:
        raise UsageError(f"{card.name!r} is a built-in model: choose another --name")
    path = models_folder() / f"{card.name}.json"
    weights.write_atomically(path, json.dumps(card.as_json(), indent=2) + "\n")
    return path


def remove_card(name: str) -> None:
    """Forget a user's model. Raises UnknownModel where there is none of that name."""
    path = models_folder() / f"{name}.json"
    if path.parent != models_folder() or not path.is_file():
        raise UnknownModel(f"{name!r} is none of your own models: only those can be removed")
    path.unlink()


def read_card(path: Path) -> ModelCard:
    """A stored card. Raises UsageError where the file is none."""
    try:
        own = ModelCard.from_json(json.loads(path.read_text(encoding="utf-8")))
        if own.name != path.stem or not isinstance(own.dim, int):
            raise ValueError("its name or dimension is wrong")
        return own
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path}: not a model card ({error}): delete it and add the model again") from error


def _with_weights(card: ModelCard) -> ModelCard:
    """The card with its weights' place, and their hash in the revision: other weights are another model."""
    if card.weights is None or (path := weights.find(card)) is None:
        return card
    return replace(card, path=path, revision=f"{card.revision}+{weights.identity(path, texts=card.texts)[:16]}")


def _of_repository(repository: str, name: str, pool: str | None) -> ModelCard:
    wanted = ModelCard(
        name=name,
        kind="network",
        dim=0,
        input=InputSpec((0, 0)),
        summary="",
        source=repository,
        revision="",
        license="see its page",
        loader="",
        weights=repository,
    )
    folder = weights.find(wanted)
    if folder is None:
        raise ModelUnavailable(weights.missing_message(wanted))
    return replace(_of_folder(folder, name, pool), source=repository)


def _pooled(row: ModelCard, name: str, pool: str) -> ModelCard:
    """A row of the catalogue that pools another way."""
    if row.options.get("pool") is None:
        ways = ", ".join(f"@{way}" for way in (*aspects.ASPECTS, compiled.INT8))
        raise UsageError(f"{row.name!r} has nothing to pool in another way: leave @{pool} out, or choose one of {ways}")
    folder = weights.find(row)
    if folder is None:
        raise ModelUnavailable(weights.missing_message(row))
    return replace(_of_folder(folder, name, pool), input=row.input, license=row.license, source=row.source)


def _of_folder(folder: str, name: str, pool: str | None) -> ModelCard:
    if not os.path.isdir(folder):
        what = "is no folder" if os.path.exists(folder) else "does not exist"
        raise UsageError(
            f"{folder}: {what}: name a model, or a folder with a config.json and weights in Hugging Face's format"
            " (an ONNX file is registered with 'lookalike models add')"
        )
    describe = importlib.import_module("lookalike.models.backbones.huggingface").describe
    described: ModelCard = describe(folder, name=name, pool=pool)
    return described
