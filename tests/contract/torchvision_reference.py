"""What torchvision itself makes of some photos, for test_checkpoints.py: run as `python torchvision_reference.py OUT`.

torchvision must be on the path, installed apart. Reads OUT/photos/*.png and writes, for every network:
    OUT/NAME.pth  random numbers, in the layout of the official file
    OUT/NAME.npz  `inputs` and `outputs` of torchvision's own transforms and network, one row a photo
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

# The registry's wheel lacks the compiled operators beside a CPU build of torch. Its Python files only want to see
# the names of these two; the networks and transforms call neither.
_operators = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _operators.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from torchvision import models, ops, transforms  # noqa: E402

OUT = Path(sys.argv[1])
PHOTOS = [Image.open(path).convert("RGB") for path in sorted((OUT / "photos").glob("*.png"))]


def main() -> None:
    torch.manual_seed(7)
    vgg = randomised(models.vgg16())
    save("vgg16", vgg.state_dict())
    photo_transform = models.VGG16_Weights.IMAGENET1K_V1.transforms()
    run("vgg16-logits", vgg, photo_transform)
    vgg.classifier = vgg.classifier[:-1]
    run("vgg16", vgg, photo_transform)
    del vgg

    mobilenet = randomised(models.mobilenet_v2())
    save("mobilenet", mobilenet.state_dict(), _use_new_zipfile_serialization=False)  # as the oldest files are
    mobilenet.classifier = nn.Identity()
    run("mobilenet", mobilenet, models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms())

    mobilenet = randomised(models.mobilenet_v3_large())
    save("mobilenet-v3", mobilenet.state_dict())
    mobilenet.classifier = nn.Identity()
    run("mobilenet-v3", mobilenet, models.MobileNet_V3_Large_Weights.IMAGENET1K_V1.transforms())

    inception = randomised(models.inception_v3(transform_input=True, init_weights=False))
    save("inception", inception.state_dict())
    inception.fc = nn.Identity()
    run("inception", inception, models.Inception_V3_Weights.IMAGENET1K_V1.transforms())

    resnet = randomised(models.resnet50())
    save("resnet50", resnet.state_dict())
    save_moco(resnet.state_dict())
    save_simclr(resnet.state_dict())
    resnet.fc = nn.Identity()
    run("resnet50", resnet, models.ResNet50_Weights.IMAGENET1K_V1.transforms())
    run("moco", resnet, evaluation(normalise=True))
    run("simclr", resnet, evaluation(normalise=False))

    sscd = randomised(models.resnet50(num_classes=512))
    save("sscd", {f"backbone.{name}": tensor for name, tensor in sscd.state_dict().items()})
    sscd.avgpool = GeM()
    skew_320 = [transforms.Resize([320, 320]), transforms.ToTensor(), normalisation()]
    run("sscd", sscd, transforms.Compose(skew_320))


class GeM(nn.Module):
    """The mean of the third powers, as the authors of SSCD pool."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2).clamp(min=1e-6).pow(3.0).mean(dim=2).pow(1 / 3)


def randomised(network: nn.Module) -> nn.Module:
    """Statistics as of training: with means of 0 and variances of 1 a mistake in them would not show."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)  # some defaults of torchvision fade out over many layers
    for module in network.modules():
        if isinstance(module, ops.SqueezeExcitation):  # gates that swing from 0 to 1 make much of the last digit
            module.fc1.weight.data *= 0.1
            module.fc2.weight.data *= 0.1
    return network.eval()


def evaluation(*, normalise: bool) -> Any:
    """How the self-supervised networks were evaluated; SimCLR without mean and deviation."""
    steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
    return transforms.Compose([*steps, normalisation()] if normalise else steps)


def normalisation() -> Any:
    return transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])


def save_moco(trunk: dict[str, torch.Tensor]) -> None:
    """As main_moco.py saves: both encoders with their MLP heads, the queue, the optimiser."""
    trunk = {name: tensor for name, tensor in trunk.items() if not name.startswith("fc.")}
    trunk |= {"fc.0.weight": torch.rand(2048, 2048), "fc.0.bias": torch.rand(2048)}
    trunk |= {"fc.2.weight": torch.rand(128, 2048), "fc.2.bias": torch.rand(128)}
    state = {f"module.encoder_q.{name}": tensor for name, tensor in trunk.items()}
    state |= {f"module.encoder_k.{name}": tensor + 1 for name, tensor in trunk.items()}
    state |= {"module.queue": torch.rand(128, 64), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    optimizer = {"state": {0: {"momentum_buffer": torch.rand(3)}}, "param_groups": [{"lr": 0.03, "params": [0]}]}
    content = {"epoch": 800, "arch": "resnet50", "state_dict": state, "optimizer": optimizer}
    save("moco", content, _use_new_zipfile_serialization=False)


def save_simclr(trunk: dict[str, torch.Tensor]) -> None:
    trunk = {f"encoder.{name}": tensor for name, tensor in trunk.items() if not name.startswith("fc.")}
    save("simclr", {"state_dict": trunk | {"projection_head.0.weight": torch.rand(8, 2048)}})


def save(name: str, content: Any, **how: Any) -> None:
    torch.save(content, OUT / f"{name}.pth", **how)


@torch.inference_mode()
def run(name: str, network: nn.Module, transform: Any) -> None:
    inputs = torch.stack([transform(photo) for photo in PHOTOS])
    np.savez(OUT / f"{name}.npz", inputs=inputs.numpy(), outputs=network(inputs).numpy())


if __name__ == "__main__":
    main()
