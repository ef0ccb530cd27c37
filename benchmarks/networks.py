"""The real networks of the shared test material, by name, as a user would add them."""

from __future__ import annotations

import sys
from pathlib import Path

import record
from lookalike.models import registry
from lookalike.models.backbones import onnx
from lookalike.types import InputSpec

HALF, IMAGENET = ((0.5,) * 3, (0.5,) * 3), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
NETWORKS = {
    "vit-tiny": ("vit_tiny_patch16_224.onnx", HALF),
    "efficientnet-lite0": ("efficientnet_lite0_features.onnx", HALF),
    "mobilenetv2": ("mobilenetv2_features.onnx", IMAGENET),
    "squeezenet": ("squeezenet1_1.onnx", IMAGENET),
}


def register(name: str, folder: Path = record.SHARED / "models") -> bool:
    """Add one of the networks under its name to $LOOKALIKE_MODELS, if its file is there."""
    file, (mean, std) = NETWORKS[name]
    if not (folder / file).is_file():
        print(f"{name}: left out, for there is no {folder / file}", file=sys.stderr)
        return False
    spec = InputSpec((224, 224), "crop", resize=256, mean=mean, std=std)
    registry.save_card(onnx.describe(str(folder / file), name=name, spec=spec))
    return True
