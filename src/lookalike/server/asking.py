"""What is asked of a collection, by page, REST or assistant alike, and the answer."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

from lookalike import images
from lookalike.collection import Collection
from lookalike.errors import LookalikeError, UnknownModel, UsageError
from lookalike.fusion import Fuse
from lookalike.keypoints.methods import READ_SIDE
from lookalike.models import registry
from lookalike.reranking import rerank
from lookalike.searching import PLUS, is_imported, mixed, no_model
from lookalike.server.batching import Source
from lookalike.server.collapsing import DEEPER, collapse
from lookalike.server.problems import Problem
from lookalike.server.service import Service
from lookalike.types import EVERYTHING, Hits, ModelCard, Only, Picture, Term, Vectors
from lookalike.views import PLAIN, Views, cut

MOST = 2000
"""Hits that are given at most: pages and memory are bounded."""

MOST_VERIFIED = 200
"""Of them, those that are verified: each costs milliseconds, and much more where its file must be read."""


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture, as shares of its sides: left, top, width, height, 0 to 1."""

    left: float
    top: float
    width: float
    height: float

    def of(self, picture: Picture) -> Picture:
        """That part of a picture."""
        return cut(picture, (self.left, self.top, min(1.0, self.left + self.width), min(1.0, self.top + self.height)))


@dataclass(frozen=True, slots=True)
class Ask:
    """One query.

    terms:    an image's term holds its id: of an upload, or of an image of a collection
    models:   of the collection; none means all that can answer; "a+b" is one ranking of two
    k:        hits of each model, at most MOST
    crop:     the part of the picture that is meant; it, `mirror`, `crops` and `verify` need one image and no words
    verify:   so many hits of each ranking are verified by keypoints of `method`, at most MOST_VERIFIED
    collapse: of near-duplicates among the hits only the first is kept
    include_self: whether an image of the collection may find itself; files with the same bytes always are found
    """

    terms: tuple[Term, ...]
    collection: str | None = None
    models: tuple[str, ...] = ()
    k: int = 20
    crop: Box | None = None
    mirror: bool = False
    crops: bool = False
    fuse: Fuse = "scores"
    verify: int = 0
    method: str = "sift"
    collapse: bool = False
    only: Only = EVERYTHING
    include_self: bool = True

    @property
    def picture(self) -> str | None:
        """The id of the image, where that is all that is asked with."""
        return self.terms[0].image if len(self.terms) == 1 else None

    @property
    def views(self) -> Views:
        """What else of the picture is looked for."""
        return Views(self.mirror, self.crops, self.fuse) if self.picture else replace(PLAIN, fuse=self.fuse)


@dataclass(frozen=True, slots=True)
class Column:
    """What one model answers.

    collapsed: by the id of a hit's image, how many near-duplicates behind it were left out
    reason:    why there are no hits, where the model cannot answer what others can
    """

    hits: Hits
    collapsed: Mapping[str, int] = field(default_factory=dict)
    reason: str | None = None


Trouble: TypeAlias = LookalikeError | Problem
Query: TypeAlias = dict[str, Vectors]
TROUBLES = (LookalikeError, Problem)


async def answer(service: Service, ask: Ask) -> list[Column]:
    """A ranking a model. Raises Problem, UnreadableImage, UsageError and its kin, where none of them can answer."""
    if not ask.terms:
        raise Problem(422, "an empty query: give words or an image")
    if not (0 < ask.k <= MOST and 0 <= ask.verify <= MOST_VERIFIED):
        raise Problem(422, f"ask for 1 to {MOST} hits, and for at most {MOST_VERIFIED} to be verified")
    known = await service.searching.run(_known, service, ask)
    vectors = await _vectors(service, ask, known)
    queries = [_query(parts, vectors) for parts in known.columns]
    found = list(await asyncio.gather(*(_ranked(service, ask, query) for query in queries)))
    troubles = [each for each in found if not isinstance(each, Hits)]
    if len(troubles) == len(found):
        raise troubles[0]
    if ask.verify and ask.picture:
        hits = iter(
            await service.verifying.run(_verified, service, ask, [each for each in found if isinstance(each, Hits)])
        )
        found = [next(hits) if isinstance(each, Hits) else each for each in found]
    return await service.searching.run(_finished, service, ask, known, queries, found)


def picture_bytes(service: Service, image_id: str) -> bytes:
    """The bytes of an upload or of an image of a collection. Raises Problem 404 where there is neither."""
    data = service.uploads.get(image_id)
    if data is None and (image := service.shelf.image(image_id)):
        data = images.read_bytes(image.path)
        if images.content_hash(data) != image_id:
            data = None  # the file has changed since it was indexed
    if data is None:
        raise Problem(404, f"no picture {image_id} here: upload it first")
    return data


def card_of(service: Service, name: str) -> ModelCard:
    """The card of a model by a name that clients may use: of the catalogue, or of a collection.

    A path is none, unless it is the name of a collection's own model: nobody may have any folder read from afar.
    Raises UnknownModel.
    """
    own = registry.cards()
    if name.partition("@")[0] in own or any(
        name in service.shelf.collection(each).models for each in service.shelf.names
    ):
        return registry.card(name)
    near = difflib.get_close_matches(name.lower(), own, n=1) or ["sift"]
    raise UnknownModel(f"no model is called {name!r} here: try {near[0]!r}, or see GET /v1/models")


def embedder(collection: Collection, name: str) -> ModelCard:
    """The card of a collection's model, to embed a new query by. Raises ModelUnavailable where only vectors came."""
    for entry in collection.entries():
        if entry.name == name and is_imported(entry):
            raise no_model(entry, "the query")
    return registry.card(name)


# -- the query's vectors -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    """What the collection knows of a query.

    columns:  the models that make each ranking
    stored:   (dim,) by model and image id: of pictures that it has vectors of
    cards:    of the models that must embed something, by name
    troubles: of models that cannot answer, by name
    unread:   ids of pictures that must be embedded
    """

    columns: Sequence[tuple[str, ...]]
    stored: dict[str, Mapping[str, Vectors]] = field(default_factory=dict)
    cards: dict[str, ModelCard] = field(default_factory=dict)
    troubles: dict[str, Trouble] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)


def _known(service: Service, ask: Ask) -> _Known:
    collection = service.shelf.collection(ask.collection)
    known = _Known(_columns(collection, ask))
    ids = list(dict.fromkeys(term.image for term in ask.terms if term.image is not None))
    words = any(term.image is None for term in ask.terms)
    as_it_is = not ask.views.further and not (ask.picture and ask.crop)
    for name in dict.fromkeys(name for parts in known.columns for name in parts):
        try:
            known.stored[name] = collection.stored(name, ids) if as_it_is else {}
            if words or len(known.stored[name]) < len(ids):
                known.cards[name] = embedder(collection, name)
        except LookalikeError as error:
            known.troubles[name] = error
    for each in ids:
        if any(each not in known.stored[name] for name in known.cards):
            picture_bytes(service, each)  # says whether it is there; read again when its turn has come
            known.unread.add(each)
    return known


def _columns(collection: Collection, ask: Ask) -> list[tuple[str, ...]]:
    """The models of each ranking. Raises UsageError, Problem 404 for one that the collection has not."""
    own = collection.models
    if not ask.models:
        usable = collection.usable()
        reading = [name for name in usable if registry.card(name).texts]
        words = any(term.image is None for term in ask.terms)
        if words and not reading:
            raise UsageError("none of the collection's models reads words: ask with an image")
        return [(name,) for name in (reading if words else usable)]
    columns = [(name,) if name in own else tuple(dict.fromkeys(name.split(PLUS))) for name in dict.fromkeys(ask.models)]
    for name in (name for parts in columns for name in parts):
        if name not in own:
            raise Problem(404, f"the collection has no vectors of {name!r}: it has {', '.join(own) or 'none'}")
    return columns


async def _vectors(service: Service, ask: Ask, known: _Known) -> dict[str, Vectors | Trouble]:
    """(v, dim) by model: of the picture, the part and the views that are meant; or of a mix of terms, (1, dim)."""
    sides = {card.input.read_side for card in known.cards.values()}
    crop, views = ask.crop if ask.picture else None, ask.views

    def seen(picture: Picture) -> list[Picture]:
        meant = crop.of(picture) if crop else picture
        return [meant, *views.of(meant)]

    sources = {each: Source(partial(picture_bytes, service, each), sides, seen, views.count) for each in known.unread}

    async def of_term(term: Term, name: str) -> Vectors:
        if term.image is None:
            return await service.batcher.embed(term.text or "", known.cards[name])
        stored = known.stored[name].get(term.image)
        return await service.batcher.embed(sources[term.image], known.cards[name]) if stored is None else stored[None]

    async def of_model(name: str) -> Vectors | Trouble:
        if name in known.troubles:
            return known.troubles[name]
        try:
            rows = await asyncio.gather(*(of_term(term, name) for term in ask.terms))
            return (
                rows[0] if ask.picture else mixed([(t.weight, own[0]) for t, own in zip(ask.terms, rows, strict=True)])
            )
        except TROUBLES as error:
            return error

    names = [*known.stored, *(known.troubles.keys() - known.stored.keys())]
    return dict(zip(names, await asyncio.gather(*map(of_model, names)), strict=True))


# -- the rankings ------------------------------------------------------------------------------------------------


def _query(parts: Sequence[str], vectors: Mapping[str, Vectors | Trouble]) -> Query | Trouble:
    """What one ranking is asked with, or what is wrong with one of its models."""
    made: dict[str, Vectors] = {}
    for name in parts:
        own = vectors[name]
        if isinstance(own, TROUBLES):
            return own
        made[name] = own
    return made


async def _ranked(service: Service, ask: Ask, query: Query | Trouble) -> Hits | Trouble:
    if isinstance(query, TROUBLES):
        return query
    try:
        return await service.searching.run(_searched, service, ask, query)
    except TROUBLES as error:
        return error


def _searched(service: Service, ask: Ask, query: Query) -> Hits:
    collection = service.shelf.collection(ask.collection)
    ids = {term.image for term in ask.terms if term.image is not None}
    # Of files with the same bytes one is the image itself; the others are its twins, and worth finding.
    hidden = [] if ask.include_self else [image.path for each in ids for image in collection.showing(each)[:1]]
    count = max(min(DEEPER * ask.k, MOST) if ask.collapse else ask.k, ask.verify)
    return collection.search_vectors(query, k=count, hidden=hidden, views=ask.views, only=ask.only)


def _verified(service: Service, ask: Ask, columns: Sequence[Hits]) -> list[Hits]:
    picture = images.read(picture_bytes(service, ask.picture or ""), side=READ_SIDE, name="the query")
    meant = ask.crop.of(picture) if ask.crop else picture
    collection = service.shelf.collection(ask.collection)
    return rerank(collection, meant, columns, method=ask.method, top=ask.verify, mirror=ask.mirror)


def _finished(
    service: Service,
    ask: Ask,
    known: _Known,
    queries: Sequence[Query | Trouble],
    found: Sequence[Hits | Trouble],
) -> list[Column]:
    collection = service.shelf.collection(ask.collection)
    columns = []
    for parts, query, hits in zip(known.columns, queries, found, strict=True):
        if not isinstance(hits, Hits):
            columns.append(Column(Hits("-", PLUS.join(parts), ()), reason=service.shelf.problem(hits).detail))
            continue
        left_out: dict[str, int] = {}
        if ask.collapse and isinstance(query, dict):
            hits, left_out = collapse(collection, hits, query)
        columns.append(Column(replace(hits, items=hits.items[: ask.k]), left_out))
    return columns
