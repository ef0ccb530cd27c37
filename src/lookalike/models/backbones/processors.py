"""From a Hugging Face preprocessor_config.json to an InputSpec: the same pixels, as data."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from lookalike.errors import UsageError
from lookalike.types import InputSpec, Resample

log = logging.getLogger("lookalike")

_CLIP = {
    "image_mean": (0.48145466, 0.4578275, 0.40821073),
    "image_std": (0.26862954, 0.26130258, 0.27577711),
}
_IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}
_HALF = {"image_mean": (0.5, 0.5, 0.5), "image_std": (0.5, 0.5, 0.5)}
_NEAREST, _BILINEAR, _BICUBIC = 0, 2, 3

_RESAMPLE: dict[object, Resample] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box"}
_RESAMPLE |= {name: name for name in _RESAMPLE.values()}


def _cropped(resize: int, crop: int, resample: int) -> dict[str, Any]:
    return {
        "size": {"shortest_edge": resize},
        "crop_size": {"height": crop, "width": crop},
        "do_center_crop": True,
        "resample": resample,
    }


def _squashed(side: int, resample: int) -> dict[str, Any]:
    return {"size": {"height": side, "width": side}, "resample": resample}


# What each processor does where its file leaves a setting out. An "Official..." one is no class of transformers:
# it says what the family's published files say, for folders without any.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "CLIPImageProcessor": {**_cropped(224, 224, _BICUBIC), **_CLIP},
    "BitImageProcessor": {**_cropped(224, 224, _BICUBIC), **_CLIP},
    "OfficialDinov2": {**_cropped(256, 224, _BICUBIC), **_IMAGENET},
    "DINOv3ViTImageProcessor": {**_squashed(224, _BILINEAR), **_IMAGENET},
    "ViTImageProcessor": {**_squashed(224, _BILINEAR), **_HALF},
    "DeiTImageProcessor": {**_cropped(256, 224, _BICUBIC), **_squashed(256, _BICUBIC), **_HALF},
    "BeitImageProcessor": {**_squashed(224, _BICUBIC), **_HALF},
    "SiglipImageProcessor": {**_squashed(224, _BICUBIC), **_HALF},
    "BlipImageProcessor": {**_squashed(384, _BICUBIC), **_CLIP},
    "PvtImageProcessor": {**_squashed(224, _BICUBIC), **_IMAGENET},
    "LevitImageProcessor": {**_cropped(224, 224, _BICUBIC), **_IMAGENET},
    "MobileNetV1ImageProcessor": {**_cropped(256, 224, _BILINEAR), **_HALF},
    "MobileNetV2ImageProcessor": {**_cropped(256, 224, _BILINEAR), **_HALF},
    "ConvNextImageProcessor": {
        "size": {"shortest_edge": 384},
        "resample": _BICUBIC,
        "crop_pct": 224 / 256,
        **_HALF,
    },
    "EfficientNetImageProcessor": {**_squashed(346, _BICUBIC), **_HALF, "include_top": True},
    "OfficialEfficientNet": {
        **_squashed(346, _NEAREST),
        "image_mean": _IMAGENET["image_mean"],
        "image_std": (0.47853944, 0.4732864, 0.47434163),
        "include_top": True,
    },
}

_SIZE_IN_PIXELS_IS_A_SIDE = ("CLIP", "ChineseCLIP", "Bit", "ConvNext", "Levit", "MobileNet", "OfficialDinov2")
"""Processors for which a plain `"size": 224` means the short side; for the others it means 224 x 224."""

_OWN_SIZE = {"OfficialDinov2", "DINOv3ViTImageProcessor"}
"""Families whose published size is not that of config.json (DINOv2: 224 although trained at 518)."""


def input_spec(processor: Mapping[str, Any] | None, *, default: str, image_size: int | None = None) -> InputSpec:
    """What a processor's settings come to.

    Args:
        processor: the parsed file; None where there is none.
        default: the processor to assume where the file does not name its own.
        image_size: the side that config.json says; only used where there is no file.

    Raises:
        UsageError: the settings cannot be expressed (a size in tokens or by the long side, an unknown filter).
    """
    name = _name(processor) or default
    settings: dict[str, Any] = {
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        **(_DEFAULTS.get(name) or _DEFAULTS[default]),
    }
    if processor is not None:
        settings |= {key: value for key, value in processor.items() if value is not None}
    elif image_size and name not in _OWN_SIZE:
        settings |= _at(settings, image_size)
    size, fit, resize = _geometry(name, settings)
    mean, std = _normalisation(settings)
    resample = _RESAMPLE.get(settings["resample"])
    if resample is None:
        raise UsageError(f"preprocessor_config.json: resample {settings['resample']!r} is none of 0 to 4")
    return InputSpec(size=size, fit=fit, resize=resize, resample=resample, mean=mean, std=std)  # type: ignore[arg-type]


def timm_spec(pretrained: Mapping[str, Any]) -> InputSpec:
    """What the `pretrained_cfg` of a timm model comes to, for evaluation."""
    _, height, width = pretrained.get("input_size", (3, 224, 224))
    part = float(pretrained.get("crop_pct") or 0.875)
    name = pretrained.get("interpolation", "bicubic")
    squash = pretrained.get("crop_mode") == "squash" and part == 1
    return InputSpec(
        size=(height, width),
        fit="squash" if squash else "crop",
        resize=None if squash else int(min(height, width) / part),
        resample=_RESAMPLE.get(name, "bicubic"),
        mean=_three(pretrained.get("mean", _IMAGENET["image_mean"])),
        std=_three(pretrained.get("std", _IMAGENET["image_std"])),
    )


def _name(processor: Mapping[str, Any] | None) -> str | None:
    """The processor's class, without what tells its implementations apart."""
    if processor is None:
        return None
    name = processor.get("image_processor_type") or processor.get("feature_extractor_type")
    if not isinstance(name, str):
        return None
    return name.removesuffix("Fast").removesuffix("Pil").replace("FeatureExtractor", "ImageProcessor")


def _at(settings: Mapping[str, Any], side: int) -> dict[str, Any]:
    """The default size and crop, scaled to another side."""
    if "crop_size" not in settings:
        key = "shortest_edge" if "shortest_edge" in settings["size"] else "height"
        return {"size": {key: side, **({"width": side} if key == "height" else {})}}
    ratio = next(iter(settings["size"].values())) / settings["crop_size"]["height"]
    return {
        "size": dict.fromkeys(settings["size"], round(side * ratio)),
        "crop_size": {"height": side, "width": side},
    }


def _geometry(name: str, settings: Mapping[str, Any]) -> tuple[tuple[int, int], str, int | None]:
    """(height, width), fit and resize of the InputSpec."""
    size = settings["size"]
    if isinstance(size, int):
        side = any(name.startswith(prefix) for prefix in _SIZE_IN_PIXELS_IS_A_SIDE)
        size = {"shortest_edge": size} if side else {"height": size, "width": size}
    crop = settings.get("crop_size") if settings["do_center_crop"] else None
    if isinstance(crop, int):
        crop = {"height": crop, "width": crop}
    out = (int(crop["height"]), int(crop["width"])) if crop else None
    if "height" in size and "width" in size:
        whole = (int(size["height"]), int(size["width"]))
        if out is None or out == whole:
            return whole, "squash", None
        # The reference squashes first and crops then; no InputSpec says so. Its shape is kept here, as in training.
        log.warning("its processor squashes before it crops: here the picture keeps its shape")
        return out, "crop", min(whole)
    if "shortest_edge" not in size or size.get("longest_edge"):
        raise UsageError(f"preprocessor_config.json: a size of {dict(size)} is not supported: only a fixed one is")
    short = int(size["shortest_edge"])
    if name.startswith("ConvNext"):
        if short >= 384:
            return (short, short), "squash", None
        return (short, short), "crop", int(short / settings["crop_pct"])
    if name.startswith("Levit"):
        short = int((256 / 224) * short)
    return out or (short, short), "crop", short


def _normalisation(
    settings: Mapping[str, Any],
) -> tuple[tuple[float, float, float] | None, tuple[float, float, float] | None]:
    """mean and std for pixels of 0 to 1, whatever the processor scales them to.

    It computes (x f - o - m) / s from x in 0 to 255, which is (x / 255 - (m + o) / 255 f) / (s / 255 f).
    """
    factor = 255 * (float(settings["rescale_factor"]) if settings["do_rescale"] else 1.0)
    offset = 1.0 if settings.get("rescale_offset") and settings["do_rescale"] else 0.0
    again = _three(settings["image_std"]) if settings.get("include_top") else (1.0, 1.0, 1.0)
    if settings["do_normalize"]:
        mean, std = _three(settings["image_mean"]), _three(settings["image_std"])
    else:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if not settings["do_rescale"] and not settings["do_normalize"] and not settings.get("include_top"):
        return None, None
    return (
        _three([round((m + offset) / factor, 10) for m in mean]),
        _three([round(s * t / factor, 10) for s, t in zip(std, again, strict=True)]),
    )


def _three(values: Any) -> tuple[float, float, float]:
    try:
        red, green, blue = values
        return float(red), float(green), float(blue)
    except (TypeError, ValueError):
        raise UsageError(f"preprocessor_config.json: {values!r} is not three numbers, one a colour") from None
