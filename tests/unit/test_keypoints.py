"""Local features: found, matched, and held to one transform."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import cv2
import numpy as np
import pytest

from lookalike import images
from lookalike.errors import UnknownModel
from lookalike.keypoints.features import Features
from lookalike.keypoints.geometry import FEWEST, Matches, mirrored, verify
from lookalike.keypoints.matching import match
from lookalike.keypoints.methods import extract
from lookalike.types import Pixels

Photos = dict[str, np.ndarray]

LEARNED = ("xfeat", "alike", "lighterglue")
TURNING = ("sift", "orb", "akaze", "surf", *LEARNED)


def ready(request: pytest.FixtureRequest) -> str:
    if request.param == "surf":
        pytest.importorskip("mahotas")
    if request.param in LEARNED:
        add: Callable[[str], None] = request.getfixturevalue("add_network")
        for name in {request.param, "xfeat"} if request.param == "lighterglue" else {request.param}:
            add(name)
    return str(request.param)


@pytest.fixture(params=TURNING)
def turning(request: pytest.FixtureRequest) -> str:
    """Each method that finds a picture again when it was turned by some degrees, where it can run here."""
    return ready(request)


@pytest.fixture(params=[*TURNING, "hog"])
def method(request: pytest.FixtureRequest) -> str:
    """Each method that can run here."""
    return ready(request)


def features(pixels: Pixels, method: str = "sift", limit: int = 1000) -> Features:
    return extract(images.read(np.ascontiguousarray(pixels)), method, limit)


def corners(size: tuple[int, int]) -> np.ndarray:
    width, height = size
    return np.array([(0, 0, 1), (width, 0, 1), (width, height, 1), (0, height, 1)], dtype=float)


def moved(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    whole = points @ transform.T
    return np.asarray(whole[:, :2] / whole[:, 2:])


def off(found: Matches, wanted: np.ndarray, size: tuple[int, int]) -> float:
    """The median distance in pixels of where the corners come to lie from where they should."""
    assert found.transform is not None
    apart = moved(found.transform, corners(size)) - moved(wanted, corners(size))
    return float(np.median(np.linalg.norm(apart, axis=1)))


def similarity(size: tuple[int, int]) -> np.ndarray:
    turn = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), 25, 0.8)
    return np.vstack([turn, [0, 0, 1]])


def affine(size: tuple[int, int]) -> np.ndarray:
    return np.array([[0.9, 0.25, 5], [0.05, 0.65, 20], [0, 0, 1]])


def homography(size: tuple[int, int]) -> np.ndarray:
    width, height = size
    end = np.float32([(width * 0.1, height * 0.05), (width * 0.8, 0), (width, height), (0, height * 0.8)])
    return np.asarray(cv2.getPerspectiveTransform(corners(size)[:, :2].astype(np.float32), end))


def seen(pixels: Pixels, transform: np.ndarray) -> Pixels:
    height, width = pixels.shape[:2]
    # Pixel centres lie at half numbers here, at whole ones in OpenCV.
    shift = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    whole = np.linalg.inv(shift) @ transform @ shift
    return np.asarray(cv2.warpPerspective(pixels, whole, (width, height), flags=cv2.INTER_AREA, borderValue=(9, 9, 9)))


@pytest.mark.parametrize("make", [similarity, affine, homography], ids=lambda f: f.__name__)
def test_the_transform_between_a_photo_and_its_copy_is_found(photo_pixels: Photos, make, turning: str) -> None:
    distances = []
    for name in ("astronaut", "coffee", "rocket", "cat"):
        pixels = photo_pixels[name]
        size = (pixels.shape[1], pixels.shape[0])
        found = verify(features(pixels, turning), features(seen(pixels, make(size)), turning))
        if found.transform is not None:
            distances.append(off(found, make(size), size))
    assert len(distances) >= 3
    assert np.median(distances) <= 3


def test_the_strictest_kind_that_will_do_is_taken(photo_pixels: Photos) -> None:
    pixels = photo_pixels["astronaut"]
    size = (pixels.shape[1], pixels.shape[0])
    kinds = [
        verify(features(pixels), features(seen(pixels, make(size)))).kind for make in (similarity, affine, homography)
    ]
    assert kinds == ["similarity", "affine", "homography"]


def test_a_mirrored_picture_is_recognised_as_such_only_when_asked(photo_pixels: Photos) -> None:
    pixels = photo_pixels["astronaut"]
    width, height = pixels.shape[1], pixels.shape[0]
    a, b = features(pixels), features(pixels[:, ::-1])
    found = verify(a, b, mirror=True)
    assert found.mirrored
    assert found.count > 50
    assert off(found, np.array([[-1.0, 0, width], [0, 1, 0], [0, 0, 1]]), (width, height)) < 2
    plain = verify(a, b)
    assert not plain.mirrored
    assert plain.count < found.count / 4
    assert not verify(a, features(pixels), mirror=True).mirrored


def test_mirroring_features_is_mirroring_the_picture(photo_pixels: Photos) -> None:
    pixels = photo_pixels["coffee"]
    ours, real = mirrored(features(pixels)), features(pixels[:, ::-1])
    pairs = match(ours, real)
    assert len(pairs) > 0.5 * len(real)
    apart = np.linalg.norm(ours.points[pairs[:, 0]] - real.points[pairs[:, 1]], axis=1)
    assert np.median(apart) < 1.5


def test_unrelated_photos_have_next_to_nothing_in_common(photo_pixels: Photos) -> None:
    found = {name: features(pixels) for name, pixels in photo_pixels.items()}
    counts = [verify(found[a], found[b], mirror=True).count for a, b in combinations(found, 2)]
    assert max(counts) < 2 * FEWEST
    assert np.mean([count > 0 for count in counts]) < 0.35


def test_hog_finds_what_was_moved_by_whole_cells(photo_pixels: Photos) -> None:
    pixels = photo_pixels["astronaut"]
    found = verify(features(pixels, "hog"), features(pixels[32:, 48:], "hog"))
    assert found.count > 50
    assert off(found, np.array([[1.0, 0, -48], [0, 1, -32], [0, 0, 1]]), (pixels.shape[1], pixels.shape[0])) < 1


def test_a_thumbnail_and_its_photo_agree_both_ways(photo_pixels: Photos) -> None:
    photo = photo_pixels["rocket"]
    small, large = (features(np.asarray(cv2.resize(photo, (side, side)))) for side in (80, 4096))
    there, back = verify(small, large), verify(large, small)
    assert min(there.count, back.count) >= 0.9 * max(there.count, back.count) > 0


def test_a_picture_within_another(photo_pixels: Photos) -> None:
    """A crop, enlarged: the transform says where it was taken from."""
    pixels = photo_pixels["astronaut"]
    crop = np.asarray(cv2.resize(pixels[40:200, 60:260], None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC))
    found = verify(features(crop), features(pixels))
    assert found.count > 20
    assert off(found, np.array([[1 / 1.5, 0, 60], [0, 1 / 1.5, 40], [0, 0, 1]]), (300, 240)) < 3


def test_pictures_without_keypoints_match_nothing(photo_pixels: Photos, method: str) -> None:
    flat = features(np.full((200, 300, 3), 90, dtype=np.uint8), method)
    tiny = features(np.zeros((1, 1, 3), dtype=np.uint8), method)
    photo = features(photo_pixels["cat"], method)
    for a, b in ((flat, photo), (photo, flat), (flat, flat), (tiny, photo), (tiny, tiny)):
        found = verify(a, b, mirror=method == "sift")
        assert (len(a) == 0 or len(b) == 0) and found.count == 0 and found.transform is None and len(found.pairs) == 0


def test_repeated_patterns_and_noise_give_no_certainty(method: str) -> None:
    rng = np.random.default_rng(3)
    tile = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    wall = np.tile(cv2.resize(tile, (40, 40)), (6, 8, 1))
    other = np.tile(cv2.resize(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8), (40, 40)), (6, 8, 1))
    noise = rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)
    for a, b in ((wall, other), (wall, noise), (noise, other)):
        assert verify(features(a, method), features(b, method), mirror=method == "sift").count < 2 * FEWEST


def test_features_are_what_they_say(photo_pixels: Photos, method: str) -> None:
    pixels = photo_pixels["astronaut"]
    found, again = features(pixels, method, 150), features(pixels, method, 150)
    assert 50 < len(found) <= 150
    assert found.size == (pixels.shape[1], pixels.shape[0])
    assert (found.points >= 0).all() and (found.points <= found.size).all()
    assert (np.diff(found.strengths) <= 0).all()
    assert ((found.angles >= 0) & (found.angles <= 360)).all()
    assert found.descriptors.dtype == np.uint8
    np.testing.assert_array_equal(found.descriptors, again.descriptors)
    np.testing.assert_array_equal(found.points, again.points)
    np.testing.assert_allclose(np.linalg.norm(found.directions(), axis=1), 1, atol=1e-5)
    fewer = features(pixels, method, 20)
    np.testing.assert_array_equal(fewer.points[:5], found.points[:5])


def test_points_are_in_pixels_of_the_file(photo_pixels: Photos) -> None:
    """However small the codec decoded it, and however small keypoints were looked for."""
    large = np.asarray(cv2.resize(photo_pixels["coffee"], None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC))
    small, found = features(photo_pixels["coffee"]), features(large)
    assert found.size == (large.shape[1], large.shape[0])
    matches = verify(small, found)
    assert off(matches, np.diag([6.0, 6.0, 1.0]), small.size) < 6


def test_another_method_is_refused(photo_pixels: Photos) -> None:
    with pytest.raises(UnknownModel, match="choose from sift, orb, akaze"):
        features(photo_pixels["cat"], "magic")
    with pytest.raises(ValueError, match="cannot be matched"):
        match(features(photo_pixels["cat"]), features(photo_pixels["cat"], "orb"))
