"""An explanation as one picture: made 1,600 pixels wide, to be read at half of that."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lookalike import draw
from lookalike.explaining import panels
from lookalike.explaining.explanation import Explanation
from lookalike.explaining.maps import Maps
from lookalike.explaining.standing import told
from lookalike.types import Pixels
from lookalike.writing import showable, write_whole

WIDTH, MARGIN, GAP = 1600, 48, 32
INNER = WIDTH - 2 * MARGIN
HALF = (INNER - GAP) // 2
HIGHEST = 900
"""Pixels of the height of a picture beside another."""

_LONGEST = 32
"""Letters of a cell of the table."""

PAPER, INK, QUIET, RULE = (251, 250, 248), (29, 28, 26), (98, 95, 89), (223, 220, 214)
TITLE, HEADING, TEXT, SMALL = 46, 36, 30, 26


def save(explanation: Explanation, path: str) -> None:
    """Write the sheet as PNG. Raises StorageError."""
    sheet = render(explanation)
    write_whole(path, lambda part: sheet.save(part, "PNG"))


def render(explanation: Explanation) -> Image.Image:
    """The sheet: lines, overlay and differences, maps, scores, one below the other."""
    sheet = _Sheet()
    sheet.text(f"{explanation.a.name}  and  {explanation.b.name}", TITLE, INK)
    sheet.space(24)
    sheet.picture(panels.lines(explanation, INNER), MARGIN)
    sheet.space(18)
    sheet.text(panels.verdict(explanation), TEXT, INK)
    if chance := panels.chance(explanation):
        sheet.text(chance, SMALL, QUIET)
    _overlaid(sheet, explanation)
    for each in explanation.maps:
        _mapped(sheet, explanation, each)
    _scored(sheet, explanation)
    return sheet.finished()


def _overlaid(sheet: _Sheet, explanation: Explanation) -> None:
    laid = panels.overlay(explanation, max(panels.within(explanation.b.size, (HALF, HIGHEST))))
    if laid is None:
        return
    differs = panels.difference(laid)
    sheet.heading("The first picture laid over the second")
    sheet.pair(laid.blend, differs.pixels)
    sheet.ramp(MARGIN + HALF + GAP, HALF, "the same", f"far apart ({differs.high:.0f} in CIELAB)")
    sheet.text("Half the one, half the other; the orange line is the first one's frame.", SMALL, QUIET)
    sheet.text(f"Right: what differs, brightness and contrast made equal: {differs.words}.", SMALL, QUIET)


def _mapped(sheet: _Sheet, explanation: Explanation, maps: Maps) -> None:
    legend = panels.legend(maps)
    sheet.heading(legend.title)
    sheet.pair(*panels.drawn(explanation, maps, (HALF, HIGHEST)))
    sheet.ramp(MARGIN, HALF, legend.low, legend.high)
    sheet.text(legend.words, SMALL, QUIET)


def _scored(sheet: _Sheet, explanation: Explanation) -> None:
    known = explanation.standings
    rows = [["model", "cosine", *(("usual", "above it by", "higher than") if known else ())]]
    for score in explanation.comparison.scores:
        row = [score.model, f"{score.cosine:+.3f}"]
        if standing := known.get(score.model):
            usual = standing.usual
            row += [f"{usual.mean:+.3f} ± {usual.deviation:.3f}", f"{standing.standard:.1f} deviations", told(standing)]
        elif known:
            row += ["", "", ""]
        rows.append(row)
    sheet.heading("How alike each model finds them")
    sheet.table(rows)
    if known:
        where = showable(explanation.collection or "")
        words = f"Usual: cosines of the first picture with the pictures in {where}"
        sheet.text(f"{words}. Higher than: that share of pairs of pictures there.", SMALL, QUIET)


class _Sheet:
    """A column that grows downwards: what is put on it is drawn at the end, when its height is known."""

    def __init__(self) -> None:
        self._y = MARGIN
        self._marks: list[Callable[[Image.Image, ImageDraw.ImageDraw], None]] = []

    def space(self, pixels: int) -> None:
        self._y += pixels

    def text(self, text: str, size: int, colour: tuple[int, int, int]) -> None:
        """A paragraph, its lines broken where they are full."""
        for line in _broken(_drawable(text), size, INNER):
            self._line(line, MARGIN, self._y, size, colour)
            self._y += round(size * 1.4)

    def heading(self, text: str) -> None:
        self.space(36)
        y = self._y
        self._marks.append(lambda _, on: on.line([(MARGIN, y), (WIDTH - MARGIN, y)], RULE, 2))
        self.space(28)
        self.text(text, HEADING, INK)
        self.space(12)

    def picture(self, pixels: Pixels, left: int, top: int | None = None) -> None:
        y = self._y if top is None else top
        self._marks.append(lambda sheet, _: sheet.paste(Image.fromarray(pixels), (left, y)))
        self._y = max(self._y, y + pixels.shape[0])

    def pair(self, one: Pixels, other: Pixels) -> None:
        """Two pictures side by side, each in the middle of its half."""
        top, high = self._y, max(one.shape[0], other.shape[0])
        for left, pixels in ((MARGIN, one), (MARGIN + HALF + GAP, other)):
            self.picture(pixels, left + (HALF - pixels.shape[1]) // 2, top + (high - pixels.shape[0]) // 2)
        self.space(16)

    def ramp(self, left: int, width: int, low: str, high: str) -> None:
        """The legend of a map: its colours, with what both ends mean."""
        bar = np.repeat(draw.coloured(np.linspace(0, 1, width)[None], 0, 1), 18, axis=0)
        self.picture(bar, left)
        self.space(6)
        self._line(low, left, self._y, SMALL, QUIET)
        self._line(high, left + width - round(_font(SMALL).getlength(high)), self._y, SMALL, QUIET)
        self.space(round(SMALL * 1.7))

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """The first row are the headings; numbers stand to the right."""
        rows = [[_clipped(_drawable(cell)) for cell in row] for row in rows]
        columns = list(zip(*rows, strict=True))
        widths = [max(_font(TEXT).getlength(cell) for cell in column) for column in columns]
        spare = min(60.0, (INNER - sum(widths)) / max(1, len(widths) - 1))
        size = TEXT if spare >= 16 else SMALL
        for i, row in enumerate(rows):
            x = float(MARGIN)
            for j, (cell, width) in enumerate(zip(row, widths, strict=True)):
                shift = 0.0 if j == 0 else width - _font(size).getlength(cell)
                self._line(cell, round(x + shift), self._y, size, INK if i else QUIET)
                x += width + max(spare, 16.0)
            self.space(round(TEXT * 1.5))

    def finished(self) -> Image.Image:
        sheet = Image.new("RGB", (WIDTH, self._y + MARGIN), PAPER)
        on = ImageDraw.Draw(sheet)
        for mark in self._marks:
            mark(sheet, on)
        return sheet

    def _line(self, text: str, x: int, y: int, size: int, colour: tuple[int, int, int]) -> None:
        self._marks.append(lambda _, on: on.text((x, y), text, colour, _font(size)))


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # noqa: S101 - a bitmap font comes only where no size is given
    return font


def _clipped(cell: str) -> str:
    """A model may be a folder: the end of its path says more than the beginning."""
    return cell if len(cell) <= _LONGEST else f"...{cell[3 - _LONGEST :]}"


def _drawable(text: str) -> str:
    """The text in letters that the font has: "naïve кот" as "naive ???", for names are told in full elsewhere."""
    return "".join(letter if letter < "\x7f" else _stand_in(letter) for letter in text)


@functools.cache
def _stand_in(letter: str) -> str:
    font = _font(SMALL)
    if bytes(font.getmask(letter)) != bytes(font.getmask("\uffff")):
        return letter
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return plain or ("" if unicodedata.combining(letter) else "?")


def _broken(text: str, size: int, width: int) -> list[str]:
    """The text in lines of at most `width` pixels, broken between words, or within one that is too long."""
    font, found = _font(size), [""]
    for word in text.split(" "):
        line = f"{found[-1]} {word}" if found[-1] else word
        if font.getlength(line) <= width:
            found[-1] = line
            continue
        found += [""] if found[-1] else []
        for letter in word:
            if font.getlength(found[-1] + letter) > width:
                found.append("")
            found[-1] += letter
    return found
