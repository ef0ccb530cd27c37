"""National flags, drawn from their construction sheets.

A flag is a row of the table below: its height and width counted in the units of its own sheet, then what is
painted on it, in order. There are five brushes; each is given its measures in those same units, so a row can
be checked against the sheet by eye.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import atan2, cos, pi, sin
from pathlib import Path

from PIL import Image, ImageDraw

WIDTH = 480
"""Pixels; a flag's height follows from its proportions."""

FINER = 4
"""Drawn so many times larger, then reduced: the edges come out clean."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Canvas:
    """A flag in the making: takes points in the flag's own units."""

    draw: ImageDraw.ImageDraw
    width: float
    height: float
    scale: float

    def polygon(self, colour: str, corners: Sequence[Point]) -> None:
        self.draw.polygon([(x * self.scale, y * self.scale) for x, y in corners], fill=colour)

    def box(self, colour: str, left: float, top: float, right: float, bottom: float) -> None:
        # Pillow's last pixel is painted too: without the -1 a box would run over its edge by one.
        s = self.scale
        self.draw.rectangle((left * s, top * s, right * s - 1, bottom * s - 1), fill=colour)

    def disc(self, colour: str, centre: Point, radius: float) -> None:
        self.draw.circle((centre[0] * self.scale, centre[1] * self.scale), radius * self.scale, fill=colour)


Brush = Callable[[Canvas], None]


def _edges(shares: Sequence[float], length: float) -> list[tuple[float, float]]:
    """Where the bands begin and end that divide `length` in those shares."""
    return list(pairwise(length * at / sum(shares) for at in accumulate(shares, initial=0)))


def bars(*colours: str, shares: Sequence[float] = ()) -> Brush:
    """Upright bands from the hoist to the fly, equal unless `shares` says otherwise."""

    def paint(on: Canvas) -> None:
        bands = _edges(shares or [1] * len(colours), on.width)
        for colour, (left, right) in zip(colours, bands, strict=True):
            on.box(colour, left, 0, right, on.height)

    return paint


def stripes(*colours: str, shares: Sequence[float] = ()) -> Brush:
    """Level bands from the top down, equal unless `shares` says otherwise."""

    def paint(on: Canvas) -> None:
        bands = _edges(shares or [1] * len(colours), on.height)
        for colour, (top, bottom) in zip(colours, bands, strict=True):
            on.box(colour, 0, top, on.width, bottom)

    return paint


def box(colour: str, left: float, top: float, width: float, height: float) -> Brush:
    """A rectangle; two of them make a cross."""
    return lambda on: on.box(colour, left, top, left + width, top + height)


def cross(colour: str, upright: tuple[float, float], level: tuple[float, float]) -> Brush:
    """Two arms from edge to edge, each as (where it begins, how thick it is)."""

    def paint(on: Canvas) -> None:
        on.box(colour, upright[0], 0, sum(upright), on.height)
        on.box(colour, 0, level[0], on.width, sum(level))

    return paint


def disc(colour: str, centre: Point, radius: float) -> Brush:
    return lambda on: on.disc(colour, centre, radius)


def star(colour: str, centre: Point, radius: float, toward: Point | None = None) -> Brush:
    """Five points on a circle of `radius`, one of them straight up or `toward` another point."""
    first = atan2(toward[1] - centre[1], toward[0] - centre[0]) if toward else -pi / 2
    inner = radius * sin(pi / 10) / sin(3 * pi / 10)
    corners = [
        (centre[0] + r * cos(first + i * pi / 5), centre[1] + r * sin(first + i * pi / 5))
        for i, r in enumerate([radius, inner] * 5)
    ]
    return lambda on: on.polygon(colour, corners)


def triangle(colour: str, *corners: Point) -> Brush:
    return lambda on: on.polygon(colour, corners)


WHITE, BLACK = "#ffffff", "#000000"

# fmt: off
FLAGS: dict[str, tuple[tuple[int, int], list[Brush]]] = {
    # Upright bars. Romania and Chad, Ireland and Ivory Coast, Mali and Guinea are told apart by little.
    "France":      ((2, 3), [bars("#000091", WHITE, "#e1000f")]),
    "Italy":       ((2, 3), [bars("#008c45", "#f4f9ff", "#cd212a")]),
    "Ireland":     ((1, 2), [bars("#169b62", WHITE, "#ff883e")]),
    "Ivory Coast": ((2, 3), [bars("#ff8200", WHITE, "#009a44")]),
    "Belgium":     ((13, 15), [bars(BLACK, "#fdda24", "#ef3340")]),
    "Romania":     ((2, 3), [bars("#002b7f", "#fcd116", "#ce1126")]),
    "Chad":        ((2, 3), [bars("#002664", "#fecb00", "#c60c30")]),
    "Mali":        ((2, 3), [bars("#14b53a", "#fcd116", "#ce1126")]),
    "Guinea":      ((2, 3), [bars("#ce1126", "#fcd116", "#009460")]),

    # Level stripes. Indonesia and Monaco differ in their proportions alone; Poland is the two upside down.
    "Germany":     ((3, 5), [stripes(BLACK, "#dd0000", "#ffcc00")]),
    "Netherlands": ((2, 3), [stripes("#ae1c28", WHITE, "#21468b")]),
    "Luxembourg":  ((3, 5), [stripes("#ef3340", WHITE, "#00a3e0")]),
    "Russia":      ((2, 3), [stripes(WHITE, "#0039a6", "#d52b1e")]),
    "Estonia":     ((7, 11), [stripes("#0072ce", BLACK, WHITE)]),
    "Lithuania":   ((3, 5), [stripes("#fdb913", "#006a44", "#c1272d")]),
    "Austria":     ((2, 3), [stripes("#c8102e", WHITE, "#c8102e")]),
    "Latvia":      ((1, 2), [stripes("#9d2235", WHITE, "#9d2235", shares=(2, 1, 2))]),
    "Colombia":    ((2, 3), [stripes("#ffcd00", "#003087", "#c8102e", shares=(2, 1, 1))]),
    "Indonesia":   ((2, 3), [stripes("#ce1126", WHITE)]),
    "Monaco":      ((4, 5), [stripes("#ce1126", WHITE)]),
    "Poland":      ((5, 8), [stripes(WHITE, "#dc143c")]),
    "Ukraine":     ((2, 3), [stripes("#0057b7", "#ffd700")]),
    "Czechia":     ((2, 3), [stripes(WHITE, "#d7141a"), triangle("#11457e", (0, 0), (1.5, 1), (0, 2))]),

    # Crosses.
    "Denmark":     ((28, 37), [stripes("#c8102e"), cross(WHITE, (12, 4), (12, 4))]),
    "Sweden":      ((10, 16), [stripes("#006aa7"), cross("#fecc02", (5, 2), (4, 2))]),
    "Finland":     ((11, 18), [stripes(WHITE), cross("#002f6c", (5, 3), (4, 3))]),
    "Norway":      ((16, 22), [stripes("#ba0c2f"), cross(WHITE, (6, 4), (6, 4)), cross("#00205b", (7, 2), (7, 2))]),
    "Iceland":     ((18, 25), [stripes("#02529c"), cross(WHITE, (7, 4), (7, 4)), cross("#dc1e35", (8, 2), (8, 2))]),
    "Switzerland": ((32, 32), [stripes("#da291c"), box(WHITE, 13, 6, 6, 20), box(WHITE, 6, 13, 20, 6)]),

    # Discs.
    "Japan":       ((20, 30), [stripes(WHITE), disc("#bc002d", (15, 10), 6)]),
    "Bangladesh":  ((6, 10), [stripes("#006a4e"), disc("#f42a41", (4.5, 3), 2)]),
    "Palau":       ((10, 16), [stripes("#0099ff"), disc("#ffff00", (7, 5), 3)]),
    "Laos":        ((20, 30), [stripes("#ce1126", "#002868", "#ce1126", shares=(1, 2, 1)), disc(WHITE, (15, 10), 4)]),

    # Stars.
    "Vietnam":     ((20, 30), [stripes("#da251d"), star("#ffff00", (15, 10), 6)]),
    "Chile":       ((4, 6), [stripes(WHITE, "#d52b1e"), box("#0039a6", 0, 0, 2, 2), star(WHITE, (1, 1), 0.5)]),
    "China":       ((20, 30), [stripes("#ee1c25"), star("#ffff00", (5, 5), 3), *(
        star("#ffff00", at, 1, toward=(5, 5)) for at in [(10, 2), (12, 4), (12, 7), (10, 9)])]),
}
# fmt: on


def draw(country: str) -> Image.Image:
    """The flag of a country in the table, `WIDTH` pixels wide."""
    (height, width), brushes = FLAGS[country]
    size = WIDTH, round(WIDTH * height / width)
    large = Image.new("RGB", (size[0] * FINER, size[1] * FINER))
    canvas = Canvas(ImageDraw.Draw(large), width, height, scale=large.width / width)
    for paint in brushes:
        paint(canvas)
    return large.resize(size, Image.Resampling.BOX)


def build(folder: Path) -> None:
    """All flags of the table, one PNG a country."""
    folder.mkdir(parents=True, exist_ok=True)
    for country in FLAGS:
        draw(country).save(folder / f"{country}.png")
