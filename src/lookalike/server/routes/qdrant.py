"""Collections in the shape of Qdrant's REST service, for its clients: read and searched, never written.

A point is a picture; its id is the first half of the picture's own, as a UUID. Each model is a named vector: `using`
says which one is meant, the collection's first where it does not.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from lookalike.collection import Collection
from lookalike.server.asking import MOST, embedder
from lookalike.server.batching import Item
from lookalike.server.pictures import source_of
from lookalike.server.problems import Problem, documented
from lookalike.server.schemas import Asked, PictureName, Words, as_json
from lookalike.server.service import Service, Serving
from lookalike.server.threads import while_wanted
from lookalike.types import ImageRef, ModelCard, Vectors
from lookalike.writing import showable

router = APIRouter(prefix="/collections", tags=["qdrant"])

T = TypeVar("T")

MOST_POINTS = 1000
"""That are given by id at a time."""

PointId = Annotated[str, Field(pattern="^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$", description="A UUID.")]
Number = Annotated[float, Field(allow_inf_nan=False)]
Numbers = Annotated[list[Number], Field(min_length=1, max_length=100_000)]
Chosen = bool | Annotated[list[str], Field(max_length=100)]


class Document(Asked):
    """Words, that the service is to embed."""

    text: Words
    model: str | None = Field(default=None, description="The vector's own, if any.")


class Picture(Asked):
    """A picture, that the service is to embed."""

    image: PictureName
    model: str | None = Field(default=None, description="The vector's own, if any.")


Target = Numbers | PointId | Document | Picture


class Nearest(Asked):
    """What is to be near."""

    nearest: Target
    mmr: None = None


class Query(Asked):
    """Of Qdrant's queries, the nearest points to a vector, a point, words or a picture."""

    query: Target | Nearest
    using: str | None = Field(default=None, description="The name of a model of the collection.")
    limit: int = Field(default=10, ge=1, le=MOST)
    offset: int | None = Field(default=None, ge=0, le=MOST)
    score_threshold: float | None = None
    with_payload: Chosen | None = True
    with_vector: Chosen | None = False
    params: dict[str, Any] | None = Field(default=None, description="Not needed: the search is exact.")
    filter: None = Field(default=None, description="Not understood: POST /v1/search has filters.")
    prefetch: None = None
    lookup_from: None = None
    shard_key: None = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": str(uuid.UUID(int=0)), "using": "sift", "limit": 3}]}
    )


class Points(Asked):
    """Points by their ids."""

    ids: list[PointId] = Field(max_length=MOST_POINTS)
    with_payload: Chosen | None = True
    with_vector: Chosen | None = False
    shard_key: None = None


class Answer(BaseModel, Generic[T]):
    """As Qdrant answers: `time` in seconds."""

    result: T
    status: Literal["ok"] = "ok"
    time: float


class Record(BaseModel):
    id: str
    payload: dict[str, Any] | None
    vector: dict[str, list[float]] | None


class ScoredPoint(Record):
    version: int = 0
    score: float = Field(description="The cosine.")


class ScoredPoints(BaseModel):
    points: list[ScoredPoint]


class Name(BaseModel):
    name: str


class Names(BaseModel):
    collections: list[Name]


class Exists(BaseModel):
    exists: bool


@router.get("", responses=documented(429))
async def collections(service: Serving) -> Answer[Names]:
    """The collections that are served."""
    return Answer(result=Names(collections=[Name(name=name) for name in service.shelf.names]), time=0.0)


@router.get("/{collection}", responses=documented(404, 429))
async def about(service: Serving, collection: str) -> Answer[dict[str, Any]]:
    """What a collection holds: its points, and the size of each model's vectors."""
    began = time.perf_counter()
    found = await service.searching.run(_about, service, collection)
    return Answer(result=found, time=time.perf_counter() - began)


@router.get("/{collection}/exists")
async def exists(service: Serving, collection: str) -> Answer[Exists]:
    """Whether there is a collection of that name."""
    return Answer(result=Exists(exists=collection in service.shelf.names), time=0.0)


@router.post("/{collection}/points", response_model=Answer[list[Record]], responses=documented(404, 422, 429))
async def points(service: Serving, collection: str, asked: Points) -> Response:
    """Points by their ids; those that are not there are left out."""
    return await service.searching.run(_timed, lambda: _points(service, collection, asked))


@router.post(
    "/{collection}/points/query",
    response_model=Answer[ScoredPoints],
    responses=documented(403, 404, 409, 413, 422, 429),
)
async def query(service: Serving, request: Request, collection: str, asked: Query) -> Response:
    """The points nearest to a vector, to another point, to words or to a picture."""
    return await while_wanted(request, _answered(service, collection, asked))


async def _answered(service: Service, name: str, asked: Query) -> Response:
    target = asked.query.nearest if isinstance(asked.query, Nearest) else asked.query
    using = await service.searching.run(_model, service, name, asked.using)
    vector = None
    if isinstance(target, Document | Picture):
        if target.model not in (None, using):
            raise Problem(
                422, f"model: the vector {using!r} is made by the model of that name, not by {target.model!r}"
            )
        card = await service.searching.run(_embedder, service, name, using)
        item: Item = target.text if isinstance(target, Document) else ""
        if isinstance(target, Picture):
            item = await source_of(service, target.image, card)
        vector = (await service.batcher.embed(item, card))[0]
    elif isinstance(target, list):
        numbers = np.asarray(target)
        # Only its direction counts, and so far it may be longer than 32 bits can tell.
        vector = (numbers / (np.abs(numbers).max() or 1)).astype(np.float32)
    given = target if isinstance(target, str) else None
    return await service.searching.run(_timed, lambda: _nearest(service, name, asked, using, vector, given))


def _model(service: Service, name: str, using: str | None) -> str:
    own = service.shelf.collection(name).models
    if not own or using not in (None, *own):
        raise Problem(404, f"the collection has no vectors of {using!r}: it has {', '.join(own) or 'none'}")
    return using or own[0]


def _embedder(service: Service, name: str, using: str) -> ModelCard:
    return embedder(service.shelf.collection(name), using)


def _nearest(
    service: Service, name: str, asked: Query, using: str, vector: Vectors | None, point: str | None
) -> ScoredPoints:
    collection = service.shelf.collection(name)
    own = _image_id(collection, point) if point is not None else None
    if own is not None:
        vector = collection.stored(using, [own]).get(own)
    if vector is None:
        raise Problem(404, f"no point {point} with a vector of {using!r}")
    start = asked.offset or 0
    hits = collection.search_vectors({using: vector}, k=min(MOST, start + asked.limit + 1))
    cosines: dict[str, float] = {}  # of a picture in several files, the first
    images: dict[str, ImageRef] = {}
    for hit in hits:
        if hit.image.id != own and (asked.score_threshold is None or hit.cosine >= asked.score_threshold):
            cosines.setdefault(hit.image.id, hit.cosine)
            images.setdefault(hit.image.id, hit.image)
    chosen = list(images.values())[start : start + asked.limit]
    records = _records(service, name, chosen, asked.with_payload, asked.with_vector)
    found = [
        ScoredPoint(**record.model_dump(), score=cosines[image.id])
        for record, image in zip(records, chosen, strict=True)
    ]
    return ScoredPoints(points=found)


def _points(service: Service, name: str, asked: Points) -> list[Record]:
    collection = service.shelf.collection(name)
    ids = dict.fromkeys(own for point in asked.ids if (own := _image_id(collection, point)) is not None)
    images = [collection.showing(own)[0] for own in ids]
    return _records(service, name, images, asked.with_payload, asked.with_vector)


def _records(
    service: Service, name: str, images: Sequence[ImageRef], with_payload: Chosen | None, with_vector: Chosen | None
) -> list[Record]:
    collection = service.shelf.collection(name)
    names = [model for model in collection.models if _is_chosen(model, with_vector)]
    shown = service.shelf.showing(name)
    vectors = {model: collection.stored(model, [image.id for image in images]) for model in names}
    return [
        Record(
            id=_point_id(image.id),
            payload=_payload(image, shown(image.path), with_payload) if with_payload else None,
            vector={model: own[image.id].tolist() for model, own in vectors.items() if image.id in own}
            if with_vector
            else None,
        )
        for image in images
    ]


def _payload(image: ImageRef, path: str, chosen: Chosen) -> dict[str, Any]:
    whole: Mapping[str, Any] = {
        "image_id": image.id,
        "path": showable(path),
        "width": image.width,
        "height": image.height,
        "taken": image.taken,
        "image": f"/images/{image.id}",
        "thumbnail": f"/thumbnails/{image.id}",
    }
    return {key: value for key, value in whole.items() if _is_chosen(key, chosen)}


def _is_chosen(name: str, chosen: Chosen | None) -> bool:
    return name in chosen if isinstance(chosen, list) else bool(chosen)


def _point_id(image_id: str) -> str:
    return str(uuid.UUID(hex=image_id[:32]))


def _image_id(collection: Collection, point: str) -> str | None:
    """The picture whose id begins as the point's."""
    return next(iter(collection.beginning(uuid.UUID(point).hex)), None) if collection.exists else None


def _timed(work: Callable[[], Any]) -> Response:
    began = time.perf_counter()
    result = work()
    return as_json(Answer(result=result, time=time.perf_counter() - began))


def _about(service: Service, name: str) -> dict[str, Any]:
    """What Qdrant's clients need to be told; what is about its own index is told as it would be without one."""
    collection = service.shelf.collection(name)
    info: dict[str, Any] = collection.info() if collection.exists else {"pictures": 0, "models": []}
    vectors = {model["name"]: {"size": model["dim"], "distance": "Cosine"} for model in info["models"]}
    return {
        "status": "green",
        "optimizer_status": "ok",
        "points_count": info["pictures"],
        "indexed_vectors_count": 0,
        "segments_count": 1,
        "config": {
            "params": {"vectors": vectors},
            "hnsw_config": {"m": 0, "ef_construct": 4, "full_scan_threshold": 10_000},
            "optimizer_config": {"default_segment_number": 1, "flush_interval_sec": 5},
        },
        "payload_schema": {},
    }
