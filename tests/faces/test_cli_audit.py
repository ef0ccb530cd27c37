"""`lookalike audit`, from the outside."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from tests.conftest import Result

Cli = Callable[..., Result]


@pytest.fixture
def parts(tmp_path: Path, photo_pixels: dict[str, np.ndarray]) -> Path:
    """A collection of 24 parts of photos, one with markup for a name, and a file of groups beside it."""
    folder = tmp_path / "parts"
    folder.mkdir()
    rows = ["image,photo,half"]
    for name, pixels in photo_pixels.items():
        for number, top in enumerate((0, 40, 80)):
            file = f"{name}{'<b>' if name == 'cat' else ''}-{number}.png"
            Image.fromarray(pixels[top : top + 96, 20:148]).save(folder / file)
            rows.append(f"{file},{'space' if name in ('rocket', 'hubble_deep_field') else 'earth'},{number % 2}")
    (tmp_path / "groups.csv").write_text("\n".join(rows))
    lookalike.open(folder).add(models=["color", "hog", "dhash"])
    return folder


def test_all_of_it(parts: Path, tmp_path: Path, lookalike_cli: Cli) -> None:
    page = tmp_path / "audit.html"
    options = ("--model", "dhash", "--visual", "color", "--visual", "hog", "--groups", tmp_path / "groups.csv")
    result = lookalike_cli("audit", parts, *options, "--probes", "8", "--html", page, "--json")
    assert (result.code, result.err) == (0, f"Report: {page}\n")
    told = result.json
    assert (told["model"], told["visual"], told["images"], told["seed"]) == ("dhash", ["color", "hog"], 24, 7)
    assert {each["column"] for each in told["groups"]} == {"photo", "half"}
    for column in told["groups"]:
        assert column["verdict"] in ("none", "as looks", "beyond looks", "apart", "untold")
        assert [row["model"] for row in column["yardsticks"]] == ["color", "hog"]
    for kind in ("neighbours_that_look_unlike", "lookalikes_held_apart"):
        share = told["pairs"][kind]["share"]
        assert 0 <= share["low"] <= share["value"] <= share["high"] <= 1
    assert {row["model"] for row in told["probes"]["typographic"]["models"]} == {"dhash", "color", "hog"}
    assert told["versions"]["lookalike"] == lookalike.__version__

    html = page.read_text()
    bare = re.sub(r"data:image/(webp|jpeg);base64,[\w+/=]+", "DATA", html)
    assert html.count("data:image/") > 20
    assert "<script" not in html
    assert "<b>-" not in html
    assert not re.search(r"https?:|@import|url\(", bare)
    assert "default-src 'none'" in html
    for words in ("Groups: <bdi>photo", "Written words", "Backgrounds", "seed 7", "can be shown"):
        assert words in html


def test_for_people(parts: Path, lookalike_cli: Cli) -> None:
    result = lookalike_cli("audit", parts, "--model", "dhash", "--visual", "color", "--probes", "0")
    assert (result.code, result.err) == (0, "")
    assert re.search(r"Of the 2 nearest that dhash gives each of 24 pictures, \d+ % \[", result.out)
    assert re.search(r"rank by dhash +rank by color", result.out)
    assert "written" not in result.out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--model", "dhash", "--visual", "sift"), "run 'lookalike index FOLDER --model sift' first"),
        (("--model", "dhash", "--visual", "dhash"), "each must be another model"),
        (("--model", "dhash", "--visual", "color", "--groups", "none.csv"), "none.csv: no such file"),
        (("--model", "dhash", "--visual", "color", "--html", "nowhere/a.html"), "no such folder"),
        (("--model", "dhash", "--visual", "color", "--column", "region"), "--groups"),
    ],
)
def test_one_line_says_what_is_wrong(parts: Path, lookalike_cli: Cli, options: tuple[str, ...], told: str) -> None:
    result = lookalike_cli("audit", parts, *options, cwd=parts)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert told in result.err


def test_a_network_on_real_flags(shared: Path, tmp_path: Path, lookalike_cli: Cli) -> None:
    """Regions that share colours: a network that was taught on photos is told of no bias by them."""
    flags = tmp_path / "png"
    flags.mkdir()
    for file in sorted((shared / "data" / "flags" / "png").glob("*.png"))[::4]:
        (flags / file.name).write_bytes(file.read_bytes())
    model = ("--name", "vit-tiny", "--mean", "0.5", "--std", "0.5", "--size", "224", "--resize", "256")
    network = shared / "models" / "vit_tiny_patch16_224.onnx"
    assert lookalike_cli("models", "add", network, *model, "--output", "embedding").code == 0
    wanted = ("--model", "vit-tiny", "--model", "color", "--model", "hog")
    assert lookalike_cli("index", flags, *wanted).code == 0
    options = ("--visual", "color", "--visual", "hog", "--column", "region", "--probes", "0", "--json")
    groups = shared / "data" / "flags" / "flags.csv"
    result = lookalike_cli("audit", flags, "--model", "vit-tiny", *options, "--groups", groups)
    assert result.code == 0
    (region,) = result.json["groups"]
    assert region["verdict"] in ("none", "as looks")
    assert {"Africa", "Europe"} <= {group["group"] for group in region["groups"]}
    assert "rows that name no image of the collection" in result.err
