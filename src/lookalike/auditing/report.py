"""An audit as one HTML page that opens anywhere, offline, without a script: see `lookalike.report`."""

from __future__ import annotations

import os
from collections.abc import Iterator

from lookalike.auditing import words
from lookalike.auditing.membership import BLOCK
from lookalike.auditing.pairs import FAR
from lookalike.auditing.results import Audit
from lookalike.report import Pages, data_uri, uri
from lookalike.types import ImageRef
from lookalike.wording import listed


def render(audit: Audit) -> str:
    """The page as HTML text, free of surrogates: it always encodes as UTF-8."""
    kept = {image.id: audit.kept(image) for image in dict.fromkeys(_images(audit))}
    return _pages.fill(
        "audit.html",
        audit=audit,
        words=words,
        visual=listed(audit.visual),
        pictures={id_: data_uri(picture) for id_, picture in kept.items() if picture},
        block=BLOCK,
        far=FAR,
    )


def _images(audit: Audit) -> Iterator[ImageRef]:
    for pair in (*audit.pairs.joins, *audit.pairs.parts):
        yield from (pair.a, pair.b)


_pages = Pages(
    uri=uri, percent=words.percent, span=words.span, shares=words.shares, chance=words.chance, name=os.path.basename
)
