"""Local features as bytes, and the file that keeps them: bounded, cut, made anew, dropped, never trusted."""

from __future__ import annotations

import os
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import lookalike
from lookalike import images
from lookalike.errors import ModelUnavailable, UnknownModel, UnreadableImage, UsageError
from lookalike.indexing import FeatureCost
from lookalike.keypoints import methods
from lookalike.keypoints.features import LIMIT, Features
from lookalike.keypoints.geometry import verify
from lookalike.keypoints.methods import READ_SIDE, extract
from lookalike.store import FEATURES, FeatureStore, Packed, Reader, pack, unpack
from lookalike.store.derived import Derived
from lookalike.store.packing import packed_bytes, strongest
from lookalike.types import ImageRef, Picture

COLUMNS = ("points", "diameters", "angles", "strengths", "descriptors")


def made_up(count: int, size: tuple[int, int] = (4000, 3000), width: int = 128, method: str = "sift") -> Features:
    rng = np.random.default_rng(count)
    return Features(
        method,
        size,
        (rng.random((count, 2)) * size).astype(np.float32),
        (rng.random(count) * 500 + 0.5).astype(np.float32),
        (rng.random(count) * 360).astype(np.float32),
        np.sort(rng.random(count).astype(np.float32) ** 8)[::-1].copy(),
        rng.integers(0, 256, (count, width), dtype=np.uint8),
    )


def assert_same(a: Features | None, b: Features | None) -> None:
    assert a is not None
    assert b is not None
    assert (a.method, a.size, len(a)) == (b.method, b.size, len(b))
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(a, column), getattr(b, column))


# --- Bytes ---


@pytest.mark.parametrize("width, method", [(128, "sift"), (32, "orb"), (64, "xfeat")])
def test_packed_features_come_back_as_near_as_promised(width: int, method: str) -> None:
    before = made_up(700, width=width, method=method)
    data = pack(before)
    assert len(data) == packed_bytes(700, width) <= 700 * (width + 9) + 32
    after = unpack(method, data)
    assert after is not None
    assert (after.method, after.size) == (method, (4000, 3000))
    assert np.abs(after.points - before.points).max() < 0.04
    turned = (after.angles - before.angles + 180) % 360 - 180
    assert np.abs(turned).max() < 0.71
    for column in ("diameters", "strengths"):
        np.testing.assert_allclose(getattr(after, column), getattr(before, column), rtol=0.004)
    assert (np.diff(after.strengths) <= 0).all(), "the strongest stay first"
    np.testing.assert_array_equal(after.descriptors, before.descriptors)
    for column in COLUMNS:
        assert getattr(after, column).dtype == getattr(before, column).dtype
    assert pack(after) == data, "rounded once, not again each time"


def test_odd_features_are_packed_too() -> None:
    none = unpack("sift", pack(made_up(0, (1, 1))))
    assert none is not None
    assert (len(none), none.descriptors.shape, none.points.shape) == (0, (0, 128), (0, 2))
    odd = made_up(4, (100, 50))
    odd.points[:] = [[-3, 60], [100, 50], [0, 0], [np.nan, 25]]
    odd.strengths[:] = [np.inf, 70000, -2, np.nan]
    odd.angles[:] = [360, -90, 359.9, np.inf]
    odd.diameters[:] = [1e30, 0, 1e-30, np.nan]
    after = unpack("sift", pack(odd))
    assert after is not None
    np.testing.assert_allclose(after.points, [[0, 50], [100, 50], [0, 0], [0, 25]], atol=0.001)
    np.testing.assert_allclose(after.angles[:3], [0, 270, 0])
    for column in COLUMNS:
        assert np.isfinite(getattr(after, column)).all(), column


def test_damaged_bytes_are_no_features() -> None:
    data = pack(made_up(30))
    whole = unpack("sift", data)
    assert whole is not None
    for length in (0, 1, 18, 19, len(data) // 2, len(data) - 1):
        assert unpack("sift", data[:length]) is None, length
    assert unpack("sift", data + b"x") is None
    rng = np.random.default_rng(1)
    for place in [*range(19), *rng.integers(19, len(data), 100).tolist()]:
        hurt = bytearray(data)
        hurt[place] ^= 0x41
        assert unpack("sift", bytes(hurt)) is None, place


def test_what_lies_about_its_size_takes_no_memory() -> None:
    def claimed(*head: int) -> bytes:
        start, body = struct.pack("<BIIIH", *head), b"\0" * 9
        return start + struct.pack("<I", zlib.crc32(start + body)) + body

    one = unpack("sift", claimed(1, 9, 9, 1, 0))
    assert one is not None
    assert one.descriptors.shape == (1, 0)
    for count, width in ((2**32 - 1, 65535), (2**32 - 1, 0), (1, 65535), (0, 65535)):
        assert unpack("sift", claimed(1, 9, 9, count, width)) is None
    assert unpack("sift", claimed(1, 0, 9, 1, 0)) is None, "a picture without width"
    assert unpack("sift", claimed(2, 9, 9, 1, 0)) is None, "another version"


def test_rounding_costs_no_match(photo_pixels: dict[str, np.ndarray]) -> None:
    pixels = photo_pixels["coffee"]
    a = extract(images.read(pixels))
    b = extract(images.read(np.ascontiguousarray(np.rot90(pixels)[8:, 8:])))
    fresh, kept = verify(a, b), verify(a, unpack("sift", pack(b)) or a)
    assert fresh.count > 50
    assert abs(kept.count - fresh.count) <= 0.05 * fresh.count


# --- The file ---


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeatureStore]:
    store = FeatureStore(tmp_path / FEATURES)
    yield store
    store.close()


def packed(n: int, asked: int = 100, method: str = "sift", found: int | None = None) -> Packed:
    return Packed(f"{n:064x}", method, asked, pack(made_up(asked if found is None else found, method=method)))


def test_fewer_are_cut_and_more_are_not_there(store: FeatureStore) -> None:
    store.put([packed(1, 100), packed(2, 100, found=7)])
    whole = store.get(f"{1:064x}", "sift", 100)
    assert_same(whole, unpack("sift", packed(1, 100).data))
    assert whole is not None
    assert_same(store.get(f"{1:064x}", "sift", 10), strongest(whole, 10))
    assert store.get(f"{1:064x}", "sift", 101) is None
    assert store.get(f"{1:064x}", "orb", 100) is None
    assert store.get(f"{3:064x}", "sift", 1) is None
    assert len(store.get(f"{2:064x}", "sift", 100) or ()) == 7
    store.put([packed(1, 200)])
    assert len(store.get(f"{1:064x}", "sift", 200) or ()) == 200
    assert [(k.method, k.keypoints, k.pictures) for k in store.summary()] == [("sift", 100, 1), ("sift", 200, 1)]


def test_what_is_lacking_is_told_for_each_method(store: FeatureStore) -> None:
    assert store.lacking(f"{1:064x}", {"sift": 100}) == {"sift": 100}
    store.put([packed(1, 100), packed(1, 50, "orb"), packed(2, 100)])
    assert store.lacking(f"{1:064x}", {"sift": 100, "orb": 50}) == {}
    assert store.lacking(f"{1:064x}", {"sift": 101, "orb": 50}) == {"sift": 101}
    assert store.having([f"{n:064x}" for n in range(4)], "sift", 60) == {f"{1:064x}", f"{2:064x}"}


def test_a_changed_method_finds_its_features_anew(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put([packed(1), packed(1, 100, "orb")])
    later = replace(methods.METHODS["sift"], version=99)
    monkeypatch.setattr(methods, "METHODS", {**methods.METHODS, "sift": later})
    assert store.get(f"{1:064x}", "sift", 100) is None
    assert store.lacking(f"{1:064x}", {"sift": 100, "orb": 100}) == {"sift": 100}


def test_a_new_bound_cuts_what_is_kept_and_none_drops_it(store: FeatureStore) -> None:
    store.put([packed(1, 100), packed(2, 40), packed(1, 100, "orb")])
    whole = store.get(f"{1:064x}", "sift", 100)
    assert whole is not None
    store.bound({"sift": 60})
    assert_same(store.get(f"{1:064x}", "sift", 60), strongest(whole, 60))
    assert store.get(f"{1:064x}", "sift", 61) is None
    assert [(k.method, k.keypoints, k.pictures) for k in store.summary()] == [
        ("orb", 100, 1),
        ("sift", 40, 1),
        ("sift", 60, 1),
    ]
    assert store.summary()[2].bytes == packed_bytes(60, 128)
    store.bound({"sift": 0, "akaze": 0})
    assert [k.method for k in store.summary()] == ["orb"]


def test_estimates_come_from_what_is_there(store: FeatureStore) -> None:
    assert store.estimate("sift", 500, 128) == packed_bytes(500, 128)
    store.put([packed(n, 500, found=300) for n in range(3)])
    assert store.estimate("sift", 500, 128) == packed_bytes(300, 128)
    assert packed_bytes(300, 128) < store.estimate("sift", 800, 128) <= packed_bytes(800, 128)
    assert store.estimate("sift", 100, 128) == packed_bytes(100, 128)
    assert store.estimate("orb", 500, 32) == packed_bytes(500, 32)


@pytest.mark.parametrize("value", ["words", 10**9, 1.5, b"", b"x" * 5000])
def test_what_is_none_of_ours_is_not_there(store: FeatureStore, tmp_path: Path, value: object) -> None:
    store.put([packed(1), packed(2)])
    with sqlite3.connect(tmp_path / FEATURES) as db:
        db.execute("UPDATE features SET packed = ? WHERE sha256 = ?", (value, f"{1:064x}"))
    db.close()
    assert store.get(f"{1:064x}", "sift", 100) is None
    assert store.get(f"{2:064x}", "sift", 100) is not None


def test_columns_of_other_kinds_are_not_counted(store: FeatureStore, tmp_path: Path) -> None:
    store.put([packed(n) for n in range(5)])
    with sqlite3.connect(tmp_path / FEATURES) as db:
        for n, (column, value) in enumerate([("asked", "many"), ("bytes", 9e999), ("bytes", 2**62), ("bytes", -5)]):
            db.execute(f"UPDATE features SET {column} = ? WHERE sha256 = ?", (value, f"{n:064x}"))
    db.close()
    assert [(k.pictures, k.bytes) for k in store.summary()] == [(1, packed_bytes(100, 128))]


@pytest.mark.parametrize("content", [b"no database, but longer than a header " * 9, b"SQLite format 3\0" + b"x" * 9000])
def test_a_damaged_file_is_begun_anew(store: FeatureStore, tmp_path: Path, content: bytes) -> None:
    (tmp_path / FEATURES).write_bytes(content)
    store.offer([packed(1)])
    assert (tmp_path / FEATURES).read_bytes()[: len(content)] == content, "whoever only reads leaves it to a writer"
    assert store.get(f"{1:064x}", "sift", 100) is None
    assert store.summary() == []
    store.put([packed(1)])
    assert store.get(f"{1:064x}", "sift", 100) is not None


def test_threads_that_find_it_damaged_begin_it_anew_once(tmp_path: Path) -> None:
    for attempt in range(40):  # threads do not meet each time
        path = tmp_path / f"{attempt}.sqlite"
        path.write_bytes(b"no database, but longer than a header " * 9)
        kept = Derived(path, "t", "CREATE TABLE IF NOT EXISTS t (sha256 TEXT PRIMARY KEY);")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(partial(kept.change, "INSERT INTO t VALUES (?)"), [[(str(n),)] for n in range(40)]))
        assert kept.rows("SELECT count(*) FROM t") == [(40,)]
        kept.close()


def test_what_is_offered_waits_for_nobody(store: FeatureStore, tmp_path: Path) -> None:
    store.offer([packed(1)])
    other = sqlite3.connect(tmp_path / FEATURES, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for opened in (store, FeatureStore(tmp_path / FEATURES)):
        opened.offer([packed(2)])
        assert opened.get(f"{1:064x}", "sift", 100) is not None
        assert opened.get(f"{2:064x}", "sift", 100) is None
    opened.close()
    other.execute("ROLLBACK")
    other.close()
    store.offer([packed(2)])
    assert store.get(f"{2:064x}", "sift", 100) is not None
    FeatureStore(tmp_path / "no such folder" / FEATURES).offer([packed(1)])


def test_a_file_that_stays_damaged_leaves_no_handles_open(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("only Linux lists the open files of a process")
    (tmp_path / FEATURES).write_bytes(b"no database, but longer than a header " * 9)
    store = FeatureStore(tmp_path / FEATURES)
    before = len(list(descriptors.iterdir()))
    for n in range(20):
        assert store.get(f"{n:064x}", "sift", 1) is None
        store.offer([packed(n, 5)])
    assert len(list(descriptors.iterdir())) <= before + 1


# --- The collection ---


def refs(photos: Path) -> dict[str, ImageRef]:
    found, _ = lookalike.open(photos).vectors("phash")
    return {os.path.basename(image.path): image for image in found}


def kept(photos: Path) -> list[tuple[str, int, int]]:
    with FeaturesOf(photos) as store:
        return [(each.method, each.keypoints, each.pictures) for each in store.summary()]


class FeaturesOf:
    """The features of a folder's own collection, for a moment."""

    def __init__(self, photos: Path) -> None:
        self.store = FeatureStore(photos / ".lookalike" / FEATURES)

    def __enter__(self) -> FeatureStore:
        return self.store

    def __exit__(self, *exception: object) -> None:
        self.store.close()


def test_features_are_made_of_the_file_kept_and_the_same_from_then_on(photos: Path) -> None:
    collection = lookalike.open(photos)
    collection.add(models=["phash"])
    cat = refs(photos)["cat.jpg"]
    made = collection.features(cat, "sift", 50)
    assert kept(photos) == [("sift", 50, 1)]
    fresh = extract(images.read(cat.path, side=READ_SIDE), "sift", 50)
    np.testing.assert_array_equal(made.descriptors, fresh.descriptors)
    again = lookalike.open(photos)
    os.rename(cat.path, cat.path + ".away")
    assert_same(again.features(cat, "sift", 50), made)
    assert_same(again.features(cat, "sift", 20), strongest(made, 20))
    with pytest.raises(UnreadableImage, match="no such file"):
        again.features(cat, "sift", 60)
    os.rename(photos / "coffee.jpg", cat.path)
    with pytest.raises(UnreadableImage, match="has changed since it was indexed: index it again") as caught:
        again.features(cat, "orb", 50)
    assert caught.value.path == cat.path
    with pytest.raises(UnknownModel, match="nonsense"):
        again.features(cat, "nonsense")
    for each in (collection, again):
        each.close()


def test_an_odd_picture_is_told_as_unreadable_and_its_network_as_missing(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = lookalike.open(photos)
    collection.add(models=["phash"])
    cat = refs(photos)["cat.jpg"]
    with pytest.raises(ModelUnavailable):
        collection.features(cat, "xfeat")

    def odd(picture: Picture, method: str, limit: int) -> Features:
        raise ValueError("odd\nsecond line")

    monkeypatch.setattr("lookalike.embedding.extract", odd)
    with pytest.raises(UnreadableImage, match=r"local features 'sift' failed on it: odd$"):
        collection.features(cat)
    report = collection.add(keypoints=10)  # the picture is there all the same
    assert (report.features, report.unreadable, report.unchanged) == (0, [], 9)


def test_threads_share_the_features_of_a_collection(photos: Path) -> None:
    collection = lookalike.open(photos)
    collection.add(models=["phash"])
    wanted = list(refs(photos).values()) * 6
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda image: collection.features(image, "orb", 80), wanted))
    for image, features in zip(wanted, found, strict=True):
        assert_same(collection.features(image, "orb", 80), features)
    assert kept(photos) == [("orb", 80, 9)]


def test_a_run_describes_all_pictures_and_later_ones_keep_that_up(photos: Path) -> None:
    collection = lookalike.open(photos)
    told: list[FeatureCost] = []
    assert collection.add(models=["phash"], announce=told.append).features == 0
    assert told == []
    report = collection.add(keypoints=60, announce=told.append)
    assert (report.features, report.embedded, report.unchanged) == (9, 0, 9)
    assert told == [FeatureCost("sift", 60, 9, packed_bytes(60, 128))]
    assert kept(photos) == [("sift", 60, 9)]
    assert collection.add(keypoints=60, announce=told.append).features == 0
    assert len(told) == 1, "nothing is to be paid"
    (photos / "coins copy.jpg").write_bytes((photos / "coins.jpg").read_bytes())
    images.read(photos / "coins.jpg").image.resize((90, 60)).save(photos / "new.png")
    (photos / "rocket.jpg").unlink(missing_ok=True)
    (photos / "more" / "rocket.jpg").unlink(missing_ok=True)
    report = collection.add(announce=told.append)
    assert (report.features, report.added, report.removed) == (1, 2, 1)
    assert len(told) == 1
    assert kept(photos) == [("sift", 60, 9)], "one has come and one has gone"
    assert collection.add(keypoints=30, method="orb").features == 9
    assert kept(photos) == [("orb", 30, 9), ("sift", 60, 9)]
    assert collection.info()["keypoints"] == {"orb": 30, "sift": 60}
    assert collection.add(keypoints=20).features == 0, "cut, not made again"
    assert kept(photos) == [("orb", 30, 9), ("sift", 20, 9)]
    assert collection.add(keypoints=40).features == 9
    collection.add(keypoints=0, method="orb")
    assert kept(photos) == [("sift", 40, 9)]
    collection.add(keypoints=0)
    assert (kept(photos), collection.info()["keypoints"]) == ([], {})
    assert collection.add().features == 0


def test_vectors_and_features_of_one_run_are_those_of_two(photos: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        collection = lookalike.open(photos, into=tmp_path / name)
        if name == "two":
            collection.add(models=["phash", "color"])
        collection.add(models=["phash", "color"], keypoints=50)
        collection.close()
    one, two = (lookalike.open(tmp_path / name) for name in ("one", "two"))
    found, vectors = one.vectors("color")
    again = dict(zip((image.path for image in two.vectors("color")[0]), two.vectors("color")[1], strict=True))
    for image, vector in zip(found, vectors, strict=True):
        np.testing.assert_array_equal(vector, again[image.path])
        assert_same(one.features(image, limit=50), two.features(image, limit=50))
        assert one.thumbnail(image.id) == two.thumbnail(image.id)


def test_what_is_kept_of_a_picture_is_bounded(photos: Path) -> None:
    collection = lookalike.open(photos)
    collection.add(models=["phash"], keypoints=20)
    cat = refs(photos)["cat.jpg"]
    assert (collection.keypoints(), collection.keypoints("orb")) == (20, LIMIT)
    assert len(collection.features(cat, limit=200)) > 20
    assert kept(photos) == [("sift", 20, 9)]


def test_what_was_offered_is_forgotten_by_name_or_with_all(photos: Path) -> None:
    collection = lookalike.open(photos)
    collection.add(models=["phash"])
    collection.features(refs(photos)["cat.jpg"], limit=20)
    collection.add(keypoints=0)
    assert kept(photos) == []


def test_what_cannot_run_is_told_before_anything_is_written(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    collection = lookalike.open(photos)
    for wrong, words in (
        ({"keypoints": 50, "method": "xfeat"}, "xfeat"),
        ({"keypoints": 20_001}, "20001 keypoints: ask for 1 to 20000"),
        ({"method": "orb"}, "say of how many keypoints"),
        ({"keypoints": 0, "method": "nonsense"}, "choose from"),
    ):
        with pytest.raises((ModelUnavailable, UsageError, UnknownModel), match=words):
            collection.add(models=["phash"], **wrong)  # type: ignore[arg-type]
        assert not (photos / ".lookalike").exists()
    collection.add(models=["phash"], keypoints=20)
    with sqlite3.connect(photos / ".lookalike" / "catalogue.sqlite") as db:
        # Asked for where the network was, by a later version, and by nobody.
        db.execute("INSERT INTO local_features VALUES ('xfeat', 50), ('later', 50), ('orb', -1), ('akaze', 1.5)")
    db.close()
    assert collection.add().unchanged == 9
    later, xfeat = (record.getMessage() for record in caplog.records)
    assert "'later' are left out of this run: to find them, run 'pip install --upgrade lookalike'" in later
    assert "'xfeat' are left out of this run: to find them, run 'lookalike models add" in xfeat


def test_features_of_another_revision_are_dropped_when_a_run_ends(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = lookalike.open(photos)
    collection.add(models=["phash"], keypoints=20)
    later = replace(methods.METHODS["sift"], version=99)
    monkeypatch.setattr(methods, "METHODS", {**methods.METHODS, "sift": later})
    assert collection.add().features == 9
    assert kept(photos) == [("sift", 20, 9)]


@pytest.mark.parametrize("content", [None, b"", b"no database, but longer than a header " * 9])
def test_a_lost_or_damaged_file_is_made_anew_by_the_next_run(photos: Path, content: bytes | None) -> None:
    collection = lookalike.open(photos)
    collection.add(models=["phash"], keypoints=20)
    collection.close()
    place = photos / ".lookalike" / FEATURES
    place.unlink()
    if content is not None:
        place.write_bytes(content)
    cat = refs(photos)["cat.jpg"]
    assert len(lookalike.open(photos).features(cat, limit=20)) == 20
    place.unlink(missing_ok=True)
    if content is not None:
        place.write_bytes(content)
    report = lookalike.open(photos).add()
    assert (report.features, report.unchanged) == (9, 9)
    assert kept(photos) == [("sift", 20, 9)]


def test_a_collection_from_before_there_were_features_is_read_and_brought_up_to_date(photos: Path) -> None:
    collection = lookalike.open(photos)
    collection.add(models=["phash"])
    collection.close()
    with sqlite3.connect(photos / ".lookalike" / "catalogue.sqlite") as db:
        db.execute("DROP TABLE local_features")
    db.close()
    with Reader.open(photos / ".lookalike") as store:
        assert store.wanted_features() == {}
    assert lookalike.open(photos).info()["features"] == []
    assert lookalike.open(photos).add(keypoints=10).features == 9


def test_a_file_that_cannot_be_kept_ends_no_run_and_is_told_once(
    photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = photos.parent / "c" / FEATURES
    place.mkdir(parents=True)
    report = lookalike.open(photos, into=place.parent).add(models=["phash"], keypoints=20)
    assert (report.added, report.embedded, report.features) == (9, 9, 0)
    (told,) = (record.getMessage() for record in caplog.records)
    assert told.startswith(f"{place}: local features are left out of this run")
    assert len(lookalike.open(place.parent).features(refs_of(place.parent)[0], limit=20)) == 20


def refs_of(directory: Path) -> list[ImageRef]:
    return lookalike.open(directory).vectors("phash")[0]
