"""Local features summed into one vector: SIFT or ORB, then VLAD, then a whitened projection.

A few hundred keypoints, each described by itself, are sorted to the nearest centres of a learned codebook;
what is kept of them is how they differ from their centre, on average. Crops, collages and turned pictures
still share most of their keypoints, and so most of their vector.

VLAD           Jégou et al., "Aggregating Local Image Descriptors into Compact Codes" (PAMI 2012)
RootSIFT       Arandjelović and Zisserman, "Three Things Everyone Should Know..." (CVPR 2012)
normalisation  Arandjelović and Zisserman, "All About VLAD" (CVPR 2013)
whitening      Jégou and Chum, "Negative Evidences and Co-occurrences in Image Retrieval" (ECCV 2012)

`benchmarks/learn_codebooks.py` learns the codebooks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from lookalike.keypoints.features import SIFT_MIRROR
from lookalike.models.preprocess import fit
from lookalike.types import ModelCard, Picture, Pixels, Vectors

Floats: TypeAlias = npt.NDArray[np.float32]

SMALLEST = 16  # pixels a side: less holds no keypoint, and OpenCV has its troubles with such slivers


@dataclass(frozen=True, slots=True)
class Codebook:
    """What was learned from photos, for local descriptors of `size` components.

    local_mean, local_basis: (size,) and (size, d), a PCA of the local descriptors
    centres:                 (k, d)
    mean, projection:        (k * d,) and (dim, k * d), a whitening PCA of whole VLADs
    """

    local_mean: Floats
    local_basis: Floats
    centres: Floats
    mean: Floats
    projection: Floats

    def encode(self, descriptors: Floats) -> Floats:
        """(dim,) of length 1, for (n, size) local descriptors of one picture.

        Without any, it is the direction of "nothing here", which no photo lies near.
        """
        whole = vlad(descriptors, self.local_mean, self.local_basis, self.centres)
        found = np.vecdot(self.projection, whole - self.mean)
        return np.asarray(found / np.linalg.norm(found), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Vlad:
    card: ModelCard
    describe: Callable[[Pixels], Floats]
    codebook: Codebook

    def embed(self, pictures: Sequence[Picture]) -> Vectors:
        # One by one: a matrix product over a batch would let its size decide the last digits.
        rows = [self.codebook.encode(self.describe(fit(p, self.card.input))) for p in pictures]
        return np.array(rows, dtype=np.float32).reshape(len(rows), self.card.dim)


def load(card: ModelCard) -> Vlad:
    with resources.files("lookalike").joinpath("data", card.options["codebook"]).open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        codebook = Codebook(
            local_mean=arrays["local_mean"],
            local_basis=arrays["local_basis"],
            centres=arrays["centres"],
            mean=arrays["mean"],
            projection=arrays["projection"] * arrays["scale"][:, None],  # int8, and a scale for each row
        )
    return Vlad(card, DESCRIBE[card.options["local"]], codebook)


def vlad(descriptors: Floats, local_mean: Floats, local_basis: Floats, centres: Floats) -> Floats:
    """(k * d,) from (n, size) local descriptors, with the arrays of a Codebook; zeros where n is 0.

    Each centre's sum of differences has length 1 before the square root, or a wall of bricks would drown all
    else in the picture.
    """
    if not len(descriptors):
        return np.zeros(centres.size, dtype=np.float32)
    local = _product(descriptors - local_mean, local_basis)
    nearest = np.argmin((centres**2).sum(axis=1) - 2 * _product(local, centres.T), axis=1)
    member = (nearest == np.arange(len(centres))[:, None]).astype(np.float32)
    sums = _product(member, local) - member.sum(axis=1, keepdims=True) * centres
    sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), np.float32(1e-9))
    rooted = (np.sign(sums) * np.sqrt(np.abs(sums))).ravel()
    return np.asarray(rooted / max(np.linalg.norm(rooted), 1e-9), dtype=np.float32)


def sift(pixels: Pixels) -> Floats:
    """(n, 128) RootSIFT of the 1000 strongest keypoints, folded so that a mirrored picture has the same.

    A picture without keypoints is described on a grid; a flat one gives none.

    Mirroring swaps a patch's upper and lower half (seen along its own direction). The sum of the halves, and
    the difference without its sign, do not notice; length is kept.
    """
    if min(pixels.shape[:2]) < SMALLEST:
        return np.zeros((0, 128), dtype=np.float32)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    detector = cv2.SIFT.create(nfeatures=1000)  # a new one each time costs nothing, and threads share nothing
    keypoints, found = detector.detectAndCompute(grey, None)
    if not keypoints:
        _, found = detector.compute(grey, _grid(*grey.shape))
        found = found[found.any(axis=1)]
    root = np.sqrt(found / np.maximum(found.sum(axis=1, keepdims=True), np.float32(1e-9)))
    mirrored = root[:, SIFT_MIRROR]
    folded = np.hstack([(root + mirrored)[:, :64], np.abs(root - mirrored)[:, :64]])
    return np.asarray(folded / np.sqrt(2), dtype=np.float32)


def _grid(height: int, width: int) -> list[cv2.KeyPoint]:
    """Places all over a picture that has no keypoints (a flag of plain stripes, say): its edges still tell it apart."""
    step = min(height, width) / 8
    places = np.mgrid[step / 2 : height : step, step / 2 : width : step].reshape(2, -1).T
    return [cv2.KeyPoint(float(x), float(y), step, 0) for y, x in places]


def orb(pixels: Pixels) -> Floats:
    """(n, 256) of length 1: the bits of the 500 strongest keypoints as ±1/16."""
    if min(pixels.shape[:2]) < SMALLEST:
        return np.zeros((0, 256), dtype=np.float32)
    detector = cv2.ORB.create(nfeatures=500, fastThreshold=7)
    keypoints, found = detector.detectAndCompute(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), None)
    if not keypoints:
        return np.zeros((0, 256), dtype=np.float32)
    return np.where(np.unpackbits(np.asarray(found, dtype=np.uint8), axis=1), 1, -1).astype(np.float32) / np.float32(16)


def _product(a: Floats, b: Floats) -> Floats:
    """a @ b by OpenCV, in this thread: NumPy's BLAS starts threads of its own, and pictures wait in its queue."""
    return np.asarray(cv2.gemm(a, np.ascontiguousarray(b), 1, np.empty(0), 0), dtype=np.float32)


DESCRIBE: dict[str, Callable[[Pixels], Floats]] = {"sift": sift, "orb": orb}
