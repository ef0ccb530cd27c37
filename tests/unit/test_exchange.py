"""Vectors out and in: FAISS, NumPy, Parquet."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import faiss
import numpy as np
import pytest

import lookalike
from lookalike.collection import Collection
from lookalike.errors import ModelUnavailable, StorageError, UsageError
from lookalike.exchange import read_faiss, write_faiss, write_npy, write_parquet


@pytest.fixture
def collection(photos: Path) -> Collection:
    shutil.copy(photos / "coffee.jpg", photos / "twin.jpg")
    made = lookalike.open(photos)
    made.add(models=["color"])
    return made


@pytest.mark.parametrize(("metric", "kind"), [("ip", faiss.IndexFlatIP), ("l2", faiss.IndexFlatL2)])
def test_a_flat_index_of_unit_vectors_and_its_paths(collection: Collection, tmp_path: Path, metric, kind) -> None:  # type: ignore[no-untyped-def]
    count = write_faiss(collection, "color", str(tmp_path / "out.index"), metric)
    index = faiss.read_index(str(tmp_path / "out.index"))
    paths = json.loads((tmp_path / "out.paths.json").read_text())
    assert isinstance(index, kind)
    assert count == index.ntotal == len(paths) == 10
    np.testing.assert_allclose(np.linalg.norm(index.reconstruct_n(0, 10), axis=1), 1, atol=1e-3)
    query = paths.index(str(Path(paths[0]).parent / "twin.jpg")) if "twin" in paths[0] else 0
    found = [paths[i] for i in index.search(index.reconstruct_n(query, 1), 3)[1][0]]
    ours = [hit.path for hit in collection.search(paths[query], k=3, include_self=True)]
    assert set(found) == set(ours)


def test_numpy_and_parquet_hold_the_same(collection: Collection, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_npy(collection, "color", str(tmp_path / "v.npy"))
    write_parquet(collection, "color", str(tmp_path / "v.parquet"))
    vectors = np.load(tmp_path / "v.npy", allow_pickle=False)
    table = parquet.read_table(tmp_path / "v.parquet")
    assert table.column_names == ["path", "vector", "sha256", "width", "height", "taken"]
    assert table["path"].to_pylist() == json.loads((tmp_path / "v.paths.json").read_text())
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), dtype=np.float32), vectors)
    assert vectors.dtype == np.float32
    assert sorted(p.name for p in tmp_path.glob("v.*")) == ["v.npy", "v.parquet", "v.paths.json"]


def test_what_was_exported_can_be_imported_and_searched_with_new_images(collection: Collection, tmp_path: Path) -> None:
    write_faiss(collection, "color", str(tmp_path / "out.index"))
    into = Collection(tmp_path / "imported")
    taken = read_faiss(str(tmp_path / "out.index"), str(tmp_path / "out.paths.json"), "color", into)
    assert taken == (10, [], True)
    query = np.full((50, 50, 3), 99, dtype=np.uint8)
    expected = [(hit.path, round(hit.cosine, 5)) for hit in collection.search(query, k=4)]
    assert [(hit.path, round(hit.cosine, 5)) for hit in into.search(query, k=4)] == expected


def test_vectors_of_an_unknown_model_are_searched_with_their_own_images(collection: Collection, tmp_path: Path) -> None:
    images, _ = collection.vectors("color")
    names = sorted({image.path for image in images})
    raw = np.random.default_rng(0).standard_normal((len(names), 16)).astype(np.float32) * 7
    index = faiss.IndexFlatL2(16)
    index.add(raw)
    faiss.write_index(index, str(tmp_path / "articles.index"))
    beside = Path(names[0]).parents[0]
    (tmp_path / "names.json").write_text(json.dumps([str(Path(n)) for n in names[:-1]] + ["absent.jpg"]))
    into = Collection(tmp_path / "imported")
    taken, left_out, any_query = read_faiss(
        str(tmp_path / "articles.index"), str(tmp_path / "names.json"), "their-clip", into
    )
    assert (taken, [Path(path).name for path in left_out], any_query) == (len(names) - 1, ["absent.jpg"], False)
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    hits = into.search(names[0], k=3, include_self=True)
    assert hits[0].path in {names[0], str(beside / "twin.jpg"), str(beside / "coffee.jpg")}
    assert hits[1].cosine == pytest.approx(float(np.sort(unit[0] @ unit[:-1].T)[-2]), abs=2e-3)
    with pytest.raises(ModelUnavailable, match="imported without their model"):
        into.search(np.zeros((9, 9, 3), dtype=np.uint8))


def test_vectors_that_are_not_the_models_are_refused(collection: Collection, tmp_path: Path) -> None:
    write_faiss(collection, "color", str(tmp_path / "out.index"))
    paths = json.loads((tmp_path / "out.paths.json").read_text())
    (tmp_path / "wrong.json").write_text(json.dumps(paths[5:] + paths[:5]))
    with pytest.raises(UsageError, match="another name"):
        read_faiss(str(tmp_path / "out.index"), str(tmp_path / "wrong.json"), "color", Collection(tmp_path / "i"))
    with pytest.raises(UsageError, match="dimensions"):
        read_faiss(str(tmp_path / "out.index"), str(tmp_path / "out.paths.json"), "phash", Collection(tmp_path / "i"))
    assert not (tmp_path / "i").exists()


def test_what_would_mix_or_escape_is_refused(collection: Collection, tmp_path: Path) -> None:
    paths = json.dumps([image.path for image in collection.vectors("color")[0]])
    (tmp_path / "p.json").write_text(paths)
    rng = np.random.default_rng(0)
    for name, dim in (("one", 16), ("two", 16), ("three", 8)):
        index = faiss.IndexFlatL2(dim)
        index.add(rng.standard_normal((10, dim)).astype(np.float32))
        faiss.write_index(index, str(tmp_path / name))
    bad = faiss.IndexFlatL2(4)
    bad.add(np.full((10, 4), np.nan, dtype=np.float32))
    faiss.write_index(bad, str(tmp_path / "nan"))
    into = Collection(tmp_path / "imported")

    def take(index: str, model: str = "theirs") -> object:
        return read_faiss(str(tmp_path / index), str(tmp_path / "p.json"), model, into)

    take("one")
    before = into.vectors("theirs")[1]
    take("one")
    for index in ("two", "three"):
        with pytest.raises(UsageError, match="another name"):
            take(index)
    with pytest.raises(UsageError, match="not finite"):
        take("nan", "fourth")
    for model in ("../../evil", "/absolute", "a/b", ""):
        with pytest.raises(UsageError, match="--model"):
            take("one", model)
    np.testing.assert_array_equal(into.vectors("theirs")[1], before)
    assert list(tmp_path.glob("*.f16")) == []


def test_files_that_do_not_fit_are_refused(collection: Collection, tmp_path: Path) -> None:
    write_faiss(collection, "color", str(tmp_path / "out.index"))
    index, into = str(tmp_path / "out.index"), Collection(tmp_path / "i")
    for name, content, words in [
        ("short.json", '["a.jpg"]', "must match"),
        ("dict.json", "{}", "list of image paths"),
        ("broken.json", "[", "not a JSON file"),
        ("none.json", json.dumps(["absent.jpg"] * 10), "none of its 10 images"),
    ]:
        (tmp_path / name).write_text(content)
        with pytest.raises(UsageError, match=words):
            read_faiss(index, str(tmp_path / name), "x", into)
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    (tmp_path / "bad.json").write_text(json.dumps(["bad.jpg"] * 10))
    with pytest.raises(UsageError, match="none of its 10 images"):
        read_faiss(index, str(tmp_path / "bad.json"), "x", into)
    assert not (tmp_path / "i").exists(), "nothing is made of nothing"
    (tmp_path / "broken.index").write_bytes(b"nothing of the kind")
    with pytest.raises(UsageError, match="not a FAISS index"):
        read_faiss(str(tmp_path / "broken.index"), str(tmp_path / "out.paths.json"), "x", into)
    with pytest.raises(StorageError, match="name a file in a folder"):
        write_npy(collection, "color", str(tmp_path / "no" / "such" / "folder.npy"))


def test_the_commands(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    lookalike_cli("index", photos, "--model", "phash")
    out = photos.parent / "hashes.index"
    done = lookalike_cli("export", "--collection", photos, "--model", "phash", "--faiss", out)
    assert (done.code, done.err) == (0, "")
    into = photos.parent / "imported"
    paths = photos.parent / "hashes.paths.json"
    done = lookalike_cli("import", "--faiss", out, "--paths", paths, "--model", "phash", "--into", into)
    assert (done.code, "any image can be a query" in done.out) == (0, True)
    query = photos / "cat small.png"
    same = [lookalike_cli("search", query, "--collection", c, "--json").json[0]["hits"] for c in (photos, into)]
    assert same[0] == same[1]
    assert lookalike_cli("export", "--collection", photos).code == 2
