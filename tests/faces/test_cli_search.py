"""lookalike search, compare, info and models, as a user meets them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike.store import CATALOGUE
from tests.conftest import COMMAND


@pytest.fixture
def indexed(photos: Path, lookalike_cli) -> Path:  # type: ignore[no-untyped-def]
    assert lookalike_cli("index", photos, "--model", "phash", "--model", "color").code == 0
    return photos


def test_json_lines_hold_the_contract(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    query = indexed / "cat small.png"
    result = lookalike_cli("search", query, "--collection", indexed, "-k", "3", "--jsonl")
    assert result.code == 0
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [line["model"] for line in lines] == ["phash", "color"]
    for line in lines:
        assert set(line) == {"query", "model", "hits"}
        assert line["query"] == str(query)
        assert [hit["rank"] for hit in line["hits"]] == [1, 2, 3]
        assert line["hits"][0]["path"] == str(indexed / "more" / "cat.jpg")
        cosines = [hit["cosine"] for hit in line["hits"]]
        assert cosines == sorted(cosines, reverse=True)
        assert all(hit["score"] == pytest.approx((hit["cosine"] + 1) / 2, abs=2e-6) for hit in line["hits"])
    as_array = lookalike_cli("search", query, "--collection", indexed, "-k", "3", "--json")
    assert as_array.json == lines


def test_an_image_finds_itself_only_when_asked(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    query = indexed / "coffee.jpg"
    without = lookalike_cli("search", query, "--collection", indexed, "--model", "phash", "--paths").out.splitlines()
    assert str(query) not in without
    assert len(without) == 8
    hits = lookalike_cli("search", query, "--collection", indexed, "--include-self", "--json").json[0]["hits"]
    assert hits[0] == {"rank": 1, "path": str(query), "cosine": 1.0, "score": 1.0}


def test_a_twin_with_the_same_bytes_is_found(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    shutil.copy(indexed / "coffee.jpg", indexed / "twin.jpg")
    lookalike_cli("index", indexed)
    hits = lookalike_cli("search", indexed / "coffee.jpg", "--collection", indexed, "--json", "-k", "1").json[0]["hits"]
    assert [(hit["path"], hit["score"]) for hit in hits] == [(str(indexed / "twin.jpg"), 1.0)]


def test_the_collection_is_found_from_inside(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    result = lookalike_cli("search", "cat.jpg", "-k", "1", "--model", "phash", "--paths", cwd=indexed / "more")
    assert result.out == f"{indexed / 'cat small.png'}\n"
    outside = lookalike_cli("search", indexed / "coffee.jpg", cwd=indexed.parent)
    assert outside.code == 2
    assert "--collection" in outside.err


def test_standard_input_and_several_models_side_by_side(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    data = (indexed / "cat small.png").read_bytes()
    result = lookalike_cli("search", "-", "--collection", indexed, "-k", "2", stdin=data)
    lines = result.out.splitlines()
    assert lines[0] == "standard input"
    assert lines[1].split() == ["phash", "color"]
    assert lines[2].count("cat small.png") == 2
    piped = lookalike_cli("search", "-", "--collection", indexed, "--jsonl", stdin=data)
    assert json.loads(piped.out.splitlines()[0])["query"] == "-"
    assert lookalike_cli("search", "-", "--collection", indexed, stdin=b"").code == 3


def test_a_folder_of_queries_passes_over_what_is_no_image(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    result = lookalike_cli("search", indexed / "more", indexed, "--collection", indexed, "--model", "phash", "--jsonl")
    queries = [json.loads(line)["query"] for line in result.out.splitlines()]
    assert (result.code, result.err) == (0, "")
    assert len(queries) == 4 + 9
    (indexed / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    partly = lookalike_cli("search", indexed, "--collection", indexed, "--model", "phash", "--jsonl")
    assert partly.code == 3
    assert len(partly.out.splitlines()) == 9
    assert "broken.jpg" in partly.err


def test_names_that_are_no_utf8_survive_json_and_null_ended_paths(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    odd = os.fsdecode(os.fsencode(indexed) + b"/\xff\n'odd.jpg")
    shutil.copy(indexed / "coffee.jpg", odd)
    lookalike_cli("index", indexed)
    result = lookalike_cli("search", indexed / "coffee.jpg", "--collection", indexed, "-k", "1", "--json")
    assert result.json[0]["hits"][0]["path"] == odd
    null = lookalike_cli("search", indexed / "coffee.jpg", "--collection", indexed, "-k", "1", "--model", "phash", "-0")
    assert null.out == odd + "\0"
    back = lookalike_cli("search", odd, "--collection", indexed, "-k", "1", "--json")
    assert back.json[0]["query"] == odd
    assert back.json[0]["hits"][0]["path"] == str(indexed / "coffee.jpg")
    assert lookalike_cli("search", odd, "--collection", indexed).code == 0


def test_a_query_that_is_no_image(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    for name in ("notes.txt", "absent.jpg"):
        result = lookalike_cli("search", indexed / name, "--collection", indexed)
        assert result.code == 3
        assert result.err.count("\n") == 1
        assert name in result.err


def test_models_that_are_unknown_or_not_indexed(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    unknown = lookalike_cli("search", indexed / "coffee.jpg", "--collection", indexed, "--model", "sfit")
    assert (unknown.code, "sift" in unknown.err) == (2, True)
    absent = lookalike_cli("search", indexed / "coffee.jpg", "--collection", indexed, "--model", "hog")
    assert (absent.code, "index FOLDER --model hog" in absent.err) == (2, True)


def test_vectors_of_another_revision_are_refused_and_made_anew(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    with sqlite3.connect(indexed / ".lookalike" / CATALOGUE) as db:
        db.execute("UPDATE models SET fingerprint = 'of old' WHERE name = 'color'")
    db.close()
    refused = lookalike_cli("search", indexed / "coffee.jpg", "--collection", indexed, "--model", "color")
    assert refused.code == 2
    assert "another revision" in refused.err
    assert lookalike_cli("search", indexed / "coffee.jpg", "--collection", indexed, "--model", "phash").code == 0
    remade = lookalike_cli("index", indexed, "--json")
    assert (remade.json["embedded"], remade.json["unchanged"]) == (9, 9)
    assert "another revision" in remade.err
    assert lookalike_cli("search", indexed / "coffee.jpg", "--collection", indexed, "--model", "color").code == 0


def test_a_collection_of_a_newer_version(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    with sqlite3.connect(indexed / ".lookalike" / CATALOGUE) as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    for command in (["search", indexed / "coffee.jpg", "--collection", indexed], ["index", indexed], ["info", indexed]):
        result = lookalike_cli(*command)
        assert result.code == 2
        assert "newer Lookalike" in result.err


def test_nothing_found(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    alone = photos.parent / "alone"
    alone.mkdir()
    shutil.copy(photos / "coffee.jpg", alone)
    lookalike_cli("index", alone, "--model", "phash")
    assert lookalike_cli("search", alone / "coffee.jpg", "--collection", alone).code == 1


def test_search_writes_a_page(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    page = indexed.parent / "page.html"
    result = lookalike_cli("search", indexed / "cat small.png", "--collection", indexed, "-k", "3", "--html", page)
    assert (result.code, str(page) in result.err) == (0, True)
    assert page.read_text().count("<img") >= 1 + 2 * 3


def test_compare_holds_the_contract(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    a, b = photos / "cat small.png", photos / "more" / "cat.jpg"
    result = lookalike_cli("compare", a, b, "--json")
    assert result.code == 0
    assert (result.json["a"], result.json["b"]) == (str(a), str(b))
    scores = {score["model"]: score for score in result.json["scores"]}
    assert set(scores) == {"phash", "dhash", "color", "layout", "hog", "orb", "sift"}
    for score in scores.values():
        assert score["score"] == pytest.approx((score["cosine"] + 1) / 2, abs=2e-6)
    other = lookalike_cli("compare", a, photos / "astronaut.jpg", "--model", "sift", "--json").json["scores"]
    assert [score["model"] for score in other] == ["sift"]
    assert other[0]["cosine"] < scores["sift"]["cosine"]
    page = photos.parent / "compare.html"
    assert lookalike_cli("compare", a, b, "--html", page).out.splitlines()[0].split() == ["model", "cosine", "score"]
    assert page.read_text().count("<img") == 2
    assert lookalike_cli("compare", a, photos / "notes.txt").code == 3


def test_hashes_count_as_signs(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    scores = lookalike_cli(
        "compare", photos / "coffee.jpg", photos / "astronaut.jpg", "--model", "phash", "--json"
    ).json
    distance = (1 - scores["scores"][0]["cosine"]) / 2 * 64
    assert distance == pytest.approx(round(distance), abs=1e-4)


def test_models_are_listed_and_shown(lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    listing = lookalike_cli("models").out
    assert all(name in listing for name in ("phash", "dhash", "color", "layout", "hog", "orb", "sift"))
    rows = {row["name"]: row for row in lookalike_cli("models", "--json").json}
    assert rows["sift"]["dim"] == 512
    assert rows["sift"]["runs"] is True
    assert "512" in lookalike_cli("models", "sift").out
    unknown = lookalike_cli("models", "sitf")
    assert (unknown.code, "sift" in unknown.err) == (2, True)
    assert lookalike_cli("models", "check", "phash").out == "phash: all is well\n"


def test_doctor_tells_versions_without_a_network(lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    facts = lookalike_cli("doctor", "--offline", "--json").json
    assert facts["numpy"] == np.__version__
    assert facts["hub"] == "not asked (offline)"
    assert facts["models"]["sift"] is None
    assert lookalike_cli("doctor", HF_HUB_OFFLINE="1").code == 0
    unreachable = lookalike_cli("doctor", "--json", HF_ENDPOINT="http://127.0.0.1:9").json["hub"]
    assert "cannot be reached" in unreachable


def test_output_into_a_closed_pipe_is_no_error(indexed: Path) -> None:
    line = f"'{COMMAND}' search '{indexed}' --collection '{indexed}' --jsonl | head -n 1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["model"] == "phash"
    assert done.stderr == ""


def test_a_read_only_collection_can_be_searched(indexed: Path, lookalike_read_only) -> None:  # type: ignore[no-untyped-def]
    query = indexed / "cat small.png"
    result = lookalike_read_only(indexed, "search", query, "--collection", indexed, "-k", "1", "--paths")
    assert (result.code, result.err) == (0, "")
    assert result.out == f"{indexed / 'more' / 'cat.jpg'}\n"


def test_a_flat_picture_is_a_query_like_any_other(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    Image.new("RGB", (40, 30), "black").save(indexed.parent / "black.png")
    assert lookalike_cli("search", indexed.parent / "black.png", "--collection", indexed).code == 0


def test_a_link_is_the_picture_that_it_leads_to(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    link = indexed / "zlink.jpg"
    link.symlink_to(indexed / "coffee.jpg")
    lookalike_cli("index", indexed)
    found = lookalike_cli("search", link, "--collection", indexed, "--model", "phash", "--paths").out.splitlines()
    assert {str(link), str(indexed / "coffee.jpg")} & set(found) == set()
    assert found


def test_formats_that_only_their_names_tell_are_queries_too(indexed: Path) -> None:
    Image.open(indexed / "more" / "cat.jpg").save(indexed.parent / "query.tga")
    hits = lookalike.open(indexed).search(indexed.parent / "query.tga", model="color", k=2)
    assert {Path(hit.path).name for hit in hits} == {"cat.jpg", "cat small.png"}


def test_a_model_that_is_gone_does_not_take_the_others_along(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    with sqlite3.connect(indexed / ".lookalike" / CATALOGUE) as db:
        db.execute("UPDATE models SET name = 'my-net' WHERE name = 'color'")
    db.close()
    found = lookalike_cli("search", indexed / "cat small.png", "--collection", indexed, "--json")
    assert found.code == 0
    assert [column["model"] for column in found.json] == ["phash"]
    assert "lookalike models remove my-net --collection" in found.err
    assert lookalike_cli("index", indexed, "--json").json["models"] == ["phash"]
    asked = lookalike_cli("search", indexed / "cat small.png", "--collection", indexed, "--model", "my-net")
    assert asked.code == 2
    assert lookalike_cli("models", "remove", "my-net", "--collection", indexed).code == 0
    assert lookalike_cli("info", indexed, "--json").json["models"][0]["name"] == "phash"
    assert lookalike_cli("search", indexed / "cat small.png", "--collection", indexed).err == ""


def test_models_remove_touches_only_cards(tmp_path: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    precious = tmp_path / "precious.json"
    precious.write_text("{}")
    for name in (
        str(precious.with_suffix("")),
        os.path.relpath(precious.with_suffix(""), os.environ["LOOKALIKE_MODELS"]),
    ):
        assert lookalike_cli("models", "remove", name).code == 2
    assert precious.exists()


def test_only_what_is_asked_for_is_found(indexed: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    def found(*asked: str | Path) -> set[str]:
        told = lookalike_cli(
            "search", indexed / "cat small.png", "--collection", indexed, "-k", "99", "--paths", *asked
        )
        assert told.code in (0, 1), told.err
        return {os.path.relpath(path, indexed) for path in told.out.split("\n") if path}

    everything = found()
    inside = {name for name in everything if name.startswith("more/")}
    assert found("--in", indexed / "more") == inside != set()
    assert found("--since", "2000-01", "--least", "1", "--most", "100000") == everything
    assert found("--until", "1999") == found("--most", "1") == set()
    refused = lookalike_cli("search", indexed / "cat small.png", "--collection", indexed, "--since", "May")
    assert (refused.code, "write 2024" in refused.err) == (2, True)
    refused = lookalike_cli("search", indexed / "cat small.png", "--collection", indexed, "--in", indexed / "nowhere")
    assert (refused.code, "no such folder" in refused.err) == (2, True)


def test_a_damaged_card_takes_only_itself_away(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    (Path(os.environ["LOOKALIKE_MODELS"]) / "broken.json").write_text("{not")
    assert lookalike_cli("compare", photos / "coffee.jpg", photos / "twin.jpg").code == 3
    assert lookalike_cli("doctor", "--offline").code == 0
    asked = lookalike_cli("models", "broken")
    assert (asked.code, "not a model card" in asked.err) == (2, True)


@pytest.mark.parametrize("redirection", ["2>&-", ">&-", "> /dev/full"])
def test_odd_ends_of_pipes_give_no_traceback(redirection: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"'{COMMAND}' models {redirection}"], capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr
    assert "Lookalike's own" not in done.stderr
    assert done.returncode in (0, 2)


def test_python_m_lookalike() -> None:
    done = subprocess.run([sys.executable, "-m", "lookalike", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"lookalike {lookalike.__version__}\n"
