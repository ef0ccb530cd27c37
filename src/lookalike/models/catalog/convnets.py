"""The rows of the convolutional networks that are read from checkpoint files."""

from __future__ import annotations

from dataclasses import replace

from lookalike.types import InputSpec, ModelCard

_LOADER = "lookalike.models.backbones.convnet_checkpoints:load"
_TORCHVISION = "https://download.pytorch.org/models/"
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF = (0.5, 0.5, 0.5)

_IMAGENET = InputSpec(size=(224, 224), resize=256, resample="bilinear", centre="even", mean=_MEAN, std=_STD)

CARDS: tuple[ModelCard, ...] = (
    ModelCard(
        name="vgg16",
        kind="network",
        dim=4096,
        input=_IMAGENET,
        summary="the classic: the 4096 activations before the classifier of VGG16",
        source='Simonyan and Zisserman, "Very Deep Convolutional Networks" (ICLR 2015)',
        revision="vgg16-397923af",
        license="BSD-3-Clause",
        loader=_LOADER,
        extra="torch",
        options={"architecture": "VGG16", "output": "features", "layout": "torchvision"},
        parameters=134_260_544,
        weights=f"{_TORCHVISION}vgg16-397923af.pth",
    ),
    ModelCard(
        name="vgg16-logits",
        kind="network",
        dim=1000,
        input=_IMAGENET,
        summary="what VGG16 takes the picture for: its scores of 1000 classes",
        source='Simonyan and Zisserman, "Very Deep Convolutional Networks" (ICLR 2015)',
        revision="vgg16-397923af",
        license="BSD-3-Clause",
        loader=_LOADER,
        extra="torch",
        options={"architecture": "VGG16", "output": "logits", "layout": "torchvision"},
        parameters=138_357_544,
        weights=f"{_TORCHVISION}vgg16-397923af.pth",
    ),
    ModelCard(
        name="resnet50",
        kind="network",
        dim=2048,
        input=_IMAGENET,
        summary="finds pictures of the same kind of thing; trained on the classes of ImageNet",
        source='He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016)',
        revision="resnet50-0676ba61",
        license="BSD-3-Clause",
        loader=_LOADER,
        extra="torch",
        options={"architecture": "ResNet-50", "output": "features", "layout": "torchvision"},
        parameters=23_508_032,
        weights=f"{_TORCHVISION}resnet50-0676ba61.pth",
    ),
    ModelCard(
        name="inception",
        kind="network",
        dim=2048,
        # These weights come from TensorFlow and want -1..1. torchvision first applies ImageNet's mean and std, then
        # takes them back in the network ("transform_input"); both steps together are (x - 0.5) / 0.5.
        input=InputSpec(size=(299, 299), resize=342, resample="bilinear", centre="even", mean=_HALF, std=_HALF),
        summary="like resnet50, by Inception-v3 and in larger pictures",
        source='Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (CVPR 2016)',
        revision="inception_v3_google-0cc3c7bd",
        license="BSD-3-Clause",
        loader=_LOADER,
        extra="torch",
        options={"architecture": "Inception-v3", "output": "features", "layout": "torchvision"},
        parameters=21_785_568,
        weights=f"{_TORCHVISION}inception_v3_google-0cc3c7bd.pth",
    ),
    ModelCard(
        name="mobilenet",
        kind="network",
        dim=1280,
        input=_IMAGENET,
        summary="like resnet50, several times faster, finds less",
        source='Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (CVPR 2018)',
        revision="mobilenet_v2-b0353104",
        license="BSD-3-Clause",
        loader=_LOADER,
        extra="torch",
        options={"architecture": "MobileNetV2", "output": "features", "layout": "torchvision"},
        parameters=2_223_872,
        weights=f"{_TORCHVISION}mobilenet_v2-b0353104.pth",
    ),
    ModelCard(
        name="moco",
        kind="network",
        dim=2048,
        input=_IMAGENET,
        summary="MoCo v2: a ResNet-50 that learned from pictures without labels (not for commercial use)",
        source='Chen et al., "Improved Baselines with Momentum Contrastive Learning" (2020)',
        revision="moco_v2_800ep",
        license="CC-BY-NC-4.0",
        loader=_LOADER,
        extra="torch",
        options={"architecture": "ResNet-50", "output": "features", "layout": "moco"},
        parameters=23_508_032,
        weights="https://dl.fbaipublicfiles.com/moco/moco_checkpoints/moco_v2_800ep/moco_v2_800ep_pretrain.pth.tar",
    ),
    ModelCard(
        name="simclr",
        kind="network",
        dim=2048,
        input=replace(_IMAGENET, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        summary="a ResNet-50 that learned from pictures without labels, from your own SimCLR checkpoint",
        source='Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations" (ICML 2020)',
        revision="1",
        license="that of the checkpoint (Google's own: Apache-2.0)",
        loader=_LOADER,
        extra="torch",
        options={"architecture": "ResNet-50", "output": "features", "layout": "simclr"},
        parameters=23_508_032,
        weights="file",
    ),
    ModelCard(
        name="sscd",
        kind="network",
        dim=512,
        input=InputSpec(size=(320, 320), fit="squash", resample="bilinear", mean=_MEAN, std=_STD),
        summary="made to find copies: cropped, filtered, written over, pasted into other pictures",
        source='Pizzi et al., "A Self-Supervised Descriptor for Image Copy Detection" (CVPR 2022)',
        revision="sscd_disc_mixup",
        license="MIT",  # since July 2022 (facebookresearch/sscd-copy-detection); before that CC-BY-NC-4.0
        loader=_LOADER,
        extra="torch",
        options={"architecture": "ResNet-50", "output": "descriptor", "layout": "sscd"},
        parameters=24_557_120,
        weights="https://dl.fbaipublicfiles.com/sscd-copy-detection/sscd_disc_mixup.torchvision.pt",
    ),
)
