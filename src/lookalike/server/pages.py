"""Pages: Jinja templates of web/templates, filled. Names of files are hostile, and are escaped and made showable."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastapi.responses import HTMLResponse

from lookalike.report import Pages
from lookalike.types import ImageRef

if TYPE_CHECKING:
    from lookalike.server.shelf import Shelf

SIDE = 320
"""Pixels of a thumbnail's longer side, at most."""


def page(template: str, status: int = 200, **values: object) -> HTMLResponse:
    """A page of web/templates. base.html wants to know `collection`, the name of the one that links lead to."""
    return HTMLResponse(_pages.fill(template, **values), status)


def empty(here: str, shelf: Shelf, name: str) -> HTMLResponse | None:
    """What the page called `here` is where nothing is indexed yet; None where something is. Raises Problem 404."""
    if shelf.names and shelf.collection(name).exists:
        return None
    return page("empty.html", here=here, collections=shelf.names, collection=name or next(iter(shelf.names), ""))


def _name(path: str) -> str:
    """What to call a picture: its file's name."""
    return os.path.basename(path) or path


def _below(path: str, roots: Sequence[str]) -> str:
    """A path as it is below the collection's folder that holds it."""
    root = max((root for root in roots if path.startswith(root.rstrip(os.sep) + os.sep)), key=len, default="")
    return os.path.relpath(path, root) if root else os.path.basename(path)


def _sized(image: ImageRef) -> tuple[int, int]:
    """(width, height) of its thumbnail, so that nothing jumps when it comes."""
    scale = min(1.0, SIDE / max(image.width, image.height, 1))
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def _chance(share: float) -> str:
    return "<0.1 %" if share < 0.001 else ">99.9 %" if share > 0.999 else f"{100 * share:.1f} %"


def _bytes(count: int) -> str:
    size, units = float(count), iter(("B", "KB", "MB", "GB"))
    unit = next(units)
    while size >= 1000 and unit != "GB":
        size, unit = size / 1000, next(units)
    return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"


_pages = Pages(
    "server/web/templates",
    name=_name,
    below=_below,
    sized=_sized,
    chance=_chance,
    bytes=_bytes,
    count=lambda number: f"{number:,}",
)
