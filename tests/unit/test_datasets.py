"""The published data sets, written here in their official layouts, and everything that can be wrong with them."""

from __future__ import annotations

import json
import os
import pickle
import resource
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike.bench import protocols
from lookalike.bench.datasets import (
    CAP,
    Dataset,
    pickled,
    read,
    read_descriptors,
    read_predictions,
    write_descriptors,
    write_predictions,
)
from lookalike.errors import LookalikeError, UnreadableImage, UsageError


def put(root: Path, *names: str, size: tuple[int, int] = (16, 12)) -> Path:
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (i * 40 % 256, 90, 200)).save(root / name)
    return root


def refused(name: str, root: Path, *why: str) -> str:
    """What the user is told: one line that says why."""
    with pytest.raises(UsageError) as raised:
        read(name, root)
    message = str(raised.value)
    assert "\n" not in message
    assert all(part in message for part in why), message
    return message


# -- DISC21 ------------------------------------------------------------------------------------------------------------

TRUTH = "query_id,reference_id\nQ00000,\nQ00001,R000002\nQ00002,R000000\nQ00003,\n"


@pytest.fixture
def disc21(tmp_path: Path) -> Path:
    put(tmp_path, *(f"references/R{i:06d}.jpg" for i in range(5)), *(f"dev_queries/Q{i:05d}.jpg" for i in range(4)))
    put(tmp_path, "train/T000000.jpg", "final_queries/Q50000.jpg")
    (tmp_path / "public_ground_truth.csv").write_text(TRUTH)
    (tmp_path / "final_ground_truth.csv").write_text("query_id,reference_id\nQ50000,R000004\n")
    return tmp_path


def test_disc21(disc21: Path) -> None:
    data = read("disc21", disc21)
    assert list(data.gallery) == [f"R{i:06d}" for i in range(5)]
    assert data.gallery["R000003"] == disc21 / "references" / "R000003.jpg"
    assert {query.id: set(query.truths) for query in data.queries} == {
        "Q00000": set(),
        "Q00001": {"R000002"},
        "Q00002": {"R000000"},
        "Q00003": set(),
    }
    assert all(query.picture().width == 16 for query in data.queries)
    assert dict(data.training) == {"T000000": disc21 / "train" / "T000000.jpg"}
    assert data.warnings == []
    found = protocols.judge(data, {"Q00001": [("R000002", 0.9)], "Q00003": [("R000001", 0.95)]}).figures
    assert found == pytest.approx({"uap": 0.25, "recall@p90": 0, "accuracy@1": 0.5, "accuracy@3": 0.5})


def test_disc21_final_and_the_article(disc21: Path) -> None:
    assert [(query.id, set(query.truths)) for query in read("disc21-final", disc21).queries] == [
        ("Q50000", {"R000004"})
    ]
    (disc21 / "references" / "R000000.jpg").unlink()
    article = read("disc21-article", disc21)
    assert [query.id for query in article.queries] == ["Q00001"]
    assert len(article.gallery) == 4
    (warning,) = article.warnings
    assert "1 query left out" in warning
    assert "Q00002" in warning
    refused("disc21", disc21, "public_ground_truth.csv, line 4", "R000000 in references/", "disc21-article")
    (disc21 / "references" / "R000002.jpg").unlink()
    with pytest.raises(UsageError, match=r"2 queries lack a file\): complete the data$"):
        read("disc21-article", disc21)


@pytest.mark.parametrize(
    ("truth", "queries", "references", "training"),
    [
        ("ground_truth.csv", "queries", "references", "training"),
        ("public_ground_truth.csv", "query_images", "reference_images", "training_images"),
        ("val_groundtruth_matches.csv", "val_query", "val_ref", "training"),
        ("list_files/public_ground_truth.csv", "queries", "references", "train"),
    ],
)
def test_disc21_under_its_other_names(tmp_path: Path, truth: str, queries: str, references: str, training: str) -> None:
    put(tmp_path, f"{queries}/Q00001.jpg", f"{references}/R000002.jpg", f"{training}/a/T000001.jpg")
    (tmp_path / truth).parent.mkdir(exist_ok=True)
    (tmp_path / truth).write_bytes(b"\xef\xbb\xbfQ00001,R000002\r\n")
    data = read("disc21", tmp_path)
    assert (list(data.gallery), list(data.training)) == (["R000002"], ["T000001"])
    assert data.queries[0].truths == {"R000002"}


def test_query_images_that_the_truth_does_not_name(disc21: Path) -> None:
    put(disc21, "dev_queries/Q00009.jpg")
    data = read("disc21", disc21)
    assert "Q00009" not in [query.id for query in data.queries]
    assert "1 query image not in public_ground_truth.csv: not asked" in data.warnings[0]
    (disc21 / "public_ground_truth.csv").write_text("Q00001,R000002\nQ00001,R000002\n")  # matches alone
    data = read("disc21", disc21)
    assert [bool(query.truths) for query in data.queries] == [False, True, False, False, False]
    assert "public_ground_truth.csv: 1 repeated line" in data.warnings[0]
    assert "4 query images" in data.warnings[1]
    assert "as having no match" in data.warnings[1]


def test_only_the_final_truth_is_there(disc21: Path) -> None:
    (disc21 / "public_ground_truth.csv").unlink()
    data = read("disc21", disc21)
    assert [query.id for query in data.queries] == ["Q50000"]
    assert "judged by final_ground_truth.csv" in data.warnings[0]


@pytest.mark.parametrize(
    ("truth", "why"),
    [
        (b"query_id,reference_id\nQ00001\n", "line 2: expected query_id,reference_id"),
        (b"Q00001,R000002\nQ00001,R000002,0.5\n", "line 2: expected"),
        (b",R000002\n", "line 1: expected"),
        (b"Q00001,R000002\nQ00001,\n", "line 2: Q00001 has a reference in one line and none in another"),
        (b"Q00001,R000002\nQ00009,R000001\n", "line 2: no image Q00009 in dev_queries/"),
        (b"Q00001,R000002\n\nQ00002,R999999\n", "line 3: no image R999999 in references/"),
        (b"Q00001,R000002\nQ0\xff\xfe2,R000001\n", "line 2: no text"),
        (b'Q00001,R000002\n"Q00002,R000001\n', "damaged"),
        (b"Q00001," + b"R" * 200_000, "damaged"),
        (b"Q00001,\nQ00002,\n", "nothing to find"),
        (b"", "nothing to find"),
    ],
)
def test_a_ground_truth_that_is_wrong(disc21: Path, truth: bytes, why: str) -> None:
    (disc21 / "public_ground_truth.csv").write_bytes(truth)
    refused("disc21", disc21, "public_ground_truth.csv", why)


def test_what_is_missing_of_disc21(disc21: Path, tmp_path: Path) -> None:
    refused("disc21", tmp_path / "nowhere", "no such folder")
    put(disc21, "references/more/R000001.png")
    refused("disc21", disc21, "R000001.jpg", "more/R000001.png", "the same name")
    (disc21 / "references").rename(disc21 / "elsewhere")
    refused("disc21", disc21, "no folder of references", "reference_images/")
    for path in disc21.glob("*.csv"):
        path.unlink()
    refused("disc21", disc21, "no ground truth", "dev_ground_truth.csv")
    (disc21 / "final_ground_truth.csv").mkdir()
    refused("disc21-final", disc21, "no ground truth")
    with pytest.raises(UsageError, match="disc21-article, labelled"):
        read("disc12", disc21)


# -- predictions -------------------------------------------------------------------------------------------------------


def test_predictions_come_back_as_they_were(disc21: Path, tmp_path: Path) -> None:
    data = read("disc21", disc21)
    rankings = {"Q00001": [("R000002", 0.1 + 0.2), ("R000001", -1e-9)], "Q00003": [("R000004", 0.3)]}
    assert write_predictions(tmp_path / "p.csv", rankings) == 0
    assert (tmp_path / "p.csv").read_text().splitlines()[:2] == [
        "query_id,reference_id,score",
        "Q00001,R000002,0.30000000000000004",
    ]
    assert read_predictions(tmp_path / "p.csv", data) == rankings


def test_predictions_in_any_order_without_a_header(disc21: Path, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("Q00001.jpg,R000001.jpg,0.25\nQ00001, R000002 ,0.5")
    found = read_predictions(tmp_path / "p.csv", read("disc21", disc21))
    assert found == {"Q00001": [("R000002", 0.5), ("R000001", 0.25)]}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Q00009,R000001,0.5", "line 3: disc21 asks for no query 'Q00009'"),
        ("Q00001,R999999,0.5", "line 3: disc21 has no reference 'R999999'"),
        ("Q00001,R000002,0.5", "line 3: Q00001,R000002 was predicted before"),
        ("Q00001,R000001,nan", "'nan' is no finite number"),
        ("Q00001,R000001,-inf", "no finite number"),
        ("Q00001,R000001,high", "'high' is no finite number"),
        ("Q00001,R000001,", "no finite number"),
        ("Q00001,,0.5", "line 3: expected"),
        ("Q00001,R000001", "line 3: expected query_id,reference_id,score"),
    ],
)
def test_predictions_that_are_wrong(disc21: Path, tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "p.csv").write_text(f"query_id,reference_id,score\nQ00001,R000002,0.9\n{line}\n")
    with pytest.raises(UsageError, match=r"p\.csv, ") as raised:
        read_predictions(tmp_path / "p.csv", read("disc21", disc21))
    assert why in str(raised.value)


@pytest.mark.parametrize("text", ["", "\n\n", "query_id,reference_id,score\n"])
def test_no_predictions_are_no_score(disc21: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(UsageError, match=r"p\.csv: no predictions in it"):
        read_predictions(tmp_path / "p.csv", read("disc21", disc21))


def test_predictions_over_the_cap(disc21: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lookalike.bench.datasets import predictions

    data = read("disc21", disc21)
    rows = [f"Q{q:05d},R{r:06d},{0.5 + r / 100}" for q in range(4) for r in range(5)]
    (tmp_path / "p.csv").write_text("\n".join(rows))
    assert sum(map(len, read_predictions(tmp_path / "p.csv", data).values())) == 20
    assert CAP == 500_000
    monkeypatch.setattr(predictions, "CAP", 19)
    with pytest.raises(UsageError, match="line 20: more than 19 predictions"):
        read_predictions(tmp_path / "p.csv", data)
    with pytest.raises(UsageError, match="no such file"):
        read_predictions(tmp_path / "absent.csv", data)


# -- descriptors -------------------------------------------------------------------------------------------------------


@pytest.fixture
def h5py() -> Any:
    return pytest.importorskip("h5py", reason="HDF5 needs h5py: pip install 'lookalike[hdf5]'")


def test_descriptors_come_back_as_they_were(tmp_path: Path, h5py: Any) -> None:
    vectors = np.random.default_rng(1).standard_normal((300, 7)).astype(np.float32)
    names = [f"R{i:06d}" for i in range(299)] + ["Straße"]
    write_descriptors(tmp_path / "d.hdf5", names, vectors)
    with h5py.File(tmp_path / "d.hdf5") as file:  # as the challenge's own script reads it
        assert np.array(file["image_names"][:2], dtype=object).astype(str).tolist() == names[:2]
        assert file["vectors"].dtype == np.float32
    found, rows = read_descriptors(tmp_path / "d.hdf5")
    assert found == names
    assert np.array_equal(rows, vectors)
    with pytest.raises(UsageError, match="3 names for vectors of shape"):
        write_descriptors(tmp_path / "e.hdf5", names[:3], vectors)
    write_descriptors(tmp_path / "none.hdf5", [], vectors[:0])
    assert read_descriptors(tmp_path / "none.hdf5")[0] == []


def as_strings(h5py: Any, file: Any) -> None:
    file["vectors"] = np.ones((2, 3), np.float64)
    file.create_dataset("image_names", data=["a", "b"], dtype=h5py.string_dtype())


def test_names_of_any_length(tmp_path: Path, h5py: Any) -> None:
    with h5py.File(tmp_path / "d.h5", "w") as file:
        as_strings(h5py, file)
    names, rows = read_descriptors(tmp_path / "d.h5")
    assert (names, rows.dtype) == (["a", "b"], np.float32)


def outside(h5py: Any, file: Any) -> None:
    file["image_names"] = np.array([b"a"])
    file["vectors"] = h5py.ExternalLink("/etc/hostname", "x")


def outside_bytes(h5py: Any, file: Any) -> None:
    file["image_names"] = np.array([b"a"])
    file.create_dataset("vectors", (1, 4), np.float32, external=[("/etc/hostname", 0, 16)])


def virtual(h5py: Any, file: Any) -> None:
    file["image_names"] = np.array([b"a"])
    layout = h5py.VirtualLayout((1, 4), np.float32)
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (1, 4))
    file.create_virtual_dataset("vectors", layout)


def huge(h5py: Any, file: Any) -> None:
    file["image_names"] = np.array([b"a"])
    file.create_dataset("vectors", (1, 1 << 40), np.float32, chunks=(1, 1024))


WRONG: dict[str, tuple[Callable[[Any, Any], object], str]] = {
    "no vectors": (lambda _, f: f.create_dataset("image_names", data=[b"a"]), "no `vectors`"),
    "a group": (lambda _, f: (f.create_group("vectors"), f.create_dataset("image_names", data=[b"a"])), "not in this"),
    "counts": (
        lambda _, f: (f.__setitem__("vectors", np.ones((2, 3))), f.__setitem__("image_names", [b"a"])),
        "must be",
    ),
    "whole numbers": (
        lambda _, f: (f.__setitem__("vectors", np.ones((1, 3), int)), f.__setitem__("image_names", [b"a"])),
        "must be",
    ),
    "names": (
        lambda _, f: (f.__setitem__("vectors", np.ones((1, 3))), f.__setitem__("image_names", [7])),
        "is no name",
    ),
    "twice": (
        lambda _, f: (f.__setitem__("vectors", np.ones((2, 3))), f.__setitem__("image_names", [b"a", b"a"])),
        "'a' twice",
    ),
    "NaN": (
        lambda _, f: (f.__setitem__("vectors", [[1.0], [np.nan]]), f.__setitem__("image_names", [b"a", b"b"])),
        "the vector of 'b' is not finite",
    ),
    "a link to a file": (outside, "is a link"),
    "bytes of a file": (outside_bytes, "not in this file"),
    "a virtual one": (virtual, "not in this file"),
    "4 TB": (huge, "claims more"),
}


@pytest.mark.parametrize("case", WRONG)
def test_descriptors_that_are_wrong(tmp_path: Path, h5py: Any, case: str) -> None:
    write, why = WRONG[case]
    with h5py.File(tmp_path / "d.h5", "w") as file:
        write(h5py, file)
    with pytest.raises(UsageError, match=r"d\.h5") as raised:
        read_descriptors(tmp_path / "d.h5")
    assert why in str(raised.value)


def test_descriptors_that_are_damaged(tmp_path: Path, h5py: Any) -> None:
    path = tmp_path / "d.h5"
    write_descriptors(path, [f"n{i}" for i in range(50)], np.ones((50, 64), np.float32))
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    for cut in (0, 7, 100, 1000, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(UsageError, match="damaged"):
            read_descriptors(path)
    for _ in range(60):  # wherever a few bytes are wrong, it is told, or it did not matter
        bad = bytearray(whole)
        for place in rng.integers(0, 2400, size=3):
            bad[place] = rng.integers(256)
        path.write_bytes(bad)
        try:
            names, rows = read_descriptors(path)
        except LookalikeError as error:
            assert "\n" not in str(error)
        else:
            assert len(names) == len(rows)
    with pytest.raises(UsageError, match="no such file"):
        read_descriptors(tmp_path / "absent.h5")


def test_h5py_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UsageError, match=r"pip install 'lookalike\[hdf5\]'"):
        read_descriptors(tmp_path / "d.h5")


# -- class folders -----------------------------------------------------------------------------------------------------


def test_class_folders(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.jpg", "cat/more/b.png", "dog/a.jpg", "dog/b.jpg", "dog/c.jpg", "alone/a.jpg", "loose.jpg")
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    data = read("labelled", tmp_path)
    assert len(data.gallery) == 6
    assert {query.id for query in data.queries} == set(data.gallery) - {"alone/a.jpg"}
    assert data.labels["cat/more/b.png"] == {"cat"}
    assert [warning.partition(":")[0] for warning in data.warnings] == [
        "1 image in no class",
        "1 image without another of its class",
    ]
    by_id = {query.id: query for query in data.queries}
    assert data.is_right(by_id["cat/a.jpg"], "cat/more/b.png")
    assert not data.is_right(by_id["cat/a.jpg"], "cat/a.jpg")
    assert not data.is_right(by_id["cat/a.jpg"], "dog/a.jpg")
    perfect = {
        query.id: [(name, float(data.is_right(query, name))) for name in data.gallery if name != query.id]
        for query in data.queries
    }
    found = protocols.judge(data, perfect).figures
    assert found["recall@1"] == found["map@r"] == found["knn@1"] == 1


def test_class_folders_that_are_none(tmp_path: Path) -> None:
    refused("labelled", put(tmp_path, "a.jpg", "b.jpg"), "0 classes")
    refused("labelled", put(tmp_path, "cat/a.jpg", "cat/b.jpg"), "1 class, 2 images", "two folders")
    refused("labelled", put(tmp_path / "other", "cat/a.jpg", "dog/b.jpg"), "0 images that share one")


# -- COCO --------------------------------------------------------------------------------------------------------------

COCO = {
    "images": [{"id": 139, "file_name": "000000000139.jpg"}, {"id": 285, "file_name": "000000000285.jpg"}],
    "categories": [{"id": 1, "name": "person"}, {"id": 23, "name": "bear"}],
    "annotations": [
        {"id": 1, "image_id": 139, "category_id": 1},
        {"id": 2, "image_id": 139, "category_id": 1},
        {"id": 3, "image_id": 285, "category_id": 23},
        {"id": 4, "image_id": 285, "category_id": 1},
    ],
}


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    put(tmp_path, *(f"val2017/{name}.jpg" for name in ("000000000139", "000000000285", "000000000632")))
    (tmp_path / "annotations").mkdir()
    return tmp_path


def test_coco(coco: Path) -> None:
    data = read("coco", coco)
    assert (len(data.gallery), list(data.queries)) == (3, [])
    assert "a gallery only" in data.warnings[0]
    (coco / "annotations" / "instances_val2017.json").write_text(json.dumps(COCO))
    for root in (coco, coco / "val2017"):
        data = read("coco", root)
        assert [query.id for query in data.queries] == ["000000000139.jpg", "000000000285.jpg"]
        assert data.labels["000000000285.jpg"] == {"bear", "person"}
        assert "1 image without a category" in data.warnings[0]
    found = protocols.judge(data, {"000000000139.jpg": [("000000000285.jpg", 1.0), ("000000000632.jpg", 0.5)]}).figures
    assert found == pytest.approx({"shared@1": 0.5, "shared@5": 0.1, "shared@10": 0.05, "shared@all": 0.5})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "line 1"),
        ("[" * 100_000, "too deep"),
        ("[]", "not laid out"),
        ('{"images": 3}', "not laid out"),
        (json.dumps({**COCO, "annotations": [{"image_id": 7, "category_id": 1}]}), "not laid out"),
        (json.dumps({**COCO, "images": [*COCO["images"], {"id": 1, "file_name": "../../x"}]}), "such as ../../x"),
        (json.dumps({**COCO, "annotations": []}), "no image has a category"),
        ('{"images": ' + "9" * 10_000 + "}", "no JSON"),
    ],
)
def test_annotations_that_are_wrong(coco: Path, text: str, why: str) -> None:
    (coco / "annotations" / "instances_val2017.json").write_text(text)
    refused("coco", coco, "instances_val2017.json", why)


def test_coco_without_an_image(tmp_path: Path) -> None:
    refused("coco", tmp_path, "val2017/")


# -- Copydays ----------------------------------------------------------------------------------------------------------


def test_copydays(tmp_path: Path) -> None:
    put(tmp_path, "original/200000.jpg", "original/200100.jpg", "strong/200001.jpg", "strong/200002.jpg")
    put(tmp_path, "strong/200101.jpg", "jpegqual/3/200000.jpg", "crops/50/200100.jpg", "distractors/x.jpg")
    data = read("copydays", tmp_path)
    assert {query.id: set(query.truths) for query in data.queries} == {
        "strong/200001": {"200000"},
        "strong/200002": {"200000"},
        "strong/200101": {"200100"},
        "jpeg/3/200000": {"200000"},
        "crops/50/200100": {"200100"},
    }
    assert list(data.gallery) == ["200000", "200100", "distractors/x.jpg"]
    assert "2 originals and 3 strong copies: the official set has 157 and 229" in data.warnings
    rankings = {
        "strong/200001": [("200000", 0.9)],
        "strong/200002": [("200100", 0.9), ("200000", 0.8)],
        "jpeg/3/200000": [("200000", 0.7)],
    }
    assert protocols.judge(data, rankings).figures == pytest.approx(
        {"map": (1 + 0.25 + 0) / 3, "accuracy@1": 1 / 3, "map/jpeg/3": 1, "map/crops/50": 0}
    )


def test_copydays_whole(tmp_path: Path) -> None:
    put(tmp_path, "original/200000.jpg", "strong/200001.jpg")
    one = (tmp_path / "original" / "200000.jpg").read_bytes()
    for i in range(157):
        (tmp_path / f"original/2{i:03d}00.jpg").write_bytes(one)
    for i in range(229):
        (tmp_path / f"strong/2{i % 157:03d}{1 + i // 157:02d}.jpg").write_bytes(one)
    data = read("copydays", tmp_path)
    assert (len(data.gallery), len(data.queries), data.warnings) == (157, 229, [])


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["strong/200001.jpg"], "no folder of originals"),
        (["original/200000.jpg"], "no folder of strong copies"),
        (["original/200000.jpg", "strong/200101.jpg"], "no original of it, 200100"),
        (["original/200000.jpg", "original/200001.jpg", "strong/200002.jpg"], "a second original of photo 2000"),
        (["original/photo.jpg", "strong/200002.jpg"], "six digits"),
        (["original/200000.jpg", "strong/200001.jpg", "strong/200001.png"], "the same name"),
    ],
)
def test_copydays_that_is_wrong(tmp_path: Path, names: Sequence[str], why: str) -> None:
    refused("copydays", put(tmp_path, *names), why)


# -- Revisited Oxford and Paris ----------------------------------------------------------------------------------------

IMAGES = ["all_souls_000013", "bodleian_000107", "oxford_000001", "oxford_000002"]


def annotations(numbers: Callable[[list[int]], Any] = list, box: Callable[[list[float]], Any] = list) -> dict[str, Any]:
    return {
        "imlist": IMAGES,
        "qimlist": ["query_one", "query_two"],
        "gnd": [
            {"bbx": box([2.4, 1.0, 10.0, 9.0]), "easy": numbers([0]), "hard": numbers([1, 2]), "junk": numbers([3])},
            {"bbx": box([-3.5, 0.0, 99.0, 5.0]), "easy": numbers([]), "hard": numbers([1]), "junk": numbers([])},
        ],
    }


@pytest.fixture
def roxford(tmp_path: Path) -> Path:
    put(tmp_path / "roxford5k" / "jpg", *(f"{name}.jpg" for name in [*IMAGES, "query_one", "query_two"]))
    return tmp_path / "roxford5k"


def expected(data: Dataset) -> None:
    assert list(data.gallery) == IMAGES
    one, two = data.queries
    assert (one.id, one.truths, one.hard) == ("000-query_one", set(IMAGES[:3]), set(IMAGES[1:3]))
    assert (one.junk, one.box) == ({IMAGES[3]}, (2.4, 1.0, 10.0, 9.0))
    assert (two.truths, two.hard, two.junk) == ({IMAGES[1]}, {IMAGES[1]}, set())
    assert one.picture().size == (8, 8)
    assert two.picture().size == (16, 5)  # what lies outside of the picture is left out


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["lists", "int64", "uint16", ">i4", "scalars"])
def test_revisited_from_a_pickle(roxford: Path, protocol: int, kind: str) -> None:
    if kind == "lists":
        truth = annotations()
    elif kind == "scalars":
        truth = annotations(lambda values: [np.int64(v) for v in values], lambda values: tuple(map(np.float64, values)))
    else:
        truth = annotations(lambda values: np.array(values, dtype=kind), np.array)
    (roxford / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(truth, protocol=protocol))
    expected(read("roxford", roxford))


def test_revisited_from_json_and_from_the_folder_above(roxford: Path) -> None:
    (roxford / "gnd_roxford5k.json").write_text(json.dumps(annotations()))
    (roxford / "gnd_roxford5k.pkl").write_bytes(b"not looked at")
    expected(read("roxford", roxford.parent))
    refused("rparis", roxford, "gnd_rparis6k.pkl")


def test_a_pickle_of_python_2(roxford: Path) -> None:
    """With the strings of that time, as text and as bytes, and an array whose bytes are such a string."""
    array = (
        "cnumpy.core.multiarray\n_reconstruct\np1\n(cnumpy\nndarray\np2\n(I0\ntS'b'\ntR(I1\n(I2\nt"
        "cnumpy\ndtype\n(S'i2'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'\\x03\\x00\\x01\\x00'\ntb"
    )
    text = f"(dp0\nS'numbers'\n{array}sS'names'\n(lp5\nS'one'\naVtwo\nasS'half'\nF0.5\ns."
    assert pickled.loads(text.encode()) == {"numbers": [3, 1], "names": ["one", "two"], "half": 0.5}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda t: t.pop("gnd"), "must hold the lists"),
        (lambda t: t.update(imlist="abc"), "must hold the lists"),
        (lambda t: t["imlist"].__setitem__(0, "../../etc/passwd"), "imlist[0] is no name"),
        (lambda t: t["imlist"].__setitem__(1, 7), "imlist[1] is no name"),
        (lambda t: t["imlist"].__setitem__(1, IMAGES[0]), "a name twice"),
        (lambda t: t["qimlist"].pop(), "1 queries, 2 answers"),
        (lambda t: t["qimlist"].__setitem__(0, "absent"), "such as absent.jpg"),
        (lambda t: t["gnd"].__setitem__(0, []), "gnd[0] is no table"),
        (lambda t: t["gnd"][1].update(hard=[4]), "gnd[1]: hard is no list of places in imlist, 0 to 3"),
        (lambda t: t["gnd"][1].update(hard=[-1]), "hard is no list of places"),
        (lambda t: t["gnd"][1].update(hard=[1.5]), "hard is no list of places"),
        (lambda t: t["gnd"][1].update(hard=1), "hard is no list of places"),
        (lambda t: t["gnd"][0].update(junk=[0]), "two of easy, hard and junk"),
        (lambda t: t["gnd"][0].update(bbx=[1, 2, 3]), "bbx is not four numbers"),
        (lambda t: t["gnd"][0].update(bbx=[1, 2, float("nan"), 4]), "bbx is not four numbers"),
        (lambda t: t["gnd"][0].update(bbx=[1, 2, 1, 4]), "empty box"),
        (lambda t: t["gnd"][0].pop("bbx"), "bbx is not four numbers"),
    ],
)
def test_annotations_of_revisited_that_are_wrong(roxford: Path, change: Callable[[Any], object], why: str) -> None:
    truth = json.loads(json.dumps(annotations()))
    change(truth)
    for name, data in (("pkl", pickle.dumps(truth)), ("json", json.dumps(truth).encode())):
        (roxford / f"gnd_roxford5k.{name}").write_bytes(data)
        refused("roxford", roxford, f"gnd_roxford5k.{name}", why)


def test_a_box_outside_of_its_picture(roxford: Path) -> None:
    truth = annotations(box=lambda _: [100, 100, 120, 120])
    (roxford / "gnd_roxford5k.json").write_text(json.dumps(truth))
    with pytest.raises(UnreadableImage, match="outside"):
        read("roxford", roxford).queries[0].picture()


# -- pickles that want to do harm --------------------------------------------------------------------------------------


class Calls:
    """Pickled as a call of anything."""

    def __init__(self, call: Callable[..., object], *arguments: object) -> None:
        self.made = (call, arguments)

    def __reduce__(self) -> Any:
        return self.made


SPOILT = pickle.dumps(annotations(lambda values: np.array(values)), protocol=2)
ATTACKS: dict[str, tuple[bytes, str]] = {
    "a command": (pickle.dumps(Calls(os.system, "touch pwned")), "system"),
    "eval": (pickle.dumps(Calls(eval, "open('pwned', 'w')")), "eval"),
    "a command among data": (pickle.dumps({"imlist": [Calls(os.system, "touch pwned")]}, protocol=2), "system"),
    "a process": (pickle.dumps(Calls(subprocess.Popen, ["touch", "pwned"])), "Popen"),
    "by an alias": (b"cnumpy\nload\n(S'pwned'\ntR.", "numpy load"),
    "inst": (b"(S'touch pwned'\nios\nsystem\n.", "INST"),
    "obj": (b"(cnumpy\nndarray\nS'x'\no.", "OBJ"),
    "newobj": (b"\x80\x02cnumpy\nndarray\n)\x81.", "NEWOBJ"),
    "a call of a type": (b"cnumpy\nndarray\n(I1\ntR.", "cannot be called"),
    "a call of a string": (b"S'os.system'\n(S'x'\ntR.", "cannot be called"),
    "a name from the stack": (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.", "os system"),
    "a name that is no string": (b"\x80\x04K\x01K\x02\x93.", "damaged"),
    "a persistent id": (b"Psomething\n.", "PERSID"),
    "an extension": (b"\x80\x02\x82\x01.", "EXT1"),
    "state for a list": (b"\x80\x02]}b.", "takes nothing"),
    "an array of objects": (pickle.dumps(np.array([Calls(os.system, "touch pwned")], dtype=object)), "at byte"),
    "an array of objects alone": (pickle.dumps(np.array([None, 1], dtype=object)), "something else than numbers"),
    "an array of strings": (pickle.dumps(np.array(["a"])), "something else than numbers"),
    "a number of many digits": (pickle.dumps(1 << 5000), "more than 64 bits"),
    "digits": (b"I" + b"9" * 10_000 + b"\n.", "at byte"),
    "8 EB of bytes": (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.", "at byte"),
    "8 EB of bytearray": (b"\x80\x05\x96" + struct.pack("<Q", 1 << 62) + b"x.", "at byte"),
    "a string of 4 GB": (b"X\xff\xff\xff\xff.", "at byte"),
    "a place in the memo": (b"]r\xff\xff\xff\xff0h\x01.", "damaged"),
    "a key of a list": (b"}]]s.", "odd keys"),
    "a key of tuples in tuples": (b"}(" + b")" + b"\x85" * 100_000 + b"K\x01u.", "odd keys"),
    "nothing on the stack": (b"0.", "damaged"),
    "no mark": (b"t.", "damaged"),
    "empty": (b"", "at byte"),
    "noise": (bytes(range(256)) * 4, "at byte"),
    "a web page": (b"<!DOCTYPE html>", "at byte"),
    "more than one thing": (b"K\x01K\x02.", "ends in the middle"),
    "an open mark": (b"K\x01(.", "ends in the middle"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_pickle_is_run(roxford: Path, attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(roxford)
    data, why = ATTACKS[attack]
    with pytest.raises(ValueError, match=r"at byte|damaged|ends") as raised:
        pickled.loads(data)
    assert why in str(raised.value)
    (roxford / "gnd_roxford5k.pkl").write_bytes(data)
    message = refused("roxford", roxford, "gnd_roxford5k.pkl", "not to be trusted")
    assert len(message) < 500
    assert not (roxford / "pwned").exists()


def test_pickles_cut_short_or_spoilt(roxford: Path) -> None:
    """Whatever happens to one, the answer is data or one error."""
    for cut in range(0, len(SPOILT) - 1, 7):
        with pytest.raises(ValueError, match="at byte"):
            pickled.loads(SPOILT[:cut])
    rng = np.random.default_rng(2)
    path = roxford / "gnd_roxford5k.pkl"
    for _ in range(400):
        bad = bytearray(SPOILT)
        for place in rng.integers(0, len(bad), size=2):
            bad[place] = rng.integers(256)
        path.write_bytes(bad)
        try:
            read("roxford", roxford)
        except UsageError as error:
            assert "\n" not in str(error)


def array_again_and_again(times: int) -> bytes:
    """One megabyte that is asked to be made into an array many times."""
    raw = b"B" + struct.pack("<I", 1 << 20) + b"\0" * (1 << 20) + b"q\x01"
    kind = b"cnumpy\ndtype\n(U\x02i1K\x00K\x01tRq\x02"
    shape = b"J" + struct.pack("<i", 1 << 20) + b"\x85q\x03"
    call = b"cnumpy.core.numeric\n_frombuffer\nq\x04"
    return b"\x80\x02](" + raw + kind + shape + call + b"h\x04(h\x01h\x02h\x03U\x01CtR" * times + b"e."


def test_a_small_pickle_takes_little_memory() -> None:
    loaded = pickled.loads(array_again_and_again(2))
    assert len(loaded[4]) == len(loaded[5]) == 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="more data than"):
        pickled.loads(array_again_and_again(3000))
    with pytest.raises(ValueError, match="instructions"):
        pickled.loads(b"0".join([b"N"] * 1_500_000))
    with pytest.raises(ValueError, match="bytes: no such file"):
        pickled.loads(b"N" * (pickled.MOST_BYTES + 1))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # in KB


def test_deep_ones_are_let_go_of() -> None:
    deep = pickled.loads(b"]" * 200_000 + b"a" * 199_999 + b".")
    assert len(deep) == 1
    looped = pickled.loads(b"\x80\x02]q\x00h\x00a.")
    assert looped[0] is looped
