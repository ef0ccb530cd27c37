"""Tensors from a checkpoint on disk: only those that are wanted, and never code."""

from __future__ import annotations

import logging
import pickle
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from lookalike.errors import ModelUnavailable
from lookalike.models.backbones import huggingface_folder

log = logging.getLogger("lookalike")

Tensors = dict[str, torch.Tensor]


def read(folder: str, prefixes: Sequence[str] = ()) -> Tensors:
    """The tensors whose names begin with one of `prefixes` (none: all), by name.

    What is not wanted is not read: other parts of a checkpoint in parts need not even be there.

    Raises:
        ModelUnavailable: a file is missing, damaged, or a pickle with more than tensors in it.
    """
    weights = huggingface_folder.weights(folder)
    files = weights.of(prefixes)
    tensors: Tensors = {}
    for path in files:
        tensors |= (_from_pickle if weights.pickled else _from_safetensors)(path, prefixes)
    taken = sum(tensor.nbytes for tensor in tensors.values())
    present = sum(path.stat().st_size for path in weights.files if path.is_file())
    if present - taken > 1_000_000:
        log.info("%s: read %.2f GB, left %.2f GB on disk", folder, taken / 1e9, (present - taken) / 1e9)
    return tensors


def _from_safetensors(path: Path, prefixes: Sequence[str]) -> Tensors:
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if not prefixes or name.startswith(tuple(prefixes))]  # noqa: SIM118
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _from_pickle(path: Path, prefixes: Sequence[str]) -> Tensors:
    try:
        # Only the zip format can be mapped into memory, so that unwanted tensors are never read.
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError, IndexError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ModelUnavailable(f"{path}: not a plain list of tensors: get the model as model.safetensors")
    return {name: tensor for name, tensor in found.items() if not prefixes or name.startswith(tuple(prefixes))}


def _unreadable(path: Path, error: Exception) -> ModelUnavailable:
    return ModelUnavailable(f"{path} {why_unreadable(path, error)}: download it again, best as model.safetensors")


def why_unreadable(path: Path, error: Exception) -> str:
    """What is wrong with a checkpoint file that a reader has given up on: "is a web page, ..."."""
    message = str(error)
    with path.open("rb") as file:
        start = file.read(64)
    if start.lstrip().startswith(b"<"):
        return "is a web page, not a checkpoint: the download was refused"
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer to a file in Git LFS, not the file itself"
    if "TorchScript" in message:
        return (
            "is a TorchScript program, and Lookalike runs no code from files: it needs the weights alone (a state dict)"
        )
    if "legacy .tar" in message:
        return "is in PyTorch's format of before 2017, which cannot be read safely"
    if found := re.search(r"GLOBAL (\S+)", message):
        return (
            f"holds more than numbers ({found[1]}), and Lookalike runs no code from files: where you trust it, save"
            " its tensors alone with torch.save(model.state_dict(), ...)"
        )
    return "is cut short, damaged, or no checkpoint at all"
