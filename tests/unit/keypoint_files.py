"""ONNX files with the inputs and outputs that OpenCV's ALIKED, DISK and LightGlue want, for nobody may hand out theirs.

Their keypoints are a grid, their descriptors what random filters see there; the matcher takes the most alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

GRID = 16


def write(kind: str, path: Path) -> Path:
    """Write the file of a kind: "aliked", "disk" or "lightglue"."""
    onnx = pytest.importorskip("onnx")
    graph = _matcher(onnx) if kind == "lightglue" else _extractor(onnx, kind)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def _extractor(onnx: Any, kind: str) -> Any:
    make, floats, whole = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    side, batch = (40, []) if kind == "aliked" else (64, [1])
    filters = np.random.default_rng(0).standard_normal((128, 3, side, side)).astype(np.float32)
    filters -= filters.mean(axis=(1, 2, 3), keepdims=True)
    middles = np.arange(GRID, dtype=np.float32) * side + side / 2
    if kind == "aliked":  # wants -1 to 1, the others pixels
        middles = middles / (GRID * side) * 2 - 1
    places = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(*batch, -1, 2)
    last = len(batch) + 1
    constants = {
        "filters": filters,
        "places": places.astype(np.float32),
        "shape": np.array([*batch, 128, GRID**2]),
        "none": np.zeros(1, dtype=np.float32),
    }
    nodes = [
        make.make_node("Conv", ["image", "filters"], ["seen"], strides=[side, side]),
        make.make_node("Reshape", ["seen", "shape"], ["flat"]),
        make.make_node("Transpose", ["flat"], ["descriptors"], perm=[0, 2, 1] if batch else [1, 0]),
        make.make_node("Abs", ["descriptors"], ["sizes"]),
        make.make_node("ReduceMean", ["sizes"], ["scores"], axes=[last], keepdims=0),
        make.make_node("ReduceMean", ["descriptors"], ["means"], axes=[last], keepdims=1),
        make.make_node("Mul", ["means", "none"], ["nothing"]),
        make.make_node("Add", ["places", "nothing"], ["found"]),
        make.make_node("Cast", ["found"], ["keypoints"], to=whole if batch else floats),
    ]
    outputs = [
        make.make_tensor_value_info("keypoints", whole if batch else floats, [*batch, GRID**2, 2]),
        make.make_tensor_value_info("descriptors", floats, [*batch, GRID**2, 128]),
        make.make_tensor_value_info("scores", floats, [*batch, GRID**2]),
    ]
    image = make.make_tensor_value_info("image", floats, [1, 3, GRID * side, GRID * side])
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    return make.make_graph(nodes, kind, [image], outputs, tensors)


def _matcher(onnx: Any) -> Any:
    make, floats, whole = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    nodes = [
        make.make_node("Transpose", ["desc1"], ["turned"], perm=[0, 2, 1]),
        make.make_node("MatMul", ["desc0", "turned"], ["batch"]),
        make.make_node("Squeeze", ["batch", "first"], ["likeness"]),
        make.make_node("ReduceMax", ["likeness"], ["best"], axes=[1], keepdims=1),
        make.make_node("Sub", ["best", "hair"], ["least"]),
        make.make_node("GreaterOrEqual", ["likeness", "least"], ["chosen"]),
        make.make_node("NonZero", ["chosen"], ["both"]),
        make.make_node("Transpose", ["both"], ["matches0"], perm=[1, 0]),
        make.make_node("GatherND", ["likeness", "matches0"], ["mscores0"]),
    ]
    inputs = [make.make_tensor_value_info(f"kpts{i}", floats, [1, f"n{i}", 2]) for i in (0, 1)]
    inputs += [make.make_tensor_value_info(f"desc{i}", floats, [1, f"n{i}", 128]) for i in (0, 1)]
    outputs = [
        make.make_tensor_value_info("matches0", whole, ["k", 2]),
        make.make_tensor_value_info("mscores0", floats, ["k"]),
    ]
    constants = {"first": np.zeros(1, dtype=np.int64), "hair": np.full(1, 1e-6, dtype=np.float32)}
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    return make.make_graph(nodes, "lightglue", inputs, outputs, tensors)
