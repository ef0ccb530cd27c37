"""What all PyTorch models share: the device, half precision, batches that fit, vectors of length 1."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lookalike.metrics import normalised
from lookalike.models.preprocess import batch
from lookalike.types import ModelCard, Picture, Vectors

log = logging.getLogger("lookalike")

Forward = Callable[[torch.Tensor], torch.Tensor]
"""(n, 3, height, width) pixels, normalised -> (n, dim)."""


@lru_cache(maxsize=1)
def device() -> torch.device:
    """CUDA, else Apple's MPS, else the CPU; announced once."""
    if torch.cuda.is_available():
        chosen, what = torch.device("cuda"), torch.cuda.get_device_name()
    elif torch.backends.mps.is_available():
        chosen, what = torch.device("mps"), "Apple GPU"
    else:
        chosen, what = torch.device("cpu"), f"{torch.get_num_threads()} threads"
    log.info("PyTorch models run on %s (%s)", chosen.type, what)
    return chosen


def dtype() -> torch.dtype:
    """Half precision on GPUs; float32 on CPUs, where half is many times slower."""
    return torch.float32 if device().type == "cpu" else torch.float16


class TorchBackbone:
    """A module on its device. `forward` goes from normalised pixels to one row a picture, of any length."""

    def __init__(self, card: ModelCard, module: torch.nn.Module, forward: Forward) -> None:
        self.card = card
        self.module = module.eval().requires_grad_(False).to(device(), dtype())
        self._forward = forward
        self._one_at_a_time = threading.Lock()

    def embed(self, pictures: Sequence[Picture]) -> Vectors:
        return self.run(batch(pictures, self.card.input), self._forward)

    def run(self, x: npt.NDArray[Any], forward: Forward) -> Vectors:
        """Rows of length 1; where memory runs out, halves of the batch."""
        try:
            with torch.inference_mode(), self._one_at_a_time:
                tensor = torch.from_numpy(x).to(device())
                out = forward(tensor.to(dtype()) if tensor.is_floating_point() else tensor)
                return normalised(out.float().cpu().numpy())
        except RuntimeError as error:  # Apple's and the CPU's allocators have no error of their own
            if len(x) == 1 or not re.search("out of memory|can't allocate", str(error), re.IGNORECASE):
                raise
        torch.cuda.empty_cache()
        half = len(x) // 2
        return np.concatenate([self.run(x[:half], forward), self.run(x[half:], forward)])
