"""lookalike search --verify, --mirror, --crops and --model a+b, as a user meets them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def indexed(photos: Path, lookalike_cli) -> Path:  # type: ignore[no-untyped-def]
    assert lookalike_cli("index", photos, "--model", "color", "--model", "hog").code == 0
    return photos


@pytest.fixture
def query(photo_pixels: dict[str, np.ndarray], tmp_path: Path) -> Path:
    """The middle of the astronaut, mirrored and in other colours."""
    pixels = photo_pixels["astronaut"]
    height, width = pixels.shape[:2]
    path = tmp_path / "query.png"
    part = pixels[height // 8 : -height // 8, width // 8 : -width // 8]
    Image.fromarray(part[:, ::-1, ::-1] // 2 + 60).save(path)
    return path


def test_evidence_in_json(indexed: Path, query: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    options = ("--collection", indexed, "--model", "color", "--mirror", "--json", "-k", "4")
    hits = lookalike_cli("search", query, "--verify", *options).json[0]["hits"]
    assert Path(hits[0]["path"]).stem == "astronaut"
    assert set(hits[0]) == {"rank", "path", "cosine", "score", "evidence"}
    evidence = hits[0]["evidence"]
    assert set(evidence) == {"method", "pairs", "inliers", "kind", "transform", "mirrored", "chance", "note"}
    assert evidence["method"] == "sift"
    assert evidence["mirrored"] is True
    assert evidence["inliers"] > 20
    assert evidence["chance"] > 0.9
    assert np.array(evidence["transform"]).shape == (3, 3)
    assert len(hits) == 4
    assert "evidence" not in lookalike_cli("search", query, *options).json[0]["hits"][0]


@pytest.mark.parametrize("place", [0, 1])
def test_verify_never_takes_the_query_for_its_number(
    indexed: Path,
    query: Path,
    lookalike_cli,
    place: int,  # type: ignore[no-untyped-def]
) -> None:
    words: list[object] = [query]
    words.insert(place, "--verify")
    result = lookalike_cli("search", *words, "--collection", indexed, "--model", "color", "--json")
    assert [hit["evidence"]["method"] for hit in result.json[0]["hits"]] == ["sift"] * 9


def test_only_so_many(indexed: Path, query: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    result = lookalike_cli("search", query, "--verify=2", "--method", "orb", "--collection", indexed, "--json")
    for column in result.json:
        assert ["evidence" in hit for hit in column["hits"]] == [True] * 2 + [False] * 7
        assert column["hits"][0]["evidence"]["method"] == "orb"


def test_people_see_what_agrees(indexed: Path, query: Path, lookalike_cli, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    page = tmp_path / "page.html"
    result = lookalike_cli(
        "search", query, "--verify", "--mirror", "--model", "color+hog", "--collection", indexed, "--html", page
    )
    first = result.out.splitlines()[2]
    assert "astronaut.jpg" in first
    assert re.search(r"\[ *\d+ agree, +(9\d|100)%\]", first)
    assert result.out.splitlines()[1].split() == ["color+hog"]
    assert "keypoints agree, mirrored" in page.read_text()


def test_fusing_by_ranks(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    query = indexed / "cat small.png"
    options = ("--collection", indexed, "--model", "color+hog", "--json", "--fuse", "ranks")
    (found,) = lookalike_cli("search", query, *options).json
    assert found["model"] == "color+hog"
    assert found["hits"][0]["path"] == str(indexed / "more" / "cat.jpg")
    assert 0.9 < found["hits"][0]["cosine"] <= 1


def test_words_have_no_keypoints(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    result = lookalike_cli("search", "--text", "a cat", "--verify", "--collection", indexed)
    assert result.code == 2
    assert "--verify, --mirror and --crops look at the image of a QUERY" in result.err
    result = lookalike_cli("search", indexed / "coffee.jpg", "--verify=0", "--collection", indexed)
    assert (result.code, "--verify" in result.err) == (2, True)


def test_standard_input_is_verified(indexed: Path, query: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    options = ("--verify", "--mirror", "--model", "color", "--collection", indexed, "--json", "-k", "1")
    result = lookalike_cli("search", "-", *options, stdin=query.read_bytes())
    assert Path(result.json[0]["hits"][0]["path"]).stem == "astronaut"
    assert lookalike_cli("search", "-", *options, stdin=b"no image").code == 3


def test_nothing_to_verify_is_said(indexed: Path, lookalike_cli, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    flat, page = tmp_path / "flat.png", tmp_path / "page.html"
    Image.new("RGB", (300, 200), (200, 30, 30)).save(flat)
    result = lookalike_cli(
        "search", flat, "--verify", "-k", "3", "--model", "color", "--collection", indexed, "--html", page
    )
    assert result.code == 0
    assert result.out.count("[nothing to verify]") == 3
    assert "%" not in result.out, "no chance of what was not looked at"
    assert "nothing to verify: the query has no keypoints</p>" in page.read_text()


def test_a_number_apart_is_told(indexed: Path, query: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    result = lookalike_cli("search", "--verify", "5", query, "--collection", indexed, "--model", "color")
    assert result.code == 3
    assert "--verify=5" in result.err


def test_a_method_alone_is_refused(indexed: Path, query: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    result = lookalike_cli("search", query, "--method", "orb", "--collection", indexed)
    assert (result.code, "--method needs --verify" in result.err) == (2, True)


@pytest.mark.parametrize("method", ["sift", "orb"])
def test_every_method_is_mirrored(indexed: Path, query: Path, lookalike_cli, method: str) -> None:  # type: ignore[no-untyped-def]
    options = ("--verify", "--mirror", "--collection", indexed, "--model", "color", "--method", method, "--json")
    evidence = lookalike_cli("search", query, *options).json[0]["hits"][0]["evidence"]
    assert (evidence["method"], evidence["mirrored"]) == (method, True)


def test_a_page_never_takes_a_picture_s_place(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    cat = indexed / "cat small.png"
    before = cat.read_bytes()
    result = lookalike_cli("search", "--html", cat, indexed / "coffee.jpg", "--collection", indexed)
    assert (result.code, cat.read_bytes()) == (2, before)
    assert "name a file that ends in .html" in result.err
