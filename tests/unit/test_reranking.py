"""Hits verified by keypoints."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike import images
from lookalike.errors import UnknownModel, UnreadableImage
from lookalike.keypoints.features import LIMIT
from lookalike.reranking import rerank
from lookalike.store import FEATURES, FeatureStore, Packed, pack


@pytest.fixture
def collection(photos: Path) -> lookalike.Collection:
    found = lookalike.open(photos)
    found.add(models=["color", "hog"])
    return found


@pytest.fixture
def query(photo_pixels: dict[str, np.ndarray]) -> np.ndarray:
    """A part of the astronaut, turned upside down and in other colours: neither model has it first."""
    pixels = photo_pixels["astronaut"]
    height, width = pixels.shape[:2]
    part = pixels[height // 8 : height * 7 // 8, width // 8 : width * 7 // 8]
    return np.ascontiguousarray(part[::-1, ::-1, ::-1] // 2 + 60)


def test_what_shows_the_same_comes_first(collection: lookalike.Collection, query: np.ndarray) -> None:
    plain = collection.search(query, model="color", k=9)
    assert Path(plain[0].path).stem != "astronaut", "or there is nothing to mend"
    (found,) = rerank(collection, query, [plain])
    assert Path(found[0].path).stem == "astronaut"
    evidence = found[0].evidence
    assert evidence is not None
    assert evidence.pairs >= evidence.inliers > 20
    assert evidence.chance > 0.9
    assert not evidence.mirrored
    assert sorted(hit.path for hit in found) == sorted(hit.path for hit in plain), "nothing is lost"
    assert {hit.path: hit.cosine for hit in found} == {hit.path: hit.cosine for hit in plain}
    assert [hit.rank for hit in found] == list(range(1, 10))
    assert all(hit.evidence and hit.evidence.chance < 0.5 for hit in found[1:])


def test_the_transform_is_that_of_the_query(
    collection: lookalike.Collection, query: np.ndarray, photo_pixels: dict[str, np.ndarray]
) -> None:
    (found,) = rerank(collection, query, [collection.search(query, model="color", k=9)])
    assert found[0].evidence is not None
    assert found[0].evidence.kind == "similarity"
    assert found[0].evidence.transform is not None
    height, width = photo_pixels["astronaut"].shape[:2]
    corner = np.array(found[0].evidence.transform) @ [0, 0, 1]
    assert corner[:2] / corner[2] == pytest.approx([width * 7 / 8, height * 7 / 8], abs=3)


def test_only_the_first_are_looked_at(collection: lookalike.Collection, query: np.ndarray) -> None:
    plain = collection.search(query, model="color", k=9)
    (found,) = rerank(collection, query, [plain], top=3)
    assert [hit.evidence is not None for hit in found] == [True] * 3 + [False] * 6
    assert {hit.path for hit in found[:3]} == {hit.path for hit in plain[:3]}
    assert [hit.path for hit in found[3:]] == [hit.path for hit in plain[3:]]


@pytest.mark.parametrize("method", ["sift", "orb", "akaze"])
def test_mirrored_queries_are_verified_too(
    collection: lookalike.Collection, photo_pixels: dict[str, np.ndarray], method: str
) -> None:
    query = np.ascontiguousarray(photo_pixels["cat"][:, ::-1])
    plain = collection.search(query, model="color", k=9)
    for mirror in (False, True):
        (found,) = rerank(collection, query, [plain], mirror=mirror, method=method)
        (cat,) = [hit for hit in found if hit.path.endswith("cat.jpg")]
        assert cat.evidence is not None
        assert cat.evidence.mirrored == mirror
        assert (cat.evidence.inliers > 30) == mirror


def test_a_query_without_keypoints(collection: lookalike.Collection) -> None:
    grey = np.full((200, 300, 3), 127, dtype=np.uint8)
    plain = collection.search(grey, model="color", k=9)
    (found,) = rerank(collection, grey, [plain])
    assert {hit.path for hit in found} == {hit.path for hit in plain}
    for hit in found:
        assert hit.evidence is not None
        assert hit.evidence.note == "nothing to verify: the query has no keypoints"
        assert (hit.evidence.inliers, hit.evidence.transform) == (0, None)
        assert hit.evidence.chance < 0.5


def test_files_that_have_gone_stay_in_the_ranking(collection: lookalike.Collection, photos: Path) -> None:
    query = images.read(photos / "more" / "cat.jpg")
    plain = collection.search(photos / "more" / "cat.jpg", model="color", k=9)
    (photos / "cat small.png").unlink()
    (photos / "astronaut.jpg").write_bytes(b"something else by now")
    (found,) = rerank(collection, query, [plain])
    notes = {Path(hit.path).name: hit.evidence.note for hit in found if hit.evidence}
    assert "no such file" in (notes["cat small.png"] or "")
    assert notes["astronaut.jpg"]
    assert {hit.path for hit in found} == {hit.path for hit in plain}


def test_another_file_of_the_same_bytes_will_do(
    collection: lookalike.Collection, photos: Path, query: np.ndarray
) -> None:
    (photos / "z astronaut.jpg").write_bytes((photos / "astronaut.jpg").read_bytes())
    collection.add()
    plain = collection.search(query, model="color", k=20)
    (photos / "z astronaut.jpg").unlink()
    (found,) = rerank(collection, query, [plain])
    assert {Path(hit.path).stem for hit in found[:2]} == {"astronaut", "z astronaut"}
    assert all(hit.evidence and hit.evidence.inliers > 20 for hit in found[:2])


def test_kept_features_of_another_shape_are_not_matched(collection: lookalike.Collection, query: np.ndarray) -> None:
    plain = collection.search(query, model="color", k=9)
    picture = next(hit.image for hit in plain if Path(hit.path).stem == "astronaut")
    features = collection.features(picture)
    narrow = pack(replace(features, descriptors=np.ascontiguousarray(features.descriptors[:, :64])))
    with closing(FeatureStore(collection.directory / FEATURES)) as store:
        store.put([Packed(picture.id, "sift", LIMIT, narrow)])
    (found,) = rerank(collection, query, [plain])
    (hit,) = [hit for hit in found if hit.image == picture]
    assert hit.evidence is not None
    assert hit.evidence.note == "what features.sqlite keeps of it is damaged: move that file away"


def test_rankings_of_several_models_at_once(collection: lookalike.Collection, query: np.ndarray) -> None:
    columns = [collection.search(query, model=name, k=9) for name in ("color", "hog")]
    found = rerank(collection, query, columns)
    assert [hits.model for hits in found] == ["color", "hog"]
    assert [Path(hits[0].path).stem for hits in found] == ["astronaut", "astronaut"]


def test_what_cannot_be(collection: lookalike.Collection, query: np.ndarray, tmp_path: Path) -> None:
    plain = collection.search(query, model="color", k=9)
    with pytest.raises(UnknownModel, match="choose from sift"):
        rerank(collection, query, [plain], method="swift")
    Image.new("RGB", (10, 10)).save(tmp_path / "x.png")
    (tmp_path / "x.png").write_bytes((tmp_path / "x.png").read_bytes()[:40])
    with pytest.raises(UnreadableImage, match=r"x\.png"):
        rerank(collection, str(tmp_path / "x.png"), [replace(plain, query=str(tmp_path / "x.png"))])
    assert rerank(collection, query, [replace(plain, items=())])[0].items == ()
