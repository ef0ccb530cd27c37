"""The pictures of an explanation, drawn once for the sheet and for the page, and what is said below each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lookalike import draw
from lookalike.draw import Overlay
from lookalike.explaining.explanation import Explanation
from lookalike.explaining.maps import Maps
from lookalike.explaining.words import overlaid, told
from lookalike.types import Pixels

UNUSUAL = 25.0
"""A difference in CIELAB that the ramp of colours ends at, at least: what JPEG and noise do must stay dark."""


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """A map of differences, its ramp from 0 to `high`, and the words below."""

    pixels: Pixels
    high: float
    words: str


def verdict(explanation: Explanation) -> str:
    """The line of words that says what the keypoints say."""
    line = told(explanation.evidence, explanation.a.size, explanation.b.size)
    return f"{line[:1].upper()}{line[1:]}."


def chance(explanation: Explanation) -> str:
    """The calibrated chance in words; none where nothing could be verified."""
    share = explanation.evidence.chance
    if explanation.matches is None or not share:
        return ""
    told = "less than 0.1" if share < 0.001 else "more than 99.9" if share > 0.999 else f"{100 * share:.1f}"
    return f"The chance that both show the same picture, or parts of it: {told} %."


def lines(explanation: Explanation, width: int) -> Pixels:
    """Both pictures at a common height, the keypoints that agree joined."""
    a, b, matches = explanation.a, explanation.b, explanation.matches
    start, end = np.zeros((0, 2), dtype=np.float32), np.zeros((0, 2), dtype=np.float32)
    if matches is not None:
        start, end = matches.start[matches.inliers], matches.end[matches.inliers]
    return draw.draw_matches(a.picture, b.picture, start, end, width)


def overlay(explanation: Explanation, side: int) -> Overlay | None:
    """The first laid over the second; None where too little agrees to know how."""
    evidence = explanation.evidence
    if not overlaid(evidence):
        return None
    return draw.overlay(explanation.a.picture, explanation.b.picture, np.array(evidence.transform), side)


def difference(laid: Overlay) -> Difference:
    """What is not the same, in colours."""
    known = laid.difference[np.isfinite(laid.difference)]
    if not known.size:
        return Difference(draw.coloured(laid.difference, 0, 1), 1.0, "the two hardly overlap")
    high = max(UNUSUAL, float(np.quantile(known, 0.995)))
    edited = float((known > UNUSUAL / 2).mean())
    words = "hardly any difference" if edited < 0.002 else f"{edited:.1%} of what both show differs clearly"
    return Difference(draw.coloured(laid.difference, 0, high), high, words)


@dataclass(frozen=True, slots=True)
class Legend:
    """What a model's maps are called and show, and what the two ends of the ramp are."""

    title: str
    words: str
    low: str
    high: str


def legend(maps: Maps) -> Legend:
    """Of the maps of one model."""
    low, high = maps.span
    if maps.kind == "patches":
        words = "How much each patch looks like the patch of the other picture that looks most like it."
        return Legend(f"What {maps.model} sees in both", words, f"cosine {low:.2f}", f"{high:.2f}")
    words = "How much the cosine falls when a part is hidden: what makes the pictures alike is bright."
    return Legend(f"What counts for {maps.model}", words, "not at all", f"by {high:.2f}")


def drawn(explanation: Explanation, maps: Maps, most: tuple[int, int]) -> tuple[Pixels, Pixels]:
    """Both maps over their pictures, each at most so wide and high."""
    one, other = (
        draw.draw_heat(side.picture, own.values, own.box, *maps.span, within(side.size, most))
        for side, own in ((explanation.a, maps.a), (explanation.b, maps.b))
    )
    return one, other


def within(size: tuple[int, int], most: tuple[int, int]) -> tuple[int, int]:
    """The largest (width, height) of the same shape; neither less than 4, at the cost of the shape."""
    scale = min(most[0] / size[0], most[1] / size[1])
    return max(4, round(size[0] * scale)), max(4, round(size[1] * scale))
