"""How likely two pictures show the same: what vectors and local features say of them, made into one number.

Raw numbers of keypoints that agree mean little by themselves: two views of one street by the same camera have hundreds,
a hard crop of a photo ten. A logistic model weighs them by what else is known: how many could have agreed, and how much
of the pictures they span. Its coefficients were fitted on edited copies of photos and on their nearest other photos, by
benchmarks/verification/learn_calibration.py; each method of local features has its own. Where nothing agrees the
cosine alone is weighed, with coefficients of its own: a few hard copies are among those, too.

Of the kind of Platt, "Probabilistic Outputs for Support Vector Machines" (1999)
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files

import cv2
import numpy as np
import numpy.typing as npt

from lookalike.keypoints.features import Features, Floats
from lookalike.keypoints.geometry import FEWEST, Matches
from lookalike.types import Evidence

HIGHEST = 12.0
"""Deviations above the usual: what is more says no more."""

MOST_CERTAIN = 25.0
"""Log odds: beyond it a float has no room left to tell chances apart."""

FEW = 50
"""Keypoints: where a picture has hardly more, a large part of them may agree by chance."""

UNVERIFIED = 0.5
"""The chance is less where nothing agrees or could be verified: flat pictures, too, have vectors that are alike."""

NAMES = ("standard", "inliers", "share", "density", "cover")
"""What `measures` says, in its order."""


def chance(standard: float | None, matches: Matches | None, a: Features, b: Features) -> float:
    """0 to 1: how likely two pictures show the same picture, or parts of it.

    `standard` is how many deviations their cosine is above what is usual for the first (None: not known), `matches`
    what `geometry.verify` found (None: nothing could be verified).

    >>> chance(2.0, verify(cat, smaller_cat), cat, smaller_cat)  # doctest: +SKIP
    0.9999
    """
    known = "without" if standard is None else "with"
    found = measures(standard, matches, a, b)
    if matches is None:
        return UNVERIFIED * _likely(_coefficients()["unverified"][known], found)
    least = UNVERIFIED * _likely(_coefficients()[f"{a.method} nothing"][known], found)
    return max(least, _likely(_coefficients()[a.method][known], found)) if matches.count else least


def unverifiable(a: Features, b: Features, whose: tuple[str, str]) -> str | None:
    """Why two pictures are not worth matching, in words; `whose` is what they are called there. None where they are."""
    for features, which in zip((a, b), whose, strict=True):
        if len(features) < FEWEST:
            return f"nothing to verify: {which} has {len(features) or 'no'} keypoint{'s' * (len(features) != 1)}"
    return None


def evidence(
    a: Features, b: Features, matches: Matches | None, standard: float | None, note: str | None = None
) -> Evidence:
    """What matches say, as plain data, with their `chance`; `note` is why there are none."""
    likely = chance(standard, matches, a, b)
    if matches is None:
        return Evidence(a.method, chance=likely, note=note)
    transform = matches.transform
    return Evidence(
        a.method,
        pairs=len(matches.pairs),
        inliers=matches.count,
        kind=matches.kind,
        transform=None if transform is None else tuple(tuple(float(x) for x in row) for row in transform),
        mirrored=matches.mirrored,
        chance=likely,
    )


def measures(standard: float | None, matches: Matches | None, a: Features, b: Features) -> npt.NDArray[np.float64]:
    """(5,) each grows with the chance; all but the first are 0 where nothing agrees, and grow with each pair that does.

    standard: deviations above the usual, 0 to HIGHEST
    inliers:  log(1 + how many pairs agree)
    share:    of the pairs, those that agree
    density:  log(1 + the pairs that agree for every 100 keypoints of the picture that has fewer, and FEW)
    cover:    root of the share of a picture that lies between the pairs that agree; of the picture with more
    """
    found = np.zeros(len(NAMES))
    found[0] = 0.0 if standard is None else min(max(standard, 0.0), HIGHEST)
    if matches is None or not matches.count:
        return found
    count = matches.count
    found[1] = math.log1p(count)
    found[2] = count / len(matches.pairs)
    found[3] = math.log1p(100 * count / (min(len(a), len(b)) + FEW))
    start, end = matches.start[matches.inliers], matches.end[matches.inliers]
    found[4] = math.sqrt(max(_covered(start, a.size), _covered(end, b.size)))
    return found


def _covered(points: Floats, size: tuple[int, int]) -> float:
    """The share of a picture within the hull of these points."""
    return min(1.0, float(cv2.contourArea(cv2.convexHull(points))) / (size[0] * size[1]))


def _likely(row: Sequence[float], found: npt.NDArray[np.float64]) -> float:
    """The chance by a constant and coefficients, of which the last may be left out."""
    logit = row[0] + float(np.dot(row[1:], found[: len(row) - 1]))
    return 1 / (1 + math.exp(-min(max(logit, -MOST_CERTAIN), MOST_CERTAIN)))


@functools.cache
def _coefficients() -> Mapping[str, Mapping[str, Sequence[float]]]:
    data = json.loads((files("lookalike") / "data" / "calibration.json").read_text(encoding="utf-8"))
    return _WithDefault(data["coefficients"])


class _WithDefault(dict[str, Mapping[str, Sequence[float]]]):
    """Of methods that were not tried, those in the middle of the others."""

    def __missing__(self, key: str) -> Mapping[str, Sequence[float]]:
        return self["other nothing" if key.endswith(" nothing") else "other"]
