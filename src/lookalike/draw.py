"""Pictures with something drawn on them, for people to look at.

Everything is (h, w, 3) RGB. Places in a picture are shares of its file's own pixels, however few were decoded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from lookalike.keypoints.features import UPRIGHT, Features, Floats
from lookalike.types import Picture, Pixels

SIDE = 1600
"""The longest side of what is drawn: larger than most windows, and lines of one pixel are still seen."""

SMALLEST = 800
"""Its longest side at least: rings on a small picture would hide it."""

ORANGE = (230, 159, 0)
PALETTE = (ORANGE, (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
"""Of Okabe and Ito, "Color Universal Design" (2008): everybody can tell them apart."""

GROUND = (238, 236, 232)
"""What pictures stand on."""

LINES = 150
"""Lines that are drawn at most: more hide what they join."""

Transform = npt.NDArray[np.float64]
Values = npt.NDArray[np.float32]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def draw_keypoints(picture: Picture, features: Features, *, rich: bool = False) -> Pixels:
    """(h, w, 3): the picture with a ring at each keypoint; if `rich`, as large as what it describes, with its angle.

    Methods that know no angle get rings alone.
    """
    canvas, scale = _canvas(picture)
    upright = features.method in UPRIGHT  # OpenCV draws no line for an angle of -1
    marks = [
        cv2.KeyPoint(float(x * scale), float(y * scale), float(max(size * scale, 1)), -1.0 if upright else float(angle))
        for (x, y), size, angle in zip(features.points, features.diameters, features.angles, strict=True)
    ]
    flags = cv2.DRAW_MATCHES_FLAGS_DRAW_RICH_KEYPOINTS if rich else cv2.DRAW_MATCHES_FLAGS_DEFAULT
    return np.asarray(cv2.drawKeypoints(canvas, marks, np.empty(0), ORANGE, flags), dtype=np.uint8)


def _canvas(picture: Picture) -> tuple[Pixels, float]:
    """The picture of SMALLEST to SIDE pixels, in grey so that colours are seen on it, and its scale to the file's."""
    width, height = picture.size
    scale = min(max(SMALLEST / max(width, height), 1), SIDE / max(width, height))
    pixels = resized(picture.pixels, (max(1, round(width * scale)), max(1, round(height * scale))))
    grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(grey, dtype=np.uint8), pixels.shape[1] / picture.width


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """The pixels in another (width, height): smaller without aliasing, much larger as the squares that they are."""
    grown = max(size[0] / pixels.shape[1], size[1] / pixels.shape[0])
    how = cv2.INTER_AREA if grown <= 1 else cv2.INTER_CUBIC if grown <= 8 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(pixels, size, interpolation=how), dtype=np.uint8)


# -- two pictures and what joins them ------------------------------------------------------------------------


def draw_matches(a: Picture, b: Picture, start: Floats, end: Floats, width: int = SIDE) -> Pixels:
    """(h, width, 3): two pictures at a common height, with lines from (n, 2) points of the one to the other's.

    Of many lines LINES are drawn, from all over the first picture. Where the two are so wide that they would be
    very low side by side, the second stands below the first.
    """
    (height, boxes) = _beside((a.width, a.height), (b.width, b.height), width)
    canvas = np.full((height, width, 3), GROUND, dtype=np.uint8)
    places = []
    for picture, points, (left, top, right, bottom) in zip((a, b), (start, end), boxes, strict=True):
        canvas[top:bottom, left:right] = _muted(resized(picture.pixels, (right - left, bottom - top)))
        share = np.asarray(points, dtype=np.float64).reshape(-1, 2) / (picture.width, picture.height)
        places.append((share * (right - left, bottom - top) + (left, top)).round().astype(int))
    chosen = _spread(np.asarray(start).reshape(-1, 2) / (a.width, a.height))
    joined = [(tuple(map(int, places[0][i])), tuple(map(int, places[1][i]))) for i in chosen]
    # A dark edge, so that lines are seen on light pictures as well as on dark ones.
    shade = canvas.copy()
    for one, other in joined:
        cv2.line(shade, one, other, (0, 0, 0), 4, cv2.LINE_AA)
    canvas = np.asarray(cv2.addWeighted(shade, 0.35, canvas, 0.65, 0), dtype=np.uint8)
    for i, (one, other) in enumerate(joined):
        colour = PALETTE[i % len(PALETTE)]
        cv2.line(canvas, one, other, colour, 2, cv2.LINE_AA)
        for place in (one, other):
            cv2.circle(canvas, place, 6, (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(canvas, place, 5, colour, -1, cv2.LINE_AA)
    return canvas


_GAP = 24
_LOW, _HIGH = 220, 900


def _beside(a: tuple[int, int], b: tuple[int, int], width: int) -> tuple[int, list[tuple[int, int, int, int]]]:
    """The height of a canvas for two pictures, and the box of each on it."""
    wide = [size[0] / size[1] for size in (a, b)]
    height = min(_HIGH, int((width - _GAP) / sum(wide)))
    if height >= _LOW:
        widths = [max(4, min(int(height * ratio), width - _GAP - 4)) for ratio in wide]
        left = (width - sum(widths) - _GAP) // 2
        second = left + widths[0] + _GAP
        return height, [(left, 0, left + widths[0], height), (second, 0, second + widths[1], height)]
    # The lower of the two is made wide enough to be seen, at the cost of its shape.
    heights = [min(max(round(width / ratio), 4), _HIGH) for ratio in wide]
    widths = [max(4, min(width, round(high * ratio))) for high, ratio in zip(heights, wide, strict=True)]
    tops = (0, heights[0] + 4 * _GAP)
    lefts = [(width - each) // 2 for each in widths]
    boxes = [(x, y, x + w, y + h) for x, y, w, h in zip(lefts, tops, widths, heights, strict=True)]
    return tops[1] + heights[1], boxes


def _muted(pixels: Pixels) -> Pixels:
    """With less colour, so that the lines have theirs."""
    grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(grey, 0.7, pixels, 0.3, 0), dtype=np.uint8)


def _spread(points: npt.NDArray[np.floating]) -> list[int]:
    """LINES of the points at most, in shares of the picture: first one of each of 12 x 12 cells, then another ..."""
    cells = np.clip((points * 12).astype(int), 0, 11) @ (12, 1)
    order = np.argsort(cells, kind="stable")
    first = np.searchsorted(cells[order], cells[order])
    turn = np.empty(len(points), dtype=int)
    turn[order] = np.arange(len(points)) - first  # which of its cell each is
    chosen = np.lexsort((np.arange(len(points)), turn))[:LINES]
    return [int(i) for i in sorted(chosen, key=lambda i: (cells[i], i))]


# -- one picture laid over the other -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """The one picture moved to where the other shows it, in the frame of that other.

    base:       (h, w, 3) the other picture
    blend:      (h, w, 3) half the one, half the other, with the frame of the one
    difference: (h, w) how far apart the colours are, in CIELAB (about 2 can just be seen, 100 is black against white),
                the one's brightness and contrast made the other's; NaN where the one does not reach
    """

    base: Pixels
    blend: Pixels
    difference: Values


def overlay(a: Picture, b: Picture, transform: Transform, side: int = SIDE // 2) -> Overlay:
    """Lay `a` over `b` by the transform from its pixels to those of `b`, on a canvas whose longest side is `side`."""
    scale = side / max(b.width, b.height)
    size = (max(1, round(b.width * scale)), max(1, round(b.height * scale)))
    base = resized(b.pixels, size)
    onto = np.diag([size[0] / b.width, size[1] / b.height, 1.0]) @ transform
    pixels = _no_larger(a, onto)
    onto = onto @ np.diag([a.width / pixels.shape[1], a.height / pixels.shape[0], 1.0])
    # OpenCV counts from the middle of the first pixel, transforms from its edge.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    onto = np.linalg.inv(half) @ onto @ half
    moved = np.asarray(cv2.warpPerspective(pixels, onto, size, flags=cv2.INTER_LINEAR), dtype=np.uint8)
    there = cv2.warpPerspective(np.full(pixels.shape[:2], 255, dtype=np.uint8), onto, size, flags=cv2.INTER_LINEAR)
    inside = np.asarray(there == 255)
    blend = np.where(inside[:, :, None], cv2.addWeighted(moved, 0.5, base, 0.5, 0), base)
    corners = [(0, 0), (pixels.shape[1], 0), (pixels.shape[1], pixels.shape[0]), (0, pixels.shape[0])]
    frame = cv2.perspectiveTransform(np.array([corners], dtype=np.float64) - 0.5, onto)
    frame = np.clip(frame, -20_000, 20_000).round().astype(np.int32)
    for colour, thick in (((0, 0, 0), 6), (ORANGE, 3)):
        cv2.polylines(blend, [frame.reshape(-1, 1, 2)], True, colour, thick, cv2.LINE_AA)
    coarse = max(1.0, size[0] / b.pixels.shape[1], _grown(onto, pixels))
    return Overlay(base, np.asarray(blend, dtype=np.uint8), _difference(moved, base, inside, coarse))


def _grown(onto: Transform, pixels: Pixels) -> float:
    """How much larger a transform makes what is at the middle of the pixels."""
    x, y, depth = onto @ (pixels.shape[1] / 2, pixels.shape[0] / 2, 1.0)
    # The derivative of (x / depth, y / depth).
    stretch = (onto[:2, :2] * depth - np.outer((x, y), onto[2, :2])) / depth**2
    return math.sqrt(abs(float(np.linalg.det(stretch))))


def _no_larger(picture: Picture, onto: Transform) -> Pixels:
    """The picture's pixels, made fewer where many would fall on one of the canvas."""
    width, height = picture.size
    shrink = _grown(onto @ np.diag([picture.width / width, picture.height / height, 1.0]), picture.pixels)
    if not 0 < shrink < 1:
        return picture.pixels
    return resized(picture.pixels, (max(1, round(width * shrink)), max(1, round(height * shrink))))


def _difference(moved: Pixels, base: Pixels, inside: npt.NDArray[np.bool_], coarse: float) -> Values:
    """(h, w): the least within a pixel round about, so that edges that are half a pixel off do not count.

    `coarse` is how large a pixel of the coarser picture is on the canvas: smaller details are in one only.
    """
    safe = cv2.erode(
        inside.astype(np.uint8), np.ones((5, 5), np.uint8), iterations=round(coarse), borderValue=0
    ).astype(bool)
    if not safe.any():
        return np.full(inside.shape, np.nan, dtype=np.float32)
    soft = [cv2.GaussianBlur(each, (0, 0), 1.2 * coarse).astype(np.float32) for each in (moved, base)]
    alike = _like(soft[0], soft[1], safe)
    one, other = (cv2.cvtColor(np.clip(each, 0, 255) / np.float32(255), cv2.COLOR_RGB2LAB) for each in (alike, soft[1]))
    least = np.full(inside.shape, np.inf, dtype=np.float32)
    step = round(coarse)
    for down in (-step, 0, step):
        for right in (-step, 0, step):
            np.minimum(least, np.linalg.norm(np.roll(one, (down, right), (0, 1)) - other, axis=2), out=least)
    return np.where(safe, least, np.float32(np.nan))


def _like(one: Values, other: Values, inside: npt.NDArray[np.bool_]) -> Values:
    """The one with each channel's brightness and contrast as in the other, by the half that fits best."""
    made = one.copy()
    for channel in range(3):
        x, y = one[inside, channel].astype(np.float64), other[inside, channel].astype(np.float64)
        kept = np.ones(len(x), dtype=bool)
        gain, offset = 1.0, 0.0
        for _ in range(4):
            spread = x[kept].std()
            if spread > 1:
                gain = float(np.clip(np.cov(x[kept], y[kept])[0, 1] / spread**2, 0.2, 5))
            offset = float(y[kept].mean() - gain * x[kept].mean())
            off = np.abs(gain * x + offset - y)
            kept = off <= np.median(off)
        made[:, :, channel] = gain * one[:, :, channel] + offset
    return made


# -- maps ----------------------------------------------------------------------------------------------------


def coloured(values: npt.NDArray[np.floating], low: float, high: float) -> Pixels:
    """(h, w, 3): dark blue at `low`, yellow at `high`; the ground where there is no number.

    A straight line through OKLab: equal steps look equal, in grey and to the colour-blind as well.
    Ottosson, "A perceptual color space for image processing" (2020)
    """
    share = np.clip((np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-9), 0, 1)
    colours = _RAMP[(share * 255).round().astype(int)]
    return np.where(np.isfinite(values)[..., None], colours, np.array(GROUND, dtype=np.uint8))


def _ramp() -> Pixels:
    ends = np.array([(0, 32, 81), (253, 231, 55)]) / 255
    linear = np.where(ends <= 0.04045, ends / 12.92, ((ends + 0.055) / 1.055) ** 2.4)
    to_lms = np.array([
        (0.4122214708, 0.5363325363, 0.0514459929),
        (0.2119034982, 0.6806995451, 0.1073969566),
        (0.0883024619, 0.2817188376, 0.6299787005),
    ])  # fmt: skip
    # Cube roots of cone responses: OKLab is linear in them, so a straight line here is one there.
    cones = np.cbrt(linear @ to_lms.T)
    steps = np.linspace(0, 1, 256)[:, None]
    linear = np.clip(((1 - steps) * cones[0] + steps * cones[1]) ** 3 @ np.linalg.inv(to_lms).T, 0, 1)
    shown = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray((shown * 255).round(), dtype=np.uint8)


_RAMP = _ramp()


def draw_heat(picture: Picture, values: Values, box: Box, low: float, high: float, size: tuple[int, int]) -> Pixels:
    """(h, w, 3): a map of (rows, cols) values laid over the picture in grey, of `size` (width, height).

    box: the map's place, in shares of the picture's width and height; what lies outside of it is pale.
    """
    width, height = size
    grey = cv2.cvtColor(cv2.cvtColor(resized(picture.pixels, size), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    left, top, right, bottom = box
    x = np.floor(((np.arange(width) + 0.5) / width - left) / (right - left) * values.shape[1]).astype(int)
    y = np.floor(((np.arange(height) + 0.5) / height - top) / (bottom - top) * values.shape[0]).astype(int)
    inside = ((y >= 0) & (y < values.shape[0]))[:, None] & ((x >= 0) & (x < values.shape[1]))[None, :]
    colours = coloured(values, low, high)[np.clip(y, 0, values.shape[0] - 1)][:, np.clip(x, 0, values.shape[1] - 1)]
    pale = cv2.addWeighted(grey, 0.3, np.full_like(grey, 230), 0.7, 0)
    return np.where(inside[:, :, None], cv2.addWeighted(colours, 0.62, grey, 0.38, 0), pale).astype(np.uint8)
