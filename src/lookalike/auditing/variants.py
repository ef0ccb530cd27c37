"""The pictures that probes are made of: the same one with a label on it, or before another background."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from lookalike.types import Pixels

WORDS = ("apple", "police")
"""What labels say: common words of different letters, that any network of words and pictures knows."""

SIDE = 384
"""The longest side of a probe's picture: more than what most models look at."""

GREY = 127
"""Where there is no background."""

_WIDE, _HIGH = 0.75, 0.22
"""A label's shares of the picture's sides."""

_PIECES = 6
"""Across a label: smaller than letters, so that none can be read."""


def shrunk(image: Image.Image) -> Pixels:
    """The picture within SIDE x SIDE."""
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(small)


def labelled(pixels: Pixels, word: str | None, scramble: int | None = None) -> Pixels:
    """With a white label that bears a word, or nothing; or, with a seed, the word's strokes cut up and mixed."""
    image = Image.fromarray(pixels)
    size = (max(8, round(image.width * _WIDE)), max(8, round(image.height * _HIGH)))
    label = Image.new("RGB", size, "white")
    if word:
        _write(label, word)
        if scramble is not None:
            label = Image.fromarray(_mixed(np.asarray(label), scramble))
    ImageDraw.Draw(label).rectangle((0, 0, size[0] - 1, size[1] - 1), outline="black", width=max(1, size[1] // 20))
    image.paste(label, ((image.width - size[0]) // 2, image.height - size[1] - round(image.height * 0.06)))
    return np.asarray(image)


def _write(label: Image.Image, word: str) -> None:
    """In letters that fill the label."""
    draw = ImageDraw.Draw(label)
    box = draw.textbbox((0, 0), word, font=ImageFont.load_default(100), anchor="ls")
    grown = min(0.86 * label.width / (box[2] - box[0]), 0.8 * label.height / (box[3] - box[1]))
    font = ImageFont.load_default(max(4, 100 * grown))
    draw.text((label.width / 2, label.height / 2), word, fill="black", font=font, anchor="mm")


def _mixed(pixels: Pixels, seed: int) -> Pixels:
    """Cut into equal pieces, which change places and stand on their heads: the same ink, and no letter."""
    rng = np.random.default_rng(seed)
    rows, columns = 3, 2 * _PIECES
    high, wide = pixels.shape[0] // rows, pixels.shape[1] // columns
    if not high or not wide:
        return pixels
    mixed = pixels.copy()
    places = [(row * high, column * wide) for row in range(rows) for column in range(columns)]
    for (top, left), at in zip(places, rng.permutation(len(places)).tolist(), strict=True):
        down, right = places[at]
        mixed[top : top + high, left : left + wide] = pixels[down : down + high, right : right + wide][::-1, ::-1]
    return mixed


def before(pixels: Pixels, background: Pixels | None) -> Pixels:
    """The middle half of a picture, softly cut out, on another picture that fills its frame, or on grey."""
    height, width = pixels.shape[:2]
    ground: npt.NDArray[np.float64] | float = float(GREY)
    if background is not None:
        fitted = Image.fromarray(background).resize((width, height), Image.Resampling.LANCZOS)
        ground = np.asarray(fitted).astype(np.float64)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    radius = np.hypot(x, y) / 0.8  # an ellipse of half the area
    share = np.clip((1.15 - radius) / 0.3, 0, 1)[..., None]
    return np.asarray((share * pixels + (1 - share) * ground).round(), dtype=np.uint8)
