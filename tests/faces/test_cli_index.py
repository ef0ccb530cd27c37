"""lookalike index, as a user meets it."""

from __future__ import annotations

import contextlib
import io
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
from lookalike.store import CATALOGUE, Reader, Writer
from tests.conftest import COMMAND

COUNTS = ("added", "changed", "unchanged", "removed", "ignored")


def counts(result) -> list[int]:  # type: ignore[no-untyped-def]
    return [result.json[name] for name in COUNTS]


def test_a_folder_is_indexed_kept_up_to_date_and_left_alone(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    first = lookalike_cli("index", photos, "--model", "phash", "--model", "color", "--json")
    assert (first.code, first.err) == (0, "")
    assert counts(first) == [9, 0, 0, 0, 1]
    assert first.json["models"] == ["phash", "color"]
    assert first.json["unreadable"] == []
    assert first.json["seconds"] > first.json["embed_seconds"] > 0
    assert (photos / ".lookalike" / CATALOGUE).is_file()

    again = lookalike_cli("index", photos, "--json")
    assert counts(again) == [0, 0, 9, 0, 1]
    assert (again.json["models"], again.json["embedded"]) == (["phash", "color"], 0)
    assert "nothing to embed" in lookalike_cli("index", photos).out

    (photos / "coffee.jpg").unlink()
    Image.open(photos / "cat small.png").rotate(90).save(photos / "cat small.png")
    shutil.copy(photos / "astronaut.jpg", photos / "twin.jpg")
    (photos / "bad.png").write_bytes(b"no picture")
    third = lookalike_cli("index", photos, "--json")
    assert third.code == 3
    assert counts(third) == [1, 1, 7, 1, 1]
    assert [file["path"] for file in third.json["unreadable"]] == [str(photos / "bad.png")]
    assert third.json["unreadable"][0]["reason"] in third.err
    assert third.json["embedded"] == 2, "the twin has its vectors already"

    untouched = {path: content for path, content in before.items() if path.exists() and path.name != "cat small.png"}
    assert all(path.read_bytes() == content for path, content in untouched.items())


def test_vectors_that_are_cut_off_are_told_and_made_again(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    lookalike_cli("index", photos, "--model", "phash")
    assert "cut off" not in lookalike_cli("info", photos).out
    (file,) = (photos / ".lookalike" / "vectors").iterdir()
    os.truncate(file, 7)
    assert "'phash' are missing or cut off: run 'lookalike index" in lookalike_cli("info", photos).out
    assert lookalike_cli("index", photos, "--json").json["embedded"] == 9
    assert "cut off" not in lookalike_cli("info", photos).out


def test_a_touched_file_is_read_and_not_embedded(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    lookalike_cli("index", photos, "--model", "phash")
    os.utime(photos / "coffee.jpg", (1, 1))
    result = lookalike_cli("index", photos, "--json")
    assert counts(result) == [0, 0, 9, 0, 1]
    assert result.json["embedded"] == 0
    with Reader.open(photos / ".lookalike") as store:
        assert store.files_below(str(photos))[str(photos / "coffee.jpg")].mtime_ns == 10**9


def test_several_folders_live_in_one_collection_and_are_forgotten_apart(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    other = photos.parent / "other"
    shutil.copytree(photos / "more", other)
    into = photos.parent / "both"
    lookalike_cli("index", photos, "--into", into, "--model", "phash")
    lookalike_cli("index", other, "--into", into)
    shutil.rmtree(photos / "more")
    result = lookalike_cli("index", photos, "--into", into, "--json")
    assert counts(result) == [0, 0, 5, 4, 1]
    info = lookalike_cli("info", into, "--json").json
    assert info["images"] == 9
    assert info["folders"] == [str(other), str(photos)]
    assert not (photos / ".lookalike").exists()


def test_a_second_model_is_added_and_a_plain_run_fills_its_gaps(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    lookalike_cli("index", photos, "--model", "phash")
    result = lookalike_cli("index", photos, "--model", "color", "--json")
    assert counts(result) == [0, 0, 9, 0, 1]
    assert result.json["embedded"] == 9
    assert lookalike_cli("index", photos, "--json").json["models"] == ["phash", "color"]


def test_the_default_model_is_sift(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    assert lookalike_cli("index", photos, "--json").json["models"] == ["sift"]


def test_thumbnails_are_kept_unless_they_are_not_wanted(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    without = photos.parent / "without"
    assert lookalike_cli("index", photos, "--model", "phash", "--into", without, "--no-thumbnails").code == 0
    assert lookalike_cli("index", photos, "--model", "phash").code == 0
    page = photos.parent / "page.html"
    for collection, forms in ((without, {"webp": 10}), (photos, {"webp": 1, "jpeg": 9})):
        images, _ = lookalike.open(collection).vectors("phash")
        kept = [lookalike.open(collection).thumbnail(image.id) for image in images]
        for image, small in zip(images, kept, strict=True):
            assert (small is None) == (collection == without), image.path
            if small is not None:
                with Image.open(io.BytesIO(small)) as opened, Image.open(image.path) as whole:
                    assert min(256, max(whole.size)) <= max(opened.size) <= 384
        query = ("search", photos / "coffee.jpg", "--collection", collection, "--include-self", "--html", page)
        assert lookalike_cli(*query).code == 0
        text = page.read_text(encoding="utf-8")
        assert {form: text.count(f"data:image/{form}") for form in forms} == forms


def test_thumbnails_that_cannot_be_kept_or_read_end_nothing(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    into, page = photos.parent / "c", photos.parent / "page.html"
    place = into / "thumbnails.sqlite"
    place.mkdir(parents=True)
    result = lookalike_cli("index", photos, "--into", into, "--model", "phash", "--json")
    assert (result.code, counts(result)) == (0, [9, 0, 0, 0, 1])
    assert result.err.count("\n") == 1
    assert f"{place}: thumbnails are left out" in result.err
    search = ("search", photos / "coffee.jpg", "--collection", into, "--include-self", "--html", page)
    assert lookalike_cli(*search).code == 0
    place.rmdir()
    images, _ = lookalike.open(into).vectors("phash")
    with contextlib.closing(sqlite3.connect(place)) as db:
        db.execute("CREATE TABLE thumbnails (sha256 TEXT PRIMARY KEY, jpeg BLOB NOT NULL)")
        db.executemany("INSERT INTO thumbnails VALUES (?, 'words')", [(image.id,) for image in images])
        db.commit()
    assert lookalike_cli(*search).code == 0
    assert page.read_text(encoding="utf-8").count("data:image/webp") == 10


def test_a_batch_of_any_size_gives_the_same_vectors(photos: Path, shared: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    network = shared / "models" / "mobilenetv2_features.onnx"
    assert lookalike_cli("models", "add", network, "--name", "net").code == 0
    found = []
    for size in ("1", "5", "64"):
        into = photos.parent / size
        result = lookalike_cli("index", photos, "--into", into, "--model", "net", "--batch", size, "--json")
        assert (result.code, result.json["embedded"]) == (0, 9)
        found.append(lookalike.open(into).vectors("net")[1])
    for vectors in found:
        np.testing.assert_allclose(vectors, found[0], atol=1e-3)
    assert lookalike_cli("index", photos, "--batch", "0").code == 2


def test_excluded_files_are_left_out(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    result = lookalike_cli("index", photos, "--model", "phash", "--exclude", "more", "--exclude", "*.png", "--json")
    assert result.json["added"] == 4


@pytest.mark.parametrize(("name", "words"), [("nowhere", "no such folder"), ("photos/coffee.jpg", "not a folder")])
def test_no_such_folder(photos: Path, lookalike_cli, name: str, words: str) -> None:  # type: ignore[no-untyped-def]
    for more in ([], ["--into", photos.parent / "c"]):
        result = lookalike_cli("index", photos.parent / name, *more)
        assert result.code == 2
        assert result.err.count("\n") == 1
        assert words in result.err
    assert not (photos.parent / "c").exists()


def test_what_lies_below_a_folder_that_cannot_be_opened_is_not_forgotten(photos: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    collection = lookalike.open(photos)
    collection.add(models=["phash"])
    real = os.scandir

    def closed(path: str) -> object:
        if os.fspath(path).endswith("more"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)  # root, whom tests may run as, can open any folder
    report = collection.add()
    assert (report.removed, report.unchanged, [Path(path).name for path, _ in report.unreadable]) == (0, 5, ["more"])
    monkeypatch.undo()
    assert collection.add().embedded == 0


def test_large_pictures_do_not_pile_up(tmp_path: Path) -> None:
    """A worker's batch is bounded by its pixels: forty pictures of 36 MB must not take a gigabyte."""
    (tmp_path / "p").mkdir()
    for n in range(40):
        Image.new("RGB", (4000, 3000), (n, 0, 0)).save(tmp_path / "p" / f"{n}.png", compress_level=1)
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells the peak of this process alone: elsewhere it counts that of its parent")
    script = (
        "import sys, lookalike; lookalike.open(sys.argv[1]).add(models=['phash', 'color'], workers=2);"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "p"], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 700_000


def test_a_terminal_sees_a_bar_and_a_pipe_does_not(photos: Path) -> None:
    import pty

    inside, outside = pty.openpty()
    command = [COMMAND, "index", photos, "--model", "phash"]
    process = subprocess.Popen(command, stderr=outside, stdout=subprocess.PIPE, env={**os.environ, "COLUMNS": "100"})
    os.close(outside)
    seen = b""
    with contextlib.suppress(OSError):  # the end of a terminal is an error on Linux
        while part := os.read(inside, 4096):
            seen += part
    output, _ = process.communicate(timeout=60)
    os.close(inside)
    assert b"embedding" in seen
    assert b"files/s" in seen
    assert b"9 added" in output


def test_an_empty_folder_makes_no_collection(tmp_path: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "notes.txt").write_text("words")
    result = lookalike_cli("index", tmp_path)
    assert result.code == 1
    assert "no images" in result.err
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_an_unmounted_drive_forgets_nothing_unless_told(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    into = photos.parent / "c"
    lookalike_cli("index", photos, "--into", into, "--model", "phash")
    shutil.rmtree(photos)
    photos.mkdir()
    refused = lookalike_cli("index", photos, "--into", into)
    assert refused.code == 2
    assert "--allow-empty" in refused.err
    assert lookalike_cli("info", into, "--json").json["images"] == 9
    assert lookalike_cli("index", photos, "--into", into, "--allow-empty", "--json").json["removed"] == 9


def test_an_unknown_model_names_the_nearest_and_leaves_nothing(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    result = lookalike_cli("index", photos, "--model", "pfash")
    assert result.code == 2
    assert "phash" in result.err
    assert not (photos / ".lookalike").exists()


def test_a_second_writer_is_told_to_wait(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    with Writer.session(photos / ".lookalike"):
        result = lookalike_cli("index", photos)
    assert result.code == 2
    assert "another process" in result.err


def test_a_full_disk_keeps_what_was_committed(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    """A limit on file sizes stands for the full disk: the same calls fail, with an error of the same kind."""
    lookalike_cli("index", photos, "--model", "phash")
    rng = np.random.default_rng(0)
    for n in range(200):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(photos / f"{n}.png")
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (66000, 66000));"
        "sys.argv = ['lookalike', 'index', sys.argv[1], '--model', 'phash', '--model', 'hog'];"
        "from lookalike.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script, photos], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert "no space is left" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    hits = lookalike.open(photos).search(photos / "cat small.png", model="phash", k=1)
    assert hits[0].path == str(photos / "more" / "cat.jpg")
    assert lookalike_cli("index", photos, "--model", "phash", "--model", "hog").code == 0
    assert lookalike_cli("info", photos, "--json").json["images"] == 209


def test_a_folder_that_may_not_be_written_names_into(photos: Path, lookalike_read_only) -> None:  # type: ignore[no-untyped-def]
    result = lookalike_read_only(photos, "index", photos, "--model", "phash")
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert "--into" in result.err
    into = photos.parent / "elsewhere"
    assert lookalike_read_only(photos, "index", photos, "--into", into, "--model", "phash").code == 0
