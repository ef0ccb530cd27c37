"""Which parts of two pictures make a model find them alike.

patches    of networks of the ViT kind: how much alike each patch and the most alike one of the other picture are
occlusion  of any model: how much less alike it finds the pictures when a part of one is hidden
           Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (ECCV 2014), section 4.2
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from lookalike.embedding import embed_pictures
from lookalike.models import registry
from lookalike.models.backbones.patches import Patches, patches
from lookalike.types import ModelCard, Picture, Vectors

CELLS = 8
"""Cells a side that are hidden, one by one."""

SIDE = 640
"""Pixels of the longer side at which parts are hidden: all cells are in memory at once."""

Box = tuple[float, float, float, float]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Heat:
    """A map over one picture.

    values: (rows, cols) cosines, or what hiding the cell takes from the cosine
    box:    left, top, right, bottom of the map, as shares of the picture's width and height
    best:   (rows, cols) which patch of the other picture, counted row by row, is the most alike; None by occlusion
    """

    values: Vectors
    box: Box
    best: Places | None = None


@dataclass(frozen=True, slots=True)
class Maps:
    """Both pictures by one model."""

    model: str
    kind: Literal["patches", "occlusion"]
    a: Heat
    b: Heat

    @property
    def span(self) -> tuple[float, float]:
        """What the ramp of colours goes from and to, for both maps: a cosine of 1 is the same patch."""
        both = np.concatenate([self.a.values.ravel(), self.b.values.ravel()])
        if self.kind == "occlusion":
            return 0.0, max(float(both.max()), 0.01)
        return min(float(both.min()), 0.9), 1.0


def maps(card: ModelCard, a: Picture, b: Picture) -> Maps:
    """By patches where the model has them, else by occlusion. Raises ModelUnavailable."""
    found = patches(registry.load(card), [a, b])
    if found is not None:
        return _by_patches(card.name, *found)
    small = [_small(picture) for picture in (a, b)]
    whole = embed_pictures(registry.load(card), small)
    return Maps(card.name, "occlusion", _hidden(card, small[0], whole[1]), _hidden(card, small[1], whole[0]))


def _by_patches(model: str, a: Patches, b: Patches) -> Maps:
    likeness = a.tokens.reshape(-1, a.tokens.shape[2]) @ b.tokens.reshape(-1, b.tokens.shape[2]).T
    heat = [
        Heat(each.max(axis=1).reshape(own.tokens.shape[:2]), own.box, each.argmax(axis=1).reshape(own.tokens.shape[:2]))
        for own, each in ((a, likeness), (b, likeness.T))
    ]
    return Maps(model, "patches", *heat)


def _hidden(card: ModelCard, picture: Picture, other: Vectors) -> Heat:
    """How much the cosine with `other` falls where each cell of the picture is hidden, in one batch."""
    width, height = picture.size
    cols, rows = min(CELLS, width), min(CELLS, height)
    x, y = (np.linspace(0, side, n + 1).round().astype(int) for side, n in ((width, cols), (height, rows)))
    mean = tuple(int(c) for c in picture.pixels.mean(axis=(0, 1)).round())
    shown = [picture]
    for row in range(rows):
        for col in range(cols):
            mask = Image.new("L", (width, height))
            mask.paste(255, (int(x[col]), int(y[row]), int(x[col + 1]), int(y[row + 1])))
            # A hard edge would be something new to see, and keypoints love edges.
            soft = mask.filter(ImageFilter.GaussianBlur(max(width, height) / CELLS / 10))
            part = picture.image.copy()
            part.paste(mean, (0, 0), soft)
            shown.append(replace(picture, raster=part))
    cosines = embed_pictures(registry.load(card), shown) @ other
    return Heat((cosines[0] - cosines[1:]).reshape(rows, cols).astype(np.float32), (0.0, 0.0, 1.0, 1.0))


def _small(picture: Picture) -> Picture:
    image = picture.image.copy()
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return replace(picture, raster=image, width=image.width, height=image.height)
