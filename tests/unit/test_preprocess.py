"""The pixels of the references: the very same of a whole picture, and near them of a reduced decode."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike.images import read
from lookalike.models import preprocess
from lookalike.types import InputSpec, Picture

CLIP = InputSpec(size=(224, 224), mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711))
RESNET = InputSpec(size=(224, 224), resize=256, resample="bilinear", centre="even")
FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4}


def photo(pixels: np.ndarray, width: int, height: int) -> Image.Image:
    """A real photo at a size of our own, with the grain that a camera adds."""
    image = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))
    grain = np.random.default_rng(width).normal(0, 6, image.shape)
    return Image.fromarray((image + grain).clip(0, 255).astype(np.uint8))


def jpeg(image: Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90, **options)
    return out.getvalue()


def reference(image: Image.Image, spec: InputSpec) -> np.ndarray:
    """As torchvision and transformers do it: all of the picture made small, then its middle cut out."""
    (height, width), short = spec.size, spec.resize or min(spec.size)
    scale_to = (short, int(short * image.height / image.width))
    if image.width > image.height:
        scale_to = (int(short * image.width / image.height), short)
    small = image.resize(scale_to, FILTERS[spec.resample])
    left, top = small.width - width, small.height - height
    left, top = (round(left / 2), round(top / 2)) if spec.centre == "even" else (left // 2, top // 2)
    return np.asarray(small.crop((left, top, left + width, top + height)))


@pytest.mark.parametrize("resample", FILTERS)
@pytest.mark.parametrize("spec", [CLIP, RESNET, replace(CLIP, size=(180, 200), resize=224)])
@pytest.mark.parametrize("size", [(640, 480), (480, 640), (501, 667), (256, 384), (150, 901), (224, 224)])
def test_whole_pictures_are_the_references_to_the_last_bit(
    spec: InputSpec, resample: Any, size: tuple[int, int], photo_pixels: dict[str, np.ndarray]
) -> None:
    image, spec = photo(photo_pixels["coffee"], *size), replace(spec, resample=resample)
    np.testing.assert_array_equal(preprocess.fit(read(image), spec), reference(image, spec))


@pytest.mark.parametrize("size", [(2400, 1800), (2403, 1801), (1801, 2405), (4001, 3007)])
@pytest.mark.parametrize("spec", [CLIP, RESNET])
def test_a_reduced_decode_shows_the_same(
    spec: InputSpec, size: tuple[int, int], photo_pixels: dict[str, np.ndarray]
) -> None:
    """Also where the codec fills up its last pixel, which lies mostly beyond the edge."""
    data = jpeg(photo(photo_pixels["coffee"], *size))
    reduced, whole = read(data, side=512), read(data)
    assert reduced.size != (reduced.width, reduced.height) == whole.size
    difference = preprocess.fit(reduced, spec).astype(int) - preprocess.fit(whole, spec)
    assert np.abs(difference).mean() <= 0.26


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("size", [(1601, 1207), (1600, 1200)])
def test_so_does_one_that_is_turned(
    size: tuple[int, int], orientation: int, photo_pixels: dict[str, np.ndarray]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = jpeg(photo(photo_pixels["coffee"], *size), exif=exif)
    difference = preprocess.fit(read(data, side=512), CLIP).astype(int) - preprocess.fit(read(data), CLIP)
    assert np.abs(difference).mean() <= 0.26


@pytest.mark.parametrize("kind", ["squash", "pad", "longest"])
def test_a_padded_pixel_counts_as_what_it_shows(kind: Any) -> None:
    """A step in the middle stays there, though the pixels of a reduced decode reach beyond the edge."""
    image = Image.new("RGB", (1025, 1025), "black")
    image.paste((255, 255, 255), (512, 0, 1025, 1025))
    reduced = read(jpeg(image), side=128)
    assert reduced.size == (129, 129)
    spec = InputSpec(size=(32, 32), fit=kind, resample="bilinear")
    columns = preprocess.fit(reduced, spec).mean(axis=(0, 2))
    # Half of 1025 is 512.5: the step is in the middle but for a 64th of a column.
    assert abs(columns.sum() / 255 - 16) < 0.06


def test_pixels_of_any_size_are_taken_for_the_whole_picture(photo_pixels: dict[str, np.ndarray]) -> None:
    small = photo_pixels["cat"]
    spec = replace(CLIP, fit="squash")
    one, other = Picture(small, 9999, 1234, "RAW"), Picture(small, small.shape[1], small.shape[0], "RAW")
    np.testing.assert_array_equal(preprocess.fit(one, spec), preprocess.fit(other, spec))


def test_pixels_are_the_fitted_ones_stacked(photo_pixels: dict[str, np.ndarray]) -> None:
    pictures = [read(pixels) for pixels in photo_pixels.values()]
    found = preprocess.pixels(pictures, CLIP)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.stack([preprocess.fit(picture, CLIP) for picture in pictures]))


def test_a_batch_is_normalised_to_the_last_bit(photo_pixels: dict[str, np.ndarray]) -> None:
    pictures = [read(pixels) for pixels in photo_pixels.values()]
    levels = preprocess.pixels(pictures, CLIP).transpose(0, 3, 1, 2)
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (CLIP.mean, CLIP.std))
    found = preprocess.batch(pictures, CLIP)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, (levels.astype(np.float32) / np.float32(255) - mean) / std)
    plain = preprocess.batch(pictures, replace(CLIP, mean=None, std=None))
    assert plain.dtype == np.float32
    np.testing.assert_array_equal(plain, levels)


@pytest.mark.parametrize("kind", ["squash", "pad", "longest", "crop"])
def test_grey_is_made_before_small(kind: Any, photo_pixels: dict[str, np.ndarray]) -> None:
    image, spec = Image.fromarray(photo_pixels["astronaut"]), InputSpec(size=(40, 60), fit=kind)
    grey = preprocess.fit(read(image.convert("L")), spec)
    np.testing.assert_array_equal(preprocess.fit_grey(read(image), spec), grey[:, :, 0])


@pytest.mark.parametrize("size", [(90, 30), (30, 90), (1, 50), (40, 40), (1, 1)])
def test_a_frame_has_the_mean_colour_of_the_pictures_edge(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(size[0])
    picture = read(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    found = preprocess.fit(picture, InputSpec(size=(40, 40), fit="frame"))
    white = preprocess.fit(picture, InputSpec(size=(40, 40), fit="pad"))
    shown = preprocess.fit(picture, InputSpec(size=(40, 40), fit="longest"))
    if size[0] != size[1]:
        outside = (found != white).any(axis=2)
        edge = np.array([shown[y, x] for y, x in np.ndindex(shown.shape[:2]) if on_edge(y, x, shown)])
        assert outside.sum() >= 40 * 40 - shown.shape[0] * 40
        assert np.abs(found[outside] - edge.mean(axis=0)).max() <= 0.5
    else:
        np.testing.assert_array_equal(found, white)


def on_edge(y: int, x: int, pixels: np.ndarray) -> bool:
    return y in (0, len(pixels) - 1) or x in (0, pixels.shape[1] - 1)
