"""Several models made one ranking, further views of a query, and what is usual."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike import images
from lookalike.errors import UsageError
from lookalike.fusion import fused
from lookalike.ranking import SAME
from lookalike.types import Usual
from lookalike.views import CROPS, Views

MODELS = ["hog", "color", "phash"]


@pytest.fixture
def collection(photos: Path) -> lookalike.Collection:
    found = lookalike.open(photos)
    found.add(models=MODELS)
    return found


# -- fusion ----------------------------------------------------------------------------------------------------------


def test_the_same_picture_is_one_and_a_usual_one_is_nothing() -> None:
    usual = [Usual(0.2, 0.1), Usual(0.7, 0.02)]
    table = np.array([[1.0, 0.2, 0.6], [1.0, 0.7, 0.85]])
    assert fused(table, usual) == pytest.approx([1.0, 0.0, 0.5])


def test_a_model_whose_cosines_hardly_vary_counts_no_less() -> None:
    usual = [Usual(0.0, 0.2), Usual(0.9, 0.01)]
    by_first, by_second = fused(np.array([[0.4, 0.0], [0.9, 0.92]]), usual)
    assert by_first == pytest.approx(by_second), "both are two deviations above in one model, and usual in the other"


def test_what_a_model_does_not_know_is_usual_to_it() -> None:
    usual = [Usual(0.1, 0.1), Usual(0.3, 0.1)]
    known, unknown = fused(np.array([[0.8, 0.8], [0.3, np.nan]]), usual)
    assert known == pytest.approx(unknown)


def test_what_is_less_alike_than_usual_is_a_cosine_still() -> None:
    assert fused(np.array([[-1.0], [-1.0]]), [Usual(0.6, 0.1), Usual(0.5, 0.1)]).tolist() == [-1]


def test_ranks_as_in_the_paper() -> None:
    rng = np.random.default_rng(0)
    table = rng.random((3, 20))
    expected = np.zeros(20)
    for row in table:
        for place, picture in enumerate(sorted(range(20), key=lambda i: -row[i]), 1):
            expected[picture] += 1 / (60 + place)
    found = fused(table, [Usual(0, 1)] * 3, "ranks")
    assert np.argsort(-found).tolist() == np.argsort(-expected).tolist()
    assert found == pytest.approx(expected * 61 / 3)
    assert fused(np.array([[0.9, 0.1], [0.7, 0.2]]), [Usual(0, 1)] * 2, "ranks")[0] == 1


# -- several models --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fuse", ["scores", "ranks"])
def test_models_together(collection: lookalike.Collection, photos: Path, fuse: str) -> None:
    views = Views(fuse=fuse)  # type: ignore[arg-type]
    hits = collection.search(photos / "cat small.png", model="hog+color+phash", views=views)
    assert hits.model == "hog+color+phash"
    assert Path(hits[0].path).name == "cat.jpg"
    assert [hit.rank for hit in hits] == list(range(1, 9))
    assert all(1 >= a.cosine >= b.cosine for a, b in itertools.pairwise(hits))
    again = next(collection.search_files([str(photos / "cat small.png")], models=["hog+color+phash"], views=views))
    assert [(h.path, h.cosine) for h in again.columns[0]] == [(h.path, h.cosine) for h in hits]


def test_the_same_picture_is_first_with_one(collection: lookalike.Collection, photos: Path) -> None:
    hits = collection.search(photos / "more" / "cat.jpg", model="hog+color", include_self=True)
    assert Path(hits[0].path).name == "cat.jpg"
    assert hits[0].cosine == pytest.approx(1, abs=2e-3)
    assert hits.usual is not None
    assert hits.usual.standard(hits[0].cosine) > hits.usual.standard(hits[-1].cosine)


def test_a_fused_ranking_looks_at_every_candidate_by_every_model(
    collection: lookalike.Collection, photos: Path
) -> None:
    """Against the definition, over all pictures."""
    query = photos / "coffee.jpg"
    columns = [collection.search(query, model=name, k=100) for name in ("hog", "color")]
    paths = sorted(hit.path for hit in columns[0])
    table = np.array([[next(h.cosine for h in column if h.path == path) for path in paths] for column in columns])
    expected = dict(zip(paths, fused(table, [c.usual or Usual(0, 1) for c in columns]), strict=True))
    hits = collection.search(query, model="hog+color", k=100)
    assert {hit.path: hit.cosine for hit in hits} == pytest.approx(expected, abs=1e-3)


def test_a_model_that_is_not_there(collection: lookalike.Collection, photos: Path) -> None:
    with pytest.raises(UsageError, match="no vectors of 'sift'"):
        collection.search(photos / "cat.jpg", model="hog+sift")


def test_pictures_that_only_one_of_the_models_came_to_know(
    collection: lookalike.Collection, photos: Path, photo_pixels: dict[str, np.ndarray]
) -> None:
    query = photo_pixels["cat"][10:, 10:]
    collection.search(query, model="hog+color")
    Image.fromarray(photo_pixels["cat"][5:, :-5]).save(photos / "later.png")
    lookalike.open(photos).add(models=["color"])  # as another process would, while this one has it open
    hits = collection.search(query, model="hog+color", k=100)
    assert "later.png" in {Path(hit.path).name for hit in hits}
    fresh = lookalike.open(photos).search(query, model="hog+color", k=100)
    assert (hits.usual, [hit.cosine for hit in hits]) == (fresh.usual, [hit.cosine for hit in fresh])


def test_words_need_models_that_read(collection: lookalike.Collection) -> None:
    with pytest.raises(UsageError, match="cannot read words"):
        collection.search_terms([lookalike.Term(text="a cat")], model="hog+color")


# -- views -----------------------------------------------------------------------------------------------------------


def test_a_mirrored_query_is_found_by_its_mirror_image(
    collection: lookalike.Collection, photo_pixels: dict[str, np.ndarray]
) -> None:
    query = np.ascontiguousarray(photo_pixels["rocket"][:, ::-1])
    plain = collection.search(query, model="hog", k=1)[0]
    mirrored = collection.search(query, model="hog", k=1, views=Views(mirror=True))[0]
    assert Path(mirrored.path).name == "rocket.jpg"
    assert mirrored.cosine > 0.98 > plain.cosine


def test_a_part_of_the_query_is_found_with_crops(
    collection: lookalike.Collection, photo_pixels: dict[str, np.ndarray], tmp_path: Path
) -> None:
    left, right = (Image.fromarray(photo_pixels[name]).resize((240, 240)) for name in ("astronaut", "coffee"))
    both = Image.new("RGB", (480, 240))
    both.paste(left, (0, 0))
    both.paste(right, (240, 0))
    both.save(tmp_path / "both.png")
    cosines = {}
    for views in (Views(), Views(crops=True)):
        answer = next(collection.search_files([str(tmp_path / "both.png")], models=["hog"], k=2, views=views))
        cosines[views.crops] = {Path(hit.path).stem: hit.cosine for hit in answer.columns[0]}
    assert set(cosines[True]) == {"astronaut", "coffee"}
    assert min(cosines[True].values()) > max(cosines[False].values())


def test_views_are_parts_and_mirror_images() -> None:
    pixels = np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)
    picture = images.read(pixels)
    assert Views().of(picture) == []
    (mirrored,) = Views(mirror=True).of(picture)
    assert (mirrored.pixels == pixels[:, ::-1]).all()
    parts = Views(crops=True).of(picture)
    assert (parts[1].pixels == pixels[:24, :36]).all()
    assert (parts[1].width, parts[1].height) == (36, 24)
    assert len(Views(mirror=True, crops=True).of(picture)) == 2 * len(CROPS) + 1
    assert all(min(each.size) >= 1 for each in Views(crops=True).of(images.read(pixels[:1, :1])))


# -- what is usual ---------------------------------------------------------------------------------------------------


def test_usual_is_the_middle_of_all(collection: lookalike.Collection, photos: Path) -> None:
    hits = collection.search(photos / "more" / "cat.jpg", model="color", k=100)  # all but the query itself
    assert hits.usual is not None
    assert hits.usual.mean == pytest.approx(
        float(np.median([hit.cosine for hit in hits if hit.cosine < SAME])), abs=2e-3
    )
    assert hits.usual.deviation > 0


def test_usual_of_a_lonely_picture(tmp_path: Path, photo_pixels: dict[str, np.ndarray]) -> None:
    (tmp_path / "one").mkdir()
    Image.fromarray(photo_pixels["cat"]).save(tmp_path / "one" / "cat.png")
    collection = lookalike.open(tmp_path / "one")
    collection.add(models=["color", "hog"])
    hits = collection.search(photo_pixels["rocket"], model="color+hog")
    assert len(hits) == 1
    assert np.isfinite(hits[0].cosine)
