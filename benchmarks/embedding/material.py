"""What the contenders are given: drawn photos as JPEG files, and random weights in the official formats."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
BICUBIC = 3


@dataclass(frozen=True)
class Pictures:
    """A set of photos: (width, height), how coarse their texture is, and how strong, in levels of 255."""

    size: tuple[int, int]
    smoothness: float
    contrast: float


PICTURES = {"small": Pictures((640, 480), 1.2, 22), "large": Pictures((4000, 3000), 1.2, 42)}
QUALITY = 85


def draw_pictures(kind: str, count: int, folder: Path, seed: int, threads: int) -> None:
    """Write `count` JPEGs; the same arguments give the same files."""
    folder.mkdir()
    pictures = PICTURES[kind]
    texture = _texture(pictures, np.random.default_rng([seed, *pictures.size]))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(partial(_draw, pictures, texture, folder, seed), range(count)))


def _draw(pictures: Pictures, texture: npt.NDArray[np.int16], folder: Path, seed: int, number: int) -> None:
    """Blurred shapes before a ramp of two colours, under a grain that is the one texture, moved and turned."""
    rng = np.random.default_rng([seed, number, *pictures.size])
    scene = Image.fromarray(_scene(rng)).resize(pictures.size, Image.Resampling.BICUBIC)
    grain = np.roll(texture, rng.integers(0, texture.shape), axis=(0, 1))[
        :: rng.choice([-1, 1]), :: rng.choice([-1, 1])
    ]
    strength = np.int16(rng.integers(2, 7))  # in quarters
    levels = np.asarray(scene, dtype=np.int16) + (grain * strength // 4)[..., None]
    image = Image.fromarray(np.clip(levels, 0, 255, out=levels).astype(np.uint8))
    image.save(folder / f"{number:05d}.jpg", quality=QUALITY)


def _scene(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """(150, 200, 3): shapes with edges from sharp to soft."""
    y, x = np.mgrid[-0.75:0.75:150j, -1:1:200j]
    turn = rng.uniform(0, 2 * np.pi)
    ramp = ((x * np.cos(turn) + y * np.sin(turn)) / 2.5 + 0.5)[..., None]
    scene = ramp * rng.uniform(0, 255, 3) + (1 - ramp) * rng.uniform(0, 255, 3)
    for _ in range(rng.integers(4, 14)):
        turn, centre, radius = rng.uniform(0, np.pi), rng.uniform(-1, 1, 2), rng.uniform(0.05, 0.6, 2)
        u = (x - centre[0]) * np.cos(turn) + (y - centre[1]) * np.sin(turn)
        v = (y - centre[1]) * np.cos(turn) - (x - centre[0]) * np.sin(turn)
        beyond = (u / radius[0]) ** 2 + (v / radius[1]) ** 2 - 1
        cover = 1 / (1 + np.exp(np.clip(beyond * rng.choice([2, 8, 40]), -30, 30)))
        scene += (rng.uniform(0, 255, 3) - scene) * cover[..., None]
    return np.clip(scene, 0, 255).astype(np.uint8)


def _texture(pictures: Pictures, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """(height, width) levels about 0 whose amplitude falls as 1/f, as in photos, to the power of `smoothness`."""
    width, height = pictures.size
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)).astype(np.float32)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((height, width), dtype=np.float32))
    noise = np.fft.irfft2(spectrum / frequency**pictures.smoothness, (height, width))
    return np.asarray(noise * (pictures.contrast / noise.std()), dtype=np.int16)


# --- Weights ---


def write_weights(model: str, models: Path, seed: int) -> Path:
    """Random weights where `lookalike` looks for the official ones, in $LOOKALIKE_MODELS = `models`; their place."""
    import torch

    torch.manual_seed(seed)
    if model in TRANSFORMERS:
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        config, processor = TRANSFORMERS[model]
        settings = getattr(transformers, config["class"])(**config["values"])
        getattr(transformers, config["architecture"])(settings).save_pretrained(models / model)
        (models / model / "preprocessor_config.json").write_text(json.dumps(processor))
        return models / model
    from lookalike.models.backbones.convnets import MobileNetV3, ResNet50

    place = models / TORCHVISION[model]
    torch.save(_stirred({"resnet50": ResNet50, "mobilenet-v3": MobileNetV3}[model](head=1000)).state_dict(), place)
    return place


def _stirred(network: Any) -> Any:
    """Random convolutions through which a picture's traits do not fade: some defaults of PyTorch lose them."""
    import torch

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:  # of a gate of MobileNetV3's: wide swings would magnify all rounding
                layer.weight.data *= 0.1
        elif isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
            torch.nn.init.normal_(layer.running_mean, std=0.2)
    return network


def _dinov2(width: int, heads: int) -> tuple[dict[str, Any], dict[str, Any]]:
    values = {"hidden_size": width, "num_attention_heads": heads, "image_size": 518, "patch_size": 14}
    processor = _processor("BitImageProcessor", 256, IMAGENET_MEAN, IMAGENET_STD)
    return {"architecture": "Dinov2Model", "class": "Dinov2Config", "values": values}, processor


def _processor(kind: str, side: int, mean: list[float], std: list[float]) -> dict[str, Any]:
    """preprocessor_config.json, as the official ones say it."""
    return {
        "image_processor_type": kind,
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": side},
        "resample": BICUBIC,
        "do_center_crop": True,
        "crop_size": {"height": 224, "width": 224},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": mean,
        "image_std": std,
    }


TRANSFORMERS = {
    "clip": (
        {"architecture": "CLIPModel", "class": "CLIPConfig", "values": {}},
        _processor("CLIPImageProcessor", 224, CLIP_MEAN, CLIP_STD),
    ),
    "dinov2-small": _dinov2(384, 6),
    "dinov2": _dinov2(768, 12),
}
"""config.json's values and preprocessor_config.json of the models in Hugging Face's format."""

TORCHVISION = {"resnet50": "resnet50-0676ba61.pth", "mobilenet-v3": "mobilenet_v3_large-8738ca79.pth"}
"""The files of those in torchvision's."""
