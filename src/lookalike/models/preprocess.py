"""Pictures to network input, as the card's InputSpec says: preprocessing is data, this is its interpreter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from lookalike.types import InputSpec, Picture, Pixels

_RESAMPLE = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def fit(picture: Picture, spec: InputSpec) -> Pixels:
    """The picture as (height, width, 3) uint8 in the size that `spec` asks for.

    The geometry is that of the reference processors (torchvision, transformers): the long side is truncated,
    and the crop starts at a whole pixel, computed from the file's own size, so that a decode at a reduced
    scale gives the same field of view.
    """
    height, width = spec.size
    image = Image.fromarray(picture.pixels)
    if spec.fit == "squash":
        return _resized(image, width, height, spec)
    if spec.fit == "crop":
        return _crop(_resized(image, *_cover(picture, spec), spec), spec)
    inside_w, inside_h = _inside(picture, spec)
    small = _resized(image, inside_w, inside_h, spec)
    if spec.fit == "longest":
        return small
    canvas = np.full((height, width, 3), 255, dtype=np.uint8)
    top, left = (height - inside_h) // 2, (width - inside_w) // 2
    canvas[top : top + inside_h, left : left + inside_w] = small
    return canvas


def batch(pictures: Sequence[Picture], spec: InputSpec) -> npt.NDArray[np.float32]:
    """(n, 3, height, width) float32 network input: fitted, scaled to 0..1, then (x - mean) / std."""
    pixels = np.stack([fit(picture, spec) for picture in pictures])
    x = pixels.transpose(0, 3, 1, 2).astype(np.float32)
    if spec.mean is None or spec.std is None:
        return np.ascontiguousarray(x)
    mean = np.asarray(spec.mean, dtype=np.float32).reshape(1, 3, 1, 1)
    std = np.asarray(spec.std, dtype=np.float32).reshape(1, 3, 1, 1)
    return np.ascontiguousarray((x / np.float32(255) - mean) / std)


def _cover(picture: Picture, spec: InputSpec) -> tuple[int, int]:
    side = max(spec.resize or 0, *spec.size)  # a crop wider than the short side would have to invent pixels
    short, long = sorted((picture.width, picture.height))
    other = max(side, int(side * long / short))
    return (side, other) if picture.width <= picture.height else (other, side)


def _inside(picture: Picture, spec: InputSpec) -> tuple[int, int]:
    height, width = spec.size
    scale = min(width / picture.width, height / picture.height)
    if spec.fit == "longest":
        scale = min(scale, 1.0)
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))


def _resized(image: Image.Image, width: int, height: int, spec: InputSpec) -> Pixels:
    if image.size != (width, height):
        image = image.resize((width, height), _RESAMPLE[spec.resample])
    return np.asarray(image)


def _crop(pixels: Pixels, spec: InputSpec) -> Pixels:
    (height, width), (high, wide) = spec.size, pixels.shape[:2]
    if spec.centre == "even":
        top, left = round((high - height) / 2), round((wide - width) / 2)
    else:
        top, left = (high - height) // 2, (wide - width) // 2
    return pixels[top : top + height, left : left + width]
