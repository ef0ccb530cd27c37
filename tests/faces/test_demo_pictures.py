"""The demo's own pictures: real, the same every time, and flags true to their construction."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, ImageColor

DEMO = Path(__file__).resolve().parents[2] / "demo"


def _module(name: str) -> ModuleType:
    """One of the demo's scripts, which import each other as scripts do: by their folder."""
    sys.path.insert(0, str(DEMO))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(DEMO))


pictures, flags = _module("pictures"), _module("flags")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "pictures"
    pictures.build(folder)
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_are_there_and_decode(built: Path) -> None:
    count = {folder.name: len(list(folder.iterdir())) for folder in built.iterdir()}
    edits = sum(map(len, pictures.EDITED.values()))
    assert count == {"photos": len(pictures.PHOTOS), "edited": edits, "flags": len(flags.FLAGS)}
    assert min(count.values()) >= 20
    for path in built.rglob("*.*"):
        with Image.open(path) as image:
            image.load()
            assert image.mode == "RGB"
            assert min(image.size) > 100
            assert max(image.size) <= 1000


def test_small_quick_and_the_same_every_time(built: Path, tmp_path: Path) -> None:
    start = time.process_time()
    pictures.build(tmp_path)
    assert time.process_time() - start < 5
    files = _files(tmp_path)
    assert files == _files(built)
    assert sum(map(len, files.values())) < 15_000_000


@pytest.mark.parametrize("name, edit", [(name, edit) for name, edits in pictures.EDITED.items() for edit in edits])
def test_edits_differ_from_their_photo(built: Path, name: str, edit: str) -> None:
    with Image.open(built / "photos" / f"{name}.jpg") as a, Image.open(built / "edited" / f"{name} ({edit}).jpg") as b:
        if a.size != b.size:
            assert edit in ("cropped", "rotated")
            return
        change = np.abs(np.asarray(a, dtype=int) - np.asarray(b, dtype=int)).mean()
    assert change > 2


@pytest.mark.parametrize("country", flags.FLAGS)
def test_proportions(built: Path, country: str) -> None:
    (height, width), _ = flags.FLAGS[country]
    with Image.open(built / "flags" / f"{country}.png") as flag:
        assert flag.width == flags.WIDTH
        assert flag.height == pytest.approx(flag.width * height / width, abs=0.5)


# Points, as shares of a flag's width and height, and the colours that must be there.
POINTS = {
    "France": [(0.17, 0.5, "#000091"), (0.5, 0.5, "#ffffff"), (0.83, 0.5, "#e1000f")],
    "Latvia": [(0.5, 0.38, "#9d2235"), (0.5, 0.42, "#ffffff"), (0.5, 0.58, "#ffffff"), (0.5, 0.62, "#9d2235")],
    "Norway": [(8 / 22, 0.1, "#00205b"), (6.5 / 22, 0.1, "#ffffff"), (5 / 22, 0.1, "#ba0c2f"), (0.9, 0.5, "#00205b")],
    "Switzerland": [(0.5, 0.5, "#ffffff"), (0.21, 0.5, "#ffffff"), (0.16, 0.5, "#da291c"), (0.3, 0.3, "#da291c")],
    "Japan": [(0.5, 0.5, "#bc002d"), (0.5, 0.22, "#bc002d"), (0.5, 0.18, "#ffffff"), (0.31, 0.5, "#bc002d")],
    "Bangladesh": [(0.26, 0.5, "#f42a41"), (0.64, 0.5, "#f42a41"), (0.66, 0.5, "#006a4e")],
    "Czechia": [(0.48, 0.5, "#11457e"), (0.52, 0.48, "#ffffff"), (0.52, 0.52, "#d7141a")],
    "Vietnam": [(0.5, 0.22, "#ffff00"), (0.5, 0.5, "#ffff00"), (0.5, 0.7, "#da251d")],
    "China": [(5 / 30, 5 / 20, "#ffff00"), (10 / 30, 2 / 20, "#ffff00"), (0.5, 0.5, "#ee1c25")],
}


@pytest.mark.parametrize("country", POINTS)
def test_colours_lie_where_the_construction_says(built: Path, country: str) -> None:
    with Image.open(built / "flags" / f"{country}.png") as flag:
        for x, y, colour in POINTS[country]:
            assert flag.getpixel((int(x * flag.width), int(y * flag.height))) == ImageColor.getrgb(colour), (x, y)


def test_stripes_are_equal_and_edges_clean() -> None:
    flag = np.asarray(flags.draw("Germany"))
    colours, counts = np.unique(flag.reshape(-1, 3), axis=0, return_counts=True)
    assert len(colours) == 3
    assert len(set(counts)) == 1
