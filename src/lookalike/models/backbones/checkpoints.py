"""Tensors from a checkpoint on disk: only those that are wanted, and never code."""

from __future__ import annotations

import logging
import pickle
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
        raise ModelUnavailable(f"{path}: damaged or incomplete ({_line(error)}): download it again") from error


def _from_pickle(path: Path, prefixes: Sequence[str]) -> Tensors:
    try:
        # Only the zip format can be mapped into memory, so that unwanted tensors are never read.
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        if "global" in str(error).lower():
            raise ModelUnavailable(
                f"{path}: a pickle with more than tensors in it, which could run code: not loaded;"
                " get the model as model.safetensors"
            ) from error
        raise ModelUnavailable(f"{path}: damaged or incomplete: download it again") from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, IndexError) as error:
        raise ModelUnavailable(f"{path}: damaged or incomplete ({_line(error)}): download it again") from error
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ModelUnavailable(f"{path}: not a plain list of tensors: get the model as model.safetensors")
    return {name: tensor for name, tensor in found.items() if not prefixes or name.startswith(tuple(prefixes))}


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
