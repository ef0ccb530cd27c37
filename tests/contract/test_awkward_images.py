"""Some four hundred awkward, damaged and hostile files: all are read or refused, and nothing else happens."""

from __future__ import annotations

import csv
import importlib.util
import os
import tarfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import features

from lookalike.errors import UnreadableImage
from lookalike.images import looks_like_image, read, thumbnail

PATIENCE = 30
"""Seconds for one file: the largest (81 megapixels) takes two or three, on a slow and busy machine more."""


@dataclass(frozen=True)
class Outcome:
    """What became of one row of the manifest. `trouble` is whatever must not happen."""

    name: str
    expected: str
    looks: bool
    decoded: bool
    trouble: str | None
    seconds: float


def needs_missing_plugin(name: str) -> bool:
    suffix = os.path.splitext(name)[1].lower()
    if suffix in (".heic", ".heif"):
        return importlib.util.find_spec("pillow_heif") is None
    if suffix == ".jxl":
        return importlib.util.find_spec("pillow_jxl") is None
    if suffix in (".avif", ".avifs"):
        return not features.check("avif")
    return suffix in (".jp2", ".j2k") and not features.check("jpg_2000")


def try_one(path: Path, name: str, expected: str) -> Outcome:
    begun = time.perf_counter()
    looks, decoded, trouble = False, False, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            looks = looks_like_image(path)
            picture = read(path)
            decoded = True
            small = read(path, side=64)
        if picture.pixels.shape != (picture.height, picture.width, 3) or picture.pixels.dtype != np.uint8:
            trouble = f"pixels {picture.pixels.shape} of a picture of {picture.width} x {picture.height}"
        elif (small.width, small.height) != (picture.width, picture.height):
            trouble = "another size when reduced"
    except UnreadableImage as error:
        if decoded or "\n" in error.reason or "<" in error.reason or len(error.reason) > 120:
            trouble = f"reason: {error.reason}"
    except BaseException as error:  # noqa: BLE001
        trouble = repr(error)
    return Outcome(name, expected, looks, decoded, trouble, time.perf_counter() - begun)


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = shared / "data" / "awkward.tar.xz"
    if not archive.is_file():
        pytest.skip(f"no {archive}")
    target = tmp_path_factory.mktemp("awkward")
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    return target / "awkward"


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> list[Outcome]:
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 300
    return [try_one(folder / "files" / row["file"], row["file"], row["expected"]) for row in rows]


def test_nothing_escapes_but_our_own_error(outcomes: list[Outcome]) -> None:
    assert [(each.name, each.trouble) for each in outcomes if each.trouble] == []


def test_what_is_valid_is_decoded(outcomes: list[Outcome]) -> None:
    valid = [each for each in outcomes if each.expected == "decode" and not needs_missing_plugin(each.name)]
    assert len(valid) > 150
    assert [each.name for each in valid if not each.decoded] == []
    assert [each.name for each in valid if not each.looks] == []


def test_what_is_broken_is_refused(outcomes: list[Outcome]) -> None:
    # The manifest was written without plug-ins: one for HEIC may well read what was refused then.
    broken = [each for each in outcomes if each.expected == "refuse" and not each.name.endswith(".heic")]
    assert len(broken) > 60
    assert [each.name for each in broken if each.decoded] == []


def test_nothing_hangs(outcomes: list[Outcome]) -> None:
    assert [(each.name, each.seconds) for each in outcomes if each.seconds > PATIENCE] == []


def test_every_picture_has_a_thumbnail(folder: Path, outcomes: list[Outcome]) -> None:
    for each in outcomes:
        if each.decoded and each.seconds < 1:
            assert thumbnail(folder / "files" / each.name, 64)[8:12] == b"WEBP"
