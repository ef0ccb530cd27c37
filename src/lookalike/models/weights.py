"""Weights on this machine: where they lie, whether they are complete, and what they hash to. No network here."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lookalike.errors import UsageError
from lookalike.models.catalog import CARDS
from lookalike.places import HASHES, models_folder, read_json, remember, sha256, write_atomically
from lookalike.types import ModelCard

# What is found in `places` is found here too.
__all__ = ["HASHES", "models_folder", "read_json", "remember", "sha256", "write_atomically"]

CONFIGS = ("config.json", "preprocessor_config.json", "processor_config.json")
TOKENIZERS = (
    "added_tokens.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
FORMATS = (
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
"""The weights of a folder, the best first: one file, or an index that names its shards."""

PARTS: Mapping[str, tuple[str, ...]] = {"blip-2": ("vision_model.", "qformer.", "query_tokens")}
"""By `model_type`, what is used of an architecture, where that is not all: shards without any of it may be missing."""

FILES = (".safetensors", ".pth", ".pth.tar", ".pt", ".onnx")

# Not called *.json: such a file in this folder is the card of a model of the user's.
LOCKS = "models.lock"


def find(card: ModelCard) -> str | None:
    """The file or folder with the card's weights on this machine, or None. Hashes nothing, opens no connection."""
    if card.path and Path(card.path).exists():
        return card.path
    if card.weights is None:
        return None
    return next((str(path) for path in _places(card) if path.is_file() or complete(path)), None)


def complete(folder: Path) -> bool:
    """Whether a folder holds a config.json and one format of weights with all its shards."""
    try:
        names = {path.name for path in folder.iterdir() if path.is_file()}
        return "config.json" in names and chosen_weights(names, _reader(folder)) is not None
    except OSError:
        return False


def chosen_weights(names: Collection[str], read: Callable[[str], bytes]) -> list[str] | None:
    """The files of the one format that is used of a folder or repository, or None where none is all there.

    `read` gives the bytes of a small file: it is asked for the index, and for config.json where not all shards
    are at hand or needed.
    """
    for single, index in FORMATS:
        if single in names:
            return [single]
        if index in names and (shards := _shards(index, read)) and shards.issubset(names):
            return [index, *sorted(shards)]
    return None


def identity(path: str, *, texts: bool = False) -> str:
    """A SHA-256 that changes when the numbers may.

    Of a file it is the file's own; of a folder it is taken over the weights in use and config.json, and the
    tokenizer of a model that reads `texts`. Files are hashed once: see `sha256`.
    """
    place = Path(path)
    if not place.is_dir():
        return sha256(place)
    names = {entry.name for entry in place.iterdir() if entry.is_file()}
    used = {"config.json", *(chosen_weights(names, _reader(place)) or []), *(TOKENIZERS if texts else ())}
    lines = (f"{sha256(place / name)}  {name}\n" for name in sorted(used & names))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def missing_message(card: ModelCard) -> str:
    """Why a model cannot run without its weights, with the remedies, in one line."""
    if not card.weights or card.weights == "file":
        return (
            f"the weights of {card.name!r} are not on this machine, and nobody may hand them out but their authors:"
            f" get the checkpoint ({card.source}) and put it at {models_folder() / home(card)}.pth,"
            f" or register it: 'lookalike models add FILE --like {card.name} --name NAME';"
            " or use a model that needs no download, such as sift"
        )
    what = card.weights.removeprefix("hf:")
    point = "point to a folder that you have: --model ./folder"
    if not card.weights.startswith("hf:"):
        point = f"register the file if you have it: 'lookalike models add FILE --like {card.name} --name NAME'"
    return (
        f"the weights of {card.name!r} ({what}) are not on this machine:"
        f" (1) run 'lookalike models pull {card.name}' here, or where there is a connection, and copy what it made"
        f" to {models_folder() / home(card)};"
        f" (2) or {point};"
        " (3) or use a model that needs no download, such as sift"
    )


def home(card: ModelCard) -> str:
    """What the weights of a card are called in the models folder."""
    if card.weights and not card.weights.startswith("hf:") and card.weights != "file":
        return url_name(card.weights)
    if re.fullmatch(r"\w[\w.-]*", card.name):
        return card.name
    return (card.weights or card.name).removeprefix("hf:").replace("/", "--").replace(":", "--")


def url_name(url: str) -> str:
    """The file name at the end of a URL."""
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UsageError(f"{url}: names no file")
    return name


@dataclass(frozen=True, slots=True)
class Lock:
    """What the first pull of a source found: later ones are held to it.

    path:   the file's or folder's name in the models folder
    commit: of the repository, None for a single file
    files:  SHA-256 by name
    """

    path: str
    commit: str | None
    files: Mapping[str, str]


def locks() -> dict[str, Lock]:
    """All locks by source. Raises UsageError where the lock file is damaged: a lock is never silently dropped."""
    place = models_folder() / LOCKS
    try:
        held = json.loads(place.read_bytes())
        return {source: Lock(row["path"], row["commit"], dict(row["files"])) for source, row in held["sources"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{place}: not readable ({error}): restore it, or delete it to trust the hub anew") from error


def _places(card: ModelCard) -> Iterator[Path]:
    """Where the weights may be, the most particular place first."""
    folder = models_folder()
    try:
        held = locks()
    except UsageError:
        held = {}
    # Several rows may share one download; and a name that once stood for another source does not count.
    if card.weights in held:
        yield folder / held[card.weights].path
    others = {lock.path for source, lock in held.items() if source != card.weights}
    if (name := home(card)) not in others:
        yield folder / name
        yield from (folder / f"{name}{ending}" for ending in FILES)
        for name in [card.name, *(other.name for other in CARDS if card.weights and other.weights == card.weights)]:
            if card.weights and name not in others and re.fullmatch(r"\w[\w.-]*", name):
                yield folder / name
                yield from (folder / f"{name}{ending}" for ending in FILES)
    if card.weights and card.weights.startswith("hf:"):
        repository = card.weights.removeprefix("hf:")
        flat = repository.replace("/", "--")
        yield from (folder / repository, folder / flat)
        for cache in (folder, _hub_cache()):
            yield from _snapshots(cache / f"models--{flat}")
    elif card.weights and card.weights != "file":
        torch_home = os.environ.get("TORCH_HOME") or _user_cache() / "torch"
        yield Path(torch_home).expanduser() / "hub" / "checkpoints" / url_name(card.weights)


def _snapshots(repository: Path) -> Iterator[Path]:
    """The commits of a repository in the hub's cache: first the one that `main` was last seen at, then the newest."""
    snapshots = repository / "snapshots"
    with contextlib.suppress(OSError, ValueError):
        yield snapshots / (repository / "refs" / "main").read_text(encoding="ascii").strip()
    with contextlib.suppress(OSError):
        yield from sorted(snapshots.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _hub_cache() -> Path:
    """As huggingface_hub finds it; read here because importing that takes long."""
    place = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if not place:
        place = os.path.join(os.environ.get("HF_HOME") or _user_cache() / "huggingface", "hub")
    return Path(os.path.expandvars(place)).expanduser()


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def _reader(folder: Path) -> Callable[[str], bytes]:
    return lambda name: (folder / name).read_bytes()


def _shards(index: str, read: Callable[[str], bytes]) -> set[str]:
    """The shards that an index asks for: of an architecture of which we use a part, those that hold that part."""
    try:
        by_weight = json.loads(read(index))["weight_map"]
        parts = PARTS.get(json.loads(read("config.json")).get("model_type", ""), ("",))
        return {shard for weight, shard in by_weight.items() if weight.startswith(parts)}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return set()
