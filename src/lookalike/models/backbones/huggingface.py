"""Vision models in Hugging Face's format: which ones, how they are pooled, and the card of any folder.

Neither torch nor transformers is imported before a model is loaded.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lookalike.errors import ModelUnavailable, UsageError
from lookalike.models.backbones import huggingface_folder as contents
from lookalike.models.backbones.processors import input_spec, timm_spec
from lookalike.models.weights import identity
from lookalike.types import Backbone, InputSpec, ModelCard

log = logging.getLogger("lookalike")

LOADER = "lookalike.models.backbones.huggingface:load"


@dataclass(frozen=True, slots=True)
class Family:
    """An architecture.

    pools:     the ways to one vector that it offers, its own first:
               "features" the embedding that it was trained to give, "pooler" its pooler_output, "cls" the first
               token, "mean" the mean over all tokens or over space, "patches" the mean over the tokens of patches,
               "auto" pooler_output, or the mean where there is none
    processor: what prepares its pictures, where the folder does not say
    width:     the key of config.json with the length of a vector, and its default
    leading:   tokens before those of the patches, besides `num_register_tokens`
    parts:     prefixes of the tensors that pictures need; none: all
    texts:     whether it has a text tower
    """

    pools: tuple[str, ...]
    processor: str
    width: tuple[str, int | None] = ("hidden_size", 768)
    leading: int = 1
    parts: tuple[str, ...] = ()
    texts: bool = False


_TOKENS = ("mean", "cls", "patches")
_CLIP = Family(
    ("features", "pooler", *_TOKENS), "CLIPImageProcessor", parts=("vision_model.", "visual_projection."), texts=True
)
_SIGLIP = Family(("features", "mean"), "SiglipImageProcessor", leading=0, parts=("vision_model.",), texts=True)
_DINOV2 = Family((*_TOKENS, "pooler"), "OfficialDinov2")
_VIT = Family((*_TOKENS, "pooler"), "ViTImageProcessor")
_BEIT = Family(("patches", "mean", "cls", "pooler"), "BeitImageProcessor")
_SPATIAL = ("pooler", "mean")
_RESNET = Family(_SPATIAL, "ConvNextImageProcessor", ("hidden_sizes", 2048))
_OTHER = Family(("auto", "pooler", *_TOKENS), "ViTImageProcessor", ("", None))

FAMILIES: dict[str, Family] = {
    "clip": _CLIP,
    "clip_vision_model": replace(_CLIP, texts=False, parts=()),
    "siglip": _SIGLIP,
    "siglip_vision_model": replace(_SIGLIP, texts=False, parts=()),
    "blip-2": Family(("features",), "BlipImageProcessor", parts=("vision_model.", "qformer.", "query_tokens")),
    "dinov2": _DINOV2,
    "dinov2_with_registers": _DINOV2,
    "dinov3_vit": Family(("pooler", *_TOKENS), "DINOv3ViTImageProcessor", ("hidden_size", 384)),
    "dinov3_convnext": Family(_SPATIAL, "DINOv3ViTImageProcessor", ("hidden_sizes", 768)),
    "vit": _VIT,
    "vit_msn": replace(_VIT, pools=_TOKENS),
    "ijepa": replace(_VIT, pools=("mean",), leading=0),
    "deit": Family((*_TOKENS, "pooler"), "DeiTImageProcessor", leading=2),
    "beit": _BEIT,
    "data2vec-vision": _BEIT,
    "efficientnet": Family(("mean", "pooler"), "OfficialEfficientNet", ("hidden_dim", 2560)),
    "resnet": _RESNET,
    "regnet": replace(_RESNET, width=("hidden_sizes", 1088)),
    "bit": replace(_RESNET, processor="BitImageProcessor"),
    "convnext": replace(_RESNET, width=("hidden_sizes", 768)),
    "convnextv2": replace(_RESNET, width=("hidden_sizes", 768)),
    "swin": Family(_SPATIAL, "ViTImageProcessor", ("hidden_size", None)),
    "swinv2": Family(_SPATIAL, "ViTImageProcessor", ("hidden_size", None)),
    "mobilenet_v1": Family(_SPATIAL, "MobileNetV1ImageProcessor", ("", None)),
    "mobilenet_v2": Family(_SPATIAL, "MobileNetV2ImageProcessor", ("", None)),
    "timm_wrapper": Family(("pooler",), "ViTImageProcessor", ("num_features", None)),
}

_SIGNS_OF_PICTURES = ("image_size", "num_channels", "vision_config", "patch_size", "input_channels")
_REFUSED = {
    "siglip2": "takes pictures of any shape as lists of patches; google/siglip2-base-patch16-224 is one that works",
    "vit_mae": "hides a random part of each picture",
}


def family(architecture: str) -> Family:
    """The architecture's row; a general one for those that have none."""
    return FAMILIES.get(architecture, _OTHER)


def describe(folder: str, *, name: str, pool: str | None = None) -> ModelCard:
    """The card of a folder in Hugging Face's format, pooled as its architecture is in the catalogue, or by `pool`.

    The revision is the SHA-256 of its weights.

    Raises:
        ModelUnavailable: no such folder, no config.json, no weights, damaged settings.
        UsageError: no vision model, or it cannot be pooled that way; the message lists the ways.
    """
    config = contents.settings(folder)
    architecture = _architecture(folder, config)
    kind = family(architecture)
    ways = kind.pools
    if pool is not None and pool not in ways:
        choice = ", ".join(way for way in ways if way != "auto")
        raise UsageError(f"{folder}: a {architecture} network has no pool {pool!r}: choose from {choice}")
    chosen = pool or ways[0]
    place = Path(folder).resolve()
    card = ModelCard(
        name=name,
        kind="network",
        dim=_dim(folder, config, architecture, chosen) or 0,
        input=_input(folder, config, architecture),
        summary=f"a {architecture} network from the folder {place.name}",
        source=str(config.get("_name_or_path") or place.name),
        revision=_revision(folder, kind),
        license=contents.licence(folder),
        loader=LOADER,
        extra="torch",
        texts=kind.texts,
        options={"architecture": architecture, "pool": chosen},
        path=str(place),
    )
    return card if card.dim else replace(card, dim=int(_networks().measure(card)))


def _revision(folder: str, kind: Family) -> str:
    contents.weights(folder)  # says so where there are none
    return f"sha256:{identity(folder, texts=kind.texts)}"


def load(card: ModelCard) -> Backbone:
    """The model from the folder `card.path`. Nothing is downloaded, and no code of the folder is run.

    Raises ModelUnavailable: the folder is damaged, of another architecture or size than the card says, or its
    weights do not fit; or torch is not installed.
    """
    if card.path is None:
        raise ModelUnavailable(
            f"model {card.name!r} has no weights here: 'lookalike models pull {card.name}' gets them"
        )
    config = contents.settings(card.path)
    wanted, pool = card.options["architecture"], card.options["pool"]
    found = _architecture(card.path, config)
    dim = _dim(card.path, config, found, pool)
    if found != wanted or dim not in (None, card.dim):
        what = f"{found} network of {dim} dimensions" if found == wanted else f"{found} network"
        need = f"{wanted} network of {card.dim}" if found == wanted else wanted
        origin = f" ({card.weights})" if card.weights else ""
        raise ModelUnavailable(
            f"model {card.name!r}: {card.path} holds a {what}, not a {need}: put the weights of {card.name}{origin}"
            f" there, or use the folder as it is with --model {card.path}"
        )
    if card.revision.startswith("sha256:") and card.revision != f"sha256:{identity(card.path, texts=card.texts)}":
        raise ModelUnavailable(
            f"model {card.name!r}: {card.path} has changed since it was added: put the old files back, or add it again"
        )
    backbone: Backbone = _networks().load(card)
    return backbone


def _networks() -> Any:
    """The part that needs torch and transformers. Raises ModelUnavailable where they are not installed."""
    missing = [name for name in ("torch", "transformers", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelUnavailable(f"{missing[0]} is not installed: pip install 'lookalike[torch]'")
    try:
        from lookalike.models.backbones import huggingface_networks
    except Exception as error:  # a torch or torchvision that does not fit this machine raises anything
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelUnavailable(
            f"transformers does not start ({line}): pip install --force-reinstall"
            " 'lookalike[torch]', and without torchvision: it is not needed"
        ) from error
    return huggingface_networks


def _architecture(folder: str, config: Mapping[str, Any]) -> str:
    architecture = config.get("model_type")
    if architecture is None and "pretrained_cfg" in config and "architecture" in config:
        architecture = "timm_wrapper"  # timm's own files do not say so
    if not isinstance(architecture, str):
        raise ModelUnavailable(f"{folder}: config.json names no model_type: this is no model of transformers")
    if architecture in _REFUSED:
        raise ModelUnavailable(f"{folder}: a {architecture} network {_REFUSED[architecture]}: use another model")
    if architecture not in FAMILIES and not any(sign in config for sign in _SIGNS_OF_PICTURES):
        raise ModelUnavailable(f"{folder}: a {architecture} network does not take pictures: use a vision model")
    if architecture == "timm_wrapper" and importlib.util.find_spec("timm") is None:
        raise ModelUnavailable(f"{folder}: a model of timm, which is not installed: pip install timm")
    return architecture


def _tower(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of the part that sees."""
    nested = config.get("vision_config")
    return nested if isinstance(nested, dict) else config


def _dim(folder: str, config: Mapping[str, Any], architecture: str, pool: str) -> int | None:
    """The length of a vector, where config.json or the architecture's defaults say it."""
    if architecture.startswith("clip") and pool == "features":
        value: Any = config.get("projection_dim", 512)
    elif architecture == "blip-2":
        value = _part(config, "qformer_config").get("hidden_size", 768)
    else:
        key, default = family(architecture).width
        value = _tower(config).get(key, default)
    try:
        return int(value[-1] if isinstance(value, list) else value) if value else None
    except (TypeError, ValueError) as error:
        raise ModelUnavailable(f"{folder}: config.json makes no sense ({error}): download it again") from error


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = config.get(name)
    return part if isinstance(part, dict) else {}


def _input(folder: str, config: Mapping[str, Any], architecture: str) -> InputSpec:
    side = _tower(config).get("image_size")
    if isinstance(side, list) and side:
        side = side[0]
    try:
        if architecture == "timm_wrapper":
            return timm_spec(_part(config, "pretrained_cfg"))
        return input_spec(
            contents.processor(folder),
            default=family(architecture).processor,
            image_size=side if isinstance(side, int) else None,
        )
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ModelUnavailable(
            f"{folder}: preprocessor_config.json makes no sense ({error!r}): download it again"
        ) from error
