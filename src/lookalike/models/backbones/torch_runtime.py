"""What all PyTorch models share: the device, half precision, batches that fit, vectors of length 1."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lookalike.metrics import normalised
from lookalike.models import preprocess
from lookalike.models.compiled import PICTURES
from lookalike.types import InputSpec, ModelCard, Picture, Vectors

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


class FromPixels(torch.nn.Module):
    """(n, height, width, 3) pixels as they are, uint8 -> what `forward` makes of them, normalised."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: torch.nn.Module, forward: Forward, spec: InputSpec) -> None:
        super().__init__()
        self.network = network  # so that its numbers are found when the whole is exported
        self._forward = forward
        self._normalised = spec.mean is not None and spec.std is not None
        for name, values in (("mean", spec.mean or (0.0,) * 3), ("std", spec.std or (1.0,) * 3)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = pixels.permute(0, 3, 1, 2).float()
        if self._normalised:
            x = (x / 255 - self.mean) / self.std
        return self._forward(x.to(dtype()))


class TorchBackbone:
    """A module on its device. `forward` goes from normalised pixels to one row a picture, of any length."""

    def __init__(self, card: ModelCard, module: torch.nn.Module, forward: Forward) -> None:
        self.card = card
        self.module = module.eval().requires_grad_(False).to(device(), dtype())
        self.from_pixels = FromPixels(self.module, forward, card.input).eval().to(device())
        # A GPU is fed by many workers with what they have decoded; a CPU gains nothing from larger batches.
        self.batch = 16 if device().type == "cpu" else 64
        self._one_at_a_time = threading.Lock()

    def tune(self, workers: int, batch: int | None = None) -> None:
        """There is nothing to try: PyTorch takes all cores for each run. Only a `batch` that is asked for counts."""
        self.batch = batch or self.batch

    def embed(self, pictures: Sequence[Picture]) -> Vectors:
        parts = [pictures[start : start + self.batch] for start in range(0, len(pictures), self.batch)]
        return np.concatenate([self.run(preprocess.pixels(part, self.card.input), self.from_pixels) for part in parts])

    def run(self, x: npt.NDArray[Any], forward: Forward) -> Vectors:
        """Rows of length 1; where memory runs out, halves of the batch."""
        tensor = torch.from_numpy(x)
        if device().type == "cuda":
            tensor = tensor.pin_memory()  # so that it is copied while the GPU works on another
        try:
            with torch.inference_mode(), self._one_at_a_time:
                return normalised(forward(tensor.to(device(), non_blocking=True)).float().cpu().numpy())
        except RuntimeError as error:  # Apple's and the CPU's allocators have no error of their own
            if len(x) == 1 or not re.search("out of memory|can't allocate", str(error), re.IGNORECASE):
                raise
        torch.cuda.empty_cache()
        half = len(x) // 2
        return np.concatenate([self.run(x[:half], forward), self.run(x[half:], forward)])

    def export(self, folder: Path) -> None:
        """Write the network as ONNX, from pixels to vectors. Raises whatever the exporter does."""
        from lookalike.models.backbones.torch_export import export

        height, width = self.card.input.size
        export(self.from_pixels, torch.zeros((2, height, width, 3), dtype=torch.uint8), folder / PICTURES, "pixels")
