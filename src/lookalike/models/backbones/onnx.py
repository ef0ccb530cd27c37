"""Any network in an ONNX file, fed as its card says."""

from __future__ import annotations

import glob
import hashlib
import mmap
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from lookalike.errors import ModelUnavailable, UsageError
from lookalike.metrics import normalised
from lookalike.models import preprocess
from lookalike.models.aspects import in_own
from lookalike.models.compiled import PICTURES
from lookalike.models.tuning import BATCHES, Tuning, tuned, usable_cores
from lookalike.models.weights import sha256
from lookalike.types import InputSpec, ModelCard, Picture, Vectors


class OnnxBackbone:
    """A network of one image input; `options["output"]` names the output that is the embedding.

    The input is NCHW or NHWC of normalised floats, or NHWC of the pixels themselves where it is uint8: then the
    normalisation is part of the graph. An output of (n, dim) is taken as it is, (n, dim, h, w) is averaged over
    space, (n, tokens, dim) over tokens. With `one_by_one` pictures go through singly, whatever `batch` is. `packed`
    is for networks in 8 bits: what another order of sums does to the last bit of a float, rounding makes large there.
    """

    def __init__(
        self, card: ModelCard, path: str, *, output: str, one_by_one: bool = False, packed: bool = False
    ) -> None:
        self.card = card
        self.batch = 1 if one_by_one else 4
        self._path, self._output, self._one_by_one = path, output, one_by_one
        # A file that is merely mapped is open at once, which suits a search; `tune` packs it for many pictures.
        self._threads = usable_cores()
        session = open_session(path, threads=self._threads, packed=packed)
        self._session: onnxruntime.InferenceSession | None = session
        self._turn: AbstractContextManager[object] = nullcontext()
        self._changing, self._tuned_for = threading.Lock(), (0, 0)
        first = session.get_inputs()[0]  # and not kept: it would keep its session, and so the weights
        self._input, shape = first.name, first.shape
        self._takes_pixels = first.type == "tensor(uint8)"
        self._channels_last = len(shape) == 4 and shape[3] == 3 and shape[1] != 3

    def tune(self, workers: int, batch: int | None = None) -> None:
        """Make ready for many pictures from so many threads: see `tuning`. Costs seconds the first time."""
        with self._changing:
            if self._tuned_for == (workers, batch or 0):
                return
            # Weights that are mapped and packed at the same time would take twice the memory.
            self._session = None
            self._turn = nullcontext()
            try:
                found = self._best(workers, batch)
                # A run on several threads is a run alone: others would only fight it for the cores.
                self._turn = threading.Lock() if found.threads > 1 else nullcontext()
                self.batch, self._threads, self._tuned_for = found.batch, found.threads, (workers, batch or 0)
            finally:
                self._session = open_session(self._path, threads=self._threads)

    def _best(self, workers: int, batch: int | None) -> Tuning:
        if batch:
            return Tuning(1, 1 if self._one_by_one else batch)
        network = f"{in_own(self.card).fingerprint}, onnxruntime {onnxruntime.__version__}"
        return tuned(network, workers, self._trial, (1,) if self._one_by_one else BATCHES)

    def _trial(self, threads: int) -> Callable[[int], object]:
        session = open_session(self._path, threads=threads)
        return lambda batch: self._run(self._fed([_grey(self.card)] * batch), session)

    def embed(self, pictures: Sequence[Picture]) -> Vectors:
        with self._changing:
            session, batch = self._session, self.batch
        assert session is not None  # noqa: S101 - only a change that is going on takes it away
        parts = [pictures[start : start + batch] for start in range(0, len(pictures), batch)]
        return normalised(np.concatenate([self._run(self._fed(part), session) for part in parts]))

    def export(self, folder: Path) -> None:
        """Write the network as one that takes pixels: see `compiling`."""
        from lookalike.models.backbones.onnx_graphs import feed_pixels

        feed_pixels(Path(self._path), folder / PICTURES, self.card.input, self._output)

    def _fed(self, pictures: Sequence[Picture]) -> Any:
        if self._takes_pixels:
            return preprocess.pixels(pictures, self.card.input)
        x = preprocess.batch(pictures, self.card.input)
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if self._channels_last else x

    def _run(self, x: Any, session: onnxruntime.InferenceSession) -> Vectors:
        try:
            with self._turn:
                (out,) = session.run([self._output], {self._input: x})
        except Exception as error:  # onnxruntime has no common ancestor for its errors
            raise ModelUnavailable(f"model {self.card.name!r} failed: {first_line(error)}") from error
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
    return OnnxBackbone(card, card.path, output=card.options["output"], one_by_one=card.options.get("batch") == "1")


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
        session = open_session(path)
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
        return _tried(card)
    except ModelUnavailable:
        # Exporters often fix the batch to that of their own trial, and do not always say so.
        card = replace(card, options={**card.options, "batch": "1"})
    try:
        return _tried(card)
    except ModelUnavailable as error:
        raise UsageError(f"{path}: a trial run failed: {error}") from error


def _revision(path: str) -> str:
    """The SHA-256 of the file, and of those beside it that hold its tensors where they are stored apart."""
    file = Path(path)
    alike = (each for each in file.parent.glob(f"{glob.escape(file.name)}?*") if "data" in each.suffix)
    apart = sorted({*alike, *_named_apart(file)})
    hashes = [sha256(each) for each in (file, *apart)]
    return hashes[0] if not apart else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _named_apart(graph: Path) -> set[Path]:
    """The files beside an ONNX file that it names as the place of tensors."""
    if not graph.stat().st_size:  # nothing to map
        return set()
    with graph.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        # A pair of strings in protobuf: "location" and, after its length (a varint below 256), the name. To look for
        # it is far less than to parse the graph, and what a tensor's bytes might feign is no file here.
        found = re.finditer(rb"\n\x08location\x12([\x80-\xff]\x01|[\x01-\x7f])", data)
        names = {data[each.end() : each.end() + each[1][0]].decode("utf-8", "surrogateescape") for each in found}
    return {place for name in names if name == Path(name).name and (place := graph.parent / name).is_file()}


def _tried(card: ModelCard) -> ModelCard:
    return replace(card, dim=load(card).embed([_grey(card)] * 2).shape[1])


def _grey(card: ModelCard) -> Picture:
    height, width = card.input.size
    return Picture(np.full((height, width, 3), 127, dtype=np.uint8), width, height, "RAW")


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


def open_session(path: str, *, threads: int = 1, packed: bool = True) -> onnxruntime.InferenceSession:
    """An ONNX file, ready to run on so many threads. Raises ModelUnavailable.

    Where it is `packed`, the weights are copied into the order in which the processor takes them best: some tenths
    of a second and the file's size in memory, for 10 % of the time of each picture (a third where they come singly).
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if not packed:
        options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no common ancestor for its errors
        raise ModelUnavailable(f"{path}: not an ONNX file that can be run: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What an error of ONNX Runtime's says, in one line."""
    return str(error).strip().splitlines()[0][:200]
