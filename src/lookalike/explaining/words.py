"""What local features say of two pictures, in a line of words."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lookalike.types import Evidence

SURE = 12
"""Keypoints that agree, at least, where two pictures are laid one over the other: unrelated ones seldom have 8."""

Transform = npt.NDArray[np.float64]
Size = tuple[int, int]


def overlaid(evidence: Evidence) -> bool:
    """Whether so much agrees that the one picture can be laid over the other."""
    return evidence.transform is not None and evidence.inliers >= SURE


def told(evidence: Evidence, a: Size, b: Size) -> str:
    """How many keypoints agree on what; `a` and `b` are the pictures' (width, height)."""
    if evidence.note:
        return evidence.note
    if not evidence.pairs:
        return "nothing in common: no keypoint of the one looks like one of the other"
    if evidence.transform is None:
        what = "keypoint looks" if evidence.pairs == 1 else "keypoints look"
        return f"nothing in common: {evidence.pairs} {what} alike, but they do not agree on how the picture was moved"
    article = "an" if evidence.kind == "affine" else "a"
    kind = f"{evidence.kind}{' transform' if evidence.kind == 'affine' else ''}"
    line = f"{evidence.inliers} of {evidence.pairs} matched keypoints agree on {article} {kind}: "
    line += ", ".join(_moves(np.array(evidence.transform), a, b, evidence.mirrored))
    return line if overlaid(evidence) else f"{line}; so few may agree by chance"


def _moves(transform: Transform, a: Size, b: Size, mirrored: bool) -> list[str]:
    """What the transform does to the first picture, read off at its middle."""
    along = _stretch(transform, a)
    if mirrored:  # first mirrored, then turned
        along = along @ np.diag([-1.0, 1.0])
    left, lengths, right = np.linalg.svd(along)
    turn = left @ right
    angle = math.degrees(math.atan2(turn[1, 0], turn[0, 0]))
    moves = [_turned(angle), _scaled(math.sqrt(float(lengths.prod())))]
    if (squeeze := float(lengths[0] / lengths[1])) >= 1.03:
        moves.append(f"{squeeze:.2f} times as long one way as the other")
    corners = [_stretch(transform, a, x, y) for x in (0, 1) for y in (0, 1)]
    areas = [abs(float(np.linalg.det(each))) for each in corners]
    if min(areas) > 0 and max(areas) / min(areas) > 1.2:
        moves.append("seen at an angle")
    if mirrored:
        moves.append("mirrored")
    seen, filled = _shares(transform, a, b)
    if seen < 0.97:
        moves.append(f"{seen:.0%} of the first is in the second")
    if filled < 0.97:
        moves.append(f"it fills {filled:.0%} of the second")
    return moves


def _turned(angle: float) -> str:
    whole = round(abs(angle))
    if not whole:
        return "not turned"
    way = " clockwise" if angle > 0 else " anticlockwise"
    return f"turned by {whole} degree{'s' if whole > 1 else ''}{'' if whole == 180 else way}"


def _scaled(scale: float) -> str:
    return "the same size" if 0.99 < scale < 1.01 else f"{scale:.2g} times as large"


def _stretch(transform: Transform, size: Size, x: float = 0.5, y: float = 0.5) -> Transform:
    """(2, 2): the transform's derivative at a place in the picture, given as shares of its size."""
    right, down, depth = transform @ (size[0] * x, size[1] * y, 1.0)
    derivative = transform[:2, :2] * depth - np.outer((right, down), transform[2, :2])
    return np.asarray(derivative / depth**2)


def _shares(transform: Transform, a: Size, b: Size) -> tuple[float, float]:
    """How much of the first picture is to be seen in the second, and how much of the second it fills."""
    return _inside(transform, a, b), _inside(np.asarray(np.linalg.inv(transform), dtype=np.float64), b, a)


def _inside(transform: Transform, start: Size, end: Size) -> float:
    steps = (np.arange(64) + 0.5) / 64
    x, y = np.meshgrid(steps * start[0], steps * start[1])
    right, down, depth = transform @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    # The sign of an inverse's depth is anybody's: what lies ahead has that of the middle.
    ahead = depth * np.median(depth) > 0
    depth = np.where(ahead, depth, 1.0)
    across, along = right / depth, down / depth
    return float((ahead & (across >= 0) & (across < end[0]) & (along >= 0) & (along < end[1])).mean())
