"""`lookalike keypoints`, as users run it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Result

Cli = Callable[..., Result]


@pytest.fixture
def cat(photos: Path) -> Path:
    return next(photos.rglob("cat.jpg"))


@pytest.mark.parametrize("method, width", [("sift", 128), ("orb", 32), ("akaze", 61), ("surf", 64), ("hog", 36)])
def test_picture_and_table(lookalike_cli: Cli, cat: Path, tmp_path: Path, method: str, width: int) -> None:
    if method == "surf":
        pytest.importorskip("mahotas")
    drawn, table = tmp_path / "drawn.png", tmp_path / "table.csv"
    done = lookalike_cli("keypoints", cat, "--method", method, "--rich", "--out", drawn, "--table", table)
    assert done.code == 0
    assert str(drawn) in done.err and str(table) in done.err
    with open(table, newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == ["x", "y", "diameter", "angle", "strength", *(f"d{i}" for i in range(width))]
    assert f": {len(rows)} keypoints ({method}; " in done.out
    with Image.open(cat) as photo, Image.open(drawn) as picture:
        assert picture.width / picture.height == pytest.approx(photo.width / photo.height, rel=0.01)
        assert max(picture.size) >= max(photo.size)
        assert all(0 <= float(x) <= photo.width and 0 <= float(y) <= photo.height for x, y, *_ in rows)
        red, _, blue = np.moveaxis(np.asarray(picture, dtype=int), 2, 0)
    assert (red - blue > 40).sum() > 5 * len(rows), "rings of orange on a grey picture"


def test_json_and_limit(lookalike_cli: Cli, cat: Path) -> None:
    found = json.loads(lookalike_cli("keypoints", cat, "--keypoints", "50", "--json").out)
    assert found["keypoints"] == 50
    assert found["method"] == "sift"
    with Image.open(cat) as photo:
        assert (found["width"], found["height"]) == photo.size


def test_parquet(lookalike_cli: Cli, cat: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert lookalike_cli("keypoints", cat, "--table", tmp_path / "t.parquet", "--keypoints", "20").code == 0
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table.num_rows == 20
    assert len(table["descriptor"][0].as_py()) == 128

    assert table.schema.metadata == {b"method": b"sift", b"descriptor": b"numbers of 0 to 255"}


@pytest.mark.parametrize("method, size", [("sift", (100, 80)), ("akaze", (1, 1)), ("hog", (900, 3)), ("orb", (20, 20))])
def test_a_flat_picture_has_none(lookalike_cli: Cli, tmp_path: Path, method: str, size: tuple[int, int]) -> None:
    pytest.importorskip("pyarrow")
    Image.new("RGB", size, "teal").save(tmp_path / "flat.png")
    files = ("--out", tmp_path / "o.png", "--table", tmp_path / "t.parquet")
    done = lookalike_cli("keypoints", tmp_path / "flat.png", "--method", method, *files)
    assert done.code == 0
    assert ": 0 keypoints" in done.out
    assert all((tmp_path / name).exists() for name in ("o.png", "t.parquet"))


def test_a_network_is_added_used_and_removed(lookalike_cli: Cli, cat: Path, shared: Path, tmp_path: Path) -> None:
    ask = ("keypoints", cat, "--method", "xfeat", "--table", tmp_path / "t.csv")
    before = lookalike_cli(*ask)
    assert before.code == 2
    assert "lookalike models add FILE.onnx --like xfeat" in before.err
    assert len(before.err.splitlines()) == 1
    assert "lookalike models add FILE.onnx --like xfeat" in lookalike_cli("models").out
    add = ("models", "add", shared / "models" / "xfeat.onnx", "--like", "xfeat")
    assert lookalike_cli(*add, "--name", "mine").code == 2
    assert lookalike_cli(*add).code == 0
    found = lookalike_cli(*ask)
    assert (found.code, len((tmp_path / "t.csv").read_text().splitlines()) > 500) == (0, True)
    row = next(line.split() for line in lookalike_cli("models").out.splitlines() if line.startswith("xfeat"))
    assert row[1] == "yes"
    assert lookalike_cli("models", "remove", "xfeat").code == 0
    assert lookalike_cli(*ask).code == 2


def test_what_cannot_be_added_is_told_in_one_line(lookalike_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_text("no network")
    for arguments in (["--like", "disk"], ["--like", "xfeat"], []):
        done = lookalike_cli("models", "add", tmp_path / "x.onnx", *arguments)
        assert done.code == 2
        assert len(done.err.splitlines()) == 1


def test_models_json_is_of_models_alone(lookalike_cli: Cli) -> None:
    rows = lookalike_cli("models", "--json").json
    assert all(row["fingerprint"] for row in rows)
    assert "akaze" not in {row["name"] for row in rows}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--out", "x.webp"], "--out x.webp: name a file that ends in .png or .jpg"),
        (["--table", "x.xls"], "--table x.xls: name a file that ends in .csv or .parquet"),
        (["--out", "/nowhere/x.png"], "/nowhere/x.png: cannot be written"),
    ],
)
def test_what_cannot_be_written_is_told(lookalike_cli: Cli, cat: Path, arguments: list[str], message: str) -> None:
    done = lookalike_cli("keypoints", cat, *arguments)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_no_picture(lookalike_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_text("no")
    assert lookalike_cli("keypoints", tmp_path / "x.jpg").code == 3


def test_methods_are_told_about(lookalike_cli: Cli) -> None:
    told = json.loads(lookalike_cli("models", "lighterglue", "--json").out)
    assert (told["kind"], list(told["networks"])) == ("local features", ["xfeat", "lighterglue"])
    shown = lookalike_cli("models", "akaze")
    assert shown.code == 0
    assert ["runs", "True"] in [line.split() for line in shown.out.splitlines()]


def test_the_picture_is_not_written_over(lookalike_cli: Cli, cat: Path) -> None:
    before = cat.read_bytes()
    done = lookalike_cli("keypoints", cat, "--out", cat)
    assert (done.code, done.out) == (2, "")
    assert "the picture itself" in done.err
    assert cat.read_bytes() == before
