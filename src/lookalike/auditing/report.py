"""An audit as one HTML page that opens anywhere, offline, without a script: see `lookalike.report`."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from lookalike import __version__
from lookalike.auditing import words
from lookalike.auditing.membership import BLOCK
from lookalike.auditing.pairs import FAR
from lookalike.auditing.results import Audit
from lookalike.report import uri
from lookalike.types import ImageRef
from lookalike.writing import showable


def render(audit: Audit) -> str:
    """The page as HTML text, free of surrogates: it always encodes as UTF-8."""
    pictures = {image.id: _uri(audit.kept(image)) for image in dict.fromkeys(_images(audit))}
    return _pages.get_template("audit.html").render(
        audit=audit,
        words=words,
        pictures=pictures,
        block=BLOCK,
        far=FAR,
        version=__version__,
        now=datetime.now().astimezone(),
    )


def _images(audit: Audit) -> Iterator[ImageRef]:
    for pair in (*audit.pairs.joins, *audit.pairs.parts):
        yield from (pair.a, pair.b)


def _uri(data: bytes | None) -> str | None:
    if data is None:
        return None
    form = "jpeg" if data.startswith(b"\xff\xd8") else "webp"
    return f"data:image/{form};base64,{base64.b64encode(data).decode()}"


_pages = Environment(
    loader=PackageLoader("lookalike"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: showable(value) if type(value) is str else value,
)
_pages.filters.update(
    uri=uri, percent=words.percent, span=words.span, shares=words.shares, chance=words.chance, name=os.path.basename
)
