"""What a network of the ViT kind sees, patch by patch: its last tokens, on their grid over the picture.

Dosovitskiy et al., "An Image is Worth 16x16 Words" (ICLR 2021); what patch tokens are good for: Amir et al., "Deep ViT
Features as Dense Visual Descriptors" (2021).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.metrics import normalised
from lookalike.models import compiled, preprocess
from lookalike.models.backbones import huggingface
from lookalike.types import Backbone, InputSpec, ModelCard, Picture, Vectors

SPECIAL = 5
"""Tokens at most that are no patches: one for the whole picture and four registers. They come first."""

_LAST = 40
"""Tensors, counted from a network's end, among which its last tokens must be."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """The patches of one picture.

    tokens: (rows, cols, dim) of length 1
    box:    left, top, right, bottom of the grid, as shares of the picture's width and height: a network that cuts out
            the middle sees less than 0 to 1, one that pads sees more
    """

    tokens: Vectors
    box: Box


def patches(backbone: Backbone, pictures: Sequence[Picture]) -> list[Patches] | None:
    """The patches of each picture; None of a network that has none, or whose tokens cannot be found."""
    card = backbone.card
    tokens = _tokens(backbone, pictures)
    if tokens is None or (grid := _grid(tokens.shape[1], card.input.size)) is None:
        return None
    rows, cols = grid
    own = normalised(tokens[:, tokens.shape[1] - rows * cols :])
    shaped = own.reshape(len(pictures), rows, cols, -1)
    return [Patches(each, seen(picture, card.input)) for each, picture in zip(shaped, pictures, strict=True)]


def seen(picture: Picture, spec: InputSpec) -> Box:
    """Which part of a picture a network sees: left, top, right, bottom, as shares of its width and height."""
    if spec.fit in ("squash", "longest"):
        return 0.0, 0.0, 1.0, 1.0
    height, width = spec.size
    if spec.fit == "crop":
        scale = max(spec.resize or 0, *spec.size) / min(picture.width, picture.height)
    else:
        scale = min(width / picture.width, height / picture.height)
    across, down = width / (picture.width * scale), height / (picture.height * scale)
    return (1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2


def _tokens(backbone: Backbone, pictures: Sequence[Picture]) -> npt.NDArray[np.float32] | None:
    """(n, tokens, dim)."""
    if (graph := _graph(backbone)) is not None:
        return _of_onnx(graph, backbone.card, pictures)
    if backbone.card.loader == huggingface.LOADER:
        return _of_torch(backbone, pictures)
    return None


def _graph(backbone: Backbone) -> Path | None:
    """The ONNX file that the backbone runs, if it runs one."""
    from lookalike.models.backbones.compiled import CompiledBackbone
    from lookalike.models.backbones.onnx import OnnxBackbone

    if isinstance(backbone, CompiledBackbone):
        found = compiled.find(backbone.card)
        return found.folder / compiled.PICTURES if found else None
    return Path(backbone.card.path) if isinstance(backbone, OnnxBackbone) and backbone.card.path else None


def _of_onnx(path: Path, card: ModelCard, pictures: Sequence[Picture]) -> npt.NDArray[np.float32] | None:
    """None where the package `onnx` is not installed, without which no inner tensor can be reached."""
    try:
        import onnx
    except ImportError:
        return None
    import onnxruntime

    model = onnx.load(path, load_external_data=False)
    names = _candidates(model.graph)
    outputs = {each.name for each in model.graph.output}
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in outputs)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.resolve().parent))
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found: list[Any] = []
        for picture in pictures:
            fed = {session.get_inputs()[0].name: _fed(session.get_inputs()[0], card, picture)}
            if not found:
                names = _fitting(names, session.run(names, fed), card)
            if not names:
                return None
            found += session.run(names, fed)
    except Exception:  # noqa: BLE001 - onnxruntime has no common ancestor for its errors; the map is not worth one
        return None
    return np.concatenate(found).astype(np.float32)


def _candidates(graph: Any) -> list[str]:
    """What may be the last tokens: what comes of normalising layers, and sums, the last ones last.

    Not the sums of a product and a constant: those are keys and values of an attention, on their way to a head.
    """
    fixed = {each.name for each in graph.initializer} | {""}
    made_by: dict[str, str] = {}
    found = []
    for node in graph.node:
        moving = [name for name in node.input if name not in fixed]
        if not moving:
            fixed.update(node.output)
            continue
        made_by.update(dict.fromkeys(node.output, node.op_type))
        keys = len(moving) == 1 and made_by.get(moving[0]) in ("MatMul", "Gemm")
        if node.op_type == "LayerNormalization" or (node.op_type == "Add" and not keys):
            found.append(node.output[0])
    return found[-_LAST:]


def _fitting(names: Sequence[str], values: Sequence[Any], card: ModelCard) -> list[str]:
    """The name of the last of these tensors that holds tokens, of the embedding's own width where some do."""
    tokens = [
        (name, value.shape[2])
        for name, value in zip(names, values, strict=True)
        if value.ndim == 3 and len(value) == 1 and _grid(value.shape[1], card.input.size)
    ]
    wide = [name for name, width in tokens if width == card.dim] or [name for name, _ in tokens]
    return wide[-1:]


def _fed(feed: Any, card: ModelCard, picture: Picture) -> npt.NDArray[Any]:
    if feed.type == "tensor(uint8)":
        return preprocess.pixels([picture], card.input)
    x = preprocess.batch([picture], card.input)
    channels_last = len(feed.shape) == 4 and feed.shape[3] == 3 and feed.shape[1] != 3
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if channels_last else x


def _of_torch(backbone: Any, pictures: Sequence[Picture]) -> npt.NDArray[np.float32] | None:
    import torch

    network = getattr(backbone.module, "vision", backbone.module)  # BLIP-2's eyes
    x = torch.from_numpy(preprocess.batch(pictures, backbone.card.input)).to(backbone.device, backbone.dtype)
    with torch.inference_mode(), contextlib.suppress(AttributeError, TypeError):
        hidden = network(pixel_values=x).last_hidden_state.float().cpu()
        return np.asarray(hidden.numpy()) if hidden.ndim == 3 else None
    return None


def _grid(tokens: int, size: tuple[int, int]) -> tuple[int, int] | None:
    """(rows, cols) of so many tokens, a few of them special, for a network that takes (height, width) pixels."""
    height, width = size
    for patch in range(2, min(size) // 3 + 1):
        rows, cols = height // patch, width // patch
        if 0 <= tokens - rows * cols <= SPECIAL:
            return rows, cols
    return None
