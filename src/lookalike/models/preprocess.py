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
    return np.asarray(_fitted(picture, picture.image, spec))


def fit_grey(picture: Picture, spec: InputSpec) -> Pixels:
    """The same in grey, as (height, width): made grey first, then small, as perceptual hashes have it."""
    return np.asarray(_fitted(picture, picture.image.convert("L"), spec))


def pixels(pictures: Sequence[Picture], spec: InputSpec) -> Pixels:
    """(n, height, width, 3) uint8: the pictures fitted, for networks that normalise by themselves."""
    return np.stack([fit(picture, spec) for picture in pictures])


def batch(pictures: Sequence[Picture], spec: InputSpec) -> npt.NDArray[np.float32]:
    """(n, 3, height, width) float32 network input: fitted, scaled to 0..1, then (x - mean) / std."""
    x = pixels(pictures, spec).transpose(0, 3, 1, 2).astype(np.float32, order="C")
    if spec.mean is not None and spec.std is not None:
        # In place: to touch fresh memory at every step takes longer than the steps.
        x /= np.float32(255)
        x -= np.asarray(spec.mean, dtype=np.float32).reshape(3, 1, 1)
        x /= np.asarray(spec.std, dtype=np.float32).reshape(3, 1, 1)
    return x


def _fitted(picture: Picture, image: Image.Image, spec: InputSpec) -> Image.Image:
    """`image`, which shows `picture` in its own mode, in the size that `spec` asks for."""
    if spec.fit == "crop":
        return _cropped(picture, image, spec)
    height, width = spec.size
    resample, box = _RESAMPLE[spec.resample], (0, 0, *_visible(picture, image.size))
    if spec.fit == "squash":
        return image.resize((width, height), resample, box)
    inside = _inside(picture, spec)
    small = image.resize(inside, resample, box)
    if spec.fit == "longest":
        return small
    canvas = Image.new(image.mode, (width, height), _edge_colour(small) if spec.fit == "frame" else "white")
    canvas.paste(small, ((width - inside[0]) // 2, (height - inside[1]) // 2))
    return canvas


def _edge_colour(image: Image.Image) -> tuple[int, ...]:
    """The mean of the outermost pixels, for each channel of the image's mode."""
    x = np.atleast_3d(np.asarray(image))
    outermost = np.ones(x.shape[:2], dtype=bool)
    outermost[1:-1, 1:-1] = False
    return tuple(x[outermost].mean(axis=0).round().astype(int).tolist())


def _visible(picture: Picture, size: tuple[int, int]) -> tuple[float, float]:
    """(across, down): how much of the pixels, `size`, the file's own size fills.

    A codec that decodes at 1/2, 1/4 or 1/8 fills its last pixel up, from beyond the edge of the picture.
    """
    full = (picture.width, picture.height)
    for halvings in range(max(full).bit_length()):
        if all(-(-whole >> halvings) == had for whole, had in zip(full, size, strict=True)):
            return full[0] / (1 << halvings), full[1] / (1 << halvings)
    return size


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


def _cropped(picture: Picture, image: Image.Image, spec: InputSpec) -> Image.Image:
    """The middle of what the picture would be if all of it were resized.

    Where the pixels are the file's own that is what is done, to get the reference's to the last bit: Pillow rounds
    the box of a part. Of a reduced decode, which comes near but no nearer, only the part is computed.
    """
    height, width = spec.size
    whole = _cover(picture, spec)
    left, top = _offset(whole[0] - width, spec), _offset(whole[1] - height, spec)
    right, bottom = left + width, top + height
    resample = _RESAMPLE[spec.resample]
    if image.size == (picture.width, picture.height):
        return image.resize(whole, resample).crop((left, top, right, bottom))
    visible = _visible(picture, image.size)
    across, down = visible[0] / whole[0], visible[1] / whole[1]
    return image.resize((width, height), resample, (left * across, top * down, right * across, bottom * down))


def _offset(surplus: int, spec: InputSpec) -> int:
    return round(surplus / 2) if spec.centre == "even" else surplus // 2
