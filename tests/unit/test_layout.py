"""Colour and its place: what is to be near, what far, on drawn pictures and on real flags."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from lookalike import images
from lookalike.models import registry
from lookalike.models.backbones import layout

BLUE, YELLOW, RED, WHITE, GREEN, BLACK = "#002664", "#fecb00", "#c60c30", "white", "#009a44", "black"


def stripes(*colours: str, size: tuple[int, int] = (300, 200), upright: bool = True) -> Image.Image:
    """A flag of equal stripes, side by side or one over another."""
    row = Image.new("RGB", (len(colours), 1))
    for i, colour in enumerate(colours):
        row.paste(colour, (i, 0, i + 1, 1))
    return (row if upright else row.transpose(Image.Transpose.ROTATE_270)).resize(size, Image.Resampling.NEAREST)


def cosine(a: Image.Image, b: Image.Image) -> float:
    one, other = registry.load(registry.card("layout")).embed([images.read(a), images.read(b)])
    return float(one @ other)


def test_the_shape_of_the_picture_does_not_count() -> None:
    wide, square = (stripes(RED, WHITE, upright=False, size=size) for size in ((400, 100), (240, 240)))
    assert cosine(wide, square) > 0.999


def test_a_shade_counts_little_and_another_colour_much() -> None:
    flag = stripes(BLUE, YELLOW, RED)
    other_shade = cosine(flag, stripes("#002b7f", "#fcd116", "#ce1126"))
    other_colour = cosine(flag, stripes(GREEN, YELLOW, RED))
    assert other_shade > 0.97
    assert other_colour < other_shade - 0.1


@pytest.mark.parametrize(("a", "b"), [(RED, GREEN), (RED, BLUE), (BLACK, WHITE), ("#404040", "#a0a0a0"), (RED, BLACK)])
def test_red_and_green_dark_and_light_differ(a: str, b: str) -> None:
    one, other = Image.new("RGB", (60, 40), a), Image.new("RGB", (60, 40), b)
    assert cosine(one, other) < 0.7


def test_mirrored_is_near_but_not_the_same_and_upside_down_is_farther() -> None:
    beside, over = stripes(GREEN, WHITE, "#f77f00"), stripes(GREEN, WHITE, "#f77f00", upright=False)
    mirrored, flipped = cosine(beside, ImageOps.mirror(beside)), cosine(over, ImageOps.flip(over))
    assert flipped < mirrored < 0.97
    assert mirrored > 0.8


def test_where_a_colour_is_counts() -> None:
    one, other = stripes(RED, WHITE, BLUE), stripes(RED, WHITE, BLUE, upright=False)
    assert cosine(one, other) < 0.5


def test_edges_are_found_between_colours_of_the_same_lightness() -> None:
    flat = np.full((1, 1, 3), (200, 80, 80), dtype=np.uint8)
    lightness = layout._lab(flat)[0, 0, 0]
    greens = [layout._lab(np.array([[[60, g, 60]]], dtype=np.uint8))[0, 0, 0] for g in range(256)]
    green = int(np.abs(np.array(greens) - lightness).argmin())
    halves = np.empty((layout.SIDE, layout.SIDE, 3), dtype=np.uint8)
    halves[:, : layout.SIDE // 2], halves[:, layout.SIDE // 2 :] = (200, 80, 80), (60, green, 60)
    found = layout.edges(layout._lab(halves)).reshape(-1, layout.ORIENTATIONS)
    assert found.max() > 1
    assert (found.argmax(axis=1)[found.max(axis=1) > 0] == 0).all()  # the change runs across


def test_noise_is_no_edge() -> None:
    grain = np.random.default_rng(0).normal(0, 2, (200, 300, 3))
    noisy = Image.fromarray((np.full_like(grain, (200, 20, 20)) + grain).clip(0, 255).astype(np.uint8))
    assert cosine(noisy, Image.new("RGB", (300, 200), (200, 20, 20))) > 0.9


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (2, 3)])
def test_the_smallest_and_the_longest_pictures(size: tuple[int, int]) -> None:
    one, large = Image.new("RGB", size, RED), Image.new("RGB", (200, 300), RED)
    assert cosine(one, large) == pytest.approx(1, abs=1e-5)


NINE = ("TD RO", "SN ML", "ID MC", "AU NZ", "IE CI", "NO IS", "VE EC CO", "LU NL", "SI RU SK")
"""The flags that the study of national flags takes for alike."""


def test_flags_that_people_take_for_alike_are_among_the_nearest_three(shared: Path) -> None:
    flags = shared / "data" / "flags"
    with (flags / "identical_groups.csv").open() as file:
        groups = [row["iso2_members"].split() for row in csv.DictReader(file)]
    # Of flags that are the same drawing one is kept: the state's own.
    spare = {iso for group in groups for iso in group} - {"AU", "FR", "NL", "NO", "GB", "US"}
    with (flags / "flags.csv").open() as file:
        files = {row["iso2"]: flags / row["file"] for row in csv.DictReader(file) if row["iso2"] not in spare}
    vectors = registry.load(registry.card("layout")).embed([images.read(path) for path in files.values()])
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -np.inf)
    names = list(files)
    nearest = {name: {names[i] for i in np.argsort(-row)[:3]} for name, row in zip(names, likeness, strict=True)}
    found = [
        all(b in nearest[a] or a in nearest[b] for a in group for b in group if a != b)
        for group in (each.split() for each in NINE)
    ]
    assert sum(found) == len(NINE)
