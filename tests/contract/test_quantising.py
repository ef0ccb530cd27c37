"""Networks rewritten: fed with pixels the same to the last bit, and with 8-bit weights near enough."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike.errors import UsageError
from lookalike.metrics import normalised
from lookalike.models.drawn import drawn
from lookalike.models.preprocess import batch, fit
from lookalike.types import InputSpec, Picture

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from lookalike.models.backbones.onnx_graphs import feed_pixels, session  # noqa: E402
from lookalike.models.backbones.quantising import quantise  # noqa: E402

HALVES = (0.5, 0.5, 0.5)
SMALL = InputSpec(size=(32, 32), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
RAW = InputSpec(size=(32, 32))
TOKENS, WIDTH, DEPTH = 16, 64, 3


def run(path: Path, pixels: np.ndarray) -> np.ndarray:
    """The vectors of pictures, one at a time."""
    network = session(path)
    return np.concatenate([network.run(["vectors"], {"pixels": each[None]})[0] for each in pixels])


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (normalised(a) * normalised(b)).sum(axis=1)


def saved(path: Path, nodes: list, weights: dict, input_shape: list, output_rank: int, opset: int = 17) -> Path:
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [None] * output_rank)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def perceptron(
    path: Path, *, channels_last: bool = False, wide: bool = False, gemm: bool = False, n: object = "n"
) -> Path:
    """Patches through residual layers, like a transformer without attention; `wide` gives some channels that tower.

    Output (n, tokens, dim).
    """
    rng = np.random.default_rng(3)
    weights = {
        "patch": rng.normal(size=(WIDTH, 3, 8, 8)).astype(np.float32) * 0.1,
        "flat": np.array([0, WIDTH, TOKENS], dtype=np.int64),
        "rows": np.array([-1, WIDTH], dtype=np.int64),
        "whole": np.array([-1, TOKENS, WIDTH], dtype=np.int64),
    }
    nodes = [helper.make_node("Transpose", ["x"], ["nchw"], perm=[0, 3, 1, 2])] if channels_last else []
    nodes += [
        helper.make_node("Conv", ["nchw" if channels_last else "x", "patch"], ["map"], strides=[8, 8]),
        helper.make_node("Reshape", ["map", "flat"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["start"], perm=[0, 2, 1]),
        helper.make_node("Reshape", ["start", "rows" if gemm else "whole"], ["h0"]),
    ]
    for i in range(DEPTH):
        tower = np.ones(4 * WIDTH, dtype=np.float32)
        if wide and i == 1:
            tower[[5, 77]] = 300
        up = rng.normal(size=(WIDTH, 4 * WIDTH)).astype(np.float32) / 8 * tower
        down = rng.normal(size=(4 * WIDTH, WIDTH)).astype(np.float32) / 16 / tower[:, None]
        if gemm:
            weights |= {f"up{i}": np.ascontiguousarray(up.T), f"down{i}": down, f"bias{i}": down[0]}
            layers = [
                helper.make_node("Gemm", [f"h{i}", f"up{i}"], [f"a{i}"], transB=1),
                helper.make_node("Relu", [f"a{i}"], [f"b{i}"]),
                helper.make_node("Gemm", [f"b{i}", f"down{i}", f"bias{i}"], [f"c{i}"]),
            ]
        else:
            weights |= {f"up{i}": up, f"down{i}": down}
            layers = [
                helper.make_node("MatMul", [f"h{i}", f"up{i}"], [f"a{i}"]),
                helper.make_node("Relu", [f"a{i}"], [f"b{i}"]),
                helper.make_node("MatMul", [f"b{i}", f"down{i}"], [f"c{i}"]),
            ]
        nodes += [*layers, helper.make_node("Add", [f"h{i}", f"c{i}"], [f"h{i + 1}"])]
    nodes.append(helper.make_node("Reshape", [f"h{DEPTH}", "whole"], ["out"]))
    return saved(path, nodes, weights, [n, 32, 32, 3] if channels_last else [n, 3, 32, 32], 3)


def convolutions(path: Path) -> Path:
    """Output (n, dim, h, w)."""
    weight = np.random.default_rng(4).normal(size=(40, 3, 5, 5)).astype(np.float32)
    return saved(path, [helper.make_node("Conv", ["x", "w"], ["out"])], {"w": weight}, ["n", 3, 32, 32], 4)


def pictures(spec: InputSpec, pixels: np.ndarray) -> tuple[list[Picture], np.ndarray]:
    as_read = [Picture(each, each.shape[1], each.shape[0], "RAW") for each in pixels]
    return as_read, batch(as_read, spec)


@pytest.mark.parametrize("spec", [SMALL, RAW])
@pytest.mark.parametrize("channels_last", [False, True])
def test_pixels_give_what_floats_gave(tmp_path: Path, spec: InputSpec, channels_last: bool) -> None:
    source = perceptron(tmp_path / "a.onnx", channels_last=channels_last)
    pixels = drawn((32, 32), 5)
    _, floats = pictures(spec, pixels)
    x = floats.transpose(0, 2, 3, 1) if channels_last else floats
    expected = session(source).run(["out"], {"x": x})[0].mean(axis=1)

    feed_pixels(source, tmp_path / "b.onnx", spec, "out")
    network = session(tmp_path / "b.onnx")
    assert [(i.name, i.type, i.shape[1:]) for i in network.get_inputs()] == [("pixels", "tensor(uint8)", [32, 32, 3])]
    assert [o.name for o in network.get_outputs()] == ["vectors"]
    (together,) = network.run(None, {"pixels": pixels})
    np.testing.assert_allclose(together, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def test_a_map_is_averaged_over_space_and_names_may_clash(tmp_path: Path) -> None:
    model = onnx.load(convolutions(tmp_path / "a.onnx"))
    model.graph.input[0].name = model.graph.node[0].input[0] = "vectors"
    model.graph.output[0].name = model.graph.node[0].output[0] = "pixels"
    onnx.save(model, tmp_path / "a.onnx")
    pixels = drawn((32, 32), 3)
    expected = session(tmp_path / "a.onnx").run(None, {"vectors": pictures(SMALL, pixels)[1]})[0].mean(axis=(2, 3))
    feed_pixels(tmp_path / "a.onnx", tmp_path / "b.onnx", SMALL, "pixels")
    np.testing.assert_allclose(normalised(run(tmp_path / "b.onnx", pixels)), normalised(expected), atol=1e-6)


def test_a_fixed_batch_stays(tmp_path: Path) -> None:
    feed_pixels(perceptron(tmp_path / "a.onnx", n=1), tmp_path / "b.onnx", SMALL, "out")
    assert session(tmp_path / "b.onnx").get_inputs()[0].shape == [1, 32, 32, 3]
    quantise(tmp_path / "b.onnx", tmp_path / "c.onnx", drawn((32, 32), 4))
    assert run(tmp_path / "c.onnx", drawn((32, 32), 2)).shape == (2, WIDTH)


def test_what_the_output_does_not_need_is_left_out(tmp_path: Path) -> None:
    model = onnx.load(perceptron(tmp_path / "a.onnx"))
    model.graph.node.append(helper.make_node("MatMul", ["out", "head"], ["logits"]))
    model.graph.initializer.append(numpy_helper.from_array(np.ones((WIDTH, 99), dtype=np.float32), "head"))
    model.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, None))
    onnx.save(model, tmp_path / "a.onnx")
    feed_pixels(tmp_path / "a.onnx", tmp_path / "b.onnx", SMALL, "out")
    graph = onnx.load(tmp_path / "b.onnx").graph
    assert sum(node.op_type == "MatMul" for node in graph.node) == 2 * DEPTH
    assert {each.name for each in graph.initializer} & {"net/up0", "net/head"} == {"net/up0"}


def test_no_two_neighbouring_products_overflow_16_bits(tmp_path: Path) -> None:
    """Processors without VNNI would cut them off, and give other vectors than the rest."""
    feed_pixels(perceptron(tmp_path / "a.onnx"), tmp_path / "b.onnx", SMALL, "out")
    quantise(tmp_path / "b.onnx", tmp_path / "c.onnx", drawn((32, 32), 4))
    weights = [numpy_helper.to_array(each) for each in onnx.load(tmp_path / "c.onnx").graph.initializer]
    integers = [each.astype(int) for each in weights if each.dtype == np.int8 and each.ndim == 2]
    assert len(integers) == 2 * DEPTH
    for each in integers:
        sums = [np.maximum(sign * each, 0).reshape(-1, 2, each.shape[1]).sum(axis=1).max() for sign in (1, -1)]
        assert 120 <= max(sums) <= 128


@pytest.mark.parametrize("gemm", [False, True])
def test_8_bits_are_near(tmp_path: Path, gemm: bool) -> None:
    feed_pixels(perceptron(tmp_path / "a.onnx", gemm=gemm), tmp_path / "b.onnx", SMALL, "out")
    quantise(tmp_path / "b.onnx", tmp_path / "c.onnx", drawn((32, 32), 8))
    pixels = drawn((32, 32), 12, seed=7)
    assert cosines(run(tmp_path / "b.onnx", pixels), run(tmp_path / "c.onnx", pixels)).min() > 0.998
    kinds = [node.op_type for node in onnx.load(tmp_path / "c.onnx").graph.node]
    assert kinds.count("MatMulInteger") == 2 * DEPTH
    sizes = [(tmp_path / name).stat().st_size for name in ("b.onnx.data", "c.onnx.data")]
    assert sizes[1] < sizes[0] / 2


def test_channels_that_tower_stay_in_float32(tmp_path: Path) -> None:
    feed_pixels(perceptron(tmp_path / "a.onnx", wide=True), tmp_path / "b.onnx", SMALL, "out")
    quantise(tmp_path / "b.onnx", tmp_path / "c.onnx", drawn((32, 32), 8))
    graph = onnx.load(tmp_path / "c.onnx").graph
    weights = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    (few,) = (node for node in graph.node if node.op_type == "MatMul" and node.input[1] in weights)
    (gather,) = (node for node in graph.node if few.input[0] in node.output)
    assert {5, 77} <= set(weights[gather.input[1]].tolist())
    pixels = drawn((32, 32), 12, seed=7)
    assert cosines(run(tmp_path / "b.onnx", pixels), run(tmp_path / "c.onnx", pixels)).min() > 0.998


def test_a_network_without_linear_layers_is_refused(tmp_path: Path) -> None:
    feed_pixels(convolutions(tmp_path / "a.onnx"), tmp_path / "b.onnx", SMALL, "out")
    with pytest.raises(UsageError, match=r"b\.onnx: 8 bits do not pay .*use it in fp32$"):
        quantise(tmp_path / "b.onnx", tmp_path / "c.onnx", drawn((32, 32), 2))
    assert not (tmp_path / "c.onnx").exists()


def test_a_trained_transformer_on_real_photos(tmp_path: Path, shared: Path) -> None:
    spec = InputSpec(size=(224, 224), resize=256, mean=HALVES, std=HALVES)
    source, target = tmp_path / "vit.onnx", tmp_path / "vit8.onnx"
    feed_pixels(shared / "models" / "vit_tiny_patch16_224.onnx", source, spec, "embedding")
    quantise(source, target, drawn((224, 224)))

    files = sorted((shared / "data" / "photos" / "images").rglob("*.jpg"))[::24][:100]
    as_read = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    pixels = np.stack([fit(Picture(each, each.shape[1], each.shape[0], "JPEG"), spec) for each in as_read])
    got = run(target, pixels)
    near = cosines(run(source, pixels), got)
    assert len(near) == 100
    assert near.min() >= 0.995
    assert near.mean() >= 0.998
    np.testing.assert_array_equal(run(target, pixels[9::-1]), got[9::-1])  # whatever came before

    again = tmp_path / "again" / "vit8.onnx"
    again.parent.mkdir()
    quantise(source, again, drawn((224, 224)))
    assert again.read_bytes() == target.read_bytes()
    assert Path(f"{again}.data").read_bytes() == Path(f"{target}.data").read_bytes()


def test_drawn_pictures_are_always_the_same_and_varied() -> None:
    first = drawn((48, 64), 6)
    assert first.shape == (6, 48, 64, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(drawn((48, 64), 3), first[:3])
    assert len({each.tobytes() for each in [*first, *drawn((48, 64), 6, seed=1)]}) == 12
    assert first.std(axis=(1, 2, 3)).min() > 5
