"""What all PyTorch models share: the device, half precision, batches that fit, vectors of length 1."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
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


_exact = ContextVar("_exact", default=False)


@contextmanager
def on_cpu() -> Iterator[None]:
    """What this thread loads meanwhile runs on the CPU in float32, GPU or not: only so can it be exported.

    >>> with on_cpu():
    ...     device().type, dtype()
    ('cpu', torch.float32)
    """
    token = _exact.set(True)
    try:
        yield
    finally:
        _exact.reset(token)


def device() -> torch.device:
    """Where a network that is loaded now is to run."""
    return torch.device("cpu") if _exact.get() else _fastest()


@lru_cache(maxsize=1)
def _fastest() -> torch.device:
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
    """Half precision on GPUs; float32 on CPUs, where half is many times slower.

    Both go by one fingerprint, as do the vectors of all machines: on a CPU, half precision throughout gave at least
    cosine 0.999997 to float32 over small networks of every architecture of `huggingface` (its contract test demands
    0.999). A decode at a reduced scale, which goes by the same fingerprint too, costs more.
    """
    return torch.float32 if device().type == "cpu" else torch.float16


class FromPixels(torch.nn.Module):
    """(n, height, width, 3) pixels as they are, uint8 -> what `forward` makes of them, normalised."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: torch.nn.Module, forward: Forward, spec: InputSpec, as_type: torch.dtype) -> None:
        super().__init__()
        self.network = network  # so that its numbers are found when the whole is exported
        self._forward, self._as_type = forward, as_type
        self._normalised = spec.mean is not None and spec.std is not None
        for name, values in (("mean", spec.mean or (0.0,) * 3), ("std", spec.std or (1.0,) * 3)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = pixels.permute(0, 3, 1, 2).float()
        if self._normalised:
            x = (x / 255 - self.mean) / self.std
        return self._forward(x.to(self._as_type))


class TorchBackbone:
    """A module on its device. `forward` goes from normalised pixels to one row a picture, of any length."""

    def __init__(self, card: ModelCard, module: torch.nn.Module, forward: Forward) -> None:
        self.card = card
        self.device, self.dtype = device(), dtype()
        self.module = module.eval().requires_grad_(False).to(self.device, self.dtype)
        self.from_pixels = FromPixels(self.module, forward, card.input, self.dtype).eval().to(self.device)
        # A GPU is fed by many workers with what they have decoded; a CPU gains nothing from larger batches.
        self.batch = 16 if self.device.type == "cpu" else 64
        self._one_at_a_time = threading.Lock()
        self._copying: torch.cuda.Stream | None = None
        if self.device.type == "cuda":
            self._copying = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]  # torch's types lack it

    def tune(self, workers: int, batch: int | None = None) -> None:
        """There is nothing to try: PyTorch takes all cores for each run. Only a `batch` that is asked for counts."""
        self.batch = batch or self.batch

    def embed(self, pictures: Sequence[Picture]) -> Vectors:
        size = self.batch  # read once: another thread may tune meanwhile
        parts = [pictures[start : start + size] for start in range(0, len(pictures), size)]
        return np.concatenate([self.run(preprocess.pixels(part, self.card.input), self.from_pixels) for part in parts])

    def run(self, x: npt.NDArray[Any], forward: Forward) -> Vectors:
        """Rows of length 1; where memory runs out, halves of the batch."""
        try:
            return self._run(x, forward)
        except RuntimeError as error:  # Apple's and the CPU's allocators have no error of their own
            if len(x) == 1 or not re.search("out of memory|can't allocate", str(error), re.IGNORECASE):
                raise
        torch.cuda.empty_cache()
        half = len(x) // 2
        return np.concatenate([self.run(x[:half], forward), self.run(x[half:], forward)])

    def _run(self, x: npt.NDArray[Any], forward: Forward) -> Vectors:
        with torch.inference_mode():
            tensor = torch.from_numpy(x)
            if self._copying is not None:
                tensor = _copied(tensor, self.device, self._copying)
            with self._one_at_a_time:
                rows = forward(tensor.to(self.device)).float().cpu()
        return normalised(rows.numpy())

    def export(self, folder: Path) -> None:
        """Write the network as ONNX, from pixels to vectors. Only one that was loaded `on_cpu` can be.

        Raises RuntimeError for others, whose numbers are rounded, and whatever the exporter raises.
        """
        from lookalike.models.backbones.torch_export import export

        if (self.device.type, self.dtype) != ("cpu", torch.float32):
            raise RuntimeError(f"{self.card.name} runs in {self.dtype} on {self.device}: load it on_cpu() to export it")
        height, width = self.card.input.size
        export(self.from_pixels, torch.zeros((2, height, width, 3), dtype=torch.uint8), folder / PICTURES, "pixels")


def _copied(tensor: torch.Tensor, target: torch.device, copying: torch.cuda.Stream) -> torch.Tensor:
    """The tensor on a GPU, where it has arrived: copied in a stream of its own, while the GPU computes in another."""
    computing = torch.cuda.current_stream(target)
    with torch.cuda.stream(copying):
        there = tensor.pin_memory().to(target, non_blocking=True)
    there.record_stream(computing)  # so that its memory is not given away before it has been computed with
    copying.synchronize()
    return there
