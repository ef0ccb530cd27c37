"""The one door through which every file comes: paths, bytes, arrays and Pillow images to upright RGB pixels.

Whatever is wrong with a file, `UnreadableImage` is the only thing that leaves this module, and no warning does.

Formats are an allow-list, chosen by content. Pillow's own `Image.open` is not used: it would try some forty
formats (PostScript by starting Ghostscript), and its limit on size is a global setting that belongs to the
program around us.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import io
import os
import re
import stat
import sys
import threading
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from lookalike.errors import UnreadableImage
from lookalike.formats import HEAD, Format, PathLike, format_of, has_image_magic, is_image_name, jxl_size, plugin_of
from lookalike.types import Picture

ImageLike: TypeAlias = str | os.PathLike[str] | bytes | npt.NDArray[Any] | Image.Image | Picture

MAX_PIXELS = 200_000_000
"""The largest phone cameras make 200 megapixels; what claims more is refused before it is decoded."""

MAX_BYTES = 1 << 30
"""A larger file is refused before it is read."""

_OS_REASONS = {
    errno.ENOENT: "no such file",
    errno.ELOOP: "a symbolic link that leads back to itself",
    errno.EACCES: "no permission to read it",
    errno.EISDIR: "a folder, not a file",
    errno.ENXIO: "not a regular file",
}

_SCAN = re.compile(rb"\xff\xda\0")  # counts them twice as fast as bytes.count

_TURNS = dict(zip(range(2, 9), (
    Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90,
), strict=True))  # fmt: skip


def looks_like_image(path: PathLike) -> bool:
    """Whether the suffix or, failing that, the first bytes say that the file is an image. Never blocks."""
    if is_image_name(path):
        return True
    with suppress(UnreadableImage), _opened(path) as (file, _):
        return has_image_magic(file.read(HEAD))
    return False


def read_bytes(path: PathLike) -> bytes:
    """The bytes of a regular file.

    Raises:
        UnreadableImage: it is missing, no regular file (a pipe, a device, a folder), may not be read, or has
            more than MAX_BYTES.
    """
    with _opened(path) as (file, size):
        if size > MAX_BYTES:
            raise UnreadableImage(f"{size / 2**30:.1f} GiB: the limit is {MAX_BYTES / 2**30:g}", os.fsdecode(path))
        return file.read(size)  # no more than was promised: the file may be growing


def content_hash(data: bytes) -> str:
    """The SHA-256 of a file's bytes: what tells one image from all others."""
    return hashlib.sha256(data).hexdigest()


def read(source: ImageLike, *, side: int | None = None, name: str | None = None) -> Picture:
    """The picture in a file, its bytes, an array or a Pillow image: RGB, upright, transparency on white.

    Of an animation the first frame is read, of a document the first page. Colour profiles are ignored: so do
    the pipelines that the models were trained with.

    Args:
        source: a path; bytes; an array (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) of uint8, uint16, bool or
            floats in 0 to 1; a Pillow image; or a Picture, which is returned as it is.
        side: the codec may decode at a reduced scale (JPEG, JPEG 2000) so long as the short side of the pixels
            stays this long. The picture's width and height remain those of the whole file.
        name: what to call data without a path in errors; its suffix tells the formats that nothing else does.

    Raises:
        UnreadableImage: it cannot be decoded; the reason is one plain line.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, np.ndarray):
        with _guarded("array", name):
            return _from_array(source)
    if isinstance(source, Image.Image):
        with _guarded(source.format or "image", name):
            _check_size(source.size)
            return _picture(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return _decode(bytes(source), side, name)
    if isinstance(source, str | os.PathLike):
        return _decode(read_bytes(source), side, name or os.fsdecode(source))
    raise UnreadableImage(f"no image: an object of the type {type(source).__name__}", name)


def size_of(data: bytes, *, name: str | None = None) -> tuple[int, int]:
    """(width, height) as the header says, not turned yet; nothing is decoded. Raises UnreadableImage."""
    with _guarded("image", name):
        row = format_of(data, name)
        return jxl_size(data) if row.name == "JPEG XL" else _header(row, data).size


def read_scales(data: bytes, sides: Collection[int | None], *, name: str | None = None) -> dict[int | None, Picture]:
    """`read` for several sides at once: decoded once, where the smallest of them already gives all pixels."""
    found: dict[int | None, Picture] = {}
    for side in sorted(sides, key=lambda side: side or sys.maxsize):
        whole = next((p for p in found.values() if p.size == (p.width, p.height)), None)
        found[side] = whole or read(data, side=side, name=name)
    return found


def thumbnail(source: ImageLike, side: int = 320, effort: int = 4) -> bytes:
    """The picture within `side` x `side` pixels as WebP. Raises UnreadableImage.

    `effort` is 0 to 6: from 1 to 4 it takes twice as long, and the file is 15 % smaller.
    """
    image = read(source, side=side).image.copy()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    importlib.import_module("PIL.WebPImagePlugin")  # or Pillow would load all of its plug-ins to find this one
    out = io.BytesIO()
    image.save(out, "WEBP", quality=80, method=effort)
    return out.getvalue()


def _open_at_once(path: str, flags: int) -> int:
    # Without O_NONBLOCK the open itself would wait, on a pipe, until somebody writes.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@contextmanager
def _opened(path: PathLike) -> Iterator[tuple[BinaryIO, int]]:
    """A regular file and its size in bytes."""
    name = os.fsdecode(path)
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableImage("not a regular file", name)
            yield file, status.st_size
    except OSError as error:
        reason = _OS_REASONS.get(error.errno or 0) or (error.strerror or "it cannot be opened").lower()
        raise UnreadableImage(reason, name) from None
    except ValueError:  # a zero byte in the name
        raise UnreadableImage("no such file", name) from None
    except MemoryError:
        raise UnreadableImage("it does not fit into memory", name) from None


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise UnreadableImage(f"{width} x {height} pixels: nothing to see")
    if width * height > MAX_PIXELS:
        millions = -(-width * height // 1_000_000)
        raise UnreadableImage(f"{millions} megapixels: the limit is {MAX_PIXELS // 1_000_000}")


class _Hush(threading.local):
    """Poses as the module pattern of a warnings filter, and matches in the threads that are decoding now.

    Plug-ins warn of every odd tag. `warnings.catch_warnings` is not safe with threads, and an ordinary filter
    would silence Pillow in the program around us as well.
    """

    on = False

    def match(self, _module: str) -> bool:
        return self.on


_hush = _Hush()
_filters_change = threading.Lock()
_HUSH_FILTER = ("ignore", None, Warning, _hush, 0)


@contextmanager
def _guarded(kind: str, name: str | None) -> Iterator[None]:
    """Turns whatever a decoder may raise into UnreadableImage, and keeps its warnings to itself."""
    filters = cast(list[Any], warnings.filters)
    if not filters or filters[0] is not _HUSH_FILTER:  # somebody has put another in front, or reset them
        with _filters_change:
            filters[:] = [_HUSH_FILTER, *(each for each in filters if each is not _HUSH_FILTER)]
    before, _hush.on = _hush.on, True
    try:
        yield
    except UnreadableImage as error:
        raise UnreadableImage(error.reason, name) from None
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    # Decoders of hostile data raise anything, and those written in Rust a BaseException when they panic.
    except BaseException as error:  # noqa: BLE001
        raise UnreadableImage(_reason(error, kind), name) from None
    finally:
        _hush.on = before


def _reason(error: BaseException, kind: str) -> str:
    text = str(error).lower()
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    if isinstance(error, Image.DecompressionBombError):
        return f"too many pixels: the limit is {MAX_PIXELS // 1_000_000} megapixels"
    if isinstance(error, EOFError) or "truncated" in text or "end of file" in text:
        return "the file is truncated"
    return f"the {kind} data is damaged, or of a kind that is not read"


def _decode(data: bytes, side: int | None, name: str | None) -> Picture:
    with _guarded("image", name):
        row = format_of(data, name)
    with _guarded(row.name, name):
        image = _header(row, data)
        full = image.size
        if side and row.name == "JPEG":
            # A reduced picture's last pixel lies partly beyond the edge. Once it is turned, that may be the first.
            if not any(length % 8 for length in full) or _exif(image)[0] not in _TURNS:
                image.draft(None, (side, side))
        elif side and row.name == "JPEG 2000":
            image = _reduced(row, data, side)
        return _picture(image, full if image.size != full else None, ours=row.name == "JPEG")


def _header(row: Format, data: bytes) -> Image.Image:
    """The file as its plug-in opens it: of an allowed size, and (but for JPEG XL) not decoded yet."""
    plugin = plugin_of(row)
    if row.name == "JPEG XL":
        _check_size(jxl_size(data))
    image = cast(Image.Image, plugin(io.BytesIO(data)))
    _check_size(image.size)
    # Each scan of a JPEG costs a pass over all of its pixels, and may be twenty bytes long.
    scans = len(_SCAN.findall(data)) if row.name == "JPEG" else 1
    if scans * image.width * image.height > 20 * MAX_PIXELS:
        raise UnreadableImage(f"{scans} scans of {image.width} x {image.height} pixels are too many")
    return image


def _reduced(row: Format, data: bytes, side: int) -> Image.Image:
    """A JPEG 2000 decoded at 1/2, 1/4, ... of its size, where it has so many levels."""
    image = _header(row, data)
    for level in range(max(0, (min(image.size) // side).bit_length() - 1), 0, -1):
        # Pillow rounds half up, the codec up: where they differ, Pillow refuses what it gets.
        if any((n + (1 << level >> 1)) >> level != -(-n >> level) for n in image.size):
            continue
        cast(Any, image).reduce = level
        with suppress(OSError):
            image.load()
            return image
        image = _header(row, data)
    return image


def _picture(image: Image.Image, full: tuple[int, int] | None = None, *, ours: bool = False) -> Picture:
    """`full` is the size of the file, where the pixels are about to be decoded smaller.

    An image that is `ours` becomes the picture; of any other, which others may change, or which holds on to its
    file, the picture is a copy. (To touch fresh memory for it takes as long as to decode a small JPEG.)
    """
    image.load()
    # Only now is the size certain: TIFF turns itself while loading, and ICO and HEIC correct their headers.
    width, height = full or image.size
    _check_size((width, height))
    orientation, taken = _exif(image)
    rgb = _rgb(image)
    if orientation in _TURNS:
        rgb = rgb.transpose(_TURNS[orientation])
        if orientation >= 5:
            width, height = height, width
    elif rgb is image and not ours:
        rgb = image.copy()
    return Picture(rgb, width, height, image.format or "image", taken)


def _exif(image: Image.Image) -> tuple[int, str | None]:
    """(orientation, date): 1 and None where there is no EXIF, or nonsense."""
    orientation, taken = 1, None
    with suppress(Exception):
        exif = image.getexif()
        value = exif.get(ExifTags.Base.Orientation)
        # The codec of JPEG XL turns the picture itself, unless it only gives back the JPEG that was packed in it.
        if isinstance(value, int) and (image.format != "JXL" or getattr(image, "jpeg", False)):
            orientation = value
        taken = _date(exif.get(ExifTags.Base.DateTime))
        taken = _date(exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)) or taken
    return orientation, taken


def _date(value: object) -> str | None:
    if value is None:  # most files: to parse it would take longer than to decode a small picture's header
        return None
    with suppress(ValueError):  # such as 0000:00:00, of a camera whose clock was never set
        return datetime.strptime(str(value)[:19], "%Y:%m:%d %H:%M:%S").isoformat()
    return None


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_eight_bits(image))
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def _eight_bits(image: Image.Image) -> npt.NDArray[np.uint8]:
    """(h, w) of a deep grey picture: 16 bits by their whole range, 32 bits and floats from min to max."""
    values = np.asarray(image)
    # Pillow widens some files of 16 bits to its mode "I", and does not scale TIFFs of 12.
    if image.mode.startswith("I;16") or (image.mode == "I" and values.min() >= 0 and values.max() <= 65535):
        bits = getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, (16,))[0]
        grey = np.asarray(values >> (4 if bits == 12 else 8), dtype=np.uint8)
    else:
        finite = values[np.isfinite(values)].astype(np.float64)
        low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
        scaled = (values.astype(np.float64) - low) * (255 / (high - low) if high > low else 1.0)
        grey = np.nan_to_num(scaled, nan=0.0).clip(0, 255).round().astype(np.uint8)
    key = image.info.get("transparency")
    return np.where(values == key, np.uint8(255), grey) if isinstance(key, int) else grey


def _from_array(values: npt.NDArray[Any]) -> Picture:
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim != 2 and not (values.ndim == 3 and values.shape[2] in (3, 4)):
        raise UnreadableImage(f"an array of the shape {values.shape}: it must be (h, w) or (h, w, 1, 3 or 4)")
    height, width = values.shape[:2]
    _check_size((width, height))
    if values.dtype == np.bool_:
        values = values * np.uint8(255)
    elif values.dtype == np.uint16:
        values = (values >> 8).astype(np.uint8)
    elif values.dtype.kind == "f":
        # Resampling overshoots a little; floats in 0 to 255 are a mistake that is better found here.
        if not (values.min() >= -0.01 and values.max() <= 1.01):
            raise UnreadableImage("an array of floats: they must be finite, and in 0 to 1")
        values = (values.clip(0, 1) * 255).round().astype(np.uint8)
    elif values.dtype != np.uint8:
        raise UnreadableImage(f"an array of {values.dtype}: it must be uint8, uint16, bool or float")
    # Pillow keeps a copy of its own: the caller may go on to write into the array.
    return Picture(_rgb(Image.fromarray(np.ascontiguousarray(values))), width, height, "array")
