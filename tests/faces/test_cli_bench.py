"""lookalike bench, of a folder and of published data sets, as a user meets it."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike.bench import answers, described, protocols
from lookalike.bench.dataset_run import DatasetRun, thinned
from lookalike.bench.datasets import read, read_descriptors, read_predictions, write_descriptors
from lookalike.bench.linked import link_files
from lookalike.calibration import MOST_CERTAIN
from lookalike.cli import group
from lookalike.errors import LookalikeError
from lookalike.types import Evidence, Hit, ImageRef
from tests.conftest import COMMAND, Result
from tests.faces import dataset_folders

Cli = Callable[..., Result]
Photos = dict[str, np.ndarray]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process: for the many cases that need none of their own."""

    def run(*words: str | Path) -> Result:
        capsys.readouterr()
        try:
            code = group.main([os.fspath(word) for word in words], "lookalike", standalone_mode=False)
        except LookalikeError as error:
            capsys.readouterr()
            return Result(2, "", f"lookalike: {error}\n")
        return Result(code or 0, *capsys.readouterr())

    return run


def told(result: Result, *parts: str) -> None:
    """The one line that a user is told, and nothing else."""
    assert (result.code, result.out) == (2, ""), result
    (line,) = result.err.splitlines()
    assert line.startswith("lookalike: ")
    assert all(part in line for part in parts), line


# -- a folder ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def album(photo_pixels: Photos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset_folders.album(tmp_path_factory.mktemp("album"), photo_pixels)


def test_a_folder_with_all_its_reports(album: Path, tmp_path: Path, lookalike_cli: Cli) -> None:
    outs = [tmp_path / f"report.{ending}" for ending in ("html", "md", "json")]
    words = ["--originals", "8", "--into", tmp_path / "b", "--model", "color", "--model", "phash"]
    result = lookalike_cli("bench", album, *words, "--json", *(word for out in outs for word in ("--out", out)))
    assert result.code == 0, result.err
    found = result.json
    assert set(found) == {
        *("rows", "pairs", "recommendation", "machine", "versions", "seed"),
        *("dataset", "headline", "folder", "facts", "warnings", "queries", "answers", "values", "pool"),
    }
    assert {row["model"] for row in found["rows"]} == {"color", "phash"}
    for row in found["rows"]:
        assert {"accuracy@1", "accuracy@3", "uap", "recall@p90", "by_grade", "by_operator"} < set(row)
        assert row["images_per_second"] > 0
    assert found["seed"] == 7
    (pair,) = found["pairs"]
    assert pair["both"] + pair["neither"] + pair["only_a"] + pair["only_b"] == 24
    assert result.err.splitlines() == [f"Report: {out}" for out in outs]
    assert json.loads(outs[2].read_text()) == found
    assert outs[1].read_text().startswith("# Benchmark: copies\n")
    page = outs[0].read_text()
    assert page.startswith("<!doctype html>")
    assert "data:image/jpeg;base64," in page

    again = lookalike_cli("bench", album, *words)
    told_first, told_again = (
        re.split(r"\n## Data\n(?:.*\n)*?## Machine\n", text) for text in (outs[1].read_text(), again.out)
    )
    assert told_again == told_first, "all but the seconds that it took"
    assert len(told_again) == 2
    assert "\n| color | " in again.out
    assert "\ufffd" not in again.out


def test_too_few_images(photos: Path, lookalike_cli: Cli) -> None:
    told(lookalike_cli("bench", photos, "--model", "phash"), "different images", "30 at the very least")


def test_near_duplicates_only(photo_pixels: Photos, tmp_path: Path, cli: Cli) -> None:
    for i in range(32):
        image = Image.fromarray(photo_pixels["cat"][i // 4 :, i % 4 :])
        dataset_folders.save(image, tmp_path / "burst" / f"{i}.jpg", 60 + i)
    told(cli("bench", tmp_path / "burst", "--model", "phash"), "1 different image (left out: 31 near-duplicates)")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--model", "nonsense"], "nonsense"),
        (["--model", "color|polish"], "'polish' is no step"),
        (["--model", "color|verify:5:none"], "no local features are called 'none'"),
        (["--out", "report.pdf"], "--out report.pdf: name a file that ends in"),
        (["--out", "absent/report.md"], "absent/report.md: cannot be written: no such folder"),
        (["--distractors", "3"], "--distractors goes with --dataset"),
        (["--dataset", "coco", "--root", "."], "not both"),
    ],
)
def test_what_a_folder_cannot_be_asked(album: Path, cli: Cli, words: list[str], why: str) -> None:
    told(cli("bench", album, *words), why)


def test_neither_a_folder_nor_a_data_set(tmp_path: Path, cli: Cli) -> None:
    told(cli("bench"), "name a FOLDER")
    told(cli("bench", tmp_path / "nowhere"), "no such folder")
    told(cli("bench", "--dataset", "coco"), "--root")
    told(cli("bench", "--dataset", "copydays", "--root", tmp_path), "no folder of originals")


def test_names_in_errors_cannot_play_with_the_terminal(lookalike_cli: Cli) -> None:
    name = "red\x1b[31m, a\rline, \u202egpj.exe, \udcff"
    told(lookalike_cli("bench", name), r"red\x1b[31m, a\rline, \u202egpj.exe, \udcff: no such folder")


def test_unreadable_images_of_a_folder_are_counted(album: Path, tmp_path: Path, cli: Cli) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(album, folder, ignore=shutil.ignore_patterns(".*"))
    (folder / "damaged.jpg").write_bytes(b"no picture")
    for _ in range(2):
        result = cli("bench", folder, "--model", "color", "--originals", "5", "--json")
        assert result.json["facts"]["unreadable"] == 1
        assert result.json["warnings"] == ["1 unreadable image left out, such as damaged.jpg"]
        assert "photos: 1 unreadable image left out, such as damaged.jpg\n" in result.err


WAITING = """
import os
import time

import lookalike


@lookalike.model("waiting", dim=3, size=(8, 8))
def waiting(pixels):
    open(os.environ["ASKED"], "w").close()
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)
    return pixels.mean(axis=(1, 2)) + 1
"""
"""A model that waits until it may go on."""


@pytest.mark.parametrize("kind", ["folder", "dataset"])
def test_ctrl_c_and_on_again(album: Path, photo_pixels: Photos, tmp_path: Path, kind: str) -> None:
    info = tmp_path / "plugins" / "waiting-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: waiting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lookalike.models]\nwaiting = waiting\n")
    (info.parent / "waiting.py").write_text(WAITING)
    gate, asked = tmp_path / "gate", tmp_path / "asked"
    environment = {**os.environ, "PYTHONPATH": str(info.parent), "GATE": str(gate), "ASKED": str(asked)}
    what: list[str | Path] = [album, "--originals", "5"]
    if kind == "dataset":
        what = ["--dataset", "labelled", "--root", dataset_folders.classes(tmp_path / "c", photo_pixels)]
    words = ["bench", *what, "--into", tmp_path / "b", "--model", "color", "--model", "waiting", "--workers", "1"]
    process = subprocess.Popen(
        [COMMAND, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not asked.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    gate.touch()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert (output, errors.decode()) == (b"", "interrupted: what was done is kept, run it again to go on\n")
    on = subprocess.run([COMMAND, *words, "--json"], capture_output=True, env=environment, timeout=60, check=True)
    assert {row["model"] for row in json.loads(on.stdout)["rows"]} == {"color", "waiting"}


# -- DISC21 ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def disc21(photo_pixels: Photos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset_folders.disc21(tmp_path_factory.mktemp("disc21"), photo_pixels)


def test_what_cannot_verify_is_told_before_all_the_work(
    disc21: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKALIKE_MODELS", str(tmp_path / "models"))
    where = ("bench", "--dataset", "disc21", "--root", disc21, "--into", tmp_path / "b")
    told(cli(*where, "--model", "phash|verify:5:xfeat"), "lookalike models add FILE.onnx --like xfeat")
    assert not (tmp_path / "b").exists()


def test_disc21_its_predictions_and_descriptors(disc21: Path, tmp_path: Path, cli: Cli) -> None:
    csv, hdf5, page = tmp_path / "p.csv", tmp_path / "d.hdf5", tmp_path / "page.html"
    where = ("bench", "--dataset", "disc21", "--root", disc21, "--into", tmp_path / "b")
    result = cli(*where, "--model", "hog|whiten:8", "--predictions", csv, "--descriptors", hdf5, "--json")
    assert result.code == 0, result.err
    found = result.json
    assert set(found) == {
        *("dataset", "headline", "folder", "rows", "pairs", "recommendation", "warnings", "machine", "versions"),
        *("seed", "facts", "queries", "answers", "values", "pool"),
    }
    assert found["queries"][1] == {"id": "Q00001", "original": "R000001", "truths": ["R000001"], "labels": []}
    assert len(found["answers"]["hog|whiten:8"]["Q00001"]) == 5
    (row,) = found["rows"]
    for measure in ("accuracy@1", "accuracy@3", "uap", "recall@p90"):
        assert 0 <= row[measure]["low"] <= row[measure]["value"] <= row[measure]["high"] <= 1
    assert row["bytes_per_vector"] == 16
    assert row["images_per_second"] > 0
    assert (found["facts"]["gallery"], found["facts"]["queries"], found["facts"]["with_match"]) == (16, 8, 6)

    data = read("disc21", disc21)
    assert protocols.judge(data, read_predictions(csv, data)).figures["uap"] == row["uap"]["value"]
    names, vectors = read_descriptors(hdf5)
    assert names == [query.id for query in data.queries] + list(data.gallery)
    assert vectors.shape == (24, 8)
    by_name = dict(zip(names, vectors, strict=True))
    for query, ranking in read_predictions(csv, data).items():
        for name, score in ranking:
            assert by_name[query] @ by_name[name] == pytest.approx(score, abs=1e-5)

    judged = cli(*where, "--predictions-in", csv, "--json").json
    assert judged["rows"][0]["model"] == "p.csv"
    assert judged["rows"][0]["uap"] == row["uap"]
    assert judged["rows"][0]["images_per_second"] is None
    beside = cli(*where, "--predictions-in", csv, "--model", "color", "--json", "--out", page).json
    assert {row["model"] for row in beside["rows"]} == {"p.csv", "color"}
    (pair,) = beside["pairs"]
    assert sorted(id_ for ids in pair["queries"].values() for id_ in ids) == [f"Q{i:05d}" for i in range(6)]
    assert all(len(ids) == pair[name] for name, ids in pair["queries"].items())
    assert page.read_text().startswith("<!doctype html>")
    assert "data:image/jpeg;base64," in page.read_text()


def test_descriptors_are_judged(disc21: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit vectors rank as their cosines do: what was written is judged as the entry that wrote it."""
    whole, parts = tmp_path / "d.hdf5", [tmp_path / "q.hdf5", tmp_path / "r.hdf5"]
    where = ("bench", "--dataset", "disc21", "--root", disc21, "--into", tmp_path / "b")
    (own,) = cli(*where, "--model", "hog", "--descriptors", whole, "--json").json["rows"]
    names, vectors = read_descriptors(whole)
    write_descriptors(parts[0], [f"{name}.jpg" for name in names[:8]], vectors[:8])
    write_descriptors(parts[1], names[8:], vectors[8:])
    measures = ("accuracy@1", "accuracy@3", "uap", "recall@p90")
    for files in ([whole], parts):
        report = cli(*where, *(word for file in files for word in ("--descriptors-in", file)), "--json").json
        (row,) = report["rows"]
        assert {measure: row[measure] for measure in measures} == {measure: own[measure] for measure in measures}
        assert row["model"] == " and ".join(file.name for file in files)
        assert row["bytes_per_vector"] == 4 * vectors.shape[1]
        assert ("the challenge allows 256" in (row["note"] or "")) == (vectors.shape[1] > 256)

    # Of all pairs, worked out the long way, the best few of all queries together; accuracy takes each query's own.
    data = read("disc21", disc21)
    scaled = vectors * np.linspace(0.5, 2, len(vectors))[:, None]
    write_descriptors(whole, names, scaled.astype(np.float32))
    by_name = dict(zip(names, scaled, strict=True))
    pairs = sorted(
        (float(((by_name[query.id] - by_name[name]) ** 2).sum()), query.id, name)
        for query in data.queries
        for name in data.gallery
    )
    monkeypatch.setattr(described, "CAP", 10)
    monkeypatch.setattr(described, "_ROWS", 3)
    rankings, dim = described.describe([whole], replace(data, depth=1))
    assert dim == vectors.shape[1]
    found = {(id_, name): -score for id_, ranking in rankings.items() for name, score in ranking}
    first = {query.id: next((id_, name) for _, id_, name in pairs if id_ == query.id) for query in data.queries}
    assert found.keys() == {(id_, name) for _, id_, name in pairs[:10]} | set(first.values())
    assert [found[id_, name] for _, id_, name in pairs[:10]] == pytest.approx(
        [far for far, _, _ in pairs[:10]], abs=1e-4
    )


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ([["Q00000", "R000000", "X1"]], "0.hdf5: disc21 asks for no query and has no reference 'X1' (1 such name)"),
        ([["Q00000", "R000000"]], "0.hdf5: no vector of 'Q00001' (22 of 24 are missing)"),
        ([["Q00000"], ["R000000", "Q00000"]], "1.hdf5: 'Q00000' has a vector in another file, too"),
        (
            [["Q00000"], ["R000000", "R000001", "R000002"]],
            "1.hdf5: its vectors have 3 dimensions, those of another file 1",
        ),
        ([["Q00000", "Q00000"]], "0.hdf5: `image_names` has 'Q00000' twice"),
        ([], "absent.hdf5: no such file"),
    ],
)
def test_descriptors_that_cannot_be_judged(
    disc21: Path, tmp_path: Path, cli: Cli, files: list[list[str]], why: str
) -> None:
    paths = [tmp_path / f"{i}.hdf5" for i in range(len(files))]
    for path, names in zip(paths, files, strict=True):
        write_descriptors(path, names, np.eye(len(names), dtype=np.float32))
    words = [word for path in paths or [tmp_path / "absent.hdf5"] for word in ("--descriptors-in", path)]
    told(cli("bench", "--dataset", "disc21", "--root", disc21, "--into", tmp_path / "b", *words), why)
    assert not (tmp_path / "b").exists()


def test_disc21_article(disc21: Path, tmp_path: Path) -> None:
    data = read("disc21-article", disc21)
    models = ["color", "hog", "color+hog", "hog|mirror|crops", "color|verify:16"]
    report = DatasetRun(data, disc21, models, into=tmp_path / "b").report()
    rows = {row.model: row.measures for row in report.rows()}
    assert list(rows["hog"]) == ["accuracy@1", "accuracy@3"]
    assert rows["color|verify:16"]["accuracy@1"].value >= 5 / 6, "keypoints know these copies"
    assert min(measured["accuracy@1"].value for measured in rows.values()) > 1 / 16, "better than chance"
    assert len(report.pairs()) == 10
    for pair in report.pairs():
        assert pair.difference.value >= 0
        assert len({*pair.both, *pair.neither, *pair.only_a, *pair.only_b}) == 6

    calls: list[str] = []
    again = DatasetRun(data, disc21, models, into=tmp_path / "b", progress=lambda what, *_: calls.append(what)).report()
    assert again.results == report.results
    assert {call.partition(" ")[0] for call in calls} == {"scanning"}, "nothing is made twice"


def test_distractors(disc21: Path, tmp_path: Path) -> None:
    data = read("disc21-article", disc21)
    few = thinned(data, 3, seed=1)
    truths = {name for query in data.queries for name in query.truths}
    assert len(few.gallery) == 9
    assert truths < set(few.gallery) < set(data.gallery)
    assert thinned(data, 3, seed=1).gallery == few.gallery != thinned(data, 3, seed=2).gallery
    assert "3 of 10 others" in few.warnings[-1]
    assert "there are no 11" in thinned(data, 11, seed=1).warnings[-1]
    report = DatasetRun(few, disc21, ["color"], into=tmp_path / "b", gallery="few").report()
    named = {name for ranking in report.results[0].rankings.values() for name, _ in ranking}
    assert named == set(few.gallery)


def test_unreadable_images_are_counted(photo_pixels: Photos, tmp_path: Path, cli: Cli) -> None:
    root = dataset_folders.disc21(tmp_path / "d", photo_pixels)
    for broken in ("dev_queries/Q00000.jpg", "references/R000015.jpg"):
        (root / broken).write_bytes(b"\xff\xd8\xff nothing")
    for _ in range(2):  # the second time they are known already
        result = cli("bench", "--dataset", "disc21-article", "--root", root, "--model", "color", "--json")
        assert result.code == 0
        assert "1 unreadable image of the queries, counted as found nothing, such as Q00000" in result.err
        assert "1 unreadable image of the gallery, left out, such as R000015" in result.err
        assert result.json["rows"][0]["accuracy@1"]["value"] <= 5 / 6
        assert len(result.json["warnings"]) == 2
    for path in (root / "references").iterdir():
        path.write_bytes(b"\xff\xd8\xff nothing")
    result = cli("bench", "--dataset", "disc21-article", "--root", root, "--model", "color")
    told(result, "no image of the gallery of disc21-article can be read")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--predictions-in", "absent.csv"], "absent.csv: no such file"),
        (["--predictions", "p.csv", "--model", "color", "--model", "hog"], "name one --model"),
        (["--descriptors", "d.hdf5"], "name one --model"),
        (["--descriptors", "d.hdf5", "--model", "color+hog"], "they are one model's"),
        (["--descriptors", "references/R000000.jpg", "--model", "color"], "that is a picture's name"),
        (["--predictions", "references", "--model", "color"], "that is a folder"),
        (["--model", "nonsense"], "nonsense"),
    ],
)
def test_what_disc21_cannot_be_asked(
    disc21: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, words: list[str], why: str
) -> None:
    monkeypatch.chdir(disc21)
    told(cli("bench", "--dataset", "disc21", "--root", disc21, "--into", tmp_path / "b", *words), why)
    assert not (tmp_path / "b").exists(), "told before all the work"


def test_descriptors_without_their_library(
    disc21: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    where = ("bench", "--dataset", "disc21", "--root", disc21, "--into", tmp_path / "b")
    told(cli(*where, "--model", "color", "--descriptors", tmp_path / "d.hdf5"), "pip install 'lookalike[hdf5]'")
    assert not (tmp_path / "b").exists(), "told before all the work"


def test_predictions_with_unknown_ids(disc21: Path, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "p.csv").write_text("Q00001,R000001,0.5\nQ00001,R999999,0.5\n")
    result = cli("bench", "--dataset", "disc21", "--root", disc21, "--predictions-in", tmp_path / "p.csv")
    told(result, "p.csv, line 2", "no reference 'R999999'")


# -- the others --------------------------------------------------------------------------------------------------------


def test_class_folders(photo_pixels: Photos, tmp_path: Path, cli: Cli) -> None:
    root = dataset_folders.classes(tmp_path / "classes", photo_pixels)
    words = ("bench", "--dataset", "labelled", "--root", root, "--model", "color", "--model", "phash")
    page = tmp_path / "page.html"
    result = cli(*words, "--json", "--out", page)
    assert (result.code, result.err) == (0, f"Report: {page}\n")
    assert all(f'<details class="list" id="{kind}"' in page.read_text() for kind in ("only_a", "both"))
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text())[0])
    for query, match, *pictures in data["queries"]:
        assert query != match and query.partition("/")[0] == match.partition("/")[0]
        assert None not in pictures
    rows = {row["model"]: row for row in result.json["rows"]}
    assert rows["color"]["recall@1"]["value"] > 0.5 > rows["phash"]["recall@1"]["value"]
    assert rows["color"]["map@r"]["low"] < rows["color"]["map@r"]["value"] < rows["color"]["map@r"]["high"]
    # What the first run left in the folder is no class of the second.
    again = cli(*words)
    assert "48 queries, 48 images" in again.out
    assert "\n| color | " in again.out
    told(cli(*words, "--distractors", "5"), "labelled has none")
    told(cli(*words, "--predictions", "p.csv"), "of DISC21, not of labelled")
    told(cli(*words, "--model", "color|whiten:8"), "no training images")


def test_galleries_are_read_in_blocks(photo_pixels: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small these are, the answers are the same, and a query is none of its own."""
    root = dataset_folders.classes(tmp_path / "classes", photo_pixels)
    data, models = read("labelled", root), ["color", "color+hog", "hog|mirror"]
    whole = DatasetRun(data, root, models, into=tmp_path / "whole").report()
    monkeypatch.setattr(answers, "_ROWS", 7)
    monkeypatch.setattr(answers, "_QUERIES", 5)
    blocks = DatasetRun(data, root, models, into=tmp_path / "blocks").report()
    for a, b in zip(whole.results, blocks.results, strict=True):
        assert a.rankings.keys() == b.rankings.keys() == data.gallery.keys()
        for query, ranking in a.rankings.items():
            assert len(ranking) == len(b.rankings[query]) == data.depth
            assert query not in dict(ranking)
            assert [s for _, s in ranking] == pytest.approx([s for _, s in b.rankings[query]], abs=1e-6)
    # By the vectors themselves, of all images at once.
    refs, rows = lookalike.open(root, into=tmp_path / "whole" / "collection").vectors("color")
    gallery = [i for i, ref in enumerate(refs) if f"{os.sep}gallery{os.sep}" in ref.path]
    names = [os.path.relpath(refs[i].path, tmp_path / "whole" / "gallery") for i in gallery]
    for query, ranking in whole.results[0].rankings.items():
        cosines = rows[gallery] @ rows[gallery[names.index(query)]]
        cosines[names.index(query)] = -2
        best = np.sort(cosines)[::-1][: data.depth]
        assert [score for _, score in ranking] == pytest.approx(best, abs=1e-6)


STRANGE, NO_NUMBER = (
    f'{{"rankings": {{"cat/0.jpg": [["{name}", {score}]]}}, "bytes_per_vector": 1, "ms_per_query": 1}}'
    for name, score in (("elsewhere.jpg", 1), ("cat/1.jpg", "NaN"))
)


@pytest.mark.parametrize("damage", ["[]", "{}", STRANGE, NO_NUMBER])
def test_damaged_answers_are_worked_out_anew(photo_pixels: Photos, tmp_path: Path, damage: str) -> None:
    root = dataset_folders.classes(tmp_path / "classes", photo_pixels)
    data, place = read("labelled", root), tmp_path / "b"
    before = DatasetRun(data, root, ["color"], into=place).report()
    (kept,) = place.glob("answers-*.json")
    kept.write_text(damage)
    (place / "speeds.json").write_text('{"x": 3}')
    after = DatasetRun(data, root, ["color"], into=place).report()
    assert after.results[0].rankings == before.results[0].rankings
    assert after.results[0].images_per_second is None


def test_what_is_certain_is_told_apart_by_its_cosine() -> None:
    """Chances end at a highest one: a photo's copy and its neighbour may both have that."""

    def hit(cosine: float, chance: float | None) -> Hit:
        known = None if chance is None else Evidence("sift", chance=chance)
        return Hit(1, cosine, ImageRef("a", "a.jpg", 1, 1), known)

    highest = 1 / (1 + math.exp(-MOST_CERTAIN))
    order = [hit(0.9, highest), hit(0.8, highest), hit(0.95, 0.999), hit(0.3, 1e-9), hit(1.0, None), hit(-1.0, None)]
    scores = [answers._log_odds(each) for each in order]
    assert scores == sorted(scores, reverse=True)
    assert len({round(score, 9) for score in scores}) == len(order)


def test_copydays(photo_pixels: Photos, tmp_path: Path, cli: Cli) -> None:
    root = dataset_folders.copydays(tmp_path / "copydays", photo_pixels)
    page = tmp_path / "page.html"
    result = cli("bench", "--dataset", "copydays", "--root", root, "--model", "sift", "--json", "--out", page)
    assert result.code == 0, result.err
    assert "copydays: 8 originals and 8 strong copies: the official set has 157 and 229" in result.err
    assert "copydays: 8 distractors in the gallery" in result.err
    found = result.json
    assert set(found["values"]["sift"]) == {"map", "accuracy@1", "map/jpeg/3"}
    assert found["facts"]["gallery"] == 16
    assert found["rows"][0]["map"]["value"] > 0.5
    (answers,) = found["answers"].values()
    assert len(answers) == 16
    assert len([value for value in found["values"]["sift"]["map"] if value is not None]) == 8, "the strong ones alone"
    assert "mAP/jpeg/3" in page.read_text()


@pytest.mark.parametrize(
    ("name", "headline", "words"),
    [
        ("labelled", "recall@1", "finds an image of the same class first in"),
        ("coco", "shared@1", "finds an image with a category in common first in"),
        ("copydays", "map", "has a mean average precision (mAP) of"),
        ("roxford", "map/medium", "has a mean average precision (mAP/medium) of"),
        ("disc21", "accuracy@1", "finds the match first in"),
    ],
)
def test_each_data_set_has_a_page_and_says_what_it_rests_on(
    photo_pixels: Photos, tmp_path: Path, cli: Cli, name: str, headline: str, words: str
) -> None:
    make = {"labelled": dataset_folders.classes}.get(name) or getattr(dataset_folders, name)
    root, page = make(tmp_path / name, photo_pixels), tmp_path / "page.html"
    result = cli(
        *("bench", "--dataset", name, "--root", root, "--model", "color", "--model", "phash", "--model", "hog"),
        *("--out", page, "--json"),
    )
    assert result.code == 0, result.err
    found = result.json
    assert found["headline"] == headline
    assert words in found["recommendation"]
    text = page.read_text()
    shown = [row["model"] for row in found["rows"]]
    assert shown == sorted(
        shown, key=lambda model: -next(r for r in found["rows"] if r["model"] == model)[headline]["value"]
    )
    assert found["recommendation"].split(". ")[0] in text
    assert "<circle" in text and f"{found['machine']['cores']}" in text
    measures = {key for key, value in found["rows"][0].items() if isinstance(value, dict)}
    assert text.count('<svg class="bar ') == 3 * len(measures)
    assert 'id="only_a"' in text
    for row in found["rows"]:
        values = found["values"][row["model"]]
        for measure in measures - {"uap", "recall@p90", "shared@all"}:
            known = [value for value in values[measure] if value is not None]
            assert row[measure]["value"] == pytest.approx(np.mean(known))
            assert row[measure]["low"] <= row[measure]["value"] <= row[measure]["high"]
    for pair in found["pairs"]:
        by_model = {row["model"]: row[headline]["value"] for row in found["rows"]}
        assert pair["difference"] == pytest.approx(by_model[pair["a"]] - by_model[pair["b"]], abs=1e-6)
        assert pair["difference"] >= 0
        assert all(len(ids) == pair[kind] for kind, ids in pair["queries"].items())


def test_queries_are_cut_to_their_boxes(photo_pixels: Photos, tmp_path: Path) -> None:
    root = dataset_folders.roxford(tmp_path / "roxford5k", photo_pixels)
    data = read("roxford", root)
    report = DatasetRun(data, root, ["sift", "sift|verify:4"]).report()
    rows = {row.model: row.measures for row in report.rows()}
    assert rows["sift|verify:4"]["map/medium"].value == 1
    assert set(rows["sift"]) >= {"map/easy", "map/hard", "mp@10/medium"}
    assert len(report.results[0].rankings["000-query_0"]) == 16, "the measures take the whole gallery"
    assert report.to_markdown().count("| sift |") == 2
    # A box that was corrected is cut anew.
    truth = json.loads((root / "gnd_roxford5k.json").read_text())
    truth["gnd"][0]["bbx"][0] = truth["gnd"][0]["bbx"][2] - 40
    (root / "gnd_roxford5k.json").write_text(json.dumps(truth))
    other = DatasetRun(read("roxford", root), root, ["sift"]).report()
    assert other.results[0].rankings["000-query_0"] != report.results[0].rankings["000-query_0"]
    assert other.results[0].rankings["001-query_1"] == report.results[0].rankings["001-query_1"]


def test_coco_without_annotations_is_a_folder(album: Path, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco" / "val2017").symlink_to(album, target_is_directory=True)
    words = ("bench", "--dataset", "coco", "--root", tmp_path / "coco")
    result = cli(*words, "--originals", "5", "--model", "color", "--json")
    assert result.code == 0, result.err
    assert "a gallery only: edited copies of it are asked for" in result.err
    assert result.json["dataset"] == "copies"
    assert result.json["facts"]["images"] == 64
    told(cli(*words, "--distractors", "5"), "--distractors: coco has no queries there")


@pytest.mark.parametrize("inside", ["", "more/within"])
def test_a_place_that_cannot_be_made(album: Path, disc21: Path, tmp_path: Path, cli: Cli, inside: str) -> None:
    (tmp_path / "taken").write_text("a file")
    place = tmp_path / "taken" / inside if inside else tmp_path / "taken"
    words = ("--into", place, "--model", "color")
    for what in ([album], ["--dataset", "disc21", "--root", disc21]):
        told(cli("bench", *what, *words), f"{place}: cannot be written (", "name a place for the work with --into")


def test_a_folder_that_is_read_only(album: Path, tmp_path: Path, lookalike_read_only: Callable[..., Result]) -> None:
    shutil.copytree(album, tmp_path / "own", ignore=shutil.ignore_patterns(".*"))
    words = ("bench", tmp_path / "own", "--originals", "5", "--model", "color")
    told(lookalike_read_only(tmp_path / "own", *words), "own/.lookalike/bench: cannot be written (read-only", "--into")
    assert lookalike_read_only(tmp_path / "own", *words, "--into", tmp_path / "b").code == 0


@pytest.mark.parametrize("without", [(), ("symlink",), ("symlink", "link")])
def test_only_the_files_that_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: tuple[str, ...]) -> None:
    def none(*_: object) -> None:
        raise OSError("no links here")

    for kind in without:
        monkeypatch.setattr(os, kind, none)
    root, work = tmp_path / "root", tmp_path / "work"
    files = {name: root / "in" / f"{name}.jpg" for name in "abc"}
    (root / "in").mkdir(parents=True)
    for name, path in files.items():
        path.write_text(name)
    assert set(link_files(work, files, root).values()) == set("abc")
    del files["b"]
    for _ in range(2):
        assert set(link_files(work, files, root).values()) == set("ac")
    assert sorted(path.name for path in (work / "in").iterdir()) == ["a.jpg", "c.jpg"]
    assert (work / "in" / "c.jpg").read_text() == "c"
    (tmp_path / "moved").mkdir()
    (root / "in").rename(tmp_path / "moved" / "in")
    moved = {name: tmp_path / "moved" / "in" / path.name for name, path in files.items()}
    link_files(work, moved, tmp_path / "moved")
    assert (work / "in" / "c.jpg").read_text() == "c", "links lead to where the files are now"
