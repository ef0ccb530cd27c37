"""What lies in a folder in Hugging Face's format: settings, weights, licence. Needs neither torch nor transformers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lookalike.errors import ModelUnavailable
from lookalike.models.weights import TOKENIZERS


@dataclass(frozen=True, slots=True)
class Weights:
    """The files of a checkpoint. `where` names the file of each tensor, where an index says so."""

    files: tuple[Path, ...]
    pickled: bool
    where: Mapping[str, str] = field(default_factory=dict)

    def of(self, prefixes: Sequence[str]) -> tuple[Path, ...]:
        """The files in which tensors with these prefixes lie (no prefix: all files).

        Raises ModelUnavailable where one is missing.
        """
        wanted = {file for key, file in self.where.items() if not prefixes or key.startswith(tuple(prefixes))}
        chosen = tuple(path for path in self.files if not wanted or path.name in wanted)
        for path in chosen:
            if not path.is_file():
                raise ModelUnavailable(f"{path}: this part of the weights is missing: download the folder again")
        return chosen


def settings(folder: str) -> dict[str, Any]:
    """config.json. Raises ModelUnavailable."""
    place = Path(folder)
    if not place.is_dir():
        raise ModelUnavailable(f"{folder}: no such folder: give one with config.json and model.safetensors")
    if not (place / "config.json").is_file():
        raise ModelUnavailable(
            f"{folder}: no config.json there: copy the whole folder of the model, not the weights only"
        )
    return _read(place / "config.json")


def processor(folder: str) -> dict[str, Any] | None:
    """The image processor's settings, from either of the files that may hold them; None where neither does."""
    place = Path(folder)
    if (place / "processor_config.json").is_file():
        nested = _read(place / "processor_config.json").get("image_processor")
        if isinstance(nested, dict):
            return nested
    if (place / "preprocessor_config.json").is_file():
        return _read(place / "preprocessor_config.json")
    return None


def weights(folder: str) -> Weights:
    """The checkpoint's files, safetensors first. Raises ModelUnavailable where there are none."""
    place = Path(folder)
    for name, pickled in (("model.safetensors", False), ("pytorch_model.bin", True)):
        if (place / name).is_file():
            return Weights((place / name,), pickled)
        index = place / f"{name}.index.json"
        if index.is_file():
            where = _read(index).get("weight_map")
            if not isinstance(where, dict) or not all(_is_plain(file) for file in where.values()):
                raise ModelUnavailable(f"{index}: not an index of weights: download it again")
            return Weights(tuple(place / file for file in sorted(set(where.values()))), pickled, where)
    other = [name for name in ("tf_model.h5", "flax_model.msgpack") if (place / name).is_file()]
    found = f" ({other[0]} is of another framework)" if other else ""
    raise ModelUnavailable(f"{folder}: no weights there{found}: copy model.safetensors beside config.json")


def has_tokenizer(folder: str) -> bool:
    """Whether the files that turn words into numbers are there."""
    return any((Path(folder) / name).is_file() for name in TOKENIZERS)


def licence(folder: str) -> str:
    """What the head of README.md says; "unknown" where it says nothing."""
    try:
        head = (Path(folder) / "README.md").read_text(encoding="utf-8", errors="replace")[:4000]
    except OSError:
        return "unknown"
    found = re.match(r"---\n(?:.*\n)*?license:\s*([\w.+-]+)", head)
    return found.group(1) if found else "unknown"


def _is_plain(name: object) -> bool:
    """A name in the folder itself, not a path that leads elsewhere."""
    return isinstance(name, str) and bool(name) and Path(name).name == name


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelUnavailable(f"{path}: cannot be read as JSON ({error}): download it again") from error
    if not isinstance(data, dict):
        raise ModelUnavailable(f"{path}: holds no settings: download it again")
    return data
