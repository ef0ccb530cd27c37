"""The pictures of a benchmark's report: copies by the id of their query, images by their name in the folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lookalike import images
from lookalike.bench.results import BenchReport
from lookalike.errors import UnreadableImage
from lookalike.store import small_jpeg

SIDE = 256


def picture_of(report: BenchReport, copies: Path) -> Callable[[str], bytes | None]:
    """Name -> a small JPEG; None where the file has gone."""
    asked = {query.id for query in report.queries}

    def picture(name: str) -> bytes | None:
        place = copies / f"{name}.jpg" if name in asked else Path(report.folder, name)
        try:
            return small_jpeg(images.read(place, side=SIDE))
        except UnreadableImage:
            return None

    return picture
