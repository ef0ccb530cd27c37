"""A search or a comparison as one HTML file that opens anywhere, offline: no script, no request, no asset.

    write("report.html", [SearchSection("cat.jpg", [hits_of_sift, hits_of_phash])], title="Cats")

Pictures travel inside the file as small WebP or JPEG data URIs. The page's own Content-Security-Policy forbids
everything else, so even a file name that smuggled markup past the escaping could load or run nothing. `Pages` is
what fills this template, and those of all other pages of that kind.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from lookalike import __version__
from lookalike.errors import LookalikeError
from lookalike.images import ImageLike, thumbnail
from lookalike.types import Hit, Hits, Pixels, Score
from lookalike.writing import showable, write_text

HIT_SIDE, QUERY_SIDE, LARGE_SIDE, TOC_SIDE = 320, 480, 1024, 96
"""Longest sides in pixels: about twice the size on the page, for screens with small pixels."""


@dataclass(frozen=True)
class SearchSection:
    """One query and what each model found, side by side.

    `query` is the path of the query image; where it is none ("-", say), `picture` is what to draw. With `words`
    there is nothing to draw, and `query` is shown as it is.
    """

    query: str
    columns: Sequence[Hits]
    picture: ImageLike | None = None
    words: bool = False


@dataclass(frozen=True)
class ComparisonSection:
    """Two pictures, by their paths, and how alike each model finds them."""

    a: str
    b: str
    scores: Sequence[Score]


Section: TypeAlias = SearchSection | ComparisonSection

Kept: TypeAlias = Callable[[str], bytes | None]
"""An image's id -> the small JPEG that a collection keeps of it, if it does: it need not be decoded again."""


def write(path: str | os.PathLike[str], sections: Sequence[Section], *, title: str, kept: Kept | None = None) -> None:
    """Write the report to `path`: all of it or, on a StorageError, nothing."""
    write_text(path, render(sections, title=title, kept=kept))


def render(sections: Sequence[Section], *, title: str, kept: Kept | None = None) -> str:
    """The report as HTML text, free of surrogates: it always encodes as UTF-8."""
    return _pages.fill(
        "report.html",
        title=title,
        sections=sections,
        root=_common_folder([hit.path for hit in _hits(sections)]),
        thumbs=_Thumbs(kept),
        HIT=HIT_SIDE,
        QUERY=QUERY_SIDE,
        LARGE=LARGE_SIDE,
        TOC=TOC_SIDE,
    )


class Pages:
    """Templates of a folder of the package, with the filters that one kind of page needs: what they print is escaped
    and showable.

    Beside the values that it is given, a template has
    version, now:  of Lookalike; the time
    source(file):  the text of a style or a script that lies beside it
    text | sha256: the hash of such a text as a Content-Security-Policy wants it. The page's own must allow no other
                   script: none runs then, whatever a name smuggled in
    """

    def __init__(self, folder: str = "templates", **filters: Callable[..., object]) -> None:
        self._loader = PackageLoader("lookalike", folder)
        self._templates = Environment(
            loader=self._loader,
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            # It sees whatever the templates print: no name can be forgotten there.
            finalize=lambda value: showable(value) if type(value) is str else value,
        )
        self._templates.filters.update(filters, sha256=_sha256)
        self._templates.globals.update(version=__version__, source=self._source)

    def fill(self, template: str, **values: object) -> str:
        """The page as HTML text, free of surrogates: it always encodes as UTF-8."""
        return self._templates.get_template(template).render(now=datetime.now().astimezone(), **values)

    def _source(self, file: str) -> Markup:
        return Markup(self._loader.get_source(self._templates, file)[0])  # noqa: S704 - the package's own files


def _sha256(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def uri(pixels: Pixels, quality: int = 85) -> str:
    """(h, w, 3) pixels as a data URI of WebP."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "WEBP", quality=quality)
    return data_uri(out.getvalue())


def data_uri(encoded: bytes) -> str:
    """The bytes of a JPEG or a WebP as a data URI."""
    form = "webp" if encoded[8:12] == b"WEBP" else "jpeg"
    return f"data:image/{form};base64,{base64.b64encode(encoded).decode()}"


def _hits(sections: Sequence[Section]) -> Iterator[Hit]:
    for section in sections:
        if isinstance(section, SearchSection):
            for column in section.columns:
                yield from column


class _Thumbs:
    """Data URIs of pictures, each encoded once however many models found it."""

    def __init__(self, kept: Kept | None) -> None:
        self._kept = kept
        self._made: dict[tuple[str, int], str | None] = {}

    def __call__(self, source: ImageLike, side: int, image_id: str | None = None) -> str | None:
        """None where there is no picture to show: a report outlives the files that it speaks of."""
        if not isinstance(source, str):
            return self._make(source, side)
        if (source, side) not in self._made:
            # A file that has gone is shown as such, whatever is kept of it.
            kept = self._kept(image_id) if self._kept and image_id and os.path.exists(source) else None
            self._made[source, side] = data_uri(kept) if kept else self._make(source, side)
        return self._made[source, side]

    def _make(self, source: ImageLike, side: int) -> str | None:
        try:
            return data_uri(thumbnail(source, side=side))
        except (LookalikeError, OSError, ValueError):  # ValueError: a NUL in the name
            return None


def _common_folder(paths: Sequence[str]) -> str:
    """The deepest folder that holds all `paths`; empty where there is none worth naming."""
    try:
        folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    except ValueError:  # no path at all, or several drives
        return ""
    return "" if folder == os.path.dirname(folder) else folder


def _name(path: str) -> str:
    """What to call a picture: its file's name."""
    return "a picture from standard input" if path == "-" else os.path.basename(path) or path


def _place(path: str, root: str) -> str:
    """The folder of `path`, from `root` where it lies inside; empty for root itself."""
    folder = os.path.dirname(path)
    if not root:
        return folder
    inside = os.path.relpath(folder, root)
    return "" if inside == os.curdir else inside


def _missing(path: str) -> str:
    """Why there is no picture: what the placeholder says."""
    return "file cannot be read" if os.path.lexists(path.replace("\0", "")) else "file is gone"


def percent(share: float) -> str:
    """The length of a bar for a score: NaN and excess included, CSS gets 0% to 100%."""
    return f"{100 * min(max(share, 0.0), 1.0) if share == share else 0:.1f}%"


def _kind(section: Section) -> str:
    return "search" if isinstance(section, SearchSection) else "comparison"


_pages = Pages(kind=_kind, name=_name, place=_place, missing=_missing, percent=percent)
