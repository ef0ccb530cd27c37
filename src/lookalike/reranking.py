"""Hits verified by local features: what really shows the same thing comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from lookalike import images
from lookalike.calibration import evidence, unverifiable
from lookalike.collection import Collection
from lookalike.errors import UnreadableImage
from lookalike.keypoints.features import Features
from lookalike.keypoints.geometry import Matches, flipped, verify
from lookalike.keypoints.methods import READ_SIDE, extract
from lookalike.models.tuning import usable_cores
from lookalike.store import FEATURES
from lookalike.types import Hit, Hits, ImageRef

TOP = 50
"""Hits that are verified, where nothing else is said."""


def rerank(
    photos: Collection,
    query: images.ImageLike,
    columns: Sequence[Hits],
    *,
    method: str = "sift",
    top: int = TOP,
    mirror: bool = False,
    keypoints: int | None = None,
    workers: int | None = None,
) -> list[Hits]:
    """Rankings of one query, the `top` first of each verified: by how likely they show what the query shows.

    What comes behind them stays as it was. Local features of the collection's pictures are taken from its cache, or
    made of the files and put there: as many as it keeps of each, unless `keypoints` says how many. With `mirror` the
    mirrored query is tried as well. Every hit that was looked at has `evidence`; its cosine stays what it was.

    Raises UnreadableImage for the query, UnknownModel for a method that there is not, ModelUnavailable where it
    cannot run here.

    >>> found = rerank(photos, "cat.jpg", [photos.search("cat.jpg", k=50)])[0]  # doctest: +SKIP
    >>> found[0].evidence.inliers  # doctest: +SKIP
    214
    """
    name = next((hits.query for hits in columns), None)
    limit = keypoints or photos.keypoints(method)
    picture = images.read(query, side=READ_SIDE, name=name)
    own = extract(picture, method, limit)
    turned = mirror and flipped(picture, own, limit)
    # Models agree on much, and files with the same bytes have the same features: each is matched once.
    pictures: dict[str, dict[str, ImageRef]] = {}
    for hit in (hit for hits in columns for hit in hits[:top]):
        pictures.setdefault(hit.image.id, {})[hit.path] = hit.image

    def matched(files: Mapping[str, ImageRef]) -> tuple[Features, Matches | None, str | None]:
        other, why = None, ""
        for image in files.values():
            try:
                other = photos.features(image, method, limit)
                break
            except UnreadableImage as error:  # another file may show the same picture still
                why = f"{image.path}: {error.reason}"
        if other is None:
            return own, None, why
        if other.descriptors.shape[1:] != own.descriptors.shape[1:]:
            return own, None, f"what {FEATURES} keeps of it is damaged: move that file away"
        note = unverifiable(own, other, ("the query", "this picture"))
        return other, None if note else verify(own, other, mirror=turned), note

    with ThreadPoolExecutor(workers or usable_cores(), thread_name_prefix="verify") as pool:
        found = dict(zip(pictures, pool.map(matched, pictures.values()), strict=True))

    def judged(hits: Hits) -> Hits:
        first = []
        for hit in hits[:top]:
            other, matches, note = found[hit.image.id]
            standard = hits.usual.standard(hit.cosine) if hits.usual else None
            first.append((hit, evidence(own, other, matches, standard, note)))
        first.sort(key=lambda pair: -pair[1].chance)  # stable: equals stay as they were
        verified = [replace(hit, evidence=what) for hit, what in first]
        return replace(hits, items=_ranked([*verified, *hits[top:]]))

    return [judged(hits) for hits in columns]


def _ranked(hits: Sequence[Hit]) -> tuple[Hit, ...]:
    return tuple(replace(hit, rank=rank) for rank, hit in enumerate(hits, 1))
