"""Any network in an ONNX file, fed as its card says."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from lookalike.errors import ModelUnavailable, UsageError
from lookalike.metrics import normalised
from lookalike.models.preprocess import batch
from lookalike.models.weights import sha256
from lookalike.types import InputSpec, ModelCard, Picture, Vectors

TOGETHER = 4
"""Pictures that go through a network at a time: more is no faster on a CPU, and takes memory for each."""


class OnnxBackbone:
    """A network of one image input, NCHW or NHWC; `options["output"]` names the output that is the embedding.

    An output of (n, dim) is taken as it is, (n, dim, h, w) is averaged over space, (n, tokens, dim) over tokens.
    With `options["batch"]` of "1" pictures go through one by one.
    """

    def __init__(self, card: ModelCard, session: onnxruntime.InferenceSession) -> None:
        self.card = card
        self._session = session
        self._input = session.get_inputs()[0]
        self._output = card.options["output"]
        shape = self._input.shape
        self._channels_last = len(shape) == 4 and shape[3] == 3 and shape[1] != 3
        self._one_by_one = card.options.get("batch") == "1"

    def embed(self, pictures: Sequence[Picture]) -> Vectors:
        x = batch(pictures, self.card.input)
        if self._channels_last:
            x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        step = 1 if self._one_by_one else TOGETHER
        return normalised(np.concatenate([self._run(x[i : i + step]) for i in range(0, len(x), step)]))

    def _run(self, x: Any) -> Vectors:
        try:
            (out,) = self._session.run([self._output], {self._input.name: x})
        except Exception as error:  # onnxruntime has no common ancestor for its errors
            raise ModelUnavailable(f"model {self.card.name!r} failed: {_first_line(error)}") from error
        out = np.asarray(out, dtype=np.float32)
        if out.ndim == 4:
            out = out.mean(axis=(2, 3))
        elif out.ndim == 3:
            out = out.mean(axis=1)
        if len(out) != len(x):
            raise ModelUnavailable(f"model {self.card.name!r} gives {len(out)} rows for {len(x)} pictures")
        return np.asarray(out.reshape(len(x), -1), dtype=np.float32)


def load(card: ModelCard) -> OnnxBackbone:
    """Raises ModelUnavailable where the file is not the one that was registered, or cannot be run."""
    assert card.path is not None  # noqa: S101 - the card of this loader has a path
    if (found := _revision(card.path)) != card.revision:
        raise ModelUnavailable(
            f"model {card.name!r}: {card.path} has changed since it was added (sha256 {found[:12]}, not"
            f" {card.revision[:12]}): put the old file back, or run 'lookalike models add' again"
        )
    return OnnxBackbone(card, _session(card.path))


def describe(
    path: str, *, name: str, spec: InputSpec, output: str | None = None, license: str = "unknown"
) -> ModelCard:
    """The card of an ONNX file, after a trial run.

    `spec.size` of (0, 0) is filled in from the file, where the file says it. Raises UsageError where the file is
    no image network, or where the name or size will not do.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
        raise UsageError(f"--name {name!r}: use small letters, digits, '.', '_' and '-', at most 64")
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such file")
    try:
        session = _session(path)
    except ModelUnavailable as error:
        raise UsageError(str(error)) from error
    spec = _with_size(path, session, spec)
    chosen = _choose_output(path, session, output)
    card = ModelCard(
        name=name,
        kind="network",
        dim=0,
        input=spec,
        summary=f"added from {Path(path).name}",
        source=Path(path).name,
        revision=_revision(path),
        license=license,
        loader="lookalike.models.backbones.onnx:load",
        options={"output": chosen},
        path=str(Path(path).resolve()),
    )
    try:
        return _tried(card, session)
    except ModelUnavailable:
        # Exporters often fix the batch to that of their own trial, and do not always say so.
        card = replace(card, options={**card.options, "batch": "1"})
    try:
        return _tried(card, session)
    except ModelUnavailable as error:
        raise UsageError(f"{path}: a trial run failed: {error}") from error


def _revision(path: str) -> str:
    """The SHA-256 of the file, and of those beside it that hold its tensors where they are stored apart."""
    file = Path(path)
    apart = sorted(each for each in file.parent.glob(f"{glob.escape(file.name)}?*") if "data" in each.suffix)
    hashes = [sha256(each) for each in (file, *apart)]
    return hashes[0] if not apart else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _tried(card: ModelCard, session: onnxruntime.InferenceSession) -> ModelCard:
    height, width = card.input.size
    trial = Picture(np.full((height, width, 3), 127, dtype=np.uint8), width, height, "RAW")
    return replace(card, dim=OnnxBackbone(card, session).embed([trial, trial]).shape[1])


def _with_size(path: str, session: onnxruntime.InferenceSession, spec: InputSpec) -> InputSpec:
    inputs = session.get_inputs()
    shape = inputs[0].shape
    if len(inputs) != 1 or len(shape) != 4 or 3 not in (shape[1], shape[3]) or inputs[0].type != "tensor(float)":
        found = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
        raise UsageError(f"{path}: an image network takes one float32 input (n, 3, height, width); this takes {found}")
    own = shape[2:4] if shape[1] == 3 else shape[1:3]
    fixed = tuple(side for side in own if isinstance(side, int))
    if spec.size == (0, 0):
        if len(fixed) != 2:
            raise UsageError(f"{path}: the file does not say its input size: give it with --size 224")
        return replace(spec, size=fixed)
    if len(fixed) == 2 and fixed != spec.size:
        raise UsageError(f"{path}: takes {fixed[0]} x {fixed[1]} pixels: run again with --size {fixed[0]}x{fixed[1]}")
    return spec


def _choose_output(path: str, session: onnxruntime.InferenceSession, wanted: str | None) -> str:
    outputs: list[str] = [output.name for output in session.get_outputs()]
    if wanted is not None:
        if wanted not in outputs:
            raise UsageError(f"{path}: has no output {wanted!r}: choose from {', '.join(outputs)}")
        return wanted
    if "embedding" in outputs:
        return "embedding"
    if len(outputs) == 1:
        return outputs[0]
    raise UsageError(f"{path}: has several outputs: choose one with --output: {', '.join(outputs)}")


def _session(path: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the workers of `lookalike.embedding` run side by side instead
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no common ancestor for its errors
        raise ModelUnavailable(f"{path}: not an ONNX file that can be run: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]
