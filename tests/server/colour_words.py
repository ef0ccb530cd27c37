"""A small model of pictures and words: the mean colour of the one, the names of colours in the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lookalike.metrics import normalised
from lookalike.models import registry
from lookalike.types import InputSpec, ModelCard, Picture, Vectors

NAMED = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "white": (1, 1, 1)}


class ColourWords:
    def __init__(self, card: ModelCard) -> None:
        self.card = card

    def embed(self, pictures: Sequence[Picture]) -> Vectors:
        return normalised(np.array([each.pixels.mean(axis=(0, 1)) + 1 for each in pictures], dtype=np.float32))

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        found = [[NAMED[word] for word in text.split() if word in NAMED] or [NAMED["white"]] for text in texts]
        return normalised(np.array([np.mean(colours, axis=0) for colours in found], dtype=np.float32))


def load(card: ModelCard) -> ColourWords:
    return ColourWords(card)


def register() -> str:
    """Make it one of the user's own models; its name."""
    card = ModelCard(
        name="colour-words",
        kind="descriptor",
        dim=3,
        input=InputSpec((8, 8)),
        summary="the mean colour",
        source="tests",
        revision="1",
        license="Apache-2.0",
        loader="tests.server.colour_words:load",
        texts=True,
    )
    registry.save_card(card)
    return card.name
