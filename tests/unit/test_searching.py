"""Which images count, and searches by vectors that were made elsewhere."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike.errors import CollectionDamaged, UsageError
from lookalike.types import Only
from lookalike.views import Views


@pytest.fixture
def collection(photos: Path) -> lookalike.Collection:
    """The photos, a folder with another copy of one of them, a large picture of 2019 and one whose EXIF says 2001."""
    first = sorted(photos.glob("*.jpg"))[0]
    (photos / "trip").mkdir()
    shutil.copy(first, photos / "trip" / "again.jpg")
    for path in photos.rglob("*.*"):
        os.utime(path, (0, datetime(2020, 5, 17, 12, tzinfo=UTC).timestamp()))
    Image.effect_noise((900, 300), 60).convert("RGB").save(photos / "wide.png")
    os.utime(photos / "wide.png", (0, datetime(2019, 1, 2, tzinfo=UTC).timestamp()))
    exif = Image.Exif()
    exif[0x0132] = "2001:02:03 04:05:06"
    Image.effect_noise((64, 64), 60).convert("RGB").save(photos / "old.jpg", exif=exif)
    found = lookalike.open(photos)
    found.add(models=["color", "phash"])
    return found


def names(collection: lookalike.Collection, only: Only, model: str = "color") -> set[str]:
    query = Image.new("RGB", (40, 40), "teal")
    found = collection.search(query, model=model, k=1000, only=only)
    return {os.path.relpath(hit.path, collection.directory.parent) for hit in found}


@pytest.mark.parametrize("model", ["color", "color+phash"])
def test_only_what_is_asked_for_is_found(collection: lookalike.Collection, model: str) -> None:
    everything = names(collection, Only(), model)
    assert names(collection, Only(folder=str(collection.directory.parent)), model) == everything
    assert names(collection, Only(folder=str(collection.directory.parent / "trip")), model) == {"trip/again.jpg"}
    assert names(collection, Only(folder="/nowhere/at/all"), model) == set()
    assert names(collection, Only(since="2001-02-03", until="2001-02-03"), model) == {"old.jpg"}
    assert names(collection, Only(until="2001-02-03T04:05:05"), model) == set()
    assert names(collection, Only(since="2019", until="2019"), model) == {"wide.png"}
    assert names(collection, Only(since="2020-05-17", until="2020-05-17"), model) == everything - {
        "wide.png",
        "old.jpg",
    }
    assert "wide.png" in names(collection, Only(least=900), model)
    assert names(collection, Only(most=64), model) == {"old.jpg"}
    assert names(collection, Only(most=64, until="2000"), model) == set()


def test_what_is_asked_for_is_found_however_far_away(collection: lookalike.Collection) -> None:
    query = str(sorted(collection.directory.parent.glob("*.jpg"))[0])
    hits = collection.search(query, model="phash", k=1, only=Only(most=64))
    assert [os.path.basename(hit.path) for hit in hits] == ["old.jpg"]


def test_vectors_made_elsewhere_find_what_the_picture_finds(collection: lookalike.Collection) -> None:
    hit = collection.search(Image.new("RGB", (40, 40), "teal"), model="color", k=1)[0]
    stored = collection.stored("color", [hit.image.id, "nothing"])
    assert list(stored) == [hit.image.id]
    vector = stored[hit.image.id]
    by_file = collection.search(hit.path, model="color", k=5, include_self=True)
    by_vector = collection.search_vectors({"color": vector * 3}, k=5, query=hit.path)
    assert [h.path for h in by_vector] == [h.path for h in by_file]
    assert by_vector[0].cosine == pytest.approx(1, abs=1e-3)
    left_out = collection.search_vectors({"color": vector}, k=5, hidden=[hit.path])
    assert hit.path not in {h.path for h in left_out}
    several = {"color": vector, "phash": collection.stored("phash", [hit.image.id])[hit.image.id]}
    assert collection.search_vectors(several, k=3).model == "color+phash"


@pytest.mark.parametrize("vector", [np.ones(7), np.full(64, np.nan), np.empty((0, 64))])
def test_vectors_that_fit_no_model_are_refused(collection: lookalike.Collection, vector: np.ndarray) -> None:  # type: ignore[type-arg]
    with pytest.raises(UsageError, match="64 finite numbers"):
        collection.search_vectors({"phash": vector})


def test_a_query_that_goes_away_is_told_and_the_others_answered(collection: lookalike.Collection) -> None:
    paths = sorted(str(path) for path in collection.directory.parent.glob("*.jpg"))[:2]
    answers = collection.search_files(paths, models=["color"], views=Views(mirror=True), workers=1)
    first = next(answers)
    os.remove(paths[1])  # both have been read by now; what else is looked for in the second has not
    second = next(answers)
    assert first.columns and not first.reason
    assert second.reason == "no such file" and not second.columns


def test_images_are_listed_by_path_and_found_by_their_id(collection: lookalike.Collection) -> None:
    total, everything = collection.listing(count=1000)
    assert total == len(everything) == collection.info()["images"]
    assert [image.path for image in everything] == sorted(image.path for image in everything)
    assert collection.listing(2, 3) == (total, everything[2:5])
    inside = Only(folder=str(collection.directory.parent / "trip"))
    count, (copy,) = collection.listing(only=inside)
    assert count == 1
    assert [os.path.basename(image.path) for image in collection.showing(copy.id)].count("again.jpg") == 1
    assert len(collection.showing(copy.id)) == 2
    assert collection.showing("0" * 64) == []
    assert collection.beginning(copy.id[:32]) == [copy.id]
    assert collection.beginning("f" * 32) == []
    assert collection.folders == [str(collection.directory.parent)]


def test_vectors_that_are_cut_off_are_told_left_out_and_made_again(collection: lookalike.Collection) -> None:
    assert collection.unusable() == []
    (file,) = (collection.directory / "vectors").glob("color-*.f16")
    os.truncate(file, file.stat().st_size - 1)
    (told,) = collection.unusable()
    assert "its vectors of 'color' are missing or cut off: run 'lookalike index" in told
    assert collection.usable() == ["phash"]
    query = str(sorted(collection.directory.parent.glob("*.jpg"))[0])
    (answer,) = collection.search_files([query], workers=1)
    assert [hits.model for hits in answer.columns] == ["phash"]
    with pytest.raises(CollectionDamaged, match="embed them again"):
        collection.search(query, model="color")
    assert collection.add().embedded == collection.info()["images"]
    assert collection.unusable() == []
    assert collection.search(query, model="color")
