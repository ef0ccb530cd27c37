"""ONNX networks rewritten: fed with pixels, and read and written whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import NodeProto, TensorProto, compose, helper, numpy_helper

from lookalike.types import InputSpec

PIXELS, VECTORS = "pixels", "vectors"
"""The one input and the one output of a network of ours: (n, height, width, 3) uint8, and (n, dim) float32."""


def feed_pixels(source: Path, target: Path, spec: InputSpec, output: str) -> None:
    """Rewrite a network of float pictures, NCHW or NHWC, into one that takes uint8 pixels and normalises them itself.

    source: an ONNX file with one float32 input, as `describe` of the ONNX backbone lets in
    target: the file to write, with its weights in `target.name + ".data"` beside it; its input is `pixels`
            (n, height, width, 3), with the batch that the source has fixed, if it has
    output: the output of `source` that becomes `vectors`, (n, dim): an (n, dim, h, w) one is averaged over space,
            an (n, tokens, dim) one over tokens

    Raises OSError where `target` cannot be written.
    """
    model = onnx.load(source)
    graph = model.graph
    weights = {each.name for each in graph.initializer}
    (feed,) = (each for each in graph.input if each.name not in weights)  # old files list the weights there, too
    dims = [each.dim_value for each in feed.type.tensor_type.shape.dim]
    channels_last = dims[3] == 3 and dims[1] != 3
    sample, rank = _trial(source, feed.name, (dims[0] or 1, *spec.size), channels_last, output)

    compose.add_prefix(model, "net/", inplace=True)  # a tensor may have the name of one of ours
    before, constants = _normalising(spec, channels_last, feed.name)
    after = _pooling(f"net/{output}", sample, rank)
    nodes = _needed([*before, *graph.node, *after], VECTORS)
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    batch = dims[0] or "n"
    graph.input.append(helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, [batch, *spec.size, 3]))
    graph.output.append(helper.make_tensor_value_info(VECTORS, TensorProto.FLOAT, [batch, None]))
    model.ir_version = max(model.ir_version, 4)  # before it, weights had to be inputs
    write(model, target)


def write(model: onnx.ModelProto, target: Path) -> None:
    """Write a network, the weights that nodes use as `target.name + ".data"`: one file holds no more than 2 GB."""
    used = set(_names(model.graph.node))
    kept = [each for each in model.graph.initializer if each.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    apart = target.with_name(f"{target.name}.data")
    apart.unlink(missing_ok=True)  # onnx appends
    onnx.save_model(model, target, save_as_external_data=True, location=apart.name, size_threshold=1024)


def session(path: Path) -> onnxruntime.InferenceSession:
    """A network to try things on, in one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _trial(
    source: Path, name: str, shape: tuple[int, int, int], channels_last: bool, output: str
) -> tuple[npt.DTypeLike, int]:
    """The type and the rank of an output: files often do not say them."""
    n, height, width = shape
    x = np.zeros((n, height, width, 3) if channels_last else (n, 3, height, width), dtype=np.float32)
    (out,) = session(source).run([output], {name: x})
    return out.dtype, out.ndim


def _normalising(spec: InputSpec, channels_last: bool, name: str) -> tuple[list[NodeProto], list[TensorProto]]:
    """Nodes from `pixels` to what the network took, in the order of `preprocess.batch`: the same to the last bit."""
    nodes = [] if channels_last else [helper.make_node("Transpose", [PIXELS], [""], perm=[0, 3, 1, 2])]
    nodes.append(helper.make_node("Cast", [PIXELS], [""], to=TensorProto.FLOAT))
    constants = []
    if spec.mean is not None and spec.std is not None:
        shape = (3,) if channels_last else (3, 1, 1)
        for kind, values in (("Div", [255.0] * 3), ("Sub", spec.mean), ("Div", spec.std)):
            constant = numpy_helper.from_array(
                np.asarray(values, dtype=np.float32).reshape(shape), f"feed/{len(nodes)}/by"
            )
            nodes.append(helper.make_node(kind, [PIXELS, constant.name], [""]))
            constants.append(constant)
    _chain(nodes, PIXELS, "feed", name)
    return nodes, constants


def _pooling(name: str, kind: npt.DTypeLike, rank: int) -> list[NodeProto]:
    """Nodes from an output to `vectors`."""
    nodes = []
    if kind != np.float32:
        nodes.append(helper.make_node("Cast", [name], [""], to=TensorProto.FLOAT))
    if rank == 3:
        nodes.append(helper.make_node("Transpose", [name], [""], perm=[0, 2, 1]))
    if rank in (3, 4):
        nodes.append(helper.make_node("GlobalAveragePool", [name], [""]))
    nodes.append(helper.make_node("Flatten", [name], [""], axis=1))
    _chain(nodes, name, "pool", VECTORS)
    return nodes


def _chain(nodes: Sequence[NodeProto], first: str, name: str, last: str) -> None:
    """Put nodes in a row: each reads what the one before it gives."""
    for i, node in enumerate(nodes):
        node.name = f"{name}/{i}"
        node.input[0] = f"{name}/{i - 1}/out" if i else first
        node.output[0] = f"{name}/{i}/out" if i < len(nodes) - 1 else last


def _needed(nodes: Sequence[NodeProto], output: str) -> list[NodeProto]:
    """The nodes that an output depends on, in their order."""
    wanted, kept = {output}, []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted.update(_names([node]))
            kept.append(node)
    return kept[::-1]


def _names(nodes: Iterable[NodeProto]) -> Iterator[str]:
    """Every tensor that nodes read, those within branches and loops included."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _names(graph.node)
                yield from (each.name for each in graph.output)
