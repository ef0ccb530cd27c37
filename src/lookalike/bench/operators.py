"""The edits of `copies`: each takes pixels, gives the edited ones, and says how it moved them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from lookalike.types import Pixels

Moved: TypeAlias = npt.NDArray[np.float64]
Edit: TypeAlias = tuple[Pixels, Moved]

WORDS = ("SALE", "look at this", "2021", "when you see it", "breaking news", "no way", "made with love", "follow us")


@dataclass(frozen=True, slots=True)
class Strength:
    """How hard an edit is to be: `grade` 0 to 2, its own random numbers, and other pictures that it may use."""

    grade: int
    rng: np.random.Generator
    others: Sequence[Pixels] = ()

    def of(self, mild: float, medium: float, hard: float) -> float:
        """The grade's amount, give or take a tenth."""
        return float((mild, medium, hard)[self.grade] * self.rng.uniform(0.9, 1.1))

    def sign(self) -> int:
        return int(self.rng.choice([-1, 1]))

    def other(self, height: int, width: int) -> Pixels:
        """Another picture in that size; stripes where there is none."""
        if self.others:
            picture = self.others[int(self.rng.integers(len(self.others)))]
        else:
            bands = self.rng.integers(0, 256, (9, 1, 3), dtype=np.uint8)
            picture = np.broadcast_to(bands, (9, 9, 3))
        return _resized(np.ascontiguousarray(picture), width, height)


# --- Moved ---


def crop(pixels: Pixels, how: Strength) -> Edit:
    height, width = pixels.shape[:2]
    kept = np.sqrt(how.of(0.8, 0.5, 0.25))  # of the area
    high, wide = max(8, round(height * min(kept, 1))), max(8, round(width * min(kept, 1)))
    top, left = (int(how.rng.integers(0, max(1, whole - part + 1))) for whole, part in ((height, high), (width, wide)))
    return pixels[top : top + high, left : left + wide], _shift(-left, -top)


def resize(pixels: Pixels, how: Strength) -> Edit:
    scale = how.of(0.6, 0.35, 0.2)
    return _scaled(pixels, scale, scale)


def aspect(pixels: Pixels, how: Strength) -> Edit:
    squeezed = how.of(0.85, 0.7, 0.5)
    return _scaled(pixels, *((squeezed, 1.0) if how.rng.random() < 0.5 else (1.0, squeezed)))


def rotate(pixels: Pixels, how: Strength) -> Edit:
    """Turned, with black corners; where it is hard, by any angle."""
    height, width = pixels.shape[:2]
    angle = how.sign() * (how.of(5, 20, 0) if how.grade < 2 else how.rng.uniform(30, 180))
    turn = np.vstack([cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1), [0, 0, 1]])
    return _warped(pixels, turn)


def shear(pixels: Pixels, how: Strength) -> Edit:
    amount = how.sign() * how.of(0.1, 0.25, 0.5)
    matrix = np.array([[1, amount, 0], [0, 1, 0], [0, 0, 1]]) if how.rng.random() < 0.5 else None
    return _warped(pixels, matrix if matrix is not None else np.array([[1, 0, 0], [amount, 1, 0], [0, 0, 1]]))


def perspective(pixels: Pixels, how: Strength) -> Edit:
    """Seen from the side."""
    height, width = pixels.shape[:2]
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float32)
    inward = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * how.rng.uniform(0.2, 1, (4, 2))
    end = corners + inward * how.of(0.06, 0.15, 0.3) * [width, height]
    return _warped(pixels, cv2.getPerspectiveTransform(corners, end.astype(np.float32)))


def flip(pixels: Pixels, how: Strength) -> Edit:
    """Mirrored; the harder, the more is cut off besides."""
    mirror = np.array([[-1.0, 0, pixels.shape[1]], [0, 1, 0], [0, 0, 1]])
    return _then(crop, pixels[:, ::-1], mirror, how)


def flip_vertical(pixels: Pixels, how: Strength) -> Edit:
    mirror = np.array([[1.0, 0, 0], [0, -1, pixels.shape[0]], [0, 0, 1]])
    return _then(crop, pixels[::-1], mirror, how)


def pad(pixels: Pixels, how: Strength) -> Edit:
    """Bars of one colour round it."""
    height, width = pixels.shape[:2]
    share = how.of(0.08, 0.2, 0.45)
    top, bottom = (int(height * share * how.rng.uniform(0.3, 1)) for _ in range(2))
    left, right = (int(width * share * how.rng.uniform(0.3, 1)) for _ in range(2))
    canvas = np.empty((height + top + bottom, width + left + right, 3), dtype=np.uint8)
    canvas[:] = how.rng.choice([0, 255]) if how.rng.random() < 0.6 else how.rng.integers(0, 256, 3)
    canvas[top : top + height, left : left + width] = pixels
    return canvas, _shift(left, top)


# --- Made worse ---


def jpeg(pixels: Pixels, how: Strength) -> Edit:
    return _encoded(pixels, int(how.of(50, 22, 8))), np.eye(3)


def blur(pixels: Pixels, how: Strength) -> Edit:
    sigma = how.of(0.004, 0.009, 0.02) * min(pixels.shape[:2])
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), max(sigma, 0.3)), dtype=np.uint8), np.eye(3)


def noise(pixels: Pixels, how: Strength) -> Edit:
    return _bytes(pixels + how.rng.normal(0, how.of(10, 25, 55), pixels.shape)), np.eye(3)


def pixelate(pixels: Pixels, how: Strength) -> Edit:
    height, width = pixels.shape[:2]
    blocks = how.of(128, 64, 32)
    small = _resized(pixels, max(2, round(width * min(1, blocks / max(height, width)))),
                     max(2, round(height * min(1, blocks / max(height, width)))))  # fmt: skip
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8), np.eye(3)


# --- Other colours ---


def brightness(pixels: Pixels, how: Strength) -> Edit:
    gamma = how.of(1.3, 1.8, 3.0)
    return _bytes(255 * (pixels / 255) ** (gamma if how.rng.random() < 0.5 else 1 / gamma)), np.eye(3)


def contrast(pixels: Pixels, how: Strength) -> Edit:
    factor = how.of(1.3, 1.8, 3.0)
    factor = factor if how.rng.random() < 0.5 else 1 / factor
    return _bytes((pixels - pixels.mean()) * factor + pixels.mean()), np.eye(3)


def colours(pixels: Pixels, how: Strength) -> Edit:
    """Turned round the colour circle, and more or less of them."""
    hue, saturation, value = cv2.split(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV))
    turned = (hue.astype(int) + how.sign() * round(how.of(6, 20, 60))) % 180
    more = how.of(1.2, 1.6, 2.2)
    saturation = _bytes(saturation * (more if how.rng.random() < 0.5 else 1 / more))
    whole = cv2.merge([turned.astype(np.uint8), saturation, value])
    return np.asarray(cv2.cvtColor(whole, cv2.COLOR_HSV2RGB), dtype=np.uint8), np.eye(3)


def grey(pixels: Pixels, how: Strength) -> Edit:
    """Without colours; medium sepia, hard black and white only."""
    plain = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if how.grade == 2:
        _, plain = cv2.threshold(plain, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    tint = np.array([1.0, 0.85, 0.65]) if how.grade == 1 else np.ones(3)
    return _bytes(plain[..., None] * tint), np.eye(3)


def colour_filter(pixels: Pixels, how: Strength) -> Edit:
    """As photo apps have them: a tint, faded blacks, dark corners."""
    height, width = pixels.shape[:2]
    amount = how.of(0.15, 0.35, 0.6)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    shade = 1 - amount * np.clip((x**2 + y**2) / 2, 0, 1)[..., None]
    tint = 1 + amount * how.rng.uniform(-0.5, 0.5, 3)
    return _bytes((pixels * tint * (1 - amount / 4) + 40 * amount) * shade), np.eye(3)


# --- Covered, or among others ---


def erase(pixels: Pixels, how: Strength) -> Edit:
    height, width = pixels.shape[:2]
    edited = pixels.copy()
    side = np.sqrt(how.of(0.08, 0.2, 0.4))
    high, wide = int(height * side), int(width * side)
    top, left = int(how.rng.integers(0, height - high + 1)), int(how.rng.integers(0, width - wide + 1))
    edited[top : top + high, left : left + wide] = how.rng.integers(0, 256, 3)
    return edited, np.eye(3)


def text(pixels: Pixels, how: Strength) -> Edit:
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    for _ in range((1, 3, 7)[how.grade]):
        size = max(8, int(min(image.size) * how.of(0.08, 0.11, 0.14)))
        place = (how.rng.uniform(0, 0.6) * image.width, how.rng.uniform(0, 0.9) * image.height)
        fill = tuple(int(c) for c in how.rng.integers(0, 256, 3))
        words, font = str(how.rng.choice(WORDS)), ImageFont.load_default(size)
        draw.text(place, words, fill=fill, font=font, stroke_width=size // 12, stroke_fill="white")
    return np.asarray(image), np.eye(3)


def emoji(pixels: Pixels, how: Strength) -> Edit:
    """Faces, hearts and stars on it, drawn here: no font of the machine's has a say."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    for x, y, r in _scattered(image, how):
        (_face, _heart, _star)[int(how.rng.integers(3))](draw, x, y, r)
    return np.asarray(image), np.eye(3)


def stickers(pixels: Pixels, how: Strength) -> Edit:
    """Round pieces of other photos on it, turned, with a white edge."""
    image = Image.fromarray(pixels)
    for x, y, r in _scattered(image, how):
        side = max(4, round(2 * r))
        piece = Image.fromarray(how.other(side, side)).rotate(how.rng.uniform(0, 360), Image.Resampling.BILINEAR)
        whole, inner = (Image.new("L", (4 * side, 4 * side)) for _ in range(2))
        for mask, edge in ((whole, 0.0), (inner, 0.35)):  # drawn large: the edges are smooth when they are small
            ImageDraw.Draw(mask).ellipse((edge * side, edge * side, (4 - edge) * side, (4 - edge) * side), fill=255)
        at = round(x - side / 2), round(y - side / 2)
        image.paste("white", (*at, at[0] + side, at[1] + side), whole.resize((side, side)))
        image.paste(piece, at, inner.resize((side, side)))
    return np.asarray(image), np.eye(3)


def _scattered(image: Image.Image, how: Strength) -> Iterator[tuple[float, float, float]]:
    """Middles and radii of what is put on a picture."""
    for _ in range((1, 3, 6)[how.grade]):
        r = min(image.size) * how.of(0.1, 0.13, 0.16)
        x, y = how.rng.uniform(0.1, 0.9, 2) * image.size
        yield float(x), float(y), r


def _face(draw: ImageDraw.ImageDraw, x: float, y: float, r: float) -> None:
    draw.ellipse((x - r, y - r, x + r, y + r), fill="gold", outline="black", width=max(1, int(r / 12)))
    for side in (-0.4, 0.4):
        draw.ellipse((x + side * r - r / 8, y - r / 2, x + side * r + r / 8, y - r / 8), fill="black")
    draw.arc((x - r / 2, y - r / 4, x + r / 2, y + r / 2), 10, 170, fill="black", width=max(1, int(r / 8)))


def _heart(draw: ImageDraw.ImageDraw, x: float, y: float, r: float) -> None:
    t = np.linspace(0, 2 * np.pi, 60)
    across, up = 16 * np.sin(t) ** 3, 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    draw.polygon([(x + r * u / 17, y - r * v / 17) for u, v in zip(across, up, strict=True)], fill="crimson")


def _star(draw: ImageDraw.ImageDraw, x: float, y: float, r: float) -> None:
    turns = np.arange(10) * np.pi / 5
    reach = np.where(np.arange(10) % 2, 0.45 * r, r)
    points = [(x + far * np.sin(turn), y - far * np.cos(turn)) for turn, far in zip(turns, reach, strict=True)]
    draw.polygon(points, fill="orange", outline="black")


def screenshot(pixels: Pixels, how: Strength) -> Edit:
    """As a post on a telephone: bars, a name, a caption; the harder, the smaller is the picture in it."""
    height, width = pixels.shape[:2]
    share = min(0.95, how.of(0.8, 0.6, 0.4))
    wide, high = int(width / share), int(max(height * 1.2, height / share))
    dark = how.rng.random() < 0.5
    image = Image.new("RGB", (wide, high), "black" if dark else "white")
    draw = ImageDraw.Draw(image)
    ink = "white" if dark else "black"
    left, top = (wide - width) // 2, (high - height) // 2
    bar = max(6, top // 2)
    draw.rectangle((0, 0, wide, bar), fill=(60, 90, 150))
    draw.ellipse((bar // 4, bar + 2, bar, bar + bar // 2), fill=(200, 80, 80))
    font = ImageFont.load_default(max(8, bar // 2))
    draw.text((bar * 1.3, bar + 2), "somebody", fill=ink, font=font)
    draw.text((bar // 4, top + height + 4), str(how.rng.choice(WORDS)), fill=ink, font=font)
    image.paste(Image.fromarray(pixels), (left, top))
    return np.asarray(image), _shift(left, top)


def collage(pixels: Pixels, how: Strength) -> Edit:
    """One field of a grid: 2 x 1, 2 x 2 or 3 x 3."""
    height, width = pixels.shape[:2]
    columns, rows = ((2, 1), (2, 2), (3, 3))[how.grade]
    field = int(how.rng.integers(columns * rows))
    fields = [pixels if i == field else how.other(height, width) for i in range(columns * rows)]
    canvas = np.vstack([np.hstack(fields[r * columns : (r + 1) * columns]) for r in range(rows)])
    place = _shift((field % columns) * width, (field // columns) * height)
    small, scale = _scaled(canvas, 1 / columns, 1 / columns)
    return small, scale @ place


def paste(pixels: Pixels, how: Strength) -> Edit:
    """Small, on another photo."""
    height, width = pixels.shape[:2]
    canvas = how.other(max(8, height), max(8, width)).copy()  # what is scaled has no side below 8
    height, width = canvas.shape[:2]
    side = np.sqrt(min(0.9, how.of(0.6, 0.35, 0.15)))
    small, scale = _scaled(pixels, side, side)
    high, wide = small.shape[:2]
    top, left = int(how.rng.integers(0, height - high + 1)), int(how.rng.integers(0, width - wide + 1))
    canvas[top : top + high, left : left + wide] = small
    return canvas, _shift(left, top) @ scale


def social(pixels: Pixels, how: Strength) -> Edit:
    """Sent round: each time cut a little, made smaller, and encoded anew."""
    edited, moved = pixels, np.eye(3)
    for _ in range(how.grade + 1):
        high, wide = edited.shape[:2]
        top, left = int(high * how.rng.uniform(0, 0.03)), int(wide * how.rng.uniform(0, 0.03))
        edited = edited[top : high - top or None, left : wide - left or None]
        edited, scale = _scaled(edited, 0.85, 0.85)
        edited = _encoded(edited, int(how.of(65, 50, 35)))
        moved = scale @ _shift(-left, -top) @ moved
    return edited, moved


def printed(pixels: Pixels, how: Strength) -> Edit:
    """Printed in dots, and photographed: black is grey, white is yellowish, and nothing is quite straight."""
    height, width = pixels.shape[:2]
    period = how.of(0.008, 0.012, 0.018) * min(height, width)
    y, x = np.mgrid[:height, :width] * (2 * np.pi / max(period, 2.5))
    dots = np.cos(x + y) * np.cos(x - y)  # a screen at 45 degrees
    inked = pixels + how.of(15, 35, 60) * dots[..., None]
    paper = 25 + np.clip(inked, 0, 255) * (np.array([0.86, 0.83, 0.74]) - 0.03 * how.grade)
    blurred = cv2.GaussianBlur(paper, (0, 0), 0.7) + how.rng.normal(0, how.of(2, 4, 8), pixels.shape)
    return _then(perspective, _bytes(blurred), np.eye(3), how)


# --- Tools ---


def _then(second: Any, pixels: Pixels, moved: Moved, how: Strength) -> Edit:
    """A second edit after a first, where it is not mild."""
    if how.grade == 0:
        return pixels, moved
    edited, again = second(pixels, Strength(how.grade - 1, how.rng, how.others))
    return edited, again @ moved


def _shift(x: float, y: float) -> Moved:
    return np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])


def _scaled(pixels: Pixels, x: float, y: float) -> Edit:
    height, width = pixels.shape[:2]
    wide, high = max(8, round(width * x)), max(8, round(height * y))
    return _resized(pixels, wide, high), np.diag([wide / width, high / height, 1.0])


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def _warped(pixels: Pixels, transform: npt.NDArray[Any]) -> Edit:
    """In the same frame, black where nothing is. The transform counts from the corner, OpenCV from a pixel's middle."""
    height, width = pixels.shape[:2]
    middle = _shift(0.5, 0.5)
    inner = np.linalg.inv(middle) @ transform @ middle
    warped = cv2.warpPerspective(pixels, inner, (width, height), flags=cv2.INTER_LINEAR)
    return np.asarray(warped, dtype=np.uint8), transform


def _encoded(pixels: Pixels, quality: int) -> Pixels:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=max(1, min(95, quality)))
    return np.asarray(Image.open(data, formats=["JPEG"]).convert("RGB"))


def _bytes(values: npt.NDArray[Any]) -> Pixels:
    return np.asarray(np.clip(values, 0, 255).round(), dtype=np.uint8)
