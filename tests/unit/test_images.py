"""Every kind of pixel and of trouble, in files that the tests make themselves."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike import images
from lookalike.errors import UnreadableImage
from lookalike.formats import has_image_magic, is_image_name
from lookalike.images import looks_like_image, read, read_bytes, thumbnail
from lookalike.types import Picture

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def gradient(width: int = 64, height: int = 48) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def with_exif(**tags: Any) -> bytes:
    exif = Image.Exif()
    for tag, value in tags.items():
        if tag == "original":
            exif.get_ifd(0x8769)[0x9003] = value
        else:
            exif[{"orientation": 0x0112, "date": 0x0132}[tag]] = value
    return exif.tobytes()


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def refused(source: Any, **options: Any) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read(source, **options)
    assert "\n" not in caught.value.reason
    assert "<" not in caught.value.reason, "an object's repr is no reason"
    return caught.value.reason


# --- Formats and modes ---


@pytest.mark.parametrize(
    "kind", ["PNG", "GIF", "TIFF", "BMP", "PPM", "TGA", "SGI", "PCX", "JPEG2000", "DDS", "ICO", "IM"]
)
def test_lossless_formats_give_the_very_pixels(kind: str) -> None:
    image = gradient(32, 32).quantize(64).convert("RGB")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # writing IM
        data = encoded(image, kind, **({"sizes": [(32, 32)]} if kind == "ICO" else {}))
    picture = read(data, name=f"some.{kind.lower()}")
    assert picture.format == kind
    assert (picture.width, picture.height, picture.taken) == (32, 32, None)
    np.testing.assert_array_equal(picture.pixels, np.asarray(image))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_lossy_formats_come_close(kind: str) -> None:
    image = gradient()
    picture = read(encoded(image, kind, quality=95))
    assert picture.format == kind
    assert np.abs(picture.pixels.astype(int) - np.asarray(image)).mean() < 4


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"])
def test_every_mode_of_a_pillow_image(mode: str) -> None:
    grey = Image.new("RGB", (8, 6), (128, 128, 128)).convert("LAB" if mode == "LAB" else "RGB")
    picture = read(grey if mode == "LAB" else grey.convert(mode))
    assert picture.pixels.shape == (6, 8, 3)
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.flags.c_contiguous
    if mode not in ("1", "P"):  # which dither
        assert np.abs(picture.pixels.astype(int) - 128).max() <= 2


def test_content_decides_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "really.jpeg"
    path.write_bytes(encoded(gradient(), "GIF"))
    assert read(path).format == "GIF"


def test_cmyk_jpeg_is_not_inverted() -> None:
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    red, green, blue = read(data).pixels[8, 8]
    assert red > 240
    assert green < 15
    assert blue < 15


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 256, 32768, 65535]], dtype=np.uint16)
    for data in (encoded(Image.fromarray(values), "PNG"), encoded(Image.fromarray(values), "TIFF")):
        np.testing.assert_array_equal(read(data).pixels[0, :, 1], [0, 1, 128, 255])
    big_endian = Image.frombytes("I;16B", (4, 1), values.astype(">u2").tobytes())
    np.testing.assert_array_equal(read(big_endian).pixels[0, :, 0], [0, 1, 128, 255])
    plain = b"P2\n4 1\n65535\n0 256 32768 65535\n"
    np.testing.assert_array_equal(read(plain).pixels[0, :, 2], [0, 1, 128, 255])


def test_sixteen_bits_of_colour() -> None:
    row = b"\0" + struct.pack(">6H", 65535, 32768, 0, 256, 0, 65535)
    np.testing.assert_array_equal(read(png(2, 1, 16, 2, row)).pixels, [[[255, 128, 0], [1, 0, 255]]])


def test_thirty_two_bits_go_from_least_to_most() -> None:
    values = np.array([[-1000, 0, 1000, 100_000]], dtype=np.int32)
    pixels = read(Image.fromarray(values)).pixels[0, :, 0]
    assert pixels[0] == 0
    assert pixels[3] == 255
    assert pixels[1] <= pixels[2]


def test_floats_that_are_no_numbers_do_no_harm() -> None:
    values = np.array([[-2.0, 0.0, 2.0, np.nan, np.inf, -np.inf]], dtype=np.float32)
    for source in (Image.fromarray(values), encoded(Image.fromarray(values), "TIFF")):
        np.testing.assert_array_equal(read(source).pixels[0, :, 0], [0, 128, 255, 0, 255, 0])
    nothing = Image.fromarray(np.full((2, 2), np.nan, dtype=np.float32))
    assert not read(nothing).pixels.any()
    assert not read(Image.fromarray(np.full((2, 2), 7, dtype=np.float32))).pixels.any()


# --- Transparency ---


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa"])
def test_what_is_transparent_is_white(mode: str) -> None:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    steps = {"La": ("LA", "La"), "PA": ("P", "PA")}.get(mode, (mode,))
    for step in steps:
        image = image.convert(step)
    if mode == "PA":
        image.putalpha(Image.frombytes("L", (2, 1), b"\0\xff"))
    np.testing.assert_array_equal(read(image).pixels, [[WHITE, (0, 0, 0)]])


def test_half_transparent_is_half_white() -> None:
    data = encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 128)), "PNG")
    np.testing.assert_array_equal(read(data).pixels[0, 0], [255, 127, 127])


def test_a_transparent_colour_of_the_palette_is_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    for data in (
        encoded(image, "PNG", transparency=0),
        encoded(image, "GIF", transparency=0),
        encoded(image, "PNG", transparency=b"\0\xff"),
    ):
        np.testing.assert_array_equal(read(data).pixels, [[WHITE, BLUE]])


def test_a_transparent_colour_of_a_picture_without_palette_is_white() -> None:
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), BLUE)
    np.testing.assert_array_equal(read(encoded(image, "PNG", transparency=RED)).pixels, [[WHITE, BLUE]])
    deep = Image.fromarray(np.array([[1000, 40_000]], dtype=np.uint16))
    np.testing.assert_array_equal(read(encoded(deep, "PNG", transparency=1000)).pixels[0, :, 0], [255, 156])


# --- Frames, orientation, dates ---


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_or_page_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(read(data).pixels[4, 4], RED)


ORIENTED = {  # which corner of the picture (top left, top right, bottom left, bottom right) shows what
    1: "rgbw",
    2: "grwb",
    3: "wbgr",
    4: "bwrg",
    5: "rbgw",
    6: "brwg",
    7: "wgbr",
    8: "gwrb",
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_pictures_are_turned_upright(kind: str, orientation: int) -> None:
    image = Image.new("RGB", (64, 32))
    for corner, colour in enumerate((RED, GREEN, BLUE, WHITE)):
        image.paste(colour, (32 * (corner % 2), 16 * (corner // 2), 32 + 32 * (corner % 2), 16 + 16 * (corner // 2)))
    quality = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(kind, {})
    picture = read(encoded(image, kind, exif=with_exif(orientation=orientation), **quality))
    width, height = (64, 32) if orientation < 5 else (32, 64)
    assert (picture.width, picture.height) == (width, height)
    assert picture.pixels.shape == (height, width, 3)
    names = {RED: "r", GREEN: "g", BLUE: "b", WHITE: "w"}
    seen = "".join(
        names[tuple(np.where(picture.pixels[y, x] > 127, 255, 0).tolist())]
        for y in (4, height - 5)
        for x in (4, width - 5)
    )
    assert seen == ORIENTED[orientation]


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_impossible_orientations_are_ignored(orientation: int) -> None:
    assert read(encoded(gradient(), "JPEG", exif=with_exif(orientation=orientation))).pixels.shape == (48, 64, 3)


def test_a_pillow_image_is_turned_and_left_as_it_was() -> None:
    with Image.open(io.BytesIO(encoded(gradient(), "PNG", exif=with_exif(orientation=6)))) as image:
        assert read(image).pixels.shape == (64, 48, 3)
        assert image.size == (64, 48)


@pytest.mark.parametrize(
    ("tags", "taken"),
    [
        ({"date": "2019:07:01 12:30:59"}, "2019-07-01T12:30:59"),
        ({"date": "2019:07:01 12:30:59", "original": "2001:02:03 04:05:06"}, "2001-02-03T04:05:06"),
        ({"date": "2019:07:01 12:30:59", "original": "0000:00:00 00:00:00"}, "2019-07-01T12:30:59"),
        ({"date": "2019:02:30 12:30:59"}, None),
        ({"date": "last Tuesday"}, None),
        ({"date": "    :  :     :  :  "}, None),
        ({"orientation": 1}, None),
    ],
)
def test_the_date_comes_from_exif(tags: dict[str, Any], taken: str | None) -> None:
    assert read(encoded(gradient(), "JPEG", exif=with_exif(**tags))).taken == taken


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + b"\xee" * 200])
def test_garbage_for_exif_or_icc_is_not_fatal(exif: bytes) -> None:
    data = encoded(gradient(), "JPEG", exif=exif, icc_profile=b"nonsense" * 9)
    assert read(data).pixels.shape == (48, 64, 3)


# --- Reduced decoding ---


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_a_codec_may_shrink_but_never_below_the_side(kind: str) -> None:
    data = encoded(gradient(1200, 800), kind)
    for side, short in ((100, 100), (101, 200), (400, 400), (401, 800), (5000, 800)):
        picture = read(data, side=side)
        assert (picture.width, picture.height) == (1200, 800)
        assert picture.pixels.shape == (short, short * 3 // 2, 3)
    assert read(data).pixels.shape == (800, 1200, 3)


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
@pytest.mark.parametrize("size", [(1201, 803), (333, 777), (50, 49)])
def test_odd_sizes_shrink_too(kind: str, size: tuple[int, int]) -> None:
    data = encoded(gradient(*size), kind, **({"exif": with_exif(orientation=6)} if kind == "JPEG" else {}))
    upright = size if kind != "JPEG" else size[::-1]
    for side in (1, 7, 40, 100, 300):
        picture = read(data, side=side)
        assert (picture.width, picture.height) == upright
        assert min(picture.pixels.shape[:2]) >= min(side, *size)
        height, width = picture.pixels.shape[:2]
        assert abs(width / height - upright[0] / upright[1]) < 0.15


def test_a_jpeg_2000_without_levels_is_read_in_full() -> None:
    picture = read(encoded(gradient(512, 512), "JPEG2000", num_resolutions=2), side=32)
    assert picture.pixels.shape == (256, 256, 3)


def test_other_formats_are_read_in_full() -> None:
    assert read(encoded(gradient(), "PNG"), side=8).pixels.shape == (48, 64, 3)


# --- What is refused ---


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF"])
def test_truncated_files_are_refused(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    for share in (0.02, 0.3, 0.6, 0.9):
        refused(data[: int(len(data) * share)])


def test_bombs_are_refused_by_their_header() -> None:
    assert refused(png(20_000, 20_000, 1, 0, b"")) == "400 megapixels: the limit is 200"
    assert "megapixels" in refused(png(65_535, 65_535, 8, 6, b""))
    gif = b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + b"\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0;"
    assert "megapixels" in refused(gif)


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    data = encoded(Image.new("L", (5000, 4000), 100), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    assert read(data, side=512).width == 5000
    assert refused(data[:-2] + data[last:-2] * 300 + data[-2:]) == "306 scans of 5000 x 4000 pixels are too many"


def test_a_large_picture_is_read_without_a_warning() -> None:
    """Pillow's own limits (a warning above 89 megapixels) are neither asked nor changed."""
    before = Image.MAX_IMAGE_PIXELS
    picture = read(encoded(Image.new("L", (19_000, 10_000)), "JPEG"), side=512)
    assert (picture.width, picture.height) == (19_000, 10_000)
    assert before == Image.MAX_IMAGE_PIXELS


def test_postscript_never_reaches_ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: Any, **__: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(os, "system", start)
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    for name in ("a.png", "a.jpg", "a.tga", "a.eps"):
        (tmp_path / name).write_bytes(eps)
        assert refused(tmp_path / name) == "PostScript is not read"
    assert refused(eps) == "PostScript is not read"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (b"%PDF-1.4 ...", "no image: the data is a PDF"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg width='9'/>", "SVG is not read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG is not read"),
        (b"<!DOCTYPE html><title>x</title>", "no image: the data is a web page"),
        (b"PK\x03\x04", "no image: the data is a ZIP archive"),
        (b"\x1f\x8b\x08", "no image: the data is compressed by gzip"),
        (b"\0\0\0\x18ftypmp42", "no image: the data is a video"),
        (b"Dear diary,", "no image: not a format that is read"),
        (b"\xff\xd8\xff", "the file is truncated"),
    ],
)
def test_reasons_are_plain(data: bytes, reason: str) -> None:
    answer = refused(data, name="x.png")
    assert answer == reason or reason == "the file is truncated"


def test_errors_name_the_source(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=r"^a query: 0 bytes$") as caught:
        read(b"", name="a query")
    assert caught.value.path == "a query"
    path = tmp_path / "x.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UnreadableImage) as caught:
        read(path)
    assert caught.value.path == str(path)


@pytest.mark.parametrize(
    ("module", "head"),
    [
        ("pillow_heif", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        ("pillow_jxl.JpegXLImagePlugin", b"\xff\x0a" + b"\0" * 30),
    ],
)
def test_a_missing_plug_in_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch, module: str, head: bytes) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert refused(head).endswith("needs a plug-in: pip install 'lookalike[formats]'")


@pytest.mark.parametrize("error", [MemoryError(), RecursionError(), struct.error(), OverflowError(), KeyError(3)])
def test_whatever_a_plug_in_raises_it_becomes_ours(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    from PIL import PngImagePlugin

    def fail(self: Any) -> None:
        raise error

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
    refused(encoded(gradient(), "PNG"))


def test_an_interrupt_is_no_damaged_file(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import PngImagePlugin

    def interrupt(self: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", interrupt)
    with pytest.raises(KeyboardInterrupt):
        read(encoded(gradient(), "PNG"))


# --- Files ---


def test_special_files_are_refused_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "folder.jpg"
    folder.mkdir()
    loop = tmp_path / "loop.jpg"
    loop.symlink_to(loop)
    dangling = tmp_path / "dangling.jpg"
    dangling.symlink_to(tmp_path / "nowhere")
    cases = {
        folder: "a folder, not a file",
        loop: "a symbolic link that leads back to itself",
        dangling: "no such file",
        tmp_path / "missing.jpg": "no such file",
        tmp_path / "zero\0byte.jpg": "no such file",
        Path("/dev/zero"): "not a regular file",
    }
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        cases[tmp_path / "pipe"] = "not a regular file"
    for path, reason in cases.items():
        assert refused(path) == reason, path
        with pytest.raises(UnreadableImage):
            read_bytes(path)
        if not path.suffix:
            assert not looks_like_image(path)


def test_a_giant_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "giant.png"
    with path.open("wb") as file:
        file.truncate(images.MAX_BYTES + 1)
    assert refused(path) == "1.0 GiB: the limit is 1"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes for a name")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    raw = os.path.join(os.fsencode(tmp_path), b"caf\xe9.PNG")
    with open(raw, "wb") as file:
        file.write(encoded(gradient(), "PNG"))
    path = os.fsdecode(raw)
    assert is_image_name(raw)
    assert is_image_name(path)
    assert looks_like_image(raw)
    assert read(path).format == "PNG"
    assert read_bytes(raw) == read_bytes(path)


def test_looks_go_by_suffix_then_by_content(tmp_path: Path) -> None:
    assert is_image_name("A.JPG")
    assert is_image_name(Path("b.HeIc"))
    assert not is_image_name("c.txt")
    assert not is_image_name(".jpg")
    assert is_image_name("d.svg"), "an image, if not one that is read"
    nameless = tmp_path / "nameless"
    nameless.write_bytes(encoded(gradient(), "WEBP"))
    assert looks_like_image(nameless)
    nameless.write_bytes(b"Dear diary, BM P5 GIF")
    assert not looks_like_image(nameless)
    assert not looks_like_image(tmp_path / "missing")


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "BMP", "PPM", "SGI", "JPEG2000", "DDS", "ICO", "JPEG", "AVIF"])
def test_magic_tells_images(kind: str) -> None:
    assert has_image_magic(encoded(gradient(), kind)[:32])


@pytest.mark.parametrize(
    "text",
    [
        b"BMW is a maker of cars, not of images, as everybody knows.",
        b"P1 is the first point of the list: there are more of them.",
        b"P5 3 apples",
        b"/* A comment at the head of a C file */\n#define X 1\n",
        b"#define image_width 16\n#define image_height 16\n",
        b"Image type: none of those\r\n",
        b"\n\n\n\nText after empty lines, as long as it takes to be one",
        b"II. The second chapter",
        b"MM stands for millimetres",
        b"RIFF....WAVEfmt ",
        b"\0" * 64,
        b"",
    ],
)
def test_text_is_no_image(text: bytes) -> None:
    assert not has_image_magic(text)


def test_formats_that_nothing_marks_go_by_their_suffix() -> None:
    data = encoded(gradient(), "TGA")
    assert read(data, name="x.tga").format == "TGA"
    assert refused(data, name="x.png") == "no image: not a format that is read"
    assert refused(data) == "no image: not a format that is read"


# --- Arrays and thumbnails ---


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((2, 3), 7, np.uint8), (7, 7, 7)),
        (np.full((2, 3, 1), 7, np.uint8), (7, 7, 7)),
        (np.full((2, 3, 3), (1, 2, 3), np.uint8), (1, 2, 3)),
        (np.full((2, 3, 4), (1, 2, 3, 0), np.uint8), WHITE),
        (np.full((2, 3), True), WHITE),
        (np.full((2, 3), 32768, np.uint16), (128, 128, 128)),
        (np.full((2, 3, 3), (0, 0.5, 1), np.float32), (0, 128, 255)),
        (np.full((2, 3, 3), (-1e-4, 0.5, 1.0001), np.float64), (0, 128, 255)),
        (np.full((2, 3, 3), (1, 2, 3), np.uint8)[:, :, ::-1], (3, 2, 1)),
    ],
)
def test_arrays(array: np.ndarray, expected: tuple[int, int, int]) -> None:
    picture = read(array)
    assert (picture.width, picture.height) == (3, 2)
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.flags.c_contiguous
    np.testing.assert_array_equal(picture.pixels, np.broadcast_to(expected, (2, 3, 3)))
    assert not np.shares_memory(picture.pixels, array)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(5, np.uint8),
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((1, 2, 2, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((2, 2), np.int64),
        np.zeros((2, 2), np.complex64),
        np.zeros((2, 2), object),
        np.full((2, 2), 128.0),
        np.full((2, 2), np.nan),
        np.array(None),
    ],
)
def test_wrong_arrays_are_refused(array: np.ndarray) -> None:
    refused(array)


def test_other_objects_are_refused() -> None:
    assert "NoneType" in refused(None)


def test_a_picture_is_passed_on() -> None:
    picture = Picture(np.zeros((2, 2, 3), np.uint8), 2, 2, "array")
    assert read(picture) is picture


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (10, 5), (4000, 2)])
def test_thumbnails_fit(size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(thumbnail(encoded(gradient(*size), "PNG"), 100))) as small:
        assert small.format == "WEBP"
        assert max(small.size) == min(100, max(size))


def test_thumbnails_of_damaged_files_are_refused() -> None:
    with pytest.raises(UnreadableImage):
        thumbnail(b"no")


# --- Threads and warnings ---


def noisy_tiff() -> bytes:
    """A TIFF that decodes, and of which Pillow warns."""
    data = bytearray(encoded(Image.new("L", (8, 8), 99), "TIFF", software="x" * 50))
    entry = data.index(struct.pack("<HH", 305, 2))  # the entry of "Software": now it claims to lie past the end
    data[entry + 8 : entry + 12] = struct.pack("<I", 1 << 20)
    return bytes(data)


def test_warnings_stay_inside_and_others_are_heard() -> None:
    data = noisy_tiff()
    with pytest.warns(UserWarning), Image.open(io.BytesIO(data)) as image:
        image.load()
    assert read(data).pixels[0, 0, 0] == 99  # the tests turn every warning into an error
    with pytest.warns(UserWarning, match="ours"):
        warnings.warn("ours", stacklevel=1)
    with pytest.warns(UserWarning), Image.open(io.BytesIO(data)) as image:
        image.load()


def test_many_threads_at_once() -> None:
    """They agree with one, and none of them silences a warning of another."""
    sources = [encoded(gradient(200, 100), kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF")] + [noisy_tiff()]
    expected = [read(source).pixels for source in sources]

    def one(turn: int) -> bool:
        which = turn % len(sources)
        return np.array_equal(read(sources[which]).pixels, expected[which])

    with ThreadPoolExecutor(8) as pool:
        results = pool.map(one, range(400))
        for _ in range(100):
            with pytest.raises(UserWarning, match="ours"):
                warnings.warn("ours", stacklevel=1)
        assert all(results)


def test_a_picture_is_no_view_of_the_callers_image() -> None:
    image = gradient()
    picture = read(image)
    before = np.array(picture.pixels)
    image.paste((1, 2, 3), (0, 0, *image.size))
    np.testing.assert_array_equal(picture.pixels, before)
    np.testing.assert_array_equal(np.asarray(picture.image), before)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_image_and_pixels_are_the_same_picture(kind: str) -> None:
    picture = read(encoded(gradient(), kind))
    assert picture.size == picture.image.size == (64, 48)
    np.testing.assert_array_equal(picture.pixels, np.asarray(picture.image))
    assert picture.pixels is picture.pixels
    again = read(picture.pixels)
    assert again.size == (64, 48)
    np.testing.assert_array_equal(Picture(picture.pixels, 64, 48, "array").image, again.image)


def test_threads_that_ask_for_the_pixels_at_once_agree() -> None:
    picture = read(encoded(gradient(1200, 800), "JPEG"))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: picture.pixels, range(8)))
    for pixels in found:
        np.testing.assert_array_equal(pixels, found[0])


def test_a_jpeg_does_not_keep_its_file() -> None:
    data = bytearray(encoded(gradient(), "JPEG"))
    assert getattr(read(bytes(data)).image, "fp", None) is None
