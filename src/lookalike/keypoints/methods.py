"""The ways to local features, by name."""

from __future__ import annotations

import importlib

from lookalike.errors import UnknownModel
from lookalike.keypoints.features import LIMIT, Extractor, Features
from lookalike.types import Picture

METHODS = {
    "sift": "lookalike.keypoints.opencv:sift",
    "orb": "lookalike.keypoints.opencv:orb",
}

READ_SIDE = 1024
"""How small a codec may decode for local features: see `images.read`."""


def extract(picture: Picture, method: str = "sift", limit: int = LIMIT) -> Features:
    """The strongest keypoints of a picture, at most `limit`.

    The picture should have been read with `side=READ_SIDE`. Raises UnknownModel, which lists the methods.

    >>> extract(images.read("cat.jpg"), "sift").points.shape  # doctest: +SKIP
    (1000, 2)
    """
    if method not in METHODS:
        raise UnknownModel(f"no local features are called {method!r}: choose from {', '.join(METHODS)}")
    module, _, function = METHODS[method].partition(":")
    extractor: Extractor = getattr(importlib.import_module(module), function)
    return extractor(picture, limit)
