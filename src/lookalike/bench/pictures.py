"""The pictures of a benchmark's report."""

from __future__ import annotations

from collections.abc import Callable

from lookalike import images
from lookalike.bench.datasets import Dataset
from lookalike.errors import UnreadableImage
from lookalike.store import small_jpeg

SIDE = 256


def picture_of(dataset: Dataset) -> Callable[[str], bytes | None]:
    """By a query's id or a name of the gallery, a small JPEG; None where the file cannot be read."""
    queries = {query.id: query for query in dataset.queries}

    def picture(name: str) -> bytes | None:
        try:
            if query := queries.get(name):
                return small_jpeg(query.picture(SIDE))
            return small_jpeg(images.read(dataset.gallery[name], side=SIDE)) if name in dataset.gallery else None
        except UnreadableImage:
            return None

    return picture
