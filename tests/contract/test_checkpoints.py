"""Convolutional networks from checkpoint files: torchvision's own numbers, every published layout, bad files."""

from __future__ import annotations

import argparse
import importlib
import os
import pickle
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from lookalike import images
from lookalike.errors import ModelUnavailable
from lookalike.metrics import normalised
from lookalike.models.catalog.convnets import CARDS
from lookalike.models.check import check
from lookalike.models.preprocess import batch
from lookalike.types import Backbone, Picture, Vectors
from tests.conftest import ROOT

torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install 'lookalike[torch]'")
safetensors = pytest.importorskip("safetensors.torch")

from lookalike.models.backbones import convnet_checkpoints, convnets, inception  # noqa: E402

pytestmark = pytest.mark.xdist_group("checkpoints")  # one process makes the reference, once

ROWS = {card.name: card for card in CARDS}
TORCHVISION = Path(sys.prefix) / "reference-torchvision"
FULL: dict[str, Callable[..., Any]] = {
    "vgg16": convnets.VGG16,
    "resnet50": convnets.ResNet50,
    "inception": inception.InceptionV3,
    "mobilenet": convnets.MobileNetV2,
    "mobilenet-v3": convnets.MobileNetV3,
}
MEAN, STD = ((np.reshape(three, (3, 1, 1))) for three in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def load(name: str, path: Path) -> Backbone:
    """As the registry does, but never from memory: here one name has many files."""
    card = replace(ROWS[name], path=str(path))
    module, _, function = card.loader.partition(":")
    backbone: Backbone = getattr(importlib.import_module(module), function)(card)
    return backbone


# --- Beside torchvision ---


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory, photo_pixels: dict[str, np.ndarray]) -> Iterator[Path]:
    """A folder of photos, and what torchvision makes of them: see torchvision_reference.py."""
    if not TORCHVISION.is_dir():
        pytest.skip(f"no torchvision to compare with at {TORCHVISION}: './run test' puts it there")
    folder = tmp_path_factory.mktemp("reference")
    (folder / "photos").mkdir()
    photos = {name: Image.fromarray(photo_pixels[name]) for name in ("astronaut", "cat", "coffee", "rocket")}
    photos["odd"] = photos["cat"].resize((278, 200))  # 355 pixels long at a short side of 256: no centre for 224
    for name, photo in photos.items():
        photo.save(folder / "photos" / f"{name}.png")
    script = ROOT / "tests" / "contract" / "torchvision_reference.py"
    environment = {**os.environ, "PYTHONPATH": str(TORCHVISION)}
    done = subprocess.run(
        [sys.executable, script, folder], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    yield folder
    shutil.rmtree(folder)  # 1.2 GB


@pytest.mark.parametrize("name", ROWS)
def test_the_numbers_are_torchvisions(name: str, reference: Path) -> None:
    backbone = load(name, reference / f"{name.removesuffix('-logits')}.pth")
    pictures = [images.read(path) for path in sorted((reference / "photos").glob("*.png"))]
    theirs = np.load(reference / f"{name}.npz")

    spec = backbone.card.input
    assert spec.mean is not None
    assert spec.std is not None
    ours = batch(pictures, spec)
    assert ours.shape == theirs["inputs"].shape
    pixels = ours * np.reshape(spec.std, (3, 1, 1)) + np.reshape(spec.mean, (3, 1, 1))
    their_pixels = theirs["inputs"] if name == "simclr" else theirs["inputs"] * STD + MEAN
    assert np.abs(pixels - their_pixels).max() <= 1e-6  # the issue allows 1/255

    vectors, expected = backbone.embed(pictures), normalised(theirs["outputs"])
    assert vectors.shape == (len(pictures), backbone.card.dim)
    assert np.abs(vectors - expected).max() <= 1e-6
    # Random networks find all photos alike: what tells the photos apart must agree, too.
    middle = expected.mean(axis=0)
    assert cosines(vectors, expected).min() >= 0.999999
    assert cosines(vectors - middle, expected - middle).min() >= 0.9999


def cosines(a: Vectors, b: Vectors) -> np.ndarray:
    return (normalised(a) * normalised(b)).sum(axis=1)


@pytest.mark.parametrize("name", FULL)
def test_every_tensor_has_torchvisions_name_and_shape(name: str, reference: Path) -> None:
    official = torch.load(reference / f"{name}.pth", weights_only=True)
    with torch.device("meta"):
        ours = FULL[name](head=1000).state_dict()
    shapes = {key: tensor.shape for key, tensor in official.items() if not key.startswith("AuxLogits.")}
    assert {key: tensor.shape for key, tensor in ours.items()} == shapes


def test_vgg16_stays_in_its_file(reference: Path) -> None:
    """Of 528 MB the process copies the convolutions' 56: the system reads the rest from the file, and may drop it."""
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not say what memory is a process's own")
    before = own_megabytes()
    backbone = load("vgg16", reference / "vgg16.pth")
    assert isinstance(backbone, convnet_checkpoints.ConvBackbone)
    assert sum(p.numel() * p.element_size() for p in backbone.module.parameters()) == 4 * (138_357_544 - 4_097_000)
    assert own_megabytes() - before < 100


def own_megabytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) // 1024


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "inception", "mobilenet", "mobilenet-v3", "sscd"])
def test_the_contract_is_held(name: str, reference: Path) -> None:
    assert check(load(name, reference / f"{name}.pth")) == []


# --- Without torchvision ---


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("vgg16", 138_357_544),
        ("resnet50", 25_557_032),
        ("inception", 23_834_568),
        ("mobilenet", 3_504_872),
        ("mobilenet-v3", 5_483_032),
    ],
)
def test_as_many_parameters_as_published(name: str, count: int) -> None:
    """Inception's 27,161,264 are with the auxiliary classifier."""
    with torch.device("meta"):
        assert sum(p.numel() for p in FULL[name](head=1000).parameters()) == count


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for large files, which pytest would keep for days."""
    folder = tmp_path_factory.mktemp("checkpoints")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def trunk() -> dict[str, Any]:
    """The state dict of a random ResNet-50 without its last layer."""
    torch.manual_seed(7)
    state: dict[str, Any] = convnets.ResNet50().state_dict()
    return state


@pytest.fixture(scope="session")
def mobilenet() -> dict[str, Any]:
    torch.manual_seed(7)
    state: dict[str, Any] = convnets.MobileNetV2(head=1000).state_dict()
    return state


@pytest.fixture(scope="session")
def pictures(photo_pixels: dict[str, np.ndarray]) -> list[Picture]:
    return [images.read(np.ascontiguousarray(photo_pixels[name])) for name in ("cat", "coffee")]


def prefixed(prefix: str, tensors: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


HEAD = {"0.weight": torch.ones(4, 2048), "0.bias": torch.ones(4)}
LAYOUTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "plain": lambda trunk: trunk,
    "SimCLR converter": lambda trunk: {"state_dict": trunk | prefixed("fc.", HEAD)},
    "distributed": lambda trunk: prefixed("module.encoder.", trunk) | prefixed("module.projector.", HEAD),
    "lightning": lambda trunk: {
        "epoch": 9,
        "state_dict": prefixed("model.backbone.", trunk) | prefixed("model.projection_head.", HEAD),
    },
    "convnet": lambda trunk: {"model_state_dict": prefixed("convnet.", trunk) | prefixed("l1.", HEAD)},
    "without counts": lambda trunk: {n: t for n, t in trunk.items() if not n.endswith("num_batches_tracked")},
    "half precision": lambda trunk: {n: t.half() if t.is_floating_point() else t for n, t in trunk.items()},
}


@pytest.fixture(scope="session")
def simclr_vectors(trunk: dict[str, Any], pictures: list[Picture]) -> Vectors:
    network = convnets.ResNet50().eval()
    network.load_state_dict(trunk)
    with torch.inference_mode():
        x = torch.from_numpy(batch(pictures, ROWS["simclr"].input))
        return normalised(network(x).numpy())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_simclr_in_every_layout(
    layout: str, trunk: dict[str, Any], simclr_vectors: Vectors, scratch: Path, pictures: list[Picture]
) -> None:
    path = scratch / "simclr.pth"
    torch.save(LAYOUTS[layout](trunk), path)
    vectors = load("simclr", path).embed(pictures)
    assert np.abs(vectors - simclr_vectors).max() <= (1e-3 if layout == "half precision" else 1e-6)


def test_sscd_with_its_last_layer_under_another_name(
    trunk: dict[str, Any], scratch: Path, pictures: list[Picture]
) -> None:
    last = {"weight": torch.randn(512, 2048), "bias": torch.randn(512)}
    published, other = scratch / "sscd.torchvision.pt", scratch / "sscd.safetensors"
    torch.save(prefixed("backbone.", trunk | prefixed("fc.", last)), published)
    safetensors.save_file(prefixed("backbone.", trunk) | prefixed("embeddings.1.", last), other)
    assert np.array_equal(load("sscd", published).embed(pictures), load("sscd", other).embed(pictures))


def test_safetensors_give_the_same(mobilenet: dict[str, Any], tmp_path: Path, pictures: list[Picture]) -> None:
    torch.save(mobilenet, tmp_path / "m.pth")
    safetensors.save_file(mobilenet, tmp_path / "m.safetensors")
    one, other = (load("mobilenet", tmp_path / name).embed(pictures) for name in ("m.pth", "m.safetensors"))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("dim", [512, 8])
def test_sscd_as_onnx(dim: int, tmp_path: Path, pictures: list[Picture]) -> None:
    path = tmp_path / "sscd.onnx"
    write_onnx(path, dim)
    if dim != ROWS["sscd"].dim:
        with pytest.raises(ModelUnavailable, match="gives 8 numbers a picture, not 512"):
            load("sscd", path)
        return
    backbone = load("sscd", path)
    assert backbone.card.name == "sscd"
    assert backbone.embed(pictures).shape == (2, 512)


def write_onnx(path: Path, dim: int) -> None:
    weights = np.random.default_rng(7).normal(size=(3, dim)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["out"]),
        ],
        "descriptor",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 320, 320])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", dim])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)


# --- Files that will not do ---


def refusal(name: str, path: Path) -> str:
    """The one line in which the file is refused, with nothing beside it on the way."""
    with warnings.catch_warnings(), pytest.raises(ModelUnavailable) as caught:
        warnings.simplefilter("error")
        load(name, path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert "lookalike models pull" in message or "give it a checkpoint file" in message
    return message


def resnet18() -> dict[str, Any]:
    names = [f"layer{stage}.{block}.conv{i}.weight" for stage in (1, 2, 3, 4) for block in (0, 1) for i in (1, 2)]
    return {"conv1.weight": torch.ones(64, 3, 7, 7)} | {name: torch.ones(64, 64, 3, 3) for name in names}


MISFITS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another depth": (lambda own: resnet18(), "holds ResNet-18, not MobileNetV2"),
    "another family": (lambda own: {"cls_token": torch.ones(3)}, "holds another network, not MobileNetV2"),
    "one missing": (
        lambda own: {name: tensor for name, tensor in own.items() if name != "features.18.1.bias"},
        r"holds no such MobileNetV2 \(features.18.1.bias is missing\)",
    ),
    "another width": (
        lambda own: own | {"features.18.1.bias": torch.ones(1792)},
        r"\(features.18.1.bias is 1792, not 1280\)",
    ),
    "whole numbers": (
        lambda own: own | {"features.18.1.bias": torch.ones(1280, dtype=torch.int64)},
        "holds torch.int64, not floating-point numbers",
    ),
    "one too many": (lambda own: own | {"features.19.weight": torch.ones(3)}, "has no place for features.19.weight"),
    "many too many": (lambda own: own | prefixed("neck.", HEAD), "has no place for neck.0.weight and 1 others"),
    "nothing": (lambda own: {"epoch": 3}, "holds no tensors by name"),
    "a bare tensor": (lambda own: torch.ones(3), "holds no tensors by name"),
    "a training script's options": (
        lambda own: {"state_dict": own, "args": argparse.Namespace(lr=1)},
        r"holds more than numbers \(argparse.Namespace\)",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_what_does_not_fit_is_told(case: str, mobilenet: dict[str, Any], tmp_path: Path) -> None:
    content, expected = MISFITS[case]
    torch.save(content(mobilenet), tmp_path / "m.pth")
    assert re.search(expected, refusal("mobilenet", tmp_path / "m.pth"))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.0001, 0.5, 0.9999])
def test_a_truncated_file_is_told(share: float, zipped: bool, mobilenet: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    torch.save(mobilenet, path, _use_new_zipfile_serialization=zipped)
    os.truncate(path, int(path.stat().st_size * share))
    assert "is cut short, damaged, or no checkpoint at all" in refusal("mobilenet", path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".tar"])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"<!DOCTYPE html>\n<title>403 Forbidden</title>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12", "is a pointer to a file in Git LFS"),
        (b"", "is cut short"),
        (bytes(range(256)) * 9, "is cut short"),
    ],
)
def test_what_is_no_checkpoint_is_told(content: bytes, expected: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    assert expected in refusal("mobilenet", path)


def test_a_safetensors_file_cut_short_is_told(mobilenet: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    safetensors.save_file(mobilenet, path)
    os.truncate(path, 9_000_000)
    assert "is cut short" in refusal("mobilenet", path)


class Program:
    """A pickle that would make a folder when it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("how", ["torch", "old torch", "pickle"])
def test_code_in_a_checkpoint_is_refused_unrun(how: str, tmp_path: Path) -> None:
    path, folder = tmp_path / "m.pth", tmp_path / "made"
    if how == "pickle":
        path.write_bytes(pickle.dumps(Program(folder)))
    else:
        torch.save({"a": Program(folder)}, path, _use_new_zipfile_serialization=how == "torch")
    refusal("mobilenet", path)
    assert not folder.exists()


def test_torchscript_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "sscd_disc_mixup.torchscript.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch discourages it, too
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    message = refusal("sscd", path)
    assert "is a TorchScript program" in message
    assert "sscd_disc_mixup.torchvision.pt" in message


def test_two_networks_in_one_file_are_told(mobilenet: dict[str, Any], tmp_path: Path) -> None:
    one = {"conv1.weight": torch.ones(1)}
    torch.save(prefixed("encoder.", one) | prefixed("model.", one), tmp_path / "m.pth")
    assert "holds several networks (conv1.weight is there twice)" in refusal("simclr", tmp_path / "m.pth")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "cannot be read (No such file or directory)" in refusal("mobilenet", tmp_path / "gone.pth")
    with pytest.raises(ModelUnavailable, match="not on this machine: run 'lookalike models pull mobilenet'"):
        convnet_checkpoints.load(ROWS["mobilenet"])
