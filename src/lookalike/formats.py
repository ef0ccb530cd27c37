"""The formats that are read, and how data tells which of them it is. Nothing is decoded here.

It is an allow-list, chosen by content; a suffix counts only for the formats that nothing in the data marks.
"""

from __future__ import annotations

import importlib
import os
import re
from typing import Any, NamedTuple, TypeAlias

from lookalike.errors import UnreadableImage

PathLike: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]

HEAD = 64
"""Bytes that tell a format: an AVIF may list its brands that far."""


class Format(NamedTuple):
    """A format that is read. Where `magic` is None nothing in the data tells it, and its suffix has to."""

    name: str
    plugin: str  # "Png" stands for "PIL.PngImagePlugin:PngImageFile"
    suffixes: str
    magic: bytes | None


_FORMATS = (
    # The JPEG class reads the first picture of an MPO too, and a damaged list of the others does not matter.
    Format("JPEG", "Jpeg", ".jpg .jpeg .jpe .jfif .jif .mpo", rb"\xff\xd8\xff"),
    Format("PNG", "Png", ".png .apng", rb"\x89PNG\r\n\x1a\n"),
    Format("GIF", "Gif", ".gif", rb"GIF8[79]a"),
    Format("WebP", "WebP", ".webp", rb"RIFF....WEBP"),
    Format("AVIF", "Avif", ".avif .avifs", rb"....ftyp(?:avi[fs]|(?:mif1|msf1|miaf)....(?:....)*?avi[fs])"),
    Format("HEIC", "pillow_heif:HeifImageFile", ".heic .heif .hif .heics .heifs",
            rb"....ftyp(?:hei[cxms]|hev[cxms]|mif[12]|msf1|miaf)"),
    Format("JPEG XL", "pillow_jxl.JpegXLImagePlugin:JXLImageFile", ".jxl",
            rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
    Format("TIFF", "Tiff", ".tif .tiff", rb"II(?:[*+]\0|\0\*)|MM(?:\0[*+]|\*\0)"),
    Format("JPEG 2000", "Jpeg2K", ".jp2 .j2k .jpf .jpx .j2c .jpc",
            rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n"),
    # Two letters do not make a BMP, nor "P1" a PBM: the fields behind them must make sense as well.
    Format("BMP", "Bmp", ".bmp .dib", rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0"),
    Format("PPM", "Ppm", ".ppm .pgm .pbm .pnm .pfm", rb"P(?:[1-6]\s+(?:#|\d+\s+(?:#|\d+\s))|f\s+\d+\s)"),
    Format("ICO", "Ico", ".ico", rb"\0\0\x01\0[^\0]\0...[\0\xff]"),
    Format("CUR", "Cur", ".cur", rb"\0\0\x02\0[^\0]\0...[\0\xff]"),
    Format("PSD", "Psd", ".psd", rb"8BPS\0\x01"),
    Format("DDS", "Dds", ".dds", rb"DDS \x7c\0\0\0"),
    Format("SGI", "Sgi", ".sgi .rgb .rgba .bw", rb"\x01\xda[\0\x01][\x01\x02]\0[\x01-\x03]"),
    Format("PCX", "Pcx", ".pcx", rb"\n[\0\x02\x03\x05][\0\x01][\x01\x02\x04\x08]"),
    Format("XPM", "Xpm", ".xpm", rb"/\* XPM \*/"),
    Format("MSP", "Msp", ".msp", rb"DanM|LinS"),
    Format("XBM", "Xbm", ".xbm", None),
    Format("TGA", "Tga", ".tga .icb .vda .vst", None),
    Format("IM", "Im", ".im", None),
)  # fmt: skip

_BY_SUFFIX = {suffix: row for row in _FORMATS for suffix in row.suffixes.split()}

_UNREAD_SUFFIXES = {".svg", ".svgz", ".flif"}
"""Images all the same: such a file is told as unreadable, not passed over like a text."""

_NO_IMAGES = (
    (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript is not read"),
    (rb"\W*<(?:svg|!doctype svg|(?:\?xml|!--).*<svg|\?xml.*<!doctype svg)", "SVG is not read"),
    (rb"FLIF", "FLIF is not read"),
    (rb"\W*<(?:!doctype )?html", "no image: the data is a web page"),
    (rb"%PDF", "no image: the data is a PDF"),
    (rb"\x1f\x8b", "no image: the data is compressed by gzip"),
    (rb"PK\x03\x04", "no image: the data is a ZIP archive"),
    (rb"....ftyp", "no image: the data is a video"),
)


def is_image_name(path: PathLike) -> bool:
    """Whether the suffix, in either case, is that of an image."""
    suffix = _suffix(path)
    return suffix in _BY_SUFFIX or suffix in _UNREAD_SUFFIXES


def has_image_magic(head: bytes) -> bool:
    """Whether a file's first bytes (32 or more) are those of a format that is read here."""
    return _by_magic(head) is not None


def format_of(data: bytes, name: str | None) -> Format:
    """The format of a file, by its bytes or else the suffix of `name`. Raises UnreadableImage: what else it is."""
    row = _by_magic(data)
    if row is not None:
        return row
    if not data:
        raise UnreadableImage("0 bytes")
    for magic, reason in _NO_IMAGES:
        if re.match(magic, data[:1024], re.DOTALL | re.IGNORECASE):
            raise UnreadableImage(reason)
    row = _BY_SUFFIX.get(_suffix(name)) if name else None
    if row is None or row.magic is not None:
        raise UnreadableImage("no image: not a format that is read")
    return row


def plugin_of(row: Format) -> Any:
    """The class that opens the format. Raises UnreadableImage where it takes a plug-in that is not installed."""
    path = row.plugin if ":" in row.plugin else f"PIL.{row.plugin}ImagePlugin:{row.plugin}ImageFile"
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError:
        raise UnreadableImage(f"{row.name} needs a plug-in: pip install 'lookalike[formats]'") from None


def jxl_size(data: bytes) -> tuple[int, int]:
    """(width, height) from the header of a JPEG XL (ISO/IEC 18181-1, SizeHeader), plain or in boxes (18181-2)."""
    stream, at = (data[:16], 0) if data.startswith(b"\xff\x0a") else (b"", 0)
    while len(stream) < 16 and at + 8 <= len(data):
        length, kind, start = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], at + 8
        if length == 1:
            length, start = int.from_bytes(data[start : start + 8]), at + 16
        end = at + length if length else len(data)
        if end < start:
            raise ValueError("a box that ends before it starts")
        if kind in (b"jxlc", b"jxlp"):
            stream += data[start + 4 * (kind == b"jxlp") : end][:16]
        at = end
    bits = int.from_bytes(stream[2:], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    small = take(1)

    def side() -> int:
        return (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1

    height = side()
    up, down = ((0, 0), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[take(3)]
    return (height * up // down if up else side()), height


def _suffix(path: PathLike) -> str:
    return os.path.splitext(os.fsdecode(path))[1].lower()


def _by_magic(data: bytes) -> Format | None:
    head = data[:HEAD]
    return next((row for row in _FORMATS if row.magic and re.match(row.magic, head, re.DOTALL)), None)
