"""Some four hundred awkward, damaged and hostile files: all are read or refused, and nothing else happens."""

from __future__ import annotations

import csv
import importlib.util
import os
import tarfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import features

import lookalike
from lookalike.errors import UnreadableImage
from lookalike.images import looks_like_image, read, thumbnail


@dataclass(frozen=True)
class Outcome:
    """What became of one row of the manifest. `trouble` is whatever must not happen."""

    name: str
    expected: str
    looks: bool
    decoded: bool
    trouble: str | None


def needs_missing_plugin(name: str) -> bool:
    suffix = os.path.splitext(name)[1].lower()
    if suffix in (".heic", ".heif"):
        return importlib.util.find_spec("pillow_heif") is None
    if suffix == ".jxl":
        return importlib.util.find_spec("pillow_jxl") is None
    if suffix in (".avif", ".avifs"):
        return not features.check("avif")
    return suffix in (".jp2", ".j2k") and not features.check("jpg_2000")


def is_broken(name: str) -> bool:
    """The manifest was written without plug-ins: one for HEIC may well read what was refused then."""
    return not name.endswith(".heic") or needs_missing_plugin(name)


def try_one(path: Path, name: str, expected: str) -> Outcome:
    looks, decoded, trouble = False, False, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            looks = looks_like_image(path)
            picture = read(path)
            decoded = True
            small = read(path, side=64)
            assert thumbnail(path, side=32)
        if picture.pixels.shape != (picture.height, picture.width, 3) or picture.pixels.dtype != np.uint8:
            trouble = f"pixels {picture.pixels.shape} of a picture of {picture.width} x {picture.height}"
        elif (small.width, small.height) != (picture.width, picture.height):
            trouble = "another size when reduced"
    except UnreadableImage as error:
        if decoded or "\n" in error.reason or "<" in error.reason or len(error.reason) > 120:
            trouble = f"reason: {error.reason}"
    except BaseException as error:  # noqa: BLE001
        trouble = repr(error)
    return Outcome(name, expected, looks, decoded, trouble)


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
    broken = [each for each in outcomes if each.expected == "refuse" and is_broken(each.name)]
    assert len(broken) > 60
    assert [each.name for each in broken if each.decoded] == []


def test_index_takes_what_is_valid_and_tells_of_the_rest(folder: Path, tmp_path: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    files, into = folder / "files", tmp_path / "collection"
    result = lookalike_cli("index", files, "--into", into, "--model", "dhash", "--json")
    assert result.code == 3
    told = {os.path.relpath(file["path"], files): file["reason"] for file in result.json["unreadable"]}
    taken = {os.path.relpath(image.path, files) for image in lookalike.open(into).vectors("dhash")[0]}
    assert all(told.values())
    assert len(taken) == result.json["added"]
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as file:
        expected = {row["file"]: row["expected"] for row in csv.DictReader(file)}
    valid = {name for name, what in expected.items() if what == "decode" and not needs_missing_plugin(name)}
    assert valid - taken == set()
    broken = {name for name, what in expected.items() if what == "refuse" and is_broken(name)}
    assert broken & taken == set()
    ignored = {name for name in broken - set(told) if not looks_like_image(files / name)}
    assert broken - set(told) == ignored
    assert set(told) <= set(expected)
    assert "Traceback" not in result.err
