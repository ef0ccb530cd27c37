"""Verification: copies are found to be copies, with the right transform; nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from lookalike import images
from lookalike.bench.copies import GRADES, Copy, Grade, make
from lookalike.calibration import chance
from lookalike.keypoints.features import Features
from lookalike.keypoints.geometry import FEWEST, Matches, verify
from lookalike.keypoints.methods import extract

Photos = dict[str, np.ndarray]

STANDARD = 6.0
"""Deviations above the usual: what a copy has with its original, and here unrelated pictures have it too."""

METHODS = ("sift", "orb", "akaze")
MOVED = ("crop", "rotate", "perspective", "flip", "pad", "screenshot", "paste", "social")
KEPT = ("jpeg", "noise", "brightness", "colours", "text", "erase")
OF = ("astronaut", "coffee", "cat")


def features(pixels: np.ndarray, method: str = "sift", limit: int = 500) -> Features:
    return extract(images.read(pixels), method, limit)


def likely(a: Features, b: Features, matches: Matches | None = None) -> float:
    if min(len(a), len(b)) < FEWEST:
        return chance(STANDARD, None, a, b)
    return chance(STANDARD, matches or verify(a, b, mirror=a.method == "sift"), a, b)


def copies(photo_pixels: Photos, operator: str, grade: Grade) -> list[tuple[Features, Copy]]:
    others = [photo_pixels["rocket"], photo_pixels["coins"]]
    return [
        (features(photo_pixels[name]), make(photo_pixels[name], operator, grade, seed, others))
        for seed, name in enumerate(OF)
    ]


@pytest.mark.parametrize("grade", GRADES[:2])
@pytest.mark.parametrize("operator", MOVED)
def test_corners_are_put_where_they_went(photo_pixels: Photos, operator: str, grade: Grade) -> None:
    errors = []
    for original, copy in copies(photo_pixels, operator, grade):
        found = verify(original, features(copy.pixels), mirror=True)
        assert found.transform is not None
        assert found.mirrored == (operator == "flip")
        errors.append(corners_off(original, found, copy))
    assert np.median(errors) < 1.0


def corners_off(original: Features, found: Matches, copy: Copy) -> float:
    """Pixels of the copy, on average."""
    width, height = original.size
    corners = np.array([(0, 0, 1), (width, 0, 1), (width, height, 1), (0, height, 1)], dtype=float).T
    assert found.transform is not None
    ours, truth = ((each @ corners)[:2] / (each @ corners)[2] for each in (found.transform, copy.transform))
    return float(np.linalg.norm(ours - truth, axis=0).mean())


@pytest.mark.parametrize("operator", MOVED + KEPT)
def test_copies_are_likely(photo_pixels: Photos, operator: str) -> None:
    for original, copy in copies(photo_pixels, operator, "medium"):
        assert likely(features(copy.pixels), original) > 0.5


@pytest.mark.parametrize("method", METHODS)
def test_a_copy_is_likelier_than_any_other_picture(photo_pixels: Photos, method: str) -> None:
    gallery = {name: features(pixels, method) for name, pixels in photo_pixels.items()}
    for name in OF:
        query = features(make(photo_pixels[name], "crop", "medium", 3).pixels, method)
        chances = {other: likely(query, own) for other, own in gallery.items()}
        assert max(chances, key=lambda other: chances[other]) == name
        assert all(value < 0.5 for other, value in chances.items() if other != name)


@pytest.mark.parametrize("method", METHODS)
def test_unrelated_pictures_are_never_likely(photo_pixels: Photos, method: str) -> None:
    """Each of eight photos in three versions with the other seven in theirs: 252 pairs."""
    edits: list[tuple[str, Grade]] = [("crop", "hard"), ("rotate", "medium")]
    versions = [
        (name, features(each, method, 150))
        for name, pixels in photo_pixels.items()
        for each in [pixels, *(make(pixels, operator, grade, 1).pixels for operator, grade in edits)]
    ]
    pairs = [(a, b) for i, (name, a) in enumerate(versions) for other, b in versions[i + 1 :] if name != other]
    assert len(pairs) == 252
    assert [round(value, 3) for value in (likely(a, b) for a, b in pairs) if value > 0.5] == []


def lines(step: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:240, :320]
    return painted((x % step < width) | (y % step < width))


def board(step: int) -> np.ndarray:
    y, x = np.mgrid[:240, :320]
    return painted((x // step + y // step) % 2 == 0)


def page(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (320, 240), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    for top in range(6, 230, 18):
        words = ("".join(rng.choice(list("etaoinshrdlu"), rng.integers(2, 9))) for _ in range(8))
        draw.text((8, top), " ".join(words), fill="black", font=font)
    return np.asarray(image)


def grain(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((320, 240)))


def painted(where: np.ndarray) -> np.ndarray:
    return np.where(where[..., None], np.uint8(230), np.uint8(30)).repeat(3, axis=2)


PATTERNS = {
    "lines": [lines(step, width) for step, width in ((12, 2), (17, 3), (25, 5), (40, 3))],
    "board": [board(step) for step in (9, 16, 23, 40)],
    "page": [page(seed) for seed in range(4)],
    "grain": [grain(seed) for seed in range(4)],
    "flat": [np.full((120, 160, 3), value, dtype=np.uint8) for value in (0, 128, 255)],
    "ramp": [np.tile(np.arange(0, 256, step, dtype=np.uint8)[None, :, None], (100, 1, 3)) for step in (1, 2)],
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", PATTERNS)
def test_no_certainty_from_repeated_patterns(kind: str, method: str) -> None:
    found = [features(pixels, method) for pixels in PATTERNS[kind]]
    pairs = [(a, b) for i, a in enumerate(found) for b in found[i + 1 :]]
    assert max(likely(a, b) for a, b in pairs) < 0.5


@pytest.mark.parametrize("method", METHODS)
def test_no_certainty_between_patterns_and_photos(photo_pixels: Photos, method: str) -> None:
    photos = [features(pixels, method, 300) for pixels in photo_pixels.values()]
    for kind, patterns in PATTERNS.items():
        first = features(patterns[0], method, 300)
        assert max(likely(first, photo) for photo in photos) < 0.5, kind
