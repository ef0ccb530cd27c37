"""The colours of a flag as people would name them, and where they are."""

from __future__ import annotations

import io
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

ColourMap: TypeAlias = npt.NDArray[np.str_]
"""(160, 240) the name of the colour at each place of a flag, whatever its proportions."""

HUES = ((20, "red"), (40, "orange"), (70, "yellow"), (165, "green"), (265, "blue"), (335, "purple"), (360, "red"))
"""Names, and the degrees where each hue ends."""

LEAST = 0.04
"""What covers less of a flag is part of an emblem."""


def colour_map(data: bytes) -> ColourMap:
    """The colours of a picture, of the bytes of its file."""
    image = Image.open(io.BytesIO(data)).convert("HSV").resize((240, 160), Image.Resampling.NEAREST)
    hue, saturation, value = np.moveaxis(np.asarray(image) / 255, -1, 0)
    names = np.array([name for _, name in HUES])[np.searchsorted([end for end, _ in HUES], 360 * hue)]
    names = np.where((names == "blue") & (saturation < 0.65) & (value > 0.65), "light blue", names)
    names = np.where(saturation < 0.2, np.where(value > 0.7, "white", "grey"), names)
    return np.where(value < 0.2, "black", names)


def palette(colours: ColourMap) -> frozenset[str]:
    """The colours that cover a flag, less what is part of an emblem.

    Only places whose four neighbours have the same name count: where white meets blue there is a line of light blue.
    """
    wide = np.pad(colours, 1, mode="edge")
    around = wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:]
    inner = colours[np.all([each == colours for each in around], axis=0)]
    found, counts = np.unique(inner, return_counts=True)
    return frozenset(found[counts >= LEAST * inner.size].tolist())
