"""Perceptual hashes as vectors: 64 bits as ±1/8, so that cosine = 1 - 2 * Hamming / 64, exactly.

phash: signs of the lowest frequencies of a 32 x 32 grey thumbnail (N. Krawetz, "Looks Like It", 2011)
dhash: signs of the steps from left to right in a 9 x 8 thumbnail (N. Krawetz, "Kind of Like That", 2013)

Both give the bits of the `imagehash` package, as long as the picture was decoded at its full size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lookalike.models.preprocess import fit_grey
from lookalike.types import ModelCard, Picture, Vectors

Bits: TypeAlias = npt.NDArray[np.bool_]
Grey: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hash:
    """A hash of 64 bits in the place of an embedding."""

    card: ModelCard
    bits: Callable[[Grey], Bits]

    def embed(self, pictures: Sequence[Picture]) -> Vectors:
        rows = [self.bits(fit_grey(picture, self.card.input).astype(np.float64)).ravel() for picture in pictures]
        bits = np.array(rows, dtype=np.bool_).reshape(len(rows), self.card.dim)
        return np.where(bits, 1, -1).astype(np.float32) / np.float32(np.sqrt(self.card.dim))


def load(card: ModelCard) -> Hash:
    return Hash(card, {"phash": phash, "dhash": dhash}[card.options["bits"]])


def phash(grey: Grey) -> Bits:
    """(8, 8) bits of a (32, 32) thumbnail: which low frequencies lie above their median.

    A flat picture has but one frequency, so about half of its bits agree with those of any photo: cosine 0.
    """
    # Rounded, since what should be zero must not turn into a random bit by the last digit of a float.
    low = np.round(_DCT @ grey @ _DCT.T, 6)
    return np.asarray(low > np.median(low))


def dhash(grey: Grey) -> Bits:
    """(8, 8) bits of a (8, 9) thumbnail: where the next pixel to the right is brighter."""
    return np.asarray(grey[:, 1:] > grey[:, :-1])


def _cosines(keep: int, size: int) -> Grey:
    """The first `keep` rows of the DCT-II matrix (unnormalised, as the hash has always been computed)."""
    frequency, place = np.arange(keep)[:, None], np.arange(size)[None, :]
    return 2 * np.cos(np.pi * frequency * (2 * place + 1) / (2 * size))


_DCT = _cosines(8, 32)
