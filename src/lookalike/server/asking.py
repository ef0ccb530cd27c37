"""What is asked of a collection, by page, REST or assistant alike, and the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool

from lookalike import images
from lookalike.fusion import Fuse
from lookalike.reranking import rerank
from lookalike.server.problems import Problem
from lookalike.server.service import Service
from lookalike.types import EVERYTHING, Hits, Only, Term
from lookalike.views import Views


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture, as shares of its sides: left, top, width, height, 0 to 1."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Ask:
    """One query.

    terms:    an image's term holds its id: of an upload, or of an image of a collection
    models:   of the collection; none means all that can answer; "a+b" is one ranking of two
    crop:     the part of the picture that is meant, where there is one image and no words
    verify:   so many hits of each ranking are verified by keypoints of `method`
    collapse: of near-duplicates among the hits only the first is kept
    include_self: whether the files that are asked with may be hits, where the collection has them
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


@dataclass(frozen=True, slots=True)
class Column:
    """What one model answers.

    collapsed: by the id of a hit's image, how many near-duplicates behind it were left out
    reason:    why there are no hits, where the model cannot answer what others can
    """

    hits: Hits
    collapsed: Mapping[str, int] = field(default_factory=dict)
    reason: str | None = None


async def answer(service: Service, ask: Ask) -> list[Column]:
    """A ranking a model. Raises Problem, UnreadableImage, UsageError and its kin, where none of them can answer."""
    return [Column(hits) for hits in await run_in_threadpool(_answer, service, ask)]


def picture_bytes(service: Service, image_id: str) -> bytes:
    """The bytes of an upload or of an image of a collection. Raises Problem 404 where there is neither."""
    data = service.uploads.get(image_id)
    if data is None and (image := service.shelf.image(image_id)):
        data = images.read_bytes(image.path)
    if data is None:
        raise Problem(404, f"no picture {image_id} here: upload it first")
    return data


def _answer(service: Service, ask: Ask) -> list[Hits]:
    collection = service.shelf.collection(ask.collection)
    views = Views(mirror=ask.mirror, crops=ask.crops, fuse=ask.fuse)
    models = ask.models or tuple(collection.usable())
    (term,) = ask.terms
    if term.image is None:
        return [collection.search_terms(ask.terms, model=model, k=ask.k, only=ask.only) for model in models]
    data = picture_bytes(service, term.image)
    count = max(ask.k, ask.verify)
    columns = [collection.search(data, model=model, k=count, views=views, only=ask.only) for model in models]
    if ask.verify:
        columns = rerank(collection, data, columns, method=ask.method, top=ask.verify, mirror=ask.mirror)
    return columns
