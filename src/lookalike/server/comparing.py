"""Two pictures compared for a client: by vectors that the batcher makes, and by local features."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from lookalike import images
from lookalike.calibration import evidence, unverifiable
from lookalike.errors import LookalikeError
from lookalike.keypoints.features import LIMIT
from lookalike.keypoints.geometry import flipped, verify
from lookalike.keypoints.methods import READ_SIDE, extract
from lookalike.metrics import cosine
from lookalike.models import registry
from lookalike.server.asking import TROUBLES, Trouble, card_of
from lookalike.server.batching import Source
from lookalike.server.problems import Problem
from lookalike.server.service import Service
from lookalike.types import Evidence, ModelCard, Score, Vectors


@dataclass(frozen=True, slots=True)
class Compared:
    """How alike each model finds two pictures, or why it cannot tell; and what local features say of them."""

    scores: Mapping[str, Score | Trouble]
    evidence: Evidence | None = None


async def compared(
    service: Service,
    a: bytes,
    b: bytes,
    *,
    models: Sequence[str] = (),
    collection: str | None = None,
    why: bool = False,
    method: str = "sift",
    mirror: bool = False,
) -> Compared:
    """Compare the pictures in two files' bytes. What is usual for unrelated ones the collection tells, if there is any.

    Raises UnreadableImage, UnknownModel; Problem, where no model can answer.
    """
    cards = await service.searching.run(_cards, service, models, collection)
    sides = {card.input.read_side for card in cards}
    sources = Source(a, sides), Source(b, sides)

    async def of_model(card: ModelCard) -> tuple[Vectors, Vectors] | Trouble:
        try:
            first, second = await asyncio.gather(*(service.batcher.embed(source, card) for source in sources))
            return first[0], second[0]
        except TROUBLES as error:
            return error

    found = dict(zip((card.name for card in cards), await asyncio.gather(*map(of_model, cards)), strict=True))
    vectors = {name: each for name, each in found.items() if isinstance(each, tuple)}
    if not vectors:
        raise next(each for each in found.values() if not isinstance(each, tuple))
    scores = {name: Score(name, cosine(*each)) if isinstance(each, tuple) else each for name, each in found.items()}
    if not why:
        return Compared(scores)
    standard = await service.searching.run(_standard, service, collection, vectors)
    return Compared(scores, await service.verifying.run(_evidence, a, b, method, mirror, standard))


def _cards(service: Service, models: Sequence[str], collection: str | None) -> list[ModelCard]:
    names = list(models)
    if not names:
        names = registry.downloadless()
        with suppress(LookalikeError, Problem):  # no collection, or none of its models runs here
            names = [*service.shelf.collection(collection).usable(), *names]
    return [card_of(service, name) for name in dict.fromkeys(names)]


def _standard(service: Service, name: str | None, vectors: Mapping[str, tuple[Vectors, Vectors]]) -> float | None:
    """How far above what is usual for the first picture the two are, by the first model that the collection has."""
    with suppress(LookalikeError, Problem):
        collection = service.shelf.collection(name)
        for model in collection.usable():
            if model in vectors:
                first, second = vectors[model]
                usual = collection.search_vectors({model: first}, k=1).usual
                return usual.standard(cosine(first, second)) if usual else None
    return None


def _evidence(a: bytes, b: bytes, method: str, mirror: bool, standard: float | None) -> Evidence:
    pictures = [images.read(data, side=READ_SIDE) for data in (a, b)]
    one, other = (extract(picture, method, LIMIT) for picture in pictures)
    note = unverifiable(one, other, ("the first picture", "the second picture"))
    turned = mirror and flipped(pictures[0], one, LIMIT)
    return evidence(one, other, None if note else verify(one, other, mirror=turned), standard, note)
