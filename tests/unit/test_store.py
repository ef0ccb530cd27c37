"""The store on disk: commits, removal, rewriting, mending, locks, formats."""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike.errors import CollectionBusy, CollectionDamaged, CollectionTooNew, NoCollection
from lookalike.store import CATALOGUE, PRIVATE, Reader, Writer, is_own, small_jpeg
from lookalike.store.thumbnails import THUMBNAILS
from lookalike.types import ImageFile, InputSpec, ModelCard, Picture

CARD = ModelCard("toy", "descriptor", 4, InputSpec((8, 8)), "", "", "1", "", "x:y")
NEXT = ModelCard("toy", "descriptor", 4, InputSpec((8, 8)), "", "", "2", "", "x:y")


def image(path: str, n: int) -> ImageFile:
    vector = np.zeros(4, dtype=np.float32)
    vector[n % 4] = 1
    return ImageFile(path, 10 + n, 1000 + n, f"{n:064x}", 30, 20, None, vectors={"toy": vector})


def fill(directory: Path, count: int, folder: str = "/photos") -> None:
    with Writer.session(directory) as store:
        store.add_model(CARD)
        store.commit([image(f"{folder}/{n}.jpg", n) for n in range(count)])


def shown(directory: Path) -> dict[str, int]:
    """Every image's path with the place of the 1 in its vector."""
    with Reader.open(directory) as store:
        (model,) = store.models()
        vectors = np.asarray(store.vectors(model))
        return {i.path: int(vectors[row].argmax()) for row, group in store.images(model).items() for i in group}


def test_what_is_committed_is_read_back(tmp_path: Path) -> None:
    fill(tmp_path, 6)
    assert shown(tmp_path) == {f"/photos/{n}.jpg": n % 4 for n in range(6)}
    with Reader.open(tmp_path) as store:
        assert store.counts() == {"images": 6, "pictures": 6, "unreadable": 0}


def test_files_with_the_same_bytes_share_a_vector(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    with Writer.session(tmp_path) as store:
        store.commit([image("/photos/copy.jpg", 1), image("/photos/again.jpg", 1)])
    with Reader.open(tmp_path) as store:
        (model,) = store.models()
        assert model.rows == 2
        assert store.counts() == {"images": 4, "pictures": 2, "unreadable": 0}
    assert shown(tmp_path)["/photos/copy.jpg"] == shown(tmp_path)["/photos/1.jpg"]


def test_a_changed_file_leaves_its_old_picture_behind(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    with Writer.session(tmp_path) as store:
        store.commit([image("/photos/1.jpg", 7)])
        (model,) = store.models()
        assert store.dead_rows(model) == [1]
    assert shown(tmp_path) == {"/photos/0.jpg": 0, "/photos/1.jpg": 3, "/photos/2.jpg": 2}


def test_forgetting_many_rewrites_the_vectors_and_an_open_map_stays_readable(tmp_path: Path) -> None:
    fill(tmp_path, 3000)
    with Reader.open(tmp_path) as reader:
        (before,) = reader.models()
        mapped = reader.vectors(before)
        with Writer.session(tmp_path) as store:
            store.forget([f"/photos/{n}.jpg" for n in range(0, 3000, 2)])
        assert np.asarray(mapped[2999]).argmax() == 2999 % 4
    assert shown(tmp_path) == {f"/photos/{n}.jpg": n % 4 for n in range(1, 3000, 2)}
    with Reader.open(tmp_path) as reader:
        (after,) = reader.models()
        assert (after.rows, after.file == before.file, reader.dead_rows(after)) == (1500, False, [])
    kept = {path.name for path in (tmp_path / "vectors").iterdir()}
    assert kept == {before.file, after.file}, "a reader's snapshot may still name the old file"
    os.utime(tmp_path / "vectors" / before.file, (1, 1))
    with Writer.session(tmp_path):
        assert {path.name for path in (tmp_path / "vectors").iterdir()} == {after.file}


def test_a_snapshot_finds_its_vectors_after_a_rewrite(tmp_path: Path) -> None:
    fill(tmp_path, 3000)
    with Reader.open(tmp_path) as reader, reader.snapshot():
        (model,) = reader.models()
        with Writer.session(tmp_path) as store:
            store.forget([f"/photos/{n}.jpg" for n in range(2000)])
        assert np.asarray(reader.vectors(model)[7]).argmax() == 7 % 4
        assert reader.images(model, [7])[7][0].path == "/photos/7.jpg"


def test_vectors_of_another_width_are_refused_and_nothing_is_cut(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    odd = image("/photos/9.jpg", 9)
    odd.vectors = {"toy": np.ones(2, dtype=np.float32)}
    with Writer.session(tmp_path) as store, pytest.raises(ValueError, match="rows of 4"):
        store.commit([odd])
    assert len(shown(tmp_path)) == 3


def test_a_catalogue_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / CATALOGUE).touch()
    assert not Reader.exists(tmp_path)
    fill(tmp_path, 1)
    assert len(shown(tmp_path)) == 1


def test_names_of_models_stay_inside_the_collection(tmp_path: Path) -> None:
    with Writer.session(tmp_path / "c") as store:
        for name in ("/absolute/folder", "../up", "hf:owner/name", "ü x"):
            store.add_model(replace(CARD, name=name, revision=name))
        store.commit([ImageFile("/p.jpg", 1, 1, "0" * 64, 1, 1, vectors={m.name: np.ones(4) for m in store.models()})])
        assert {path.parent for path in tmp_path.rglob("*.f16")} == {tmp_path / "c" / "vectors"}
        assert len(list(tmp_path.rglob("*.f16"))) == 4


def test_an_unreadable_file_has_no_picture(tmp_path: Path) -> None:
    with Writer.session(tmp_path) as store:
        store.add_model(CARD)
        store.commit([ImageFile("/photos/bad.jpg", 1, 1, reason="damaged")])
        assert store.counts() == {"images": 0, "pictures": 0, "unreadable": 1}
        assert store.unreadable() == [("/photos/bad.jpg", "damaged")]


def test_another_revision_drops_the_old_vectors_and_says_so(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    with Writer.session(tmp_path) as store:
        assert store.add_model(CARD) is False
        assert store.add_model(NEXT) is True
        assert store.missing(f"{1:064x}", ["toy"]) == ["toy"]
        assert [model.rows for model in store.models()] == [0]


def test_bytes_of_a_batch_that_was_cut_off_are_not_seen(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    (file,) = (tmp_path / "vectors").iterdir()
    with file.open("ab") as tail:
        tail.write(b"\x00" * 13)
    assert len(shown(tmp_path)) == 3
    with Writer.session(tmp_path) as store:
        store.commit([image("/photos/9.jpg", 9)])
    assert file.stat().st_size == 4 * 4 * 2
    assert shown(tmp_path)["/photos/9.jpg"] == 1


def test_lost_vectors_are_refused_by_readers_and_made_anew_by_the_next_writer(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    (file,) = (tmp_path / "vectors").iterdir()
    file.write_bytes(file.read_bytes()[:5])
    with pytest.raises(CollectionDamaged, match="lookalike index"):
        shown(tmp_path)
    with Writer.session(tmp_path) as store:
        assert store.missing(f"{1:064x}", ["toy"]) == ["toy"]


def test_a_failed_commit_leaves_nothing(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    bad = image("/photos/bad.jpg", 9)
    bad.width = None  # type: ignore[assignment]
    with Writer.session(tmp_path) as store, pytest.raises(Exception, match="NOT NULL"):
        store.commit([image("/photos/8.jpg", 8), bad])
    assert set(shown(tmp_path)) == {"/photos/0.jpg", "/photos/1.jpg"}


def test_a_second_writer_is_refused_while_readers_go_on(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    with Writer.session(tmp_path) as store:
        store.commit([image("/photos/5.jpg", 5)])
        with pytest.raises(CollectionBusy, match="wait"), Writer.session(tmp_path):
            pass
        assert len(shown(tmp_path)) == 3
    with Writer.session(tmp_path):
        pass


def test_a_snapshot_does_not_see_later_commits(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    with Reader.open(tmp_path) as reader, reader.snapshot():
        assert reader.counts()["images"] == 2
        with Writer.session(tmp_path) as store:
            store.commit([image("/photos/5.jpg", 5)])
        assert reader.counts()["images"] == 2


def test_a_private_collection_may_move_with_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    fill(folder / PRIVATE, 2, folder=str(folder))
    with Writer.session(folder / PRIVATE) as store:
        store.add_folder(str(folder))
        store.commit([image("/elsewhere/9.jpg", 9)])
    folder.rename(tmp_path / "b")
    moved = tmp_path / "b"
    assert set(shown(moved / PRIVATE)) == {f"{moved}/0.jpg", f"{moved}/1.jpg", "/elsewhere/9.jpg"}
    with Reader.open(moved / PRIVATE) as store:
        assert store.folders() == [str(moved)]
        assert set(store.files_below(str(moved))) == {f"{moved}/0.jpg", f"{moved}/1.jpg"}


def test_below_a_folder_means_below_and_not_beside(tmp_path: Path) -> None:
    with Writer.session(tmp_path) as store:
        store.add_model(CARD)
        store.commit([image(f"/p/{name}", n) for n, name in enumerate(["a/1.jpg", "a/b/2.jpg", "ab/3.jpg", "a.jpg"])])
        assert set(store.files_below("/p/a")) == {"/p/a/1.jpg", "/p/a/b/2.jpg"}
        assert len(store.files_below("/p")) == 4


def test_names_of_the_highest_bytes_are_below_too(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    name = os.fsdecode(os.fsencode(folder) + b"/" + b"\xff" * 12 + b".jpg")
    with Writer.session(folder / PRIVATE) as store:
        store.add_model(CARD)
        store.commit([image(name, 1)])
        assert set(store.files_below(str(folder))) == {name}


def test_names_that_are_no_utf8_survive(tmp_path: Path) -> None:
    with Writer.session(tmp_path) as store:
        store.add_model(CARD)
        store.commit([image("/photos/\udcff\udcfe.jpg", 1)])
    assert shown(tmp_path) == {"/photos/\udcff\udcfe.jpg": 1}


def test_no_collection_a_newer_one_and_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(NoCollection, match="lookalike index"):
        Reader.open(tmp_path)
    fill(tmp_path, 1)
    with sqlite3.connect(tmp_path / CATALOGUE) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(CollectionTooNew, match="pip install --upgrade"):
        Reader.open(tmp_path)
    with pytest.raises(CollectionTooNew), Writer.session(tmp_path):
        pass
    (tmp_path / CATALOGUE).write_bytes(b"SQLite format 3\x00" + b"garbage" * 1000)
    with pytest.raises(CollectionDamaged, match="move it away"):
        Reader.open(tmp_path)


def small(n: int) -> bytes:
    return b"\xff\xd8\xff jpeg %d" % n


def with_thumbnail(n: int) -> ImageFile:
    return replace(image(f"/photos/{n}.jpg", n), thumbnail=small(n))


def thumbnails(directory: Path, count: int = 4) -> list[bytes | None]:
    with Reader.open(directory) as store:
        return [store.thumbnail(f"{n:064x}") for n in range(count)]


def test_thumbnails_stay_as_long_as_a_file_shows_their_picture(tmp_path: Path) -> None:
    with Writer.session(tmp_path) as store:
        store.add_model(CARD)
        store.commit([with_thumbnail(n) for n in range(3)])
        store.commit([replace(with_thumbnail(0), path="/photos/twin.jpg")])
    assert thumbnails(tmp_path) == [small(0), small(1), small(2), None]
    with Writer.session(tmp_path) as store:
        store.forget(["/photos/0.jpg", "/photos/1.jpg"])
        store.commit([replace(with_thumbnail(3), path="/photos/2.jpg")])
        store.remove_model("toy")
    assert thumbnails(tmp_path) == [small(0), None, None, small(3)]
    assert (tmp_path / THUMBNAILS).is_file()
    assert all(is_own(path.name) for path in tmp_path.iterdir())


def test_a_thumbnail_that_no_commit_came_to_name_is_dropped(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    bad = replace(with_thumbnail(1), width=None)  # type: ignore[arg-type]
    with pytest.raises(CollectionDamaged), Writer.session(tmp_path) as store:
        store.commit([bad])
    assert thumbnails(tmp_path)[1] == small(1)
    with Writer.session(tmp_path):
        pass
    assert thumbnails(tmp_path) == [None] * 4


def test_a_collection_without_thumbnails_gets_no_file_for_them(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    assert thumbnails(tmp_path) == [None] * 4
    assert not (tmp_path / THUMBNAILS).exists()


@pytest.mark.parametrize(
    "content", [None, b"", b"no database, but longer than a header " * 9, b"SQLite format 3\0" + b"x" * 9000]
)
def test_a_lost_or_damaged_file_of_thumbnails_is_made_anew(tmp_path: Path, content: bytes | None) -> None:
    with Writer.session(tmp_path) as store:
        store.add_model(CARD)
        store.commit([with_thumbnail(0)])
    with Reader.open(tmp_path) as reader:
        assert reader.thumbnail(f"{0:064x}") == small(0)
        (tmp_path / THUMBNAILS).unlink()
        if content is not None:
            (tmp_path / THUMBNAILS).write_bytes(content)
        assert thumbnails(tmp_path) == [None] * 4
        with Writer.session(tmp_path) as store:
            store.commit([with_thumbnail(1)])
    assert thumbnails(tmp_path) == [None, small(1), None, None]


def test_damage_that_shows_only_when_strangers_are_dropped_is_no_loss_either(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    (tmp_path / THUMBNAILS).write_bytes(b"no database, but longer than a header " * 9)
    with Writer.session(tmp_path):
        pass
    assert not (tmp_path / THUMBNAILS).exists()


def test_thumbnails_that_cannot_be_kept_end_no_run_and_are_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / THUMBNAILS).mkdir()
    with Writer.session(tmp_path) as store:
        store.add_model(CARD)
        for n in range(3):
            store.commit([with_thumbnail(n)])
    assert shown(tmp_path) == {f"/photos/{n}.jpg": n for n in range(3)}
    (told,) = (record.getMessage() for record in caplog.records)
    assert str(tmp_path / THUMBNAILS) in told
    assert "\n" not in told
    caplog.clear()
    with Writer.session(tmp_path):
        pass
    assert len(caplog.records) == 1, "to drop thumbnails may fail as well"


def test_a_damaged_catalogue_costs_no_thumbnails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Writer.session(tmp_path) as store:
        store.add_model(CARD)
        store.commit([with_thumbnail(n) for n in range(3)])
    with Writer.session(tmp_path):
        catalogue = tmp_path / CATALOGUE
        catalogue.write_bytes(b"no database, but longer than a header " * (catalogue.stat().st_size // 38))
    assert len(caplog.records) == 1
    with sqlite3.connect(tmp_path / THUMBNAILS) as db:
        assert db.execute("SELECT count(*) FROM thumbnails").fetchone() == (3,)
    db.close()


@pytest.mark.parametrize("value", ["text", 10**9, 1.5, b"", b"GIF89a", small(0) + b"x" * 1_000_000])
def test_what_is_no_small_jpeg_is_no_thumbnail(tmp_path: Path, value: object) -> None:
    with Writer.session(tmp_path) as store:
        store.add_model(CARD)
        store.commit([with_thumbnail(n) for n in range(2)])
    with sqlite3.connect(tmp_path / THUMBNAILS) as db:
        db.execute("UPDATE thumbnails SET jpeg = ? WHERE sha256 = ?", (value, f"{0:064x}"))
    db.close()
    assert thumbnails(tmp_path) == [None, small(1), None, None]


@pytest.mark.parametrize(
    "size, expected",
    [((640, 480), (320, 240)), ((3, 2), (3, 2)), ((256, 1), (256, 1)), ((1, 5000), (1, 264)), ((300, 400), (240, 320))],
)
def test_a_small_jpeg_keeps_the_shape_and_the_colours(size: tuple[int, int], expected: tuple[int, int]) -> None:
    pixels = np.full((size[1], size[0], 3), (200, 100, 40), dtype=np.uint8)
    with Image.open(io.BytesIO(small_jpeg(Picture(pixels, *size, "array")))) as made:
        assert (made.format, made.size) == ("JPEG", expected)
        assert abs(np.asarray(made, dtype=int) - [200, 100, 40]).max() < 4


def test_a_small_jpeg_is_a_picture_and_nothing_else() -> None:
    image = Image.new("RGB", (20, 20), "red")
    image.info["comment"] = b"secret" * 12000  # longer than a JPEG could hold
    data = small_jpeg(Picture(image, 20, 20, "GIF"))
    assert b"secret" not in data
    assert len(data) < 2000


@pytest.mark.parametrize("old", [False, True])
def test_forgetting_does_not_read_every_vector(tmp_path: Path, old: bool) -> None:
    fill(tmp_path, 1)
    if old:
        with contextlib.closing(sqlite3.connect(tmp_path / CATALOGUE)) as db:
            db.execute("DROP INDEX vectors_of_content")
        with Writer.session(tmp_path):
            pass
    db = sqlite3.connect(tmp_path / CATALOGUE)
    plan = db.execute("EXPLAIN QUERY PLAN DELETE FROM vectors WHERE content_id = 1").fetchall()
    db.close()
    assert "USING INDEX vectors_of_content" in str(plan) or "USING COVERING INDEX vectors_of_content" in str(plan)
