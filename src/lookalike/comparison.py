"""Two images compared, by any number of models."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from lookalike import images, report
from lookalike.embedding import embed_pictures
from lookalike.metrics import cosine
from lookalike.models import registry
from lookalike.types import ModelCard, Score, Vectors


@dataclass(frozen=True, slots=True)
class Comparison:
    """How alike two images are by each model."""

    a: str
    b: str
    scores: tuple[Score, ...]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an HTML page that shows both pictures and the scores. Raises StorageError."""
        section = report.ComparisonSection(self.a, self.b, self.scores)
        report.write(path, [section], title="Two images compared")


def compare(a: str | os.PathLike[str], b: str | os.PathLike[str], models: Sequence[str] | None = None) -> Comparison:
    """Compare two image files by each of `models` (default: all that need no download).

    Each score has the `cosine` (-1 to 1) of the two vectors and `score` = (cosine + 1) / 2.
    Raises UnreadableImage, UnknownModel, ModelUnavailable.

    >>> lookalike.compare("a.jpg", "b.jpg", models=["sift"]).scores[0].cosine  # doctest: +SKIP
    """
    cards = [registry.card(name) for name in dict.fromkeys(models or registry.downloadless())]
    paths = os.fspath(a), os.fspath(b)
    first, second = (embed_file(path, cards) for path in paths)
    scores = (Score(card.name, cosine(x, y)) for card, x, y in zip(cards, first, second, strict=True))
    return Comparison(*paths, tuple(scores))


def embed_file(path: str, cards: Sequence[ModelCard]) -> list[Vectors]:
    """(dim,) of a picture by each model, decoded once. Raises UnreadableImage, ModelUnavailable."""
    data = images.read_bytes(path)
    pictures = images.read_scales(data, {card.input.read_side for card in cards}, name=path)
    return [embed_pictures(registry.load(card), [pictures[card.input.read_side]])[0] for card in cards]
