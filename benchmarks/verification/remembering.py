"""Each query is embedded and verified once, whatever is asked: the benchmark asks everything many times over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lookalike import collection, images, reranking
from lookalike.keypoints.features import Features
from lookalike.keypoints.geometry import Matches
from lookalike.types import Backbone, ModelCard, Picture, Vectors


@contextmanager
def remembered(file: Path) -> Iterator[Callable[[], None]]:
    """Vectors of queries and their views are kept in a file; local features and what they match in memory.

    Gives what is to be called when a query has been asked all: it forgets what only that query needs.
    """
    known: dict[str, Vectors] = dict(np.load(file)) if file.exists() else {}
    embed_picture, embed_pictures = collection.embed_picture, collection.embed_pictures
    extract, verify = reranking.extract, reranking.verify
    extracted: dict[tuple[bytes, str, int], Features] = {}
    verified: dict[tuple[int, int, bool], Matches] = {}

    def one(source: images.ImageLike, card: ModelCard, name: str) -> Vectors:
        key = f"{card.fingerprint}/{Path(name).parent.name}/{Path(name).name}"
        if key not in known:
            known[key] = embed_picture(source, card, name)
        return known[key]

    def several(backbone: Backbone, pictures: Sequence[Picture]) -> Vectors:
        keys = [f"{backbone.card.fingerprint}/{hashlib.sha256(p.pixels.tobytes()).hexdigest()}" for p in pictures]
        new = [(key, picture) for key, picture in zip(keys, pictures, strict=True) if key not in known]
        if new:
            known.update(zip([k for k, _ in new], embed_pictures(backbone, [p for _, p in new]), strict=True))
        return np.stack([known[key] for key in keys])

    def features(picture: Picture, method: str, limit: int) -> Features:
        key = (picture.pixels.tobytes(), method, limit)
        if key not in extracted:
            extracted[key] = extract(picture, method, limit)
        return extracted[key]

    def matches(a: Features, b: Features, *, mirror: Features | bool) -> Matches:
        key = (_digest(a), _digest(b), mirror is not False)
        if key not in verified:
            verified[key] = verify(a, b, mirror=mirror)
        return verified[key]

    def forget() -> None:
        extracted.clear()
        verified.clear()

    doors: tuple[Any, Any] = (collection, reranking)
    doors[0].embed_picture, doors[0].embed_pictures = one, several
    doors[1].extract, doors[1].verify = features, matches
    try:
        yield forget
    finally:
        doors[0].embed_picture, doors[0].embed_pictures = embed_picture, embed_pictures
        doors[1].extract, doors[1].verify = extract, verify
        np.savez(file, **known)


def _digest(features: Features) -> int:
    return hash((features.method, features.size, features.points.tobytes(), features.descriptors.tobytes()))
