"""Whether matched keypoints agree on one way in which a picture was moved, turned, scaled, sheared or tilted.

Three kinds of transform, each freer than the one before: a similarity (moved, turned, scaled), an affine one (sheared,
squeezed as well), a homography (seen from elsewhere). A freer one always fits more pairs, by chance too: the strictest
is taken that keeps nearly all of what the freest does.

MAGSAC Barath et al., "MAGSAC++, a Fast, Reliable and Accurate Robust Estimator" (CVPR 2020), by OpenCV
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from lookalike.keypoints.features import SIFT_MIRROR, Features, Floats
from lookalike.keypoints.matching import Pairs, match
from lookalike.keypoints.methods import extract
from lookalike.types import Picture

Kind = Literal["similarity", "affine", "homography"]

FEWEST = 6
"""Pairs that agree: fewer do so by chance."""

NEAR = 0.006
"""How far a pair may be off, as a share of the picture's longer side: 4 pixels of 640."""

NEARLY_ALL = 0.9
"""What share of the best transform's pairs a stricter one must keep to be preferred, the closely fitting ones first:
a slight tilt keeps all pairs near enough to a similarity, whose corners are then 7 pixels off."""

_MAX_STRETCH = 12.0
"""Copies are hardly ever larger or smaller by more, in any direction: beyond, it is chance that fits.

In the pixels at which keypoints are looked for, which are not the file's: a thumbnail may be 30 times smaller.
"""

_LOOKED_AT = 640
"""Pixels of the longer side of larger pictures, when keypoints are looked for."""

Transform = npt.NDArray[np.float64]
"""(3, 3): a point (x, y, 1) of the one picture to the other's."""


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """What two pictures have in common, keypoint by keypoint.

    pairs:     (m, 2) places in the two lists of keypoints; where `mirrored`, in that of the mirrored first picture
    start:     (m, 2) where the first of each pair is, in the pixels of the one picture, which is not mirrored
    end:       (m, 2) where the second is, in the pixels of the other
    inliers:   (m,) whether the pair agrees with the transform
    transform: from the one picture to the other; None where nothing agrees
    kind:      of the transform
    mirrored:  whether the other shows the one mirrored
    """

    pairs: Pairs
    start: Floats
    end: Floats
    inliers: npt.NDArray[np.bool_]
    transform: Transform | None = None
    kind: Kind | None = None
    mirrored: bool = False

    @property
    def count(self) -> int:
        """How many pairs agree: 0 where the pictures have nothing in common."""
        return int(self.inliers.sum())


def verify(a: Features, b: Features, *, ratio: float | None = None, mirror: Features | bool = False) -> Matches:
    """Match two pictures' features and find the transform that most pairs agree on.

    With `mirror` the mirrored first picture is tried as well, and the better of the two is taken: give its features,
    as `flipped` finds them, or True for SIFT's. Raises ValueError for features of two methods.
    """
    found = fit(match(a, b, ratio), a, b)
    if mirror is False:
        return found
    other = mirrored(a) if mirror is True else mirror
    turned = fit(match(other, b, ratio), other, b)
    if turned.count <= found.count:
        return found
    assert turned.transform is not None  # noqa: S101 - something agrees
    flip = np.array([[-1.0, 0, a.size[0]], [0, 1, 0], [0, 0, 1]])
    start = np.asarray(turned.start * (-1, 1) + (a.size[0], 0), dtype=np.float32)
    return replace(turned, start=start, transform=turned.transform @ flip, mirrored=True)


def flipped(picture: Picture, features: Features, limit: int) -> Features:
    """The features of the mirrored picture, of which `features` are those as it is."""
    if features.method == "sift":
        return mirrored(features)
    return extract(replace(picture, raster=np.ascontiguousarray(picture.pixels[:, ::-1])), features.method, limit)


def fit(pairs: Pairs, a: Features, b: Features) -> Matches:
    """The transform that most of `pairs` agree on, of the strictest kind that will do."""
    start, end = a.points[pairs[:, 0]], b.points[pairs[:, 1]]
    nothing = Matches(pairs, start, end, np.zeros(len(pairs), dtype=bool))
    if len(pairs) < FEWEST:
        return nothing
    near = NEAR * max(b.size)
    plausible = []
    for kind, transform in _tried(start, end, near):
        off = np.linalg.norm(_moved(transform, start) - end, axis=1)
        inliers = np.asarray(off <= near)
        if inliers.sum() >= FEWEST and _plausible(transform, a.size, b.size):
            places = _different(start[inliers], NEAR * max(a.size))
            closely = float((1 - (off[inliers] / near) ** 2).mean())
            plausible.append((kind, transform, inliers, places, places * closely))
    if max((places for *_, places, _ in plausible), default=0) < FEWEST:
        return nothing
    best = max(fits for *_, fits in plausible)
    for kind, transform, inliers, _, fits in plausible:
        if fits >= NEARLY_ALL * best:
            return replace(nothing, inliers=inliers, transform=transform, kind=kind)
    return nothing


def mirrored(features: Features) -> Features:
    """The SIFT features of the mirrored picture, without looking at it. Raises ValueError for those of others."""
    if features.method != "sift":
        raise ValueError(f"features of {features.method} do not tell those of the mirrored picture: see `flipped`")
    points = features.points.copy()
    points[:, 0] = features.size[0] - points[:, 0]
    return replace(
        features,
        points=points,
        angles=(180 - features.angles) % 360,
        descriptors=np.ascontiguousarray(features.descriptors[:, SIFT_MIRROR]),
    )


def _tried(start: Floats, end: Floats, near: float) -> list[tuple[Kind, Transform]]:
    """Robust fits of each kind, the strictest first. The seeds are OpenCV's own and fixed: the same each time."""
    found: list[tuple[Kind, Transform]] = []
    partial, _ = cv2.estimateAffinePartial2D(start, end, method=cv2.RANSAC, ransacReprojThreshold=near, maxIters=2000)
    if partial is not None:
        found.append(("similarity", _whole(partial)))
    affine, _ = cv2.estimateAffine2D(start, end, method=cv2.USAC_MAGSAC, ransacReprojThreshold=near, maxIters=2000)
    if affine is not None:
        found.append(("affine", _whole(affine)))
    homography, _ = cv2.findHomography(start, end, cv2.USAC_MAGSAC, near, maxIters=2000)
    if homography is not None:
        found.append(("homography", np.asarray(homography, dtype=np.float64)))
    return found


def _whole(affine: npt.NDArray[Any]) -> Transform:
    return np.vstack([affine, [0.0, 0.0, 1.0]])


def _moved(transform: Transform, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(n, 2) where the transform puts points; infinitely far where it has its horizon."""
    plain = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    whole = np.hstack([plain, np.ones((len(plain), 1))]) @ transform.T
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = whole[:, :2] / whole[:, 2:]
    return np.where((whole[:, 2:] > 0) & np.isfinite(moved), moved, np.inf)


def _plausible(transform: Transform, start: tuple[int, int], end: tuple[int, int]) -> bool:
    """Whether a picture of the size `start` comes out whole in one of the size `end`, neither as a dot nor a line."""
    width, height = start
    smaller = min(1, _LOOKED_AT / max(end)) / min(1, _LOOKED_AT / max(start))
    corners = _moved(transform, [(0, 0), (width, 0), (width, height), (0, height)])
    if not np.isfinite(corners).all():
        return False
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1) / [width, height, width, height] * smaller
    x, y = corners.T
    turn = np.roll(corners, -1, axis=0) - corners
    crosses = turn[:, 0] * np.roll(turn[:, 1], -1) - turn[:, 1] * np.roll(turn[:, 0], -1)
    area = 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))
    convex = bool((crosses > 0).all())
    return convex and area > 0 and sides.min() > 1 / _MAX_STRETCH and sides.max() < _MAX_STRETCH


def _different(points: Floats, near: float) -> int:
    """How many places that are not the same: a keypoint with several angles must not count several times."""
    return len(np.unique((points / max(near, 1e-6)).round(), axis=0))
