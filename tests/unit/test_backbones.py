"""The built-in models against reference code, against copies of real photos, and against their own past."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module, resources

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image, ImageColor, ImageOps
from skimage import data, feature

from lookalike.keypoints import hog
from lookalike.models.backbones import color, vlad
from lookalike.models.catalog.classical import CARDS
from lookalike.models.preprocess import fit
from lookalike.types import Backbone, Picture

CARD = {card.name: card for card in CARDS}
PHOTOS = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "coffee",
    "coins",
    "hubble_deep_field",
    "immunohistochemistry",
    "retina",
    "rocket",
)  # those that come inside scikit-image: the others it would download


@cache
def photo(name: str) -> Image.Image:
    return Image.fromarray(getattr(data, name)()).convert("RGB")


@cache
def model(name: str) -> Backbone:
    module, _, function = CARD[name].loader.partition(":")
    loaded: Backbone = getattr(import_module(module), function)(CARD[name])
    return loaded


def picture(image: Image.Image) -> Picture:
    return Picture(np.asarray(image.convert("RGB")), image.width, image.height, "PNG")


def flat(width: int, height: int, rgb: tuple[int, int, int]) -> Picture:
    return picture(Image.new("RGB", (width, height), rgb))


def jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=50)
    return Image.open(file)


def smaller(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 4 // 5, image.height * 4 // 5))


def middle(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((width // 5, height // 5, width * 4 // 5, height * 4 // 5))


def turned(image: Image.Image) -> Image.Image:
    return image.rotate(30, Image.Resampling.BICUBIC, expand=True)


def cosines(name: str, edit: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """(edited, photos): each row belongs to the photo of the same number."""
    photos = [photo(p) for p in PHOTOS]
    edited = model(name).embed([picture(edit(image)) for image in photos])
    return edited @ model(name).embed([picture(image) for image in photos]).T


@pytest.mark.parametrize("edit", [jpeg, smaller], ids=lambda edit: edit.__name__)
@pytest.mark.parametrize("name", CARD)
def test_a_near_copy_beats_every_other_photo(name: str, edit: Callable[[Image.Image], Image.Image]) -> None:
    found = cosines(name, edit)
    others = np.where(np.eye(len(found), dtype=bool), -1, found)
    assert (np.diag(found) > others.max(axis=1)).all()
    assert np.diag(found).min() > others.max(axis=1).mean()


@pytest.mark.parametrize("edit", [middle, turned, ImageOps.mirror, ImageOps.flip], ids=lambda edit: edit.__name__)
def test_sift_finds_parts_turned_and_mirrored_copies(edit: Callable[[Image.Image], Image.Image]) -> None:
    assert (cosines("sift", edit).argmax(axis=1) == np.arange(len(PHOTOS))).all()


def test_orb_finds_turned_copies() -> None:
    assert (cosines("orb", turned).argmax(axis=1) == np.arange(len(PHOTOS))).all()


def test_color_does_not_mind_where_things_are() -> None:
    upside_down = cosines("color", lambda image: image.rotate(180))
    assert np.diag(upside_down).min() > 0.999


def test_mirrored_sift_keypoints_have_the_same_descriptors() -> None:
    image = fit(picture(photo("astronaut")), CARD["sift"].input)
    there, back = vlad.sift(image), vlad.sift(np.ascontiguousarray(image[:, ::-1]))
    best = (back @ there.T).max(axis=1)  # cosines: RootSIFT has length 1
    assert np.median(best) > 0.99


def stripes(*colours: str, across: bool = False) -> Picture:
    """A flag of equal stripes: it has edges, and not one keypoint."""
    flag = Image.new("RGB", (len(colours), 1))
    for place, colour in enumerate(colours):
        flag.putpixel((place, 0), ImageColor.getrgb(colour))
    flag = flag.resize((300, 200), Image.Resampling.NEAREST)
    return picture(flag.transpose(Image.Transpose.ROTATE_90) if across else flag)


def test_sift_tells_pictures_without_keypoints_apart_by_their_edges() -> None:
    austria = stripes("red", "white", "red", across=True)
    france, again, poland = stripes("navy", "white", "red"), stripes("navy", "white", "red"), stripes("white", "red")
    assert not cv2.SIFT.create(1000).detect(cv2.cvtColor(france.pixels, cv2.COLOR_RGB2GRAY), None)
    rows = model("sift").embed([france, again, austria, poland])
    assert rows[0] @ rows[1] == pytest.approx(1, abs=1e-5)
    assert max(rows[0] @ rows[2], rows[0] @ rows[3], rows[2] @ rows[3]) < 0.9


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("kind", ["phash", "dhash"])
def test_hashes_are_those_of_imagehash(kind: str, name: str) -> None:
    ours = model(kind).embed([picture(photo(name))])[0] > 0
    theirs = getattr(imagehash, kind)(photo(name)).hash.ravel()
    assert (ours == theirs).sum() >= 62  # all 64 here; a last digit elsewhere may turn a bit near the median


@pytest.mark.parametrize("kind", ["phash", "dhash"])
def test_cosine_of_hashes_is_exactly_the_hamming_distance(kind: str) -> None:
    vectors = model(kind).embed([picture(photo(name)) for name in PHOTOS])
    hamming = ((vectors[:, None] > 0) != (vectors[None] > 0)).sum(axis=2)
    assert (vectors @ vectors.T == (1 - 2 * hamming / 64).astype(np.float32)).all()


@pytest.mark.parametrize("name", PHOTOS)
def test_hog_is_that_of_scikit_image(name: str) -> None:
    pixels = fit(picture(photo(name)), CARD["hog"].input)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float64)
    theirs = feature.hog(grey, 9, (hog.CELL, hog.CELL), (2, 2), block_norm="L2-Hys")
    assert np.allclose(hog.histograms(pixels), theirs, atol=1e-5)


def test_color_histograms_are_shares() -> None:
    shares = color.histogram(fit(picture(photo("coffee")), CARD["color"].input))
    assert shares.shape == (color.DIM,)
    assert shares.min() >= 0
    assert shares.sum() == pytest.approx(1, abs=1e-5)


def test_greys_have_no_hue() -> None:
    nearly_grey = model("color").embed([flat(9, 9, (129, 128, 128)), flat(9, 9, (128, 128, 129))])
    red_and_blue = model("color").embed([flat(9, 9, (200, 20, 20)), flat(9, 9, (20, 20, 200))])
    assert nearly_grey[0] @ nearly_grey[1] > 0.99
    assert red_and_blue[0] @ red_and_blue[1] < 0.01


ODD = {
    "black": flat(60, 40, (0, 0, 0)),
    "red": flat(300, 200, (255, 0, 0)),
    "dot": flat(1, 1, (7, 8, 9)),
    "wide": flat(5000, 1, (200, 200, 200)),
    "tall": flat(1, 5000, (90, 0, 90)),
    "sliver": picture(photo("coffee").resize((400, 15))),
    "tiny": picture(photo("coffee").resize((17, 16))),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", CARD)
def test_pictures_with_little_to_describe(name: str, odd: str) -> None:
    first, again = model(name).embed([ODD[odd], ODD[odd]])
    assert np.isfinite(first).all()
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-5)
    assert (first == again).all()


@pytest.mark.parametrize("name", ["phash", "hog", "sift", "orb"])
def test_a_flat_picture_is_like_no_photo(name: str) -> None:
    black = model(name).embed([ODD["black"]])
    photos = model(name).embed([picture(photo(p)) for p in PHOTOS])
    assert np.abs(photos @ black[0]).max() < 0.2


def test_a_flat_picture_has_no_steps_up() -> None:
    assert (model("dhash").embed([ODD["red"]]) < 0).all()


@pytest.mark.parametrize("name", CARD)
def test_four_threads_agree_with_one(name: str) -> None:
    pictures = [picture(photo(p)) for p in PHOTOS] * 2
    alone = np.concatenate([model(name).embed([one]) for one in pictures])
    with ThreadPoolExecutor(4) as pool:
        together = np.concatenate(list(pool.map(lambda one: model(name).embed([one]), pictures)))
    assert (alone == together).all()


@pytest.mark.parametrize("name", CARD)
def test_no_pictures_no_vectors(name: str) -> None:
    assert model(name).embed([]).shape == (0, CARD[name].dim)


@pytest.mark.parametrize("name", ["sift", "orb"])
def test_revision_is_the_hash_of_the_codebook(name: str) -> None:
    file = resources.files("lookalike").joinpath("data", CARD[name].options["codebook"])
    assert CARD[name].revision == "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()


# The first components for scikit-image's astronaut. Who changes one changes the card's revision too, or old
# collections would silently mix with new vectors.
CANONICAL = {
    "phash": [0.125, 0.125, -0.125, -0.125],
    "dhash": [0.125, 0.125, -0.125, -0.125],
    "color": [0.083, 0.064, 0.059, 0.079],
    "layout": [-0.038, -0.051, -0.068, -0.040],
    "hog": [0.034, 0.008, -0.046, -0.052],
    "sift": [-0.105, -0.064, 0.052, 0.019],
    "orb": [-0.041, 0.081, -0.037, 0.006],
}


@pytest.mark.parametrize("name", CARD)
def test_numbers_stay_as_they_are(name: str) -> None:
    vector = model(name).embed([picture(photo("astronaut"))])[0]
    assert vector[:4] == pytest.approx(CANONICAL[name], abs=1e-3)
