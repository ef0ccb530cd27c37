"""Two pictures, and everything that says why they match or do not."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from lookalike import images
from lookalike.calibration import evidence, unverifiable
from lookalike.collection import Collection
from lookalike.comparison import Comparison, embed_file
from lookalike.errors import UsageError
from lookalike.explaining.maps import Maps, maps
from lookalike.explaining.standing import Standing, standings
from lookalike.keypoints.features import LIMIT, Features
from lookalike.keypoints.geometry import Matches, flipped, verify
from lookalike.keypoints.methods import READ_SIDE, extract
from lookalike.metrics import cosine
from lookalike.models import registry
from lookalike.store import PRIVATE
from lookalike.types import Evidence, ModelCard, Picture, Score
from lookalike.writing import showable

MAPPED = 3
"""Models that have maps, where none was asked for: each takes seconds on a page that nobody can take in."""

ENDINGS = (".png", ".html")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two pictures, with its local features."""

    path: str
    picture: Picture
    features: Features

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the file's own pixels."""
        return self.picture.width, self.picture.height

    @property
    def name(self) -> str:
        return showable(os.path.basename(self.path) or self.path)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why two pictures match.

    comparison: how alike each model finds them
    a, b:       the pictures
    evidence:   what local features say; `matches` are the same, keypoint by keypoint (None: nothing to match)
    maps:       which parts count, model by model
    standings:  by model, what is usual for unrelated pictures of `collection` (its folder), where there is one
    """

    comparison: Comparison
    a: Side
    b: Side
    evidence: Evidence
    matches: Matches | None
    maps: tuple[Maps, ...]
    standings: Mapping[str, Standing]
    collection: str | None = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a picture (.png) or a page (.html). Raises UsageError for other endings, StorageError."""
        # Here, since both draw what is described here.
        from lookalike.explaining import page, sheet

        (sheet.save if ending(path) == ".png" else page.save)(self, os.fspath(path))


def ending(path: str | os.PathLike[str]) -> str:
    """The ending of a file that an explanation can be saved to. Raises UsageError for others."""
    found = os.path.splitext(os.fspath(path))[1].lower()
    if found not in ENDINGS:
        raise UsageError(f"{showable(os.fspath(path))}: name a file that ends in {' or '.join(ENDINGS)}")
    return found


def explain(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    *,
    models: Sequence[str] | None = None,
    method: str = "sift",
    collection: Collection | None = None,
    mirror: bool = False,
    keypoints: int = LIMIT,
) -> Explanation:
    """Compare two image files by each of `models`, match their local features, and find out which parts count.

    `models` default to all that need no download, and those of the `collection`, which tells what is usual for
    pictures that have nothing to do with each other. With `mirror` the mirrored first picture is matched as well.

    Raises UnreadableImage, UnknownModel, ModelUnavailable, NoCollection, and what a damaged collection raises.

    >>> explain("a.jpg", "b.jpg", models=["sift"]).save("why.html")  # doctest: +SKIP
    """
    paths = os.fspath(a), os.fspath(b)
    one, other = (_side(path, method, keypoints) for path in paths)  # first: what cannot be read is told at once
    cards = [registry.card(name) for name in dict.fromkeys(models or [*_usable(collection), *registry.downloadless()])]
    first, second = (embed_file(path, cards) for path in paths)
    scores = [Score(card.name, cosine(x, y)) for card, x, y in zip(cards, first, second, strict=True)]
    known = standings(collection, cards, first, scores) if collection else {}
    note = unverifiable(one.features, other.features, ("the first picture", "the second picture"))
    turned = mirror and flipped(one.picture, one.features, keypoints)
    matches = None if note else verify(one.features, other.features, mirror=turned)
    standard = next((standing.standard for standing in known.values()), None)
    return Explanation(
        Comparison(*paths, tuple(scores)),
        one,
        other,
        evidence(one.features, other.features, matches, standard, note),
        matches,
        tuple(maps(card, one.picture, other.picture) for card in (cards if models else _telling(cards))),
        known,
        _place(collection) if collection and known else None,
    )


def _place(collection: Collection) -> str:
    """What people know the collection by."""
    directory = collection.directory
    return str(directory.parent if directory.name == PRIVATE else directory)


def _usable(collection: Collection | None) -> list[str]:
    """The collection's models that run here: others have nothing to say, and are no error where nobody asked."""
    with suppress(UsageError):
        return collection.usable() if collection else []
    return []


def _side(path: str, method: str, keypoints: int) -> Side:
    picture = images.read(path, side=READ_SIDE)
    return Side(path, picture, extract(picture, method, keypoints))


def _telling(cards: Sequence[ModelCard]) -> list[ModelCard]:
    """The models that have maps: networks, or the default, for nobody can read a map of a hash."""
    networks = [card for card in cards if card.kind == "network"]
    return networks[:MAPPED] or [card for card in cards if card.name == registry.DEFAULT]
