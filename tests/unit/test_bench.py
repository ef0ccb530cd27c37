"""The benchmark of a user's own folder: its plan, its entries, and a whole run."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike.bench import answers
from lookalike.bench.copies import GRADES, OPERATORS, combine, make
from lookalike.bench.datasets import READERS
from lookalike.bench.entries import Entry
from lookalike.bench.folder_run import bench
from lookalike.bench.plan import plan
from lookalike.bench.whitening import Whitening
from lookalike.embedding import embed_pictures
from lookalike.errors import ModelUnavailable, UsageError
from lookalike.metrics import normalised
from lookalike.types import Backbone, Picture, Vectors
from tests.conftest import ROOT

NAMES = [f"{i:03d}.jpg" for i in range(400)]


@pytest.fixture(scope="module")
def tiles(photo_pixels: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real photos cut into 56 pictures of which no two overlap, one of them twice, and a file that is none."""
    folder = tmp_path_factory.mktemp("tiles")
    for name, pixels in photo_pixels.items():
        height, width = pixels.shape[0] // 2, pixels.shape[1] // 4
        for i in range(8):
            top, left = (i // 4) * height, (i % 4) * width
            if i < 7:
                part = Image.fromarray(pixels[top : top + height, left : left + width])
                part.resize((2 * width, 2 * height)).save(folder / f"{name}-{i}.jpg", quality=92)
    with Image.open(folder / "cat-0.jpg") as cat:
        cat.resize((cat.width - 8, cat.height - 8)).save(folder / "cat-0 again.jpg", quality=80)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return folder


# -- the plan --------------------------------------------------------------------------------------------------------


def test_parts_are_disjoint() -> None:
    dealt = plan(NAMES, 1, 100)
    negatives = {str(query.original) for query in dealt.queries if query.truth is None}
    parts = [set(dealt.gallery), set(dealt.fitting), set(dealt.backgrounds), negatives]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(NAMES)
    assert all(query.truth in parts[0] and query.truth == query.original for query in dealt.queries if query.truth)
    assert len(negatives) == 25
    assert len([query for query in dealt.queries if query.truth]) == 300


def test_every_operator_in_every_grade() -> None:
    dealt = plan(NAMES, 1, 150)
    cells = Counter((edits.operator, edits.grade) for query in dealt.queries if query.truth and (edits := query.edits))
    assert set(cells) == {(operator, grade) for operator in OPERATORS for grade in GRADES}
    assert max(cells.values()) - min(cells.values()) <= 1
    assert len({query.edits.seed for query in dealt.queries if query.edits}) == len(dealt.queries)


def test_the_seed_decides() -> None:
    assert plan(NAMES, 1, 50) == plan(NAMES[::-1], 1, 50)
    assert plan(NAMES, 1, 50) != plan(NAMES, 2, 50)


def test_a_small_folder_gives_what_it_has() -> None:
    dealt = plan(NAMES[:30], 1, 200)
    assert len({query.original for query in dealt.queries if query.truth}) == len(dealt.gallery) >= 15
    with pytest.raises(UsageError, match="29 different images: a benchmark needs 30"):
        plan(NAMES[:29], 1, 200)


def test_the_page_on_benchmarks_names_them_all() -> None:
    page = (ROOT / "docs" / "bench.md").read_text(encoding="utf-8")
    listed = re.search(r"Operators: ([^.]*)\.", page)
    assert listed and [name.strip() for name in listed[1].split(",")] == list(OPERATORS)
    assert all(f"`{name}`" in page for name in READERS)
    for entry in re.findall(r"^\| `(\S+)` \|", page.partition("## What can be compared")[2].partition("##")[0], re.M):
        assert Entry.parse(entry.replace("\\|", "|"))


# -- entries ---------------------------------------------------------------------------------------------------------


def test_entries() -> None:
    assert Entry.parse("sift") == Entry("sift", ("sift",))
    assert Entry.parse("vit-tiny+sift").models == ("vit-tiny", "sift")
    assert Entry.parse("a|whiten:512").whiten == 512
    full = Entry.parse("a+b|mirror|crops|verify:20:orb")
    assert (full.mirror, full.crops, full.verify, full.method) == (True, True, 20, "orb")
    assert Entry.parse("a|verify").verify == 50
    for wrong in ("", "a++b", "a|", "a|whiten", "a|whiten:0", "a|verify:5:none", "a|polish"):
        with pytest.raises(UsageError, match="^" + re.escape(f"{wrong!r}: ")):
            Entry.parse(wrong)


def test_a_model_folder_may_have_the_signs_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("c++", "a+b|mirror", "plain"):
        (tmp_path / name).mkdir()
    assert Entry.parse("./c++").models == ("./c++",)
    assert Entry.parse("./c+++sift|verify").models == ("./c++", "sift")
    both = Entry.parse("sift+./a+b|mirror|whiten:8")
    assert (both.models, both.mirror, both.whiten) == (("sift", "./a+b|mirror"), False, 8)
    assert Entry.parse("./plain|mirror") == Entry("./plain|mirror", ("./plain",), mirror=True)


# -- whitening -------------------------------------------------------------------------------------------------------


def test_whitened_vectors_vary_alike_in_all_directions() -> None:
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(16, 16)) * np.linspace(5, 0.5, 16)[:, None]
    vectors = normalised((rng.normal(size=(4000, 16)) @ basis + 3).astype(np.float32))
    whiten = Whitening.fit(vectors[:2000], 8)
    found = whiten(vectors[2000:])
    assert found.shape == (2000, 8)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(2000), abs=1e-5)
    before = np.linalg.eigvalsh(np.cov(vectors[2000:].T))
    after = np.linalg.eigvalsh(np.cov(found.T))
    assert after.max() / after.min() < 3 < before[-1] / before[-8]


def test_no_more_directions_than_pictures_tell() -> None:
    vectors = normalised(np.random.default_rng(0).normal(size=(10, 64)).astype(np.float32))
    assert Whitening.fit(vectors, 512)(vectors).shape == (10, 9)
    flat = np.tile(vectors[:1], (10, 1))
    assert np.isfinite(Whitening.fit(flat, 4)(vectors)).all()


# -- a whole run -----------------------------------------------------------------------------------------------------


def test_a_whole_run_and_once_more(tiles: Path, tmp_path: Path) -> None:
    models = ["color", "phash", "color+hog", "hog|mirror", "color|whiten:16", "color|verify:5"]
    stages: dict[str, None] = {}
    report = bench(tiles, models, originals=15, into=tmp_path / "b", progress=lambda what, *_: stages.setdefault(what))
    asking = [f"asking ({entry}), {i} of 6" for i, entry in enumerate(models, 1)]
    assert [stage for stage in stages if stage.startswith("asking")] == asking
    facts = report.facts
    assert (facts["images"], facts["unreadable"], facts["near_duplicates"]) == (57, 1, 1)
    assert [result.model for result in report.results] == models
    assert facts["queries"] == len(report.dataset.queries) == 45 + facts["negatives"]
    told = json.loads(json.dumps(report.to_json()))
    by_name = {row["model"]: row for row in told["rows"]}
    assert by_name["color"]["images_per_second"] > 0
    assert by_name["color|whiten:16"]["bytes_per_vector"] == 2 * (facts["fitting"] - 1) == 20, "so few tell no more"
    assert by_name["color|whiten:16"]["note"].startswith("whitened to 10 dimensions")
    assert by_name["color"]["note"] is None
    for row in told["rows"]:
        for measure in ("accuracy@1", "accuracy@3", "uap", "recall@p90"):
            assert 0 <= row[measure]["low"] <= row[measure]["value"] <= row[measure]["high"] <= 1
    assert by_name["color|verify:5"]["uap"]["value"] > by_name["color"]["uap"]["value"]
    assert by_name["color+hog"]["accuracy@1"]["value"] > by_name["phash"]["accuracy@1"]["value"]

    (speeds,) = (tmp_path / "b").rglob("speeds.json")
    counts = [count for count, _ in json.loads(speeds.read_text()).values()]
    assert counts == [facts["gallery"]] * 3, "of the files themselves, each once by each model"
    assert facts["images_per_second"].startswith(f"of {facts['gallery']} files of the folder, half of them of 0.0")

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "b").rglob("*.jpg")}
    again = bench(tiles, models, originals=15, into=tmp_path / "b")
    assert again.results == report.results
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "b").rglob("*.jpg")} == before, "nothing made twice"


def test_views_are_embedded_once_whoever_asks(tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(backbone: Backbone, pictures: Sequence[Picture]) -> Vectors:
        made.append(len(pictures))
        return embed_pictures(backbone, pictures)

    monkeypatch.setattr(answers, "embed_pictures", counted)
    first = bench(tiles, ["color|mirror"], originals=8, into=tmp_path / "b")
    assert made == [1] * len(first.dataset.queries)
    entries = ["color|mirror", "color|mirror|whiten:4", "color|mirror|verify:2", "color+hog|mirror"]
    report = bench(tiles, entries, originals=8, into=tmp_path / "b")
    assert made == [1] * 2 * len(first.dataset.queries), "of hog alone"
    assert report.results[0] == first.results[0]
    for path in (tmp_path / "b").rglob("views-*"):
        path.write_bytes(path.read_bytes()[:-2])
    for path in (tmp_path / "b").rglob("answers-*"):
        path.unlink()
    again = bench(tiles, entries, originals=8, into=tmp_path / "b")
    assert len(made) == 4 * len(first.dataset.queries), "what is damaged is made anew"
    for a, b in zip(again.results, report.results, strict=True):
        assert a.rankings == b.rankings, "kept or made, they are the same"


def test_an_interrupted_verification_goes_on(tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "PART", 5)
    entry = "hog|mirror|verify:3"
    asked: list[int] = []

    def note(what: str, done: int, total: int | None) -> None:
        if what.startswith("asking"):
            asked.append(done)

    def stop(what: str, done: int, total: int | None) -> None:
        note(what, done, total)
        if asked[-1:] == [13]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench(tiles, [entry], originals=8, into=tmp_path / "b", progress=stop)
    assert asked == list(range(1, 14))
    on = bench(tiles, [entry], originals=8, into=tmp_path / "b", progress=note)
    assert asked[13:] == list(range(11, len(on.dataset.queries) + 1)), "two parts were kept"
    whole = bench(tiles, [entry], originals=8, into=tmp_path / "c")
    assert on.results[0].rankings == whole.results[0].rankings
    assert on.results[0].ms_per_query and whole.results[0].ms_per_query
    assert list((tmp_path / "b").rglob("part-*")) == []


def test_the_same_seed_gives_the_same_copies(tiles: Path, tmp_path: Path) -> None:
    copies = []
    for name in ("one", "two"):
        report = bench(tiles, ["phash"], originals=8, seed=3, into=tmp_path / name)
        copies.append({query.id: query.path.read_bytes() for query in report.dataset.queries})
    assert copies[0] == copies[1]
    other = bench(tiles, ["phash"], originals=8, seed=4, into=tmp_path / "one")
    assert [query.edits for query in other.dataset.queries] != [query.edits for query in report.dataset.queries]


def test_vectors_of_the_folder_s_own_collection_are_taken(tiles: Path, tmp_path: Path) -> None:
    lookalike.open(tiles).add(models=["hog"])
    bench(tiles, ["hog"], originals=8)
    kept = lookalike.open(tiles, into=tiles / ".lookalike" / "bench" / "photos")
    assert kept.models == ["phash", "dhash"], "hog was there already"
    assert lookalike.open(tiles).models == ["hog"], "and the user's collection is as it was"


def test_two_folders_may_share_a_place(tiles: Path, tmp_path: Path) -> None:
    folder, place = tmp_path / "fewer", tmp_path / "b"
    shutil.copytree(tiles, folder, ignore=shutil.ignore_patterns("cat-*", ".lookalike"))
    (place / "queries-7-notes").mkdir(parents=True)  # the user's own
    bench(tiles, ["phash"], originals=8, into=place)
    shared = bench(folder, ["phash"], originals=8, into=place)
    alone = bench(folder, ["phash"], originals=8, into=tmp_path / "c")
    assert [query.edits for query in shared.dataset.queries] == [query.edits for query in alone.dataset.queries]
    assert shared.results[0].rankings == alone.results[0].rankings
    assert (place / "queries-7-notes").is_dir()


def test_answers_of_pictures_that_changed_are_not_kept(tiles: Path, tmp_path: Path) -> None:
    folder, place = tmp_path / "tiles", tmp_path / "b"
    shutil.copytree(tiles, folder, ignore=shutil.ignore_patterns(".lookalike"))
    entries = ["color", "color|whiten:999"]
    before = bench(folder, entries, originals=8, into=place)
    plain, whitened = before.results
    assert plain.bytes_per_vector and whitened.bytes_per_vector
    assert whitened.bytes_per_vector == 2 * (before.facts["fitting"] - 1) < plain.bytes_per_vector
    asked = {query.original for query in before.dataset.queries}
    idle = next(name for name, _ in next(iter(plain.rankings.values())) if name not in asked)
    with Image.open(folder / idle) as picture:
        picture.rotate(90, expand=True).save(folder / idle, quality=92)
    after = bench(folder, entries, originals=8, into=place)
    assert after.dataset.queries == before.dataset.queries
    assert after.results[0].rankings == bench(folder, entries, originals=8, into=tmp_path / "c").results[0].rankings
    assert after.results[0].rankings != plain.rankings


def test_what_cannot_verify_is_told_before_all_the_work(
    tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKALIKE_MODELS", str(tmp_path / "models"))
    with pytest.raises(ModelUnavailable, match=r"lookalike models add FILE\.onnx --like xfeat"):
        bench(tiles, ["phash|verify:5:xfeat"], into=tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_folder_of_near_duplicates_only(photo_pixels: dict[str, np.ndarray], tmp_path: Path) -> None:
    folder = tmp_path / "burst"
    folder.mkdir()
    for i in range(40):
        Image.fromarray(photo_pixels["cat"][i // 4 :, i % 4 :]).save(folder / f"{i}.jpg", quality=60 + i)
    with pytest.raises(UsageError, match=r"^1 different image "):
        bench(folder, ["phash"], into=tmp_path / "b")


def test_harder_grades_are_edited_more_than_once(tiles: Path) -> None:
    dealt = plan(NAMES, 1, 150)
    for query in dealt.queries:
        edits = query.edits
        assert edits is not None
        assert edits.steps[0] == (edits.operator, edits.grade)
        assert [grade for _, grade in edits.steps] == {
            "mild": ["mild"],
            "medium": ["medium", "mild"],
            "hard": ["hard", "mild", "medium"],
        }[edits.grade]
        assert len({operator for operator, _ in edits.steps}) == len(edits.steps)


def test_several_edits_and_where_they_put_a_point(photo_pixels: dict[str, np.ndarray]) -> None:
    pixels = photo_pixels["astronaut"]
    copy = combine(pixels, [("grey", "mild"), ("crop", "medium"), ("flip", "mild")], seed=5)
    cropped = make(pixels, "crop", "medium", 5)
    flipped = make(cropped.pixels, "flip", "mild", 5)
    assert (copy.operator, copy.grade) == ("grey", "mild")
    assert copy.transform == pytest.approx(flipped.transform @ cropped.transform)
    assert (copy.pixels == make(flipped.pixels, "grey", "mild", 5).pixels).all()
    with pytest.raises(ValueError, match="no steps"):
        combine(pixels, [], seed=1)
