"""Models by name: the built-in rows, and those that the user has added. The only place that loads one."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import json
import os
import threading
from pathlib import Path

import platformdirs

from lookalike.errors import ModelUnavailable, UnknownModel, UsageError
from lookalike.models.catalog import CARDS
from lookalike.types import Backbone, ModelCard

DEFAULT = "sift"

_loaded: dict[str, Backbone] = {}
_loading = threading.RLock()


def models_folder() -> Path:
    """Where the user's own cards lie: $LOOKALIKE_MODELS, or the system's place for such things."""
    return Path(os.environ.get("LOOKALIKE_MODELS") or platformdirs.user_data_path("lookalike") / "models")


def cards() -> dict[str, ModelCard]:
    """Every model by name: the built-in ones first, then the user's."""
    known = {card.name: card for card in CARDS}
    for path in sorted(models_folder().glob("*.json")):
        own = read_card(path)
        known.setdefault(own.name, own)
    return known


def card(name: str) -> ModelCard:
    """The card of a model. Raises UnknownModel, which names the nearest ones."""
    known = cards()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(known)}"
    raise UnknownModel(f"no model is called {name!r}: {hint} ('lookalike models' lists them)")


def downloadless() -> list[str]:
    """The built-in models that need no download."""
    return [card.name for card in CARDS if card.path is None and card.extra is None]


def obstacle(card: ModelCard) -> str | None:
    """What keeps the model from running here now, with the one command that would change that; or None."""
    module = card.loader.partition(":")[0]
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        return f"its loader {card.loader} is not installed"
    if card.path and not Path(card.path).is_file():
        return (
            f"{card.path} is gone: put it back, or run"
            f" 'lookalike models add NEW_PLACE.onnx --name {card.name} ...' again"
        )
    return None


def load(card: ModelCard) -> Backbone:
    """The model itself, loaded once a process. Raises ModelUnavailable with the remedy."""
    with _loading:
        if card.fingerprint not in _loaded:
            if problem := obstacle(card):
                raise ModelUnavailable(f"model {card.name!r} cannot run: {problem}")
            module, _, function = card.loader.partition(":")
            _loaded[card.fingerprint] = getattr(importlib.import_module(module), function)(card)
        return _loaded[card.fingerprint]


def save_card(card: ModelCard) -> Path:
    """Register a user's model. Raises UsageError where the name is a built-in model's."""
    if any(card.name == built_in.name for built_in in CARDS):
        raise UsageError(f"{card.name!r} is a built-in model: choose another --name")
    path = models_folder() / f"{card.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(card.as_json(), indent=2)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    return path


def remove_card(name: str) -> None:
    """Forget a user's model. Raises UnknownModel where there is none of that name."""
    path = models_folder() / f"{name}.json"
    if not path.is_file():
        raise UnknownModel(f"{name!r} is none of your own models: only those can be removed")
    path.unlink()


def read_card(path: Path) -> ModelCard:
    """A stored card. Raises UsageError where the file is none."""
    try:
        return ModelCard.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path}: not a model card ({error}): delete it and add the model again") from error
