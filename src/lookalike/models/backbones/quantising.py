"""Networks with 8-bit weights: the linear layers of a transformer, apart from what does not stand it.

Inputs are rounded to 256 steps between the least and the greatest of their values, picture by picture. Trained
transformers have a few channels that are a hundred times wider than the rest (Dettmers et al., LLM.int8(), 2022): the
steps become so coarse that the rest is lost. So we measure, on drawn pictures, what each step costs in cosine, and
repair the costliest: a layer's widest channels stay in float32, or else the layer as a whole.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from lookalike.errors import UsageError
from lookalike.metrics import normalised
from lookalike.models.backbones.onnx_graphs import PIXELS, VECTORS, session, write

WIDE = 16
"""How many of a layer's input channels stay in float32 where it is split."""

BUDGET = 0.002
"""What 8 bits may take from the cosine to float32, on the average of the drawn pictures."""

Way = Literal["8-bit", "split", "float32", "either"]
"""How a layer is computed. "either" is both: a gate chooses, so that one network tells what each layer costs."""

GATES = "gates"

_LEAST_OPSET = 11
_Array = npt.NDArray[np.float32]


@dataclass(slots=True)
class _Inlet:
    """A tensor that linear layers read (query, key and value read the same): they are treated alike.

    share: what its 8 bits take from the cosine; work: multiplications a picture; reach: (channels,) greatest values
    """

    share: float
    work: float
    reach: _Array

    @property
    def contrast(self) -> float:
        """How many times finer the steps are without the widest channels."""
        ordered = np.sort(self.reach)
        return float(ordered[-1] / max(ordered[-1 - WIDE], 1e-9)) if len(ordered) > 4 * WIDE else 1.0


def quantise(source: Path, target: Path, pictures: npt.NDArray[np.uint8]) -> None:
    """Write the 8-bit network of a float32 one.

    source:   a network from `pixels` to `vectors`, as `feed_pixels` writes it
    target:   the file to write, with its weights in `target.name + ".data"`; it takes one picture at a time, since
              the steps would depend on the others
    pictures: (n, height, width, 3), drawn ones: the same pictures and libraries give the same bytes

    Raises UsageError where 8 bits do not pay for this network, OSError where there is no room.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        model = _plain(source, Path(folder) / "plain.onnx")
        names = _inlets(source, model)
        trial = Path(folder) / "trial.onnx"
        write(_rewritten(model, dict.fromkeys(names, "either"), {}), trial)
        inlets, expected = _study(trial, model, names, pictures)
    budget = BUDGET
    while True:
        ways = _ways(source, inlets, budget)
        write(_rewritten(model, ways, {name: each.reach for name, each in inlets.items()}), target)
        if _lost(expected, _vectors(session(target), pictures)) <= BUDGET:
            return
        budget /= 2  # shares do not quite add up


def _plain(source: Path, path: Path) -> ModelProto:
    """The network for one picture, with all folded that does not depend on it: weights are then plain constants."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 4
    batch = onnx.load(source, load_external_data=False).graph.input[0].type.tensor_type.shape.dim[0]
    if batch.dim_param:
        options.add_free_dimension_override_by_name(batch.dim_param, 1)
    apart = "session.optimized_model_external_initializers_"
    options.add_session_config_entry(f"{apart}file_name", f"{path.name}.data")
    options.add_session_config_entry(f"{apart}min_size_in_bytes", "1024")
    onnxruntime.InferenceSession(
        str(source), options, providers=["CPUExecutionProvider"], disabled_optimizers=["MatMulAddFusion"]
    )
    model = onnx.load(path)
    nodes = [each for node in model.graph.node for each in _without_gemm(node, model)]
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    return model


def _without_gemm(node: NodeProto, model: ModelProto) -> list[NodeProto]:
    """A Gemm that is a linear layer as MatMul and Add; any other node as it is."""
    settings = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    weights = {each.name: each for each in model.graph.initializer}
    if (
        node.op_type != "Gemm"
        or node.input[1] not in weights
        or settings.get("transA")
        or (settings.get("alpha", 1.0), settings.get("beta", 1.0)) != (1.0, 1.0)
    ):
        return [node]
    name = node.input[1]
    if settings.get("transB"):
        turned = numpy_helper.to_array(weights[name]).T
        name = f"{node.output[0]}/turned"
        model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(turned), name))
    if len(node.input) < 3:
        return [helper.make_node("MatMul", [node.input[0], name], [node.output[0]])]
    product = f"{node.output[0]}/product"
    return [
        helper.make_node("MatMul", [node.input[0], name], [product]),
        helper.make_node("Add", [product, node.input[2]], [node.output[0]]),
    ]


def _weights(model: ModelProto) -> dict[str, TensorProto]:
    """The (in, out) matrices that are large enough to be worth it, by name."""
    return {
        each.name: each
        for each in model.graph.initializer
        if len(each.dims) == 2 and min(each.dims) >= 32 and each.data_type == TensorProto.FLOAT
    }


def _inlets(source: Path, model: ModelProto) -> list[str]:
    """The tensors that linear layers read. Raises UsageError where there are none, or too few to matter."""
    weights = _weights(model)
    found = [node.input[0] for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in weights]
    if len(found) <= sum(node.op_type == "Conv" for node in model.graph.node):
        raise UsageError(f"{source}: 8 bits do not pay for a network of convolutions: use it in fp32")
    if (opset := max(each.version for each in model.opset_import if not each.domain)) < _LEAST_OPSET:
        raise UsageError(f"{source}: opset {opset} knows no 8 bits: export it for opset {_LEAST_OPSET} or later")
    return list(dict.fromkeys(found))


def _study(
    trial: Path, model: ModelProto, names: list[str], pictures: npt.NDArray[np.uint8]
) -> tuple[dict[str, _Inlet], _Array]:
    """What there is to know of the inlets, and the (n, dim) vectors of float32."""
    run = session(trial).run
    closed = np.zeros(len(names), dtype=np.float32)
    weights = _weights(model)
    outs = dict.fromkeys(names, 0)
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights:
            outs[node.input[0]] += weights[node.input[1]].dims[1]
    inlets: dict[str, _Inlet] = {}
    vectors = []
    for picture in pictures:
        vector, *values = run([VECTORS, *names], {PIXELS: picture[None], GATES: closed})
        vectors.append(vector)
        for name, value in zip(names, values, strict=True):
            reach = np.abs(value).reshape(-1, value.shape[-1]).max(axis=0)
            before = inlets.setdefault(name, _Inlet(0.0, float(value.size) * outs[name], reach))
            before.reach = np.maximum(before.reach, reach)
    expected = np.concatenate(vectors)
    few = slice(None, None, 4)  # the time of a trial is that of all inlets times that of these pictures
    for name, gates in zip(names, np.eye(len(names), dtype=np.float32), strict=True):
        got = [run([VECTORS], {PIXELS: picture[None], GATES: gates})[0] for picture in pictures[few]]
        inlets[name].share = max(1e-7, _lost(expected[few], np.concatenate(got)))  # of rounding it may be below 0
    return inlets, expected


def _ways(source: Path, inlets: Mapping[str, _Inlet], budget: float) -> dict[str, Way]:
    """How to treat each inlet, so that the shares keep within the budget: the dearest for their work change first."""
    ways: dict[str, Way] = dict.fromkeys(inlets, "8-bit")
    shares = {name: each.share for name, each in inlets.items()}
    while sum(shares.values()) > budget:
        left = [name for name, way in ways.items() if way != "float32"]
        name = max(left, key=lambda name: shares[name] / inlets[name].work)
        contrast = inlets[name].contrast
        if ways[name] == "8-bit" and contrast >= 2:
            ways[name] = "split"
            shares[name] /= contrast**2  # the noise of rounding goes with the square of the step
        else:
            ways[name] = "float32"
            shares[name] = 0.0
    kept = sum(inlets[name].work for name, way in ways.items() if way != "float32")
    if kept < sum(each.work for each in inlets.values()) / 2:
        raise UsageError(f"{source}: 8 bits cost this network too much of its accuracy: use it in fp32")
    return ways


def _rewritten(model: ModelProto, ways: Mapping[str, Way], reach: Mapping[str, _Array]) -> ModelProto:
    """The network with its linear layers computed in these ways."""
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    del graph.node[:]
    weights = _weights(model)
    gates = [name for name, way in ways.items() if way == "either"]
    if gates:
        graph.input.append(helper.make_tensor_value_info(GATES, TensorProto.FLOAT, [len(gates)]))
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in gates)
    prepared: set[str] = set()
    for node in model.graph.node:
        x = node.input[0] if node.input else ""
        way = ways.get(x, "float32")
        if node.op_type != "MatMul" or node.input[1] not in weights or way == "float32":
            graph.node.append(node)
            continue
        wide = np.sort(np.argsort(-reach[x], kind="stable")[:WIDE]) if way == "split" else np.zeros(0, dtype=np.int64)
        if x not in prepared:
            prepared.add(x)
            _round_input(graph, x, wide, reach.get(x), gates)
        _multiply(graph, node, numpy_helper.to_array(weights[node.input[1]]), wide, way)
    return result


def _round_input(
    graph: GraphProto, x: str, wide: npt.NDArray[np.int64], reach: _Array | None, gates: list[str]
) -> None:
    """What all layers that read x share: its 8-bit values, and its wide channels or the gate apart."""
    rounded = x
    if len(wide):
        mask = np.ones(len(reach) if reach is not None else 0, dtype=np.float32)
        mask[wide] = 0
        rounded = _node(graph, "Mul", [x, _constant(graph, f"{x}/narrow", mask)], f"{x}/rest")
        _node(graph, "Gather", [x, _constant(graph, f"{x}/which", wide)], f"{x}/wide", axis=-1)
    outputs = [f"{x}/steps", f"{x}/step", f"{x}/zero"]
    graph.node.append(helper.make_node("DynamicQuantizeLinear", [rounded], outputs))
    if x in gates:
        which = _constant(graph, f"{x}/index", np.asarray(gates.index(x), dtype=np.int64))
        _node(graph, "Gather", [GATES, which], f"{x}/gate", axis=0)


def _multiply(graph: GraphProto, layer: NodeProto, weights: _Array, wide: npt.NDArray[np.int64], way: Way) -> None:
    """Append what gives a layer's output: ONNX Runtime fuses the middle of it into one kernel."""
    x, out = layer.input[0], layer.output[0]
    narrow = weights.copy()
    narrow[wide] = 0
    step = _steps(narrow)
    integers = _constant(graph, f"{out}/weights", np.rint(narrow / step).astype(np.int8))
    zeros = _constant(graph, f"{out}/zeros", np.zeros(len(step), dtype=np.int8))
    product = _node(graph, "MatMulInteger", [f"{x}/steps", integers, f"{x}/zero", zeros], f"{out}/integers")
    product = _node(graph, "Cast", [product], f"{out}/floats", to=TensorProto.FLOAT)
    steps = _node(graph, "Mul", [f"{x}/step", _constant(graph, f"{out}/step", step)], f"{out}/steps")
    if way == "8-bit":
        _node(graph, "Mul", [product, steps], out)
        return
    product = _node(graph, "Mul", [product, steps], f"{out}/8-bit")
    if way == "split":
        few = _constant(graph, f"{out}/few", weights[wide])
        _node(graph, "Add", [product, _node(graph, "MatMul", [f"{x}/wide", few], f"{out}/wide")], out)
        return
    exact = _node(graph, "MatMul", [x, layer.input[1]], f"{out}/exact")
    change = _node(graph, "Sub", [product, exact], f"{out}/change")
    change = _node(graph, "Mul", [change, f"{x}/gate"], f"{out}/changed")
    _node(graph, "Add", [exact, change], out)


def _steps(weights: _Array) -> _Array:
    """(out,) what one step of the 8-bit weights of each output is worth.

    Processors without VNNI add the products of two neighbouring channels in 16 bits, and cut off what is greater: so
    two weights of one sign may be 128 together, as 128 x 255 still fits. All processors then come to the same sums.
    """
    pairs = np.pad(weights, ((0, len(weights) % 2), (0, 0))).reshape(-1, 2, weights.shape[1])
    most = np.maximum(np.maximum(pairs, 0).sum(axis=1).max(axis=0), np.maximum(-pairs, 0).sum(axis=1).max(axis=0))
    return np.where(most > 0, most / np.float32(127), np.float32(1))


def _node(graph: GraphProto, kind: str, inputs: list[str], output: str, **settings: Any) -> str:
    graph.node.append(helper.make_node(kind, inputs, [output], **settings))
    return output


def _constant(graph: GraphProto, name: str, value: npt.NDArray[Any]) -> str:
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
    return name


def _vectors(run: onnxruntime.InferenceSession, pictures: npt.NDArray[np.uint8]) -> _Array:
    return np.concatenate([run.run([VECTORS], {PIXELS: picture[None]})[0] for picture in pictures])


def _lost(expected: _Array, got: _Array) -> float:
    """How far the cosine falls short of 1, on the average."""
    return float(1 - (normalised(expected) * normalised(got)).sum(axis=1).mean())
