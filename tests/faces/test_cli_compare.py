"""lookalike compare --why, as a user meets it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Result

Cli = Callable[..., Result]


@pytest.fixture
def pair(photos: Path) -> tuple[Path, Path]:
    """A photo, and the same mirrored and smaller."""
    cat = photos / "more" / "cat.jpg"
    with Image.open(cat) as image:
        small = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((240, 160))
    small.save(photos.parent / "mirrored.png")
    return cat, photos.parent / "mirrored.png"


def test_why_as_a_picture_and_as_a_page(photos: Path, pair: tuple[Path, Path], lookalike_cli: Cli) -> None:
    assert lookalike_cli("index", photos, "--model", "color").code == 0
    why = ("compare", *pair, "--model", "color", "--model", "phash", "--mirror", "--why")
    shown = lookalike_cli(*why, photos.parent / "why.png")
    assert (shown.code, f"Why: {photos.parent / 'why.png'}" in shown.err) == (0, True)
    head, color, phash, verdict = shown.out.splitlines()[:4]
    assert head.split() == ["model", "cosine", "score", "usual", "higher", "than"]
    assert "±" in color  # of the collection that holds the first of the two
    assert "±" not in phash
    assert "matched keypoints agree on a similarity: not turned, 0.75 times as large, mirrored." in verdict
    with Image.open(photos.parent / "why.png") as image:
        assert image.width == 1600

    told = lookalike_cli(*why, photos.parent / "why.html", "--json").json
    usual = [score["usual"] for score in told["scores"]]
    assert set(usual[0]) == {"mean", "deviation", "standard", "above", "pairs"}
    assert usual[1] is None
    evidence = told["evidence"]
    assert (evidence["method"], evidence["kind"], evidence["mirrored"]) == ("sift", "similarity", True)
    assert 12 <= evidence["inliers"] <= evidence["pairs"]
    expected = np.array([[-0.75, 0, 240], [0, 0.75, 0], [0, 0, 1]])
    assert np.array(evidence["transform"]) == pytest.approx(expected, abs=1)
    assert "what is usual for pictures of" in (photos.parent / "why.html").read_text()


def test_why_without_a_collection(pair: tuple[Path, Path], lookalike_cli: Cli) -> None:
    page = pair[1].with_name("why.html")
    plain = lookalike_cli("compare", *pair, "--model", "phash", "--method", "orb", "--why", page, "--json")
    assert plain.json["scores"][0]["usual"] is None
    assert plain.json["evidence"]["method"] == "orb"
    assert "usual" not in page.read_text()


@pytest.mark.parametrize(
    ("options", "said", "code"),
    [
        (["--why", "why.gif"], "why.gif: name a file that ends in .png or .html", 2),
        (["--why", "nowhere/why.png"], "nowhere/why.png: cannot be written", 2),
        (["--why", "why.png", "--collection", "nowhere"], "nowhere: no such folder", 2),
        (["--why", "why.png", "--collection", "."], "no collection here", 2),
        (["--mirror"], "--mirror needs --why FILE", 2),
        (["--method", "orb"], "--method needs --why FILE", 2),
    ],
)
def test_what_cannot_be_explained(
    options: list[str], said: str, code: int, pair: tuple[Path, Path], lookalike_cli: Cli
) -> None:
    here = pair[1].parent
    refused = lookalike_cli("compare", *pair, "--model", "phash", *options, cwd=here)
    assert (refused.code, said in refused.err) == (code, True)
    assert "Traceback" not in refused.err
    assert not [*here.glob("why*"), *here.glob("*.part*")]


def test_unreadable_files(photos: Path, lookalike_cli: Cli) -> None:
    refused = lookalike_cli("compare", photos / "coffee.jpg", photos / "notes.txt", "--why", photos / "why.png")
    assert (refused.code, len(refused.err.splitlines())) == (3, 1)
    assert "notes.txt" in refused.err
    assert not (photos / "why.png").exists()


def test_neither_picture_is_written_over(pair: tuple[Path, Path], lookalike_cli: Cli) -> None:
    before = pair[1].read_bytes()
    for option in ("--why", "--html"):
        done = lookalike_cli("compare", *pair, "--model", "phash", option, pair[1])
        assert (done.code, "picture" in done.err) == (2, True)
    assert pair[1].read_bytes() == before
