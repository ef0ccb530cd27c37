"""What every model of the catalogue must do."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike import images
from lookalike.models import registry
from lookalike.models.catalog.classical import CARDS
from lookalike.models.check import check
from lookalike.types import Backbone, ModelCard

NAMES = registry.downloadless()


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest) -> Backbone:
    return registry.load(registry.card(request.param))


def test_shape_type_length_determinism_and_independence_of_the_batch(model: Backbone) -> None:
    assert check(model) == []


def test_real_photos_are_apart_and_a_copy_is_near(model: Backbone, photo_pixels: dict[str, np.ndarray]) -> None:
    pictures = [images.read(pixels) for pixels in photo_pixels.values()]
    vectors = model.embed(pictures)
    small = Image.fromarray(photo_pixels["cat"]).resize((250, 166))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=60)
    copy = model.embed([images.read(buffer.getvalue())])[0]
    assert int((vectors @ copy).argmax()) == list(photo_pixels).index("cat")


def test_grey_alpha_and_exif_are_settled_before_the_model(model: Backbone, photo_pixels: dict[str, np.ndarray]) -> None:
    photo = Image.fromarray(photo_pixels["coffee"])
    grey = photo.convert("L")
    grey_rgb = grey.convert("RGB")
    opaque = photo.convert("RGBA")
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: turn by 90 degrees to see it upright
    photo.transpose(Image.Transpose.ROTATE_90).save(turned, "PNG", exif=exif)
    one, two, three, four, five = model.embed(
        [images.read(source) for source in (grey, grey_rgb, photo, opaque, turned.getvalue())]
    )
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(three, four)
    np.testing.assert_array_equal(three, five)


def test_threads_share_one_model(model: Backbone, photo_pixels: dict[str, np.ndarray]) -> None:
    pictures = [images.read(pixels) for pixels in photo_pixels.values()] * 3
    expected = np.concatenate([model.embed([picture]) for picture in pictures])
    with ThreadPoolExecutor(4) as pool:
        found = np.concatenate(list(pool.map(lambda picture: model.embed([picture]), pictures)))
    np.testing.assert_array_equal(expected, found)


def test_cards_say_what_they_must(model: Backbone) -> None:
    card = model.card
    assert card.license and card.summary and card.source and card.revision
    assert ModelCard.from_json(card.as_json()) == card
    assert ModelCard.from_json(card.as_json()).fingerprint == card.fingerprint


def test_the_fingerprint_changes_with_the_numbers_and_not_with_the_words() -> None:
    card = CARDS[0].as_json()
    assert ModelCard.from_json({**card, "summary": "other", "path": "/x"}).fingerprint == CARDS[0].fingerprint
    for change in ({"revision": "other"}, {"dim": 3}, {"options": {"a": "b"}}):
        assert ModelCard.from_json({**card, **change}).fingerprint != CARDS[0].fingerprint


def test_one_decode_for_many_models_gives_what_each_alone_gives(photos: Path) -> None:
    every = lookalike.open(photos, into=photos.parent / "every")
    every.add(models=NAMES)
    for name in NAMES:
        alone = lookalike.open(photos, into=photos.parent / name)
        alone.add(models=[name])
        np.testing.assert_array_equal(every.vectors(name)[1], alone.vectors(name)[1])
