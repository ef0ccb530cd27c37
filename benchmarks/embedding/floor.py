"""What the work costs at the least on this machine, for compare.py to hold the contenders against.

    python floor.py TASK

TASK is JSON: {"models": [...], "pictures": {"small": FOLDER, ...}}. Run it with one thread: cores are counted by
compare.py. The last line printed is JSON: gflops (the most that one core reached in a product or convolution of
float32 numbers, by any library), and by model flop (of one picture) and decode_seconds (of one picture of each kind,
with resizing).
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from material import TRANSFORMERS
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from lookalike.models.backbones import convnets
from lookalike.models.catalog import CARDS
from lookalike.types import InputSpec

PICTURES, TRIES = 8, 7
SIDE, CHANNELS, GRID = 2048, 256, 28

CONVNETS = {"resnet50": "ResNet-50", "mobilenet-v3": "MobileNetV3"}


def main() -> None:
    task = json.loads(sys.argv[1])
    specs = {card.name: card.input for card in CARDS}
    peaks = peak_flops()
    answer: dict[str, Any] = {"gflops": max(peaks.values()), "gflops_by": peaks, "models": {}}
    for model in task["models"]:
        decoding = {kind: seconds_to_decode(Path(folder), specs[model]) for kind, folder in task["pictures"].items()}
        answer["models"][model] = {"flop": flop(model), "decode_seconds": decoding}
    print(json.dumps(answer))


def peak_flops() -> dict[str, float]:
    """What one core reaches, by library and work: each has its own ways, and no two the same best."""
    torch.set_num_threads(1)
    a = np.random.default_rng(7).random((SIDE, SIDE), dtype=np.float32)
    image = a[:CHANNELS, : GRID * GRID].reshape(1, CHANNELS, GRID, GRID)
    kernels = np.resize(a, (CHANNELS, CHANNELS, 3, 3))
    tensor, product, convolution = torch.from_numpy(a), session("MatMul", a, a), session("Conv", image, kernels)
    tries: dict[str, tuple[int, Callable[[], Any]]] = {
        "numpy product": (SIDE**3, lambda: a @ a),
        "torch product": (SIDE**3, lambda: tensor @ tensor),
        "onnxruntime product": (SIDE**3, lambda: product.run(None, {"x": a})),
        "onnxruntime convolution": (kernels.size * GRID**2, lambda: convolution.run(None, {"x": image})),
    }
    return {name: 2 * pairs / least_seconds(each) / 1e9 for name, (pairs, each) in tries.items()}


def least_seconds(work: Callable[[], Any]) -> float:
    """Of CPU time: whoever else is on the machine can only slow us down."""
    found = []
    for _ in range(TRIES):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def session(operator: str, x: Any, weights: Any) -> onnxruntime.InferenceSession:
    """A network of one operator, on one thread."""
    padding = {"pads": [1, 1, 1, 1]} if operator == "Conv" else {}
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"], **padding)],
        operator,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, x.shape)],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def seconds_to_decode(folder: Path, spec: InputSpec) -> float:
    """CPU-seconds for a picture: the codec's own reduced scale of at least twice the target, and a resize."""
    side = spec.resize or min(spec.size)

    def decode(path: Path) -> None:
        with Image.open(path) as image:
            scale = side / min(image.size)
            target = (round(image.width * scale), round(image.height * scale))
            image.draft("RGB", (2 * target[0], 2 * target[1]))
            image.resize(target, Image.Resampling[spec.resample.upper()])

    return statistics.fmean(least_seconds(partial(decode, path)) for path in sorted(folder.iterdir())[:PICTURES])


def flop(model: str) -> int:
    """Multiplications and additions for one picture, counted on tensors that have a shape and no numbers."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        x = torch.zeros(1, 3, 224, 224)
        if model in TRANSFORMERS:
            import transformers

            config, _ = TRANSFORMERS[model]
            settings = getattr(transformers, config["class"])(**config["values"])
            network = getattr(transformers, config["architecture"])(settings).eval()
            (network.get_image_features if model == "clip" else network)(x)
        else:
            convnets.build(CONVNETS[model], "features").eval()(x)
    return counter.get_total_flops()


if __name__ == "__main__":
    main()
