"""Edited copies: all of them pictures, always the same ones, and moved as they say."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lookalike.bench.copies import GRADES, OPERATORS, Copy, Grade, make

Photos = dict[str, np.ndarray]

MOVING = ("crop", "resize", "aspect", "rotate", "shear", "perspective", "flip", "flip-vertical", "pad", "screenshot",
          "collage", "paste", "social")  # fmt: skip


def test_there_are_at_least_22() -> None:
    assert len(OPERATORS) >= 22


@pytest.mark.parametrize("grade", GRADES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_picture_and_always_the_same(photo_pixels: Photos, operator: str, grade: Grade) -> None:
    pixels, other = photo_pixels["cat"], photo_pixels["coffee"]
    before = pixels.copy()
    copy = make(pixels, operator, grade, seed=1, others=[other])
    assert copy.pixels.dtype == np.uint8
    assert copy.pixels.ndim == 3 and copy.pixels.shape[2] == 3 and min(copy.pixels.shape[:2]) >= 8
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(copy.pixels, make(pixels, operator, grade, seed=1, others=[other]).pixels)
    assert copy.pixels.shape != pixels.shape or not np.array_equal(copy.pixels, pixels)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (7, 9)])
@pytest.mark.parametrize("operator", OPERATORS)
def test_of_the_smallest_pictures_too(operator: str, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    for grade in GRADES:
        copy = make(pixels, operator, grade, seed=1, others=[pixels])
        assert min(copy.pixels.shape[:2]) >= 1
        assert np.isfinite(copy.transform).all()


@pytest.mark.parametrize("operator", OPERATORS)
def test_another_seed_or_picture_is_edited_otherwise(photo_pixels: Photos, operator: str) -> None:
    cat = photo_pixels["cat"]
    grade: Grade = "hard"
    if operator == "grey":  # there is but one way
        return
    first, second = make(cat, operator, grade, seed=1), make(cat, operator, grade, seed=2)
    assert first.pixels.shape != second.pixels.shape or not np.array_equal(first.pixels, second.pixels)


@pytest.mark.parametrize("operator", MOVING)
@pytest.mark.parametrize("grade", GRADES)
def test_the_transform_says_where_the_picture_went(photo_pixels: Photos, operator: str, grade: Grade) -> None:
    """What the copy shows at the places that the transform names is what the original has there."""
    pixels = cv2.GaussianBlur(photo_pixels["astronaut"], (0, 0), 3)
    copy = make(pixels, operator, grade, seed=5, others=[photo_pixels["coffee"]])
    at = places(pixels, copy)
    assert len(at) > 20
    shown = np.array([copy.pixels[int(y), int(x)] for _, (x, y) in at], dtype=float)
    there = np.array([pixels[int(v), int(u)] for (u, v), _ in at], dtype=float)
    assert np.median(np.abs(shown - there).max(axis=1)) < 12


def places(pixels: np.ndarray, copy: Copy) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Points of the original, and where the copy has them, for those that it shows."""
    height, width = copy.pixels.shape[:2]
    found = []
    for v in np.linspace(4, pixels.shape[0] - 5, 25):
        for u in np.linspace(4, pixels.shape[1] - 5, 25):
            x, y, z = copy.transform @ [u, v, 1]
            if z > 0 and 2 < x / z < width - 2 and 2 < y / z < height - 2:
                found.append(((u, v), (x / z, y / z)))
    return found


@pytest.mark.parametrize("operator", OPERATORS)
def test_small_flat_and_long_pictures(operator: str) -> None:
    for shape in ((16, 16, 3), (300, 20, 3), (20, 300, 3)):
        for grade in GRADES:
            assert min(make(np.full(shape, 120, dtype=np.uint8), operator, grade, seed=2).pixels.shape[:2]) >= 1
