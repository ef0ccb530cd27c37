"""The flags study, on flags that are drawn here and on those of the shared test material."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lookalike
from tests.conftest import ROOT, run_command
from tests.examples.conftest import Study, module
from tests.examples.drawn_flags import bands

measures, names, folder_, palette = (module(name) for name in ("measures", "names", "folder", "palette"))


# -- the command -------------------------------------------------------------------------------------------------


def test_study_of_drawn_flags(study: Study, flags: Path) -> None:
    before = sorted(flags.rglob("*"))
    done = study(flags, "--same", flags.parent / "same.csv", "--model", "layout", "--model", "color+hog", "--json")
    assert done.code == 0, done.err
    assert done.err == "study.py: pairs left out for want of a file: those with Iceland, Norway\n"
    told = done.json
    assert (told["files"], told["drawings"], told["pairs"], told["absent"]) == (12, 11, 6, ["Iceland", "Norway"])
    assert list(told["models"]) == ["layout", "color+hog"]
    found = told["models"]["layout"]
    assert (found["nine_tests_top3"], found["nine_tests_asked"]) == (4, 4)
    first, *_, last = found["nine_tests"]
    pair = {"flags": ["TD", "RO"], "ranks": [1, 1]}
    assert first == {"countries": ["Chad", "Romania"], "passed": True, "pairs": [pair]}
    assert (last["countries"], last["passed"], last["pairs"]) == (["Slovenia", "Russia", "Slovakia"], None, [])
    for measure in ("recall@1", "recall@3", "recall@5", "mrr"):
        low, high = found["intervals"][measure]
        assert 0 <= low <= found[measure] <= high <= 1
        assert found[measure] <= told["best_possible"][measure]
    assert found["relations"]["near_identical"] == {"similar": "yes", "pairs": 3, "recall@3": 1.0}
    assert found["relations"]["different"]["similar"] == "no"
    assert sorted(flags.rglob("*")) == before, "the folder is left as it was"


def test_what_no_model_finds_is_told_with_the_reason(study: Study, flags: Path) -> None:
    (lost,) = study(flags, "--model", "layout", "--json").json["found_by_none"]
    assert set(lost["names"]) == {"Ukraine", "Ireland"}
    assert lost["best_rank"] > 3
    assert "no colour" in lost["reason"]
    assert "Ukraine alone has blue, yellow" in lost["reason"]
    assert "0 % of the area" in lost["reason"]
    shown = study(flags, "--model", "layout").out
    assert "layout" in shown
    assert "4 of 4" in shown
    assert f"rank {lost['best_rank']} by layout. {lost['reason']}" in shown


def test_the_same_drawing_is_one_flag_without_being_told(study: Study, flags: Path) -> None:
    """And where files differ, only --same says so."""
    assert study(flags, "--json", "--model", "color").json["drawings"] == 11
    image = Image.open(flags / "bq.png")
    image.putpixel((0, 0), (0, 0, 0))
    image.save(flags / "bq.png")
    assert study(flags, "--json", "--model", "color").json["drawings"] == 12
    same = ("--same", flags.parent / "same.csv")
    told = study(flags, "--json", "--model", "color", *same).json
    assert told["drawings"] == 11
    assert told["models"]["color"]["relations"]["near_identical"]["pairs"] == 3


def test_two_files_for_a_country_and_files_that_cannot_be_read(study: Study, flags: Path) -> None:
    bands(("#ce1126", "white"), 1).save(flags / "Indonesia.png")
    (flags / "Wales.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    done = study(flags, "--model", "layout", "--json")
    assert done.code == 0
    svg, twice, absent = done.err.splitlines()
    assert svg.endswith("Wales.svg: SVG is not read")
    assert twice == f"study.py: {flags / 'id.png'}: passed over: {flags / 'Indonesia.png'} is Indonesia already"
    assert "left out" in absent
    assert (done.json["files"], done.json["drawings"]) == (13, 11)


def test_names_that_are_no_text(study: Study, flags: Path, tmp_path: Path) -> None:
    """Neither a terminal nor a page is harmed by what a file is called."""
    for name in (b"\xff\x1b[2J.png", b"\xff\x1b[2J.gif"):
        bands(("purple", "pink"), 1).save(os.fsdecode(os.fsencode(flags) + b"/" + name))
    done = study(flags, "--model", "layout", "--html", tmp_path / "page.html")
    assert done.code == 0
    assert "\x1b" not in done.out + done.err
    assert "[2J.png: passed over" in done.err
    assert "[2J</h3>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_transparency_is_seen_on_white(study: Study, flags: Path) -> None:
    """Poland's white half made transparent is the same drawing as before."""
    image = Image.open(flags / "pl.png").convert("RGBA")
    pixels = np.asarray(image).copy()
    pixels[(pixels[..., :3] == 255).all(axis=2)] = 0
    before = study(flags, "--model", "layout", "--json").json
    Image.fromarray(pixels).save(flags / "pl.png")
    assert study(flags, "--model", "layout", "--json").json == before


def test_a_collection_that_is_kept(study: Study, flags: Path, tmp_path: Path) -> None:
    kept = ("--into", tmp_path / "kept", "--model", "layout", "--json")
    first = study(flags, *kept)
    assert study(flags, *kept).json == first.json == study(flags, "--model", "layout", "--json").json
    assert lookalike.open(tmp_path / "kept").models == ["layout"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--model", "layuot"), "no model is called 'layuot': did you mean layout"),
        (("--pairs", "none.csv"), "none.csv: cannot be read: No such file or directory"),
        (("--pairs", "flags/td.png"), "flags/td.png: cannot be read: it is no CSV file in UTF-8"),
        (("--pairs", "names.csv"), "names.csv: no column relation and no expect_similar"),
        (("--same", "names.csv"), "names.csv: no column iso2_members"),
        (("--pairs", "strangers.csv"), "strangers.csv: rates no two flags of flags as similar"),
        (("--pairs", "nameless.csv"), "nameless.csv: a pair without iso2_b, name_b and file_b"),
        (("--pairs", "maybe.csv"), "maybe.csv: expect_similar 'maybe': one of yes, partly, no is wanted"),
        (("--html", "flags/td.png"), "flags/td.png: the page goes into a file that ends in .html"),
        (("--html", "nowhere/page.html"), "nowhere/page.html: cannot be written"),
    ],
)
def test_errors_are_one_line(
    study: Study, flags: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, str], says: str
) -> None:
    place = flags.parent
    (place / "strangers.csv").write_text("name_a,name_b,relation,expect_similar\nOz,Mordor,similar,yes\n")
    (place / "maybe.csv").write_text("name_a,name_b,relation,expect_similar\nChad,Romania,similar,maybe\n")
    (place / "nameless.csv").write_text("name_a,name_b,relation,expect_similar\nChad,,similar,yes\n")
    monkeypatch.chdir(place)
    lists = ("--pairs", "pairs.csv", "--model", "color")
    done = study(Path("flags"), *lists, *options)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"study.py: {says}")
    assert done.err.count("\n") == 1


def test_one_flag_is_told(study: Study, flags: Path) -> None:
    for path in flags.iterdir():
        if path.name != "td.png":
            path.unlink()
    done = study(flags)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"study.py: {flags}: one flag, which there is nothing to compare with: add others\n"


# -- the parts ---------------------------------------------------------------------------------------------------


def test_ties_go_against_the_model() -> None:
    found = measures.Found({"a": 0.9, "b": 0.5, "c": 0.5, "d": 0.1})
    assert [found.rank(code) for code in "abcd"] == [1, 3, 3, 4]
    assert found.rank("no vector of it") == 5
    assert found.nearest == ["a", "b", "c", "d"]


def test_figures_by_hand() -> None:
    """a finds b first and c third; b and c find a second and sixth."""
    ranks = {"a": {"b": 1, "x": 2, "c": 3}, "b": {"x": 1, "a": 2}, "c": dict(zip("uvwxya", range(1, 7), strict=True))}
    finds = {query: measures.Found({code: -rank for code, rank in own.items()}) for query, own in ranks.items()}
    ways = [("a", "b"), ("b", "a"), ("a", "c"), ("c", "a")]
    told = measures.figures(finds, ways, seed=1)
    assert (told["recall@1"], told["recall@3"], told["recall@5"]) == (0.25, 0.75, 0.75)
    assert told["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 6) / 4, abs=1e-4)
    assert told == measures.figures(finds, ways, seed=1)
    assert measures.best_possible(ways, seed=1)["mrr"] == pytest.approx((1 + 1 + 1 / 2 + 1) / 4, abs=1e-4)


def test_intervals_hold_what_other_flags_would_give() -> None:
    """Of 100 samples of flags out of a world where each pair is found by a coin, 95 % hold the truth, or nearly."""
    rng = np.random.default_rng(3)
    held = 0
    for seed in range(100):
        pairs = [(f"a{i}", f"b{i}") for i in range(40)]
        ways = [way for a, b in pairs for way in ((a, b), (b, a))]
        ranks = [1 if found else 9 for found in rng.random(40) < 0.5 for _ in range(2)]
        low, high = measures.summed(ranks, ways, seed)["intervals"]["recall@3"]
        held += low <= 0.5 <= high
    assert held >= 90
    assert measures.summed(ranks, ways, 1) != measures.summed(ranks, ways, 2)


def test_intervals_of_what_all_or_none_found() -> None:
    """Rounds agree there: the exact bound, of the pairs that share no flag (Clopper and Pearson)."""
    one, star, apart = [("a", "b"), ("b", "a")], [("a", "b"), ("a", "c"), ("a", "d")], [("a", "b"), ("c", "d")]
    for ways, pairs in ((one, 1), (star, 1), (apart, 2)):
        least = round(0.025 ** (1 / pairs), 4)
        assert measures.summed([1] * len(ways), ways, 1)["intervals"]["mrr"] == [least, 1]
        assert measures.summed([9] * len(ways), ways, 1)["intervals"]["recall@5"] == [0, round(1 - least, 4)]
    assert measures.summed([1, 9], one, 1)["intervals"]["recall@1"] == [0.0125, 0.9875]


@pytest.mark.parametrize(("pairs", "surely"), [(1, False), (5, False), (6, True)])
def test_a_model_is_not_surely_worse_by_a_pair(pairs: int, surely: bool) -> None:
    """As a sign test has it: of fewer than six pairs, all won, not."""
    ways = [(f"a{i}", f"b{i}") for i in range(pairs)]
    finds = [{a: measures.Found({b: 0.5, **dict.fromkeys("xyz", other)}) for a, b in ways} for other in (0.1, 0.9)]
    told = measures.behind(finds[1], finds[0], ways, seed=1)
    assert told["recall@3"] == 1
    assert (told["interval"][0] > 0) is surely
    low, high = measures.behind(dict(finds[0]), finds[0], ways, seed=1)["interval"]
    assert low == -high < 0, "another model that finds the same may yet differ"


def test_models_are_compared_pair_by_pair() -> None:
    """Two models that differ on a fifth of the pairs: surely, though the intervals of both overlap."""
    ways = [way for i in range(40) for way in ((f"a{i}", f"b{i}"), (f"b{i}", f"a{i}"))]
    finds = [
        {a: measures.Found({b: 0.5, **dict.fromkeys("xyz", 0.9 if int(a[1:]) % 5 < wrong else 0.1)}) for a, b in ways}
        for wrong in (2, 3)
    ]
    better, worse = (measures.figures(each, ways, seed=1) for each in finds)
    assert (better["recall@3"], worse["recall@3"]) == (0.6, 0.4)
    assert better["intervals"]["recall@3"][0] < worse["intervals"]["recall@3"][1]
    told = measures.behind(finds[1], finds[0], ways, seed=1)
    assert told["recall@3"] == 0.2
    assert 0 < told["interval"][0] < 0.2 < told["interval"][1] < 0.5
    assert measures.behind(finds[0], finds[0], ways, seed=1) == {"recall@3": 0, "interval": [0, 0]}


def test_a_blended_edge_is_no_colour() -> None:
    """White and blue stripes, drawn small: light blue lies between them, and covers nothing."""
    tall = Image.new("RGB", (32, 903), "white")
    for top in range(100, 900, 200):
        tall.paste("#0038a8", (0, top, 32, top + 100))
    out = io.BytesIO()
    tall.resize((300, 200), Image.Resampling.BILINEAR).save(out, "PNG")
    colours = palette.colour_map(out.getvalue())
    assert "light blue" in colours
    assert palette.palette(colours) == {"white", "blue"}


def test_groups_that_share_a_member_are_one() -> None:
    assert sorted(map(sorted, folder_.merged([["a", "b"], ["c"], ["d"], ["c", "d"], ["d", "b"], []]))) == [list("abcd")]


@pytest.mark.parametrize(
    "name", ["CI", "civ.PNG", "Ivory Coast", "flags/Flag_of_Ivory_Coast.svg.png", "320px-Flag_of_Côte_d'Ivoire.svg.png",
             "cote-d-ivoire.gif", "Ivory-Coast-flag.jpg", "the Ivory Coast"],
)  # fmt: skip
def test_names_lead_to_one_country(name: str) -> None:
    countries = names.Countries()
    countries.add("CI", "Ivory Coast", "Côte d'Ivoire", "CIV")
    assert countries.of_file(name) == "CI"
    assert countries.name("CI") == "Ivory Coast"


def test_names_that_nobody_knows() -> None:
    countries = names.Countries()
    countries.add("GW", "Guinea-Bissau")
    assert countries.of_file("Guinea.png") == "Guinea"
    assert countries.code("St. Kitts") == countries.of_file("st_kitts.png") == "St. Kitts"
    assert countries.of_file("日本.png") == "日本"
    assert countries.of_file("???.png") == "???"


def test_benchmark(flags: Path, tmp_path: Path) -> None:
    for ours, theirs in {"same": "identical_groups", "names": "flags"}.items():
        (tmp_path / f"{ours}.csv").rename(tmp_path / f"{theirs}.csv")
    script, out = ROOT / "benchmarks" / "flags" / "study.py", tmp_path / "out.json"
    done = run_command(sys.executable, script, "--flags", tmp_path, "--models", "layout,phash", "--out", out)
    assert done.code == 0, done.err
    record = json.loads(out.read_text())
    assert record["machine"]["cores"] > 0
    assert (record["seed"], record["drawings"]) == (7, 11)
    assert list(record["models"]) == ["layout", "phash"]
    assert record["models"]["layout"]["nine_tests"]["Chad, Romania"] is True
    assert record["models"]["layout"]["nine_tests"]["Norway, Iceland"] is None


# -- real flags --------------------------------------------------------------------------------------------------


def test_real_flags(study: Study, shared: Path) -> None:
    """The figures, and once more from the vectors alone, without the study's code."""
    place = shared / "data" / "flags"
    lists = ("--pairs", place / "pairs.csv", "--same", place / "identical_groups.csv", "--names", place / "flags.csv")
    done = study(place, *lists, "--model", "layout", "--json")
    assert (done.code, done.err) == (0, "")
    told = done.json
    assert (told["files"], told["drawings"], told["pairs"]) == (255, 239, 91)
    found = told["models"]["layout"]
    assert found["nine_tests_top3"] >= 8
    assert found["recall@3"] > 0.5
    assert found["relations"]["different"]["recall@3"] < 0.1
    assert set(found["relations"]) == {row["relation"] for row in rows(place / "pairs.csv")}
    recall, mrr, passed = by_hand(place)
    assert found["recall@3"] == pytest.approx(recall, abs=0.012)  # vectors of half precision here, of float32 there
    assert found["mrr"] == pytest.approx(mrr, abs=0.01)
    assert found["nine_tests_top3"] == passed


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def by_hand(place: Path) -> tuple[float, float, int]:
    """recall@3, MRR and tests passed of `layout`."""
    table: Any = module("dataframe").features(str(place), "layout").set_index("country")
    called = {code: group["iso2_members"].split()[0] for group in rows(place / "identical_groups.csv")
              for code in group["iso2_members"].split()}  # fmt: skip
    codes = sorted({called.get(code.upper(), code.upper()) for code in table.index})
    vectors = np.stack([table.loc[code.lower(), "features"] for code in codes])
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)

    def rank(a: str, b: str) -> int:
        row = cosines[codes.index(called.get(a, a))]
        return int((row >= row[codes.index(called.get(b, b))]).sum())

    pairs = [
        (row["iso2_a"], row["iso2_b"])
        for row in rows(place / "pairs.csv")
        if row["expect_similar"] == "yes"
        and called.get(row["iso2_a"], row["iso2_a"]) != called.get(row["iso2_b"], row["iso2_b"])
    ]
    ranks = np.array([rank(*way) for pair in pairs for way in (pair, pair[::-1])])
    tests = ["TD RO", "SN ML", "ID MC", "AU NZ", "IE CI", "NO IS", "VE EC CO", "LU NL", "SI RU SK"]
    passed = sum(all(min(rank(a, b), rank(b, a)) <= 3 for a, b in combinations(test.split(), 2)) for test in tests)
    return float((ranks <= 3).mean()), float((1 / ranks).mean()), passed
