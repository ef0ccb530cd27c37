"""Chances: between 0 and 1, high for copies, low for others, and never lower for more that agrees."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lookalike import images
from lookalike.calibration import NAMES, UNVERIFIED, chance, measures
from lookalike.keypoints.features import LIMIT, Features
from lookalike.keypoints.geometry import Matches, flipped, verify
from lookalike.keypoints.methods import extract

Photos = dict[str, np.ndarray]

STANDARDS = (None, -3.0, 0.0, 4.0, 40.0)


def features(pixels: np.ndarray, method: str = "sift") -> Features:
    return extract(images.read(pixels), method)


@pytest.fixture(scope="module")
def pair(photo_pixels: Photos) -> tuple[Features, Features, Matches]:
    """A cat, half of it at half its size, and what they have in common."""
    pixels = photo_pixels["cat"]
    whole, part = features(pixels), features(np.ascontiguousarray(pixels[::2, : pixels.shape[1] // 2 : 2]))
    return whole, part, verify(whole, part)


@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("method", ["sift", "orb"])
def test_copies_are_likely_and_others_are_not(photo_pixels: Photos, method: str, standard: float | None) -> None:
    cat, coffee = (features(photo_pixels[name], method) for name in ("cat", "coffee"))
    smaller = features(np.ascontiguousarray(photo_pixels["cat"][::2, ::2]), method)
    same, other = verify(cat, smaller), verify(cat, coffee)
    assert chance(standard, same, cat, smaller) > 0.7
    assert chance(standard, other, cat, coffee) < (0.05 if (standard or 0) < 5 else UNVERIFIED)


@pytest.mark.parametrize("method", ["sift", "a method of which nothing is known"])
@pytest.mark.parametrize("standard", STANDARDS)
def test_more_that_agrees_is_never_less_likely(
    pair: tuple[Features, Features, Matches], standard: float | None, method: str
) -> None:
    a, b, whole = pair
    a, b = replace(a, method=method), replace(b, method=method)
    assert whole.count > 20
    order = np.random.default_rng(3).permutation(np.flatnonzero(whole.inliers))
    chances = []
    for count in range(len(order) + 1):
        inliers = np.zeros(len(whole.pairs), dtype=bool)
        inliers[order[:count]] = True
        chances.append(chance(standard, replace(whole, inliers=inliers), a, b))
    assert all(0 <= value <= 1 for value in chances)
    assert all(more >= less for less, more in pairwise(chances))
    assert chances[-1] > chances[0] + (0.5 if method == "sift" else 0.2)


def test_a_higher_cosine_is_never_less_likely(pair: tuple[Features, Features, Matches]) -> None:
    a, b, matches = pair
    nothing = replace(matches, inliers=np.zeros(len(matches.pairs), dtype=bool))
    for found in (matches, nothing, None):
        chances = [chance(standard, found, a, b) for standard in (-5.0, 0.0, 1.0, 2.0, 5.0, 12.0, 100.0)]
        assert all(more >= less for less, more in pairwise(chances))


def test_what_could_not_be_verified_is_never_certain(pair: tuple[Features, Features, Matches]) -> None:
    a, b, _ = pair
    for standard in (*STANDARDS, float("inf")):
        assert chance(standard, None, a, b) <= UNVERIFIED


def test_measures_are_in_their_ranges(pair: tuple[Features, Features, Matches]) -> None:
    a, b, matches = pair
    found = dict(zip(NAMES, measures(3.0, matches, a, b), strict=True))
    assert found["standard"] == 3.0
    assert found["inliers"] == pytest.approx(np.log1p(matches.count))
    assert found["share"] == pytest.approx(matches.count / len(matches.pairs))
    assert 0 < found["density"] < np.log(101)
    assert 0.5 < found["cover"] <= 1  # the half that both show fills one of them
    assert not measures(None, None, a, b).any()


@pytest.mark.parametrize("method", ["sift", "orb", "akaze"])
def test_mirrored_pictures_are_as_likely(photo_pixels: Photos, method: str) -> None:
    """Whichever list of keypoints the pairs point into, what they cover is of the picture itself."""
    picture = images.read(photo_pixels["cat"])
    cat, other = extract(picture, method), features(np.ascontiguousarray(photo_pixels["cat"][:, 200::-1]), method)
    matches = verify(cat, other, mirror=flipped(picture, cat, LIMIT))
    assert matches.mirrored
    assert matches.transform is not None
    moved = np.hstack([matches.start, np.ones((len(matches.pairs), 1))]) @ matches.transform.T
    off = np.linalg.norm(moved[:, :2] / moved[:, 2:] - matches.end, axis=1)[matches.inliers]
    assert np.median(off) < 1
    assert dict(zip(NAMES, measures(0.0, matches, cat, other), strict=True))["cover"] > 0.5
    assert chance(0.0, matches, cat, other) > 0.7


def test_pictures_without_keypoints(photo_pixels: Photos) -> None:
    flat, cat = features(np.full((64, 64, 3), 90, dtype=np.uint8)), features(photo_pixels["cat"])
    assert chance(5.0, verify(flat, cat), flat, cat) < 0.1
    assert chance(5.0, verify(cat, flat), cat, flat) < 0.1
    assert chance(None, None, flat, flat) < 0.1


def test_hard_copies_come_before_what_is_not_like_them(pair: tuple[Features, Features, Matches]) -> None:
    """Where nothing agrees, the cosine decides, also against a picture that could not be verified."""
    a, b, matches = pair
    nothing = replace(matches, inliers=np.zeros(len(matches.pairs), dtype=bool))
    assert chance(7.0, nothing, a, b) > chance(2.0, None, a, b)
    assert chance(7.0, nothing, a, b) > 3 * chance(2.0, nothing, a, b)
