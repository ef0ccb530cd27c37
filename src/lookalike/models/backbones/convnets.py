"""ResNet-50, VGG16 and both MobileNets, written from their papers, with the tensor names of torchvision's checkpoints.

Every network takes (n, 3, height, width) and gives (n, dim). Without a `head` it stops before the last layer, at
the features that pictures are compared by.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, hardsigmoid, max_pool2d, relu

from lookalike.models.backbones.inception import InceptionV3


class Bottleneck(nn.Module):
    """1x1 to fewer channels, 3x3, 1x1 to four times as many, added to the input.

    The stride is that of the 3x3 ("v1.5"), as in every ResNet-50 trained with PyTorch; the paper has it in the first.
    """

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x)))
        y = relu(self.bn2(self.conv2(y)))
        return relu(self.bn3(self.conv3(y)) + self.downsample(x))


class ResNet50(nn.Module):
    """He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016): 2048 features, or `head` outputs."""

    def __init__(self, head: int | None = None, gem_power: int = 1) -> None:
        super().__init__()
        self.gem_power = gem_power
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = self._stage(64, 64, blocks=3, stride=1)
        self.layer2 = self._stage(256, 128, blocks=4, stride=2)
        self.layer3 = self._stage(512, 256, blocks=6, stride=2)
        self.layer4 = self._stage(1024, 512, blocks=3, stride=2)
        self.fc = nn.Linear(2048, head) if head else nn.Identity()

    @staticmethod
    def _stage(inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
        rest = (Bottleneck(4 * width, width, 1) for _ in range(blocks - 1))
        return nn.Sequential(Bottleneck(inputs, width, stride), *rest)

    def forward(self, x: Tensor) -> Tensor:
        x = max_pool2d(relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        pooled = x.mean((2, 3)) if self.gem_power == 1 else generalised_mean(x, self.gem_power)
        y: Tensor = self.fc(pooled)
        return y


def generalised_mean(x: Tensor, power: int) -> Tensor:
    """(n, c, h, w) -> (n, c): Radenović et al., "Fine-tuning CNN Image Retrieval with No Human Annotation" (2018).

    In single precision, whatever x is: in half, 41 to the third power is already infinite.
    """
    return x.float().clamp(min=1e-6).pow(power).mean((2, 3)).pow(1 / power).to(x.dtype)


class VGG16(nn.Module):
    """Simonyan and Zisserman, "Very Deep Convolutional Networks" (ICLR 2015): 4096 features, or `head` outputs."""

    WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))

    def __init__(self, head: int | None = None) -> None:
        super().__init__()
        features: list[nn.Module] = []
        inputs = 3
        for stage in self.WIDTHS:
            for width in stage:
                features += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = width
            features.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*features)
        # The dropouts do nothing here: they keep the places that the checkpoint's names count.
        classifier = [nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU()]
        if head:
            classifier += [nn.Dropout(), nn.Linear(4096, head)]
        self.classifier = nn.Sequential(*classifier)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(adaptive_avg_pool2d(self.features(x), 7).flatten(1))
        return y


class InvertedResidual(nn.Module):
    """1x1 to `expand` times the channels, 3x3 in each by itself, 1x1 to few; added to the input where that fits."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = inputs * expand
        self.adds = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            *([_conv_bn_relu6(inputs, hidden, 1)] if expand > 1 else []),
            _conv_bn_relu6(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.adds else y


class MobileNetV2(nn.Module):
    """Sandler et al., "MobileNetV2" (CVPR 2018): 1280 features, or `head` outputs."""

    STAGES = (  # expand, channels, blocks, stride of the first: the paper's table 2
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self, head: int | None = None) -> None:
        super().__init__()
        features: list[nn.Module] = [_conv_bn_relu6(3, 32, 3, stride=2)]
        inputs = 32
        for expand, outputs, blocks, stride in self.STAGES:
            for block in range(blocks):
                features.append(InvertedResidual(inputs, outputs, stride if block == 0 else 1, expand))
                inputs = outputs
        self.features = nn.Sequential(*features, _conv_bn_relu6(inputs, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(1280, head)) if head else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return y


def _conv_bn_relu6(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))


class SqueezeExcitation(nn.Module):
    """Each channel by a weight from 0 to 1, which two layers read off the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = _in_eights(channels / 4)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * hardsigmoid(self.fc2(relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class Bneck(nn.Module):
    """MobileNetV2's inverted residual with other kernels and activations and, where it `excites`, channel weights."""

    def __init__(
        self, inputs: int, hidden: int, outputs: int, kernel: int, stride: int, *, excites: bool, hard: bool
    ) -> None:
        super().__init__()
        self.adds = stride == 1 and inputs == outputs
        self.block = nn.Sequential(
            *([_conv_bn_act(inputs, hidden, 1, hard=hard)] if hidden != inputs else []),
            _conv_bn_act(hidden, hidden, kernel, stride, groups=hidden, hard=hard),
            *([SqueezeExcitation(hidden)] if excites else []),
            _conv_bn_act(hidden, outputs, 1)[:2],
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + y if self.adds else y


class MobileNetV3(nn.Module):
    """Howard et al., "Searching for MobileNetV3" (ICCV 2019), the large one: 960 features, or `head` outputs.

    The features are the means of the last convolution's channels, as torchvision's network gives them once its
    classifier is taken off. The layer of 1280 behind them is the classifier's first, made for ImageNet's classes.
    """

    BLOCKS = (  # kernel, hidden, outputs, channel weights, hard swish, stride: the paper's table 1
        (3, 16, 16, False, False, 1),
        (3, 64, 24, False, False, 2),
        (3, 72, 24, False, False, 1),
        (5, 72, 40, True, False, 2),
        (5, 120, 40, True, False, 1),
        (5, 120, 40, True, False, 1),
        (3, 240, 80, False, True, 2),
        (3, 200, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 480, 112, True, True, 1),
        (3, 672, 112, True, True, 1),
        (5, 672, 160, True, True, 2),
        (5, 960, 160, True, True, 1),
        (5, 960, 160, True, True, 1),
    )

    def __init__(self, head: int | None = None) -> None:
        super().__init__()
        features: list[nn.Module] = [_conv_bn_act(3, 16, 3, stride=2, hard=True)]
        inputs = 16
        for kernel, hidden, outputs, excites, hard, stride in self.BLOCKS:
            features.append(Bneck(inputs, hidden, outputs, kernel, stride, excites=excites, hard=hard))
            inputs = outputs
        self.features = nn.Sequential(*features, _conv_bn_act(inputs, 960, 1, hard=True))
        self.classifier: nn.Module = nn.Identity()
        if head:
            self.classifier = nn.Sequential(nn.Linear(960, 1280), nn.Hardswish(), nn.Dropout(), nn.Linear(1280, head))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return y


def _conv_bn_act(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, *, hard: bool = False
) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    activation = nn.Hardswish(inplace=True) if hard else nn.ReLU(inplace=True)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs, eps=0.001), activation)


def _in_eights(channels: float) -> int:
    """The nearest multiple of 8, but never less than nine tenths."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


NETWORKS: dict[tuple[str, str], Callable[[], nn.Module]] = {
    ("ResNet-50", "features"): ResNet50,
    ("ResNet-50", "descriptor"): lambda: ResNet50(head=512, gem_power=3),
    ("VGG16", "features"): VGG16,
    ("VGG16", "logits"): lambda: VGG16(head=1000),
    ("MobileNetV2", "features"): MobileNetV2,
    ("MobileNetV3", "features"): MobileNetV3,
    ("Inception-v3", "features"): InceptionV3,
}
"""By `options["architecture"]` and `options["output"]`."""


def build(architecture: str, output: str) -> nn.Module:
    """The network without its numbers: a checkpoint's tensors take their places, nothing is drawn at random."""
    with torch.device("meta"):
        return NETWORKS[architecture, output]()
