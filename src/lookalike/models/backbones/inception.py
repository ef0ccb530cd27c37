"""Inception-v3, written from its paper as data, with the tensor names of torchvision's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d, relu

Size: TypeAlias = int | tuple[int, int]
Conv: TypeAlias = tuple[int, Size]
"""Output channels and kernel, (height, width) where it is not square."""

Chain: TypeAlias = Sequence[Conv | tuple[Conv, Conv]]
"""Convolutions one after the other; a pair at the end forks, and both ends go into the output."""

Chains: TypeAlias = Mapping[str, Chain]
"""By the name of the branch in the checkpoint. "pool" averages first."""

ROW, COLUMN = (1, 7), (7, 1)


def figure_5(pool: int) -> Chains:
    """The modules of the 35 x 35 grid."""
    return {"1x1": [(64, 1)], "5x5": [(48, 1), (64, 5)], "3x3dbl": [(64, 1), (96, 3), (96, 3)], "pool": [(pool, 1)]}


def figure_6(width: int) -> Chains:
    """The modules of the 17 x 17 grid: 7 x 7 as rows and columns."""
    return {
        "1x1": [(192, 1)],
        "7x7": [(width, 1), (width, ROW), (192, COLUMN)],
        "7x7dbl": [(width, 1), (width, COLUMN), (width, ROW), (width, COLUMN), (192, ROW)],
        "pool": [(192, 1)],
    }


def figure_7() -> Chains:
    """The modules of the 8 x 8 grid, which fork."""
    fork = ((384, (1, 3)), (384, (3, 1)))
    return {"1x1": [(320, 1)], "3x3": [(384, 1), fork], "3x3dbl": [(448, 1), (384, 3), fork], "pool": [(192, 1)]}


TO_17: Chains = {"3x3": [(384, 3)], "3x3dbl": [(64, 1), (96, 3), (96, 3)]}
TO_8: Chains = {"3x3": [(192, 1), (320, 3)], "7x7x3": [(192, 1), (192, ROW), (192, COLUMN), (192, 3)]}


class ConvNorm(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, stride: int = 1, *, pads: bool = True) -> None:
        super().__init__()
        high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (high // 2, wide // 2) if pads else 0
        self.conv = nn.Conv2d(inputs, outputs, (high, wide), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Chains side by side over one input, their outputs stacked.

    Where it `halves` the grid, the last convolution of each chain has stride 2 without padding, and the input's
    maxima are stacked on top.
    """

    def __init__(self, inputs: int, chains: Chains, *, halves: bool = False) -> None:
        super().__init__()
        self.halves = halves
        self.steps: dict[str, list[list[str]]] = {}
        for branch, chain in chains.items():
            width = inputs
            self.steps[branch] = []
            for number, step in enumerate(chain, 1):
                ends = [step] if isinstance(step[0], int) else list(step)
                place = f"branch_{branch}" if branch == "pool" else f"branch{branch}"
                place += f"_{number}" if len(chain) > 1 else ""
                names = [place] if len(ends) == 1 else [f"{place}a", f"{place}b"]
                shrinks = halves and number == len(chain)
                for name, (outputs, kernel) in zip(names, ends, strict=True):
                    self.add_module(name, ConvNorm(width, outputs, kernel, 1 + shrinks, pads=not shrinks))
                self.steps[branch].append(names)
                width = outputs

    def forward(self, x: Tensor) -> Tensor:
        outputs: list[Tensor] = []
        for branch, steps in self.steps.items():
            ends = [avg_pool2d(x, 3, stride=1, padding=1) if branch == "pool" else x]
            for names in steps:
                ends = [self.get_submodule(name)(ends[0]) for name in names]
            outputs += ends
        if self.halves:
            outputs.append(max_pool2d(x, 3, stride=2))
        return torch.cat(outputs, dim=1)


class InceptionV3(nn.Module):
    """Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (CVPR 2016).

    (n, 3, 299, 299) in -1..1 -> (n, 2048) features, or `head` outputs. Without the auxiliary classifier, which
    only helps training.
    """

    def __init__(self, head: int | None = None) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, 3, stride=2, pads=False)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, 3, pads=False)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, 3)
        self.Conv2d_3b_1x1 = ConvNorm(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3, pads=False)
        self.Mixed_5b = Mixed(192, figure_5(pool=32))
        self.Mixed_5c = Mixed(256, figure_5(pool=64))
        self.Mixed_5d = Mixed(288, figure_5(pool=64))
        self.Mixed_6a = Mixed(288, TO_17, halves=True)
        self.Mixed_6b = Mixed(768, figure_6(width=128))
        self.Mixed_6c = Mixed(768, figure_6(width=160))
        self.Mixed_6d = Mixed(768, figure_6(width=160))
        self.Mixed_6e = Mixed(768, figure_6(width=192))
        self.Mixed_7a = Mixed(768, TO_8, halves=True)
        self.Mixed_7b = Mixed(1280, figure_7())
        self.Mixed_7c = Mixed(2048, figure_7())
        self.fc = nn.Linear(2048, head) if head else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(max_pool2d(x, 3, stride=2)))
        x = max_pool2d(x, 3, stride=2)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        y: Tensor = self.fc(x.mean((2, 3)))
        return y
