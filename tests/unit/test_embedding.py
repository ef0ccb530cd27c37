"""The pass from files to vectors: how much of it is in hand at a time, and what must not end it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike import embedding, images
from lookalike.embedding import embed_files, prepare
from lookalike.errors import ModelUnavailable
from lookalike.indexing import COMMIT_FILES
from lookalike.models import registry
from lookalike.store import thumbnails
from lookalike.types import ImageFile, InputSpec, ModelCard, Picture, Tunable, Vectors

SIDE = 40


class Counting:
    """A model that remembers how many pictures it was given at a time."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card
        self.batch = 1
        self.given: list[int] = []

    def tune(self, workers: int, batch: int | None = None) -> None:
        self.batch = batch or 1

    def embed(self, pictures: Sequence[Picture]) -> Vectors:
        self.given.append(len(pictures))
        return np.ones((len(pictures), 1), dtype=np.float32)


_loaded: dict[str, Counting] = {}


def load(card: ModelCard) -> Counting:
    """The loader that the cards below name."""
    return _loaded.setdefault(card.name, Counting(card))


@pytest.fixture
def card(request: pytest.FixtureRequest) -> ModelCard:
    spec = InputSpec((8, 8))
    return ModelCard(request.node.name, "descriptor", 1, spec, "", "", "1", "", f"{__name__}:load")


@pytest.fixture
def files(tmp_path: Path) -> list[ImageFile]:
    paths = [tmp_path / f"{n}.png" for n in range(100)]
    for n, path in enumerate(paths):
        Image.new("RGB", (SIDE, SIDE), (n, 0, 0)).save(path)
    return [ImageFile(str(path)) for path in paths]


def test_no_batch_is_so_large_that_a_kill_loses_more_than_a_commit(files: list[ImageFile], card: ModelCard) -> None:
    taken = prepare(files, [card], workers=1, batch=5000)
    assert isinstance(load(card), Tunable)
    assert (taken, load(card).batch) == (COMMIT_FILES, COMMIT_FILES)
    assert all(file.vectors for file in embed_files(files, [card], workers=1, taken=taken))
    assert load(card).given == [64, 36]


def test_pixels_are_counted_as_pillow_keeps_them(
    files: list[ImageFile], card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "HELD_BYTES", 10 * 4 * SIDE * SIDE - 1)
    load(card).tune(1, 25)
    assert all(file.vectors for file in embed_files(files[:25], [card], workers=1, taken=25))
    assert load(card).given == [10, 10, 5]


def test_no_more_pictures_wait_than_the_network_takes(files: list[ImageFile], card: ModelCard) -> None:
    load(card).tune(1, 4)
    assert all(file.vectors for file in embed_files(files[:10], [card], workers=1, taken=10))
    assert load(card).given == [4, 4, 2]


def test_no_picture_is_lost_for_want_of_a_thumbnail(
    files: list[ImageFile], card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(file.thumbnail for file in embed_files(files[:2], [card], thumbnails=True))
    monkeypatch.setattr(thumbnails, "QUALITY", "no quality that Pillow knows")
    for file in embed_files([replace(file) for file in files[:2]], [card], thumbnails=True):
        assert (file.thumbnail, file.reason, file.width, list(file.vectors)) == (None, None, SIDE, [card.name])


def test_numbers_that_are_not_finite_are_never_stored() -> None:
    class Damaged:
        card = registry.card("color")

        def embed(self, pictures: Sequence[Picture]) -> Vectors:
            return np.full((len(pictures), self.card.dim), np.nan, dtype=np.float32)

    with pytest.raises(ModelUnavailable, match="not finite"):
        embedding.embed_pictures(Damaged(), [images.read(np.zeros((8, 8, 3), dtype=np.uint8))])
