"""Near-duplicates in a folder: pictures that a benchmark must not take for different ones.

Two of a burst, a photo and its thumbnail, the same view an hour later: a copy of the one is rightly found in the
other, and would be counted as wrong. Candidates are pairs of similar perceptual hashes; local features decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from lookalike.collection import Collection
from lookalike.errors import UnreadableImage
from lookalike.keypoints.features import Features
from lookalike.keypoints.geometry import FEWEST, verify
from lookalike.types import ImageRef, Vectors

HASHES = ("phash", "dhash")

NEAR_BITS, SAME_BITS = 14, 4
"""Bits of 64 in which candidates may differ; and so few that no more proof is asked of pictures without keypoints."""

AGREEING = 20
"""Keypoints in one arrangement that make two pictures near-duplicates."""

_BLOCK = 1024


def near_duplicates(
    photos: Collection, images: Sequence[ImageRef], hashes: Sequence[Vectors], tell: Callable[[int, int], object]
) -> list[list[int]]:
    """Groups of places in `images` that show nearly the same, the first of each the one to keep; singles included.

    `hashes` are the pictures' (n, 64) vectors of each perceptual hash; `tell` hears how many pictures are done.
    """
    group = list(range(len(images)))

    def root(i: int) -> int:
        while group[i] != i:
            group[i] = group[group[i]]
            i = group[i]
        return i

    for i, candidates in enumerate(_near(hashes)):
        for j in candidates:
            if root(i) != root(j):
                bits = min(_bits(vectors[i] @ vectors[j]) for vectors in hashes)
                if _same(photos, images[i], images[j], bits):
                    group[max(root(i), root(j))] = min(root(i), root(j))
        tell(i + 1, len(images))
    found: dict[int, list[int]] = {}
    for i in range(len(images)):
        found.setdefault(root(i), []).append(i)
    return list(found.values())


def _near(hashes: Sequence[Vectors]) -> Iterator[list[int]]:
    """Picture by picture, the later ones that are candidates: of a film's frames, all of them together are millions."""
    least = 1 - 2 * NEAR_BITS / 64 - 1e-3
    count = len(hashes[0])
    for start in range(0, count, _BLOCK):
        alike = [vectors[start : start + _BLOCK] @ vectors[start:].T >= least for vectors in hashes]
        near: npt.NDArray[np.bool_] = np.logical_or.reduce(alike)
        for i, row in enumerate(near):
            yield (np.flatnonzero(row[i + 1 :]) + start + i + 1).tolist()


def _bits(cosine: float) -> float:
    return (1 - cosine) * 32


def _same(photos: Collection, a: ImageRef, b: ImageRef, bits: float) -> bool:
    try:
        first, second = _features(photos, a), _features(photos, b)
    except UnreadableImage:
        return bits <= SAME_BITS
    if min(len(first), len(second)) < 4 * FEWEST:
        return bits <= SAME_BITS
    return verify(first, second).count >= AGREEING


def _features(photos: Collection, image: ImageRef) -> Features:
    return photos.features(image, "sift", 300)
