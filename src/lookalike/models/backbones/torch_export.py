"""From PyTorch to ONNX. The only file that knows the exporter and its ways."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

_MANY = 4096
"""The exporter wants an upper limit for a batch."""


def export(network: torch.nn.Module, example: torch.Tensor, target: Path, name: str) -> None:
    """Write a network of one input `name` and one output "vectors", for batches of any length.

    The weights go beside the graph (`target.name` + ".data"): so they are mapped into memory rather than read, and
    networks of more than 2 GB are possible. Raises whatever the exporter raises; `OSError` where there is no room.
    """
    with _quiet(), torch.inference_mode():
        program = torch.onnx.export(
            network.eval(),
            (example,),
            dynamo=True,
            input_names=[name],
            output_names=["vectors"],
            dynamic_shapes=({0: torch.export.Dim("n", min=1, max=_MANY)},),
            verbose=False,
        )
        if program is None:
            raise RuntimeError("the exporter gave nothing")
        program.save(target, external_data=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's remarks on operators that nobody uses here are no news to the user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    before = [(logger, logger.level) for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in before:
                logger.setLevel(level)
