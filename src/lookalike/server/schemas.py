"""What REST's requests and answers hold."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal, Self

from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from lookalike.server.asking import MOST, MOST_VERIFIED, Ask, Box, Column
from lookalike.server.shelf import Shelf
from lookalike.types import Evidence, Hit, Only, Term
from lookalike.writing import showable

LONGEST = 4000
"""Letters of words: models read a few dozen."""

MOST_INPUTS = 2048
"""Of one request for embeddings, as of those that its clients know."""

MOST_TERMS = 16
MOST_MODELS = 16

ID = "3f1c" + 60 * "0"

Words = Annotated[str, Field(min_length=1, max_length=LONGEST)]
PictureName = Annotated[
    str,
    Field(
        min_length=1,
        description="A picture: a data URI, the id of an upload or of an image of a collection, or the URL of one on a"
        " host that the service was told to trust.",
    ),
]
ModelName = Annotated[str, Field(min_length=1, max_length=1000)]
Share = Annotated[float, Field(ge=0, le=1)]


def _day(text: str) -> str:
    """In the one way of ISO 8601 that is compared; raises ValueError, which is a client's mistake."""
    if "T" not in text:
        return date.fromisoformat(text).isoformat()
    moment = datetime.fromisoformat(text)
    if moment.tzinfo:
        raise ValueError("a time without a zone is needed: pictures do not say theirs")
    whole = moment.isoformat(timespec="seconds")
    return text if whole.startswith(text) else whole  # "T10:30" is all of that minute


Day = Annotated[str, Field(max_length=32, examples=["2026-05-31"]), AfterValidator(_day)]


class Asked(BaseModel):
    """Of a request: what is misspelt is told, not overlooked."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


# -- embeddings --------------------------------------------------------------------------------------------------


class ImageInput(Asked):
    """A picture."""

    image: PictureName


class TextInput(Asked):
    """Words."""

    text: Words


Input = ImageInput | TextInput | Annotated[str, Field(min_length=1, description="Words, or a picture's data URI.")]


class EmbeddingsRequest(Asked):
    """As OpenAI's clients ask."""

    model: ModelName = Field(description="One of GET /v1/models.")
    input: Input | Annotated[list[Input], Field(min_length=1, max_length=MOST_INPUTS)]
    encoding_format: Literal["float", "base64"] = Field(
        default="float", description="base64: little-endian float32, a third of the bytes."
    )
    dimensions: int | None = Field(default=None, description="Only the model's own: vectors are not shortened.")
    user: str | None = Field(default=None, max_length=1000, description="Not used.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model": "color", "input": [{"image": "data:image/png;base64,iVBORw0KGgo..."}]},
                {"model": "clip", "input": ["a red bus at night"], "encoding_format": "base64"},
            ]
        }
    )


class Embedding(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str = Field(description="Of length 1.")


class Usage(BaseModel):
    """Tokens are not counted here: each input counts as one."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


class Model(BaseModel):
    """A model of the catalogue; the first four fields are those that OpenAI's clients know."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(default=0, description="Not known.")
    owned_by: str = Field(description="Where it comes from.")
    kind: str = Field(description='"hash", "descriptor" or "network".')
    dim: int
    texts: bool = Field(description="Whether it reads words, too.")
    license: str
    summary: str
    obstacle: str | None = Field(description="What keeps it from running here now.")


class Models(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


# -- search ------------------------------------------------------------------------------------------------------


class Part(Asked):
    """A part of a picture, as shares of its sides."""

    left: Share
    top: Share
    width: Annotated[float, Field(gt=0, le=1)]
    height: Annotated[float, Field(gt=0, le=1)]

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if max(self.left + self.width, self.top + self.height) > 1.001:
            raise ValueError("the part must lie within the picture")
        return self


Weight = Annotated[float, Field(ge=-100, le=100, description="How much it counts. Below 0: keep away from it.")]


class TextTerm(Asked):
    """Words, as a query or as a part of one."""

    text: Words
    weight: Weight = 1.0


class ImageTerm(Asked):
    """A picture, as a query or as a part of one."""

    image: PictureName
    weight: Weight = 1.0


QueryTerm = TextTerm | ImageTerm


class Filters(Asked):
    """Which images count: those that meet all that is asked."""

    folder: Annotated[str, Field(max_length=4000)] | None = Field(default=None, description="As hits' paths begin.")
    since: Day | None = Field(
        default=None, description="When it was taken or, if that is not known, last changed; included."
    )
    until: Day | None = None
    least: Annotated[int, Field(ge=1, le=1 << 31)] | None = Field(
        default=None, description="Pixels of the longer side."
    )
    most: Annotated[int, Field(ge=1, le=1 << 31)] | None = None


class SearchRequest(Asked):
    """A query: an image, words, or a mix of both."""

    collection: str | None = Field(default=None, max_length=1000, description="The first, if none is named.")
    query: QueryTerm | Annotated[list[QueryTerm], Field(min_length=1, max_length=MOST_TERMS)]
    models: list[ModelName] = Field(
        default=[],
        max_length=MOST_MODELS,
        description='Of the collection; "a+b" is one ranking of two; none: all that can answer.',
    )
    k: int = Field(default=20, ge=1, le=MOST)
    crop: Part | None = Field(
        default=None, description="The part that is meant, where there is one image and no words."
    )
    mirror: bool = Field(default=False, description="Look for the mirrored picture, too.")
    crops: bool = Field(default=False, description="Look for nine parts of the picture, too.")
    fuse: Literal["scores", "ranks"] = "scores"
    verify: int = Field(
        default=0, ge=0, le=MOST_VERIFIED, description="So many hits of each model are verified by keypoints."
    )
    method: str = Field(default="sift", max_length=100, description="Of keypoints.")
    collapse: bool = Field(default=False, description="Of near-duplicates, give only the first.")
    include_self: bool = Field(
        default=True,
        description="Whether an image of the collection may find itself. Files with the same bytes are found anyway.",
    )
    only: Filters = Filters()

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"query": {"image": ID}, "models": ["sift"], "k": 10, "verify": 10},
                {"query": [{"text": "a dog on a beach"}, {"text": "people", "weight": -0.5}], "models": ["clip"]},
            ]
        }
    )


class EvidenceFound(BaseModel):
    """What local features say of the two pictures."""

    method: str
    pairs: int = Field(description="Keypoints of the one that look like one of the other.")
    inliers: int = Field(description="Pairs that agree on one transform.")
    kind: str | None = Field(description="Of the transform.")
    transform: list[list[float]] | None = Field(
        description="3 x 3: a point (x, y, 1) of the query's pixels to the hit's."
    )
    mirrored: bool
    note: str | None = Field(description="Why nothing could be verified, where nothing could.")

    @classmethod
    def of(cls, evidence: Evidence) -> Self:
        rows = evidence.transform
        return cls(
            method=evidence.method,
            pairs=evidence.pairs,
            inliers=evidence.inliers,
            kind=evidence.kind,
            transform=None if rows is None else [list(row) for row in rows],
            mirrored=evidence.mirrored,
            note=evidence.note and showable(evidence.note),
        )


class HitFound(BaseModel):
    """An image that was found."""

    id: str = Field(description="The SHA-256 of the file's bytes.")
    rank: int
    cosine: float = Field(description="-1 to 1.")
    score: float = Field(description="(cosine + 1) / 2.")
    chance: float | None = Field(description="0 to 1: how likely it shows the same; of verified hits.")
    evidence: EvidenceFound | None
    width: int
    height: int
    taken: str | None
    path: str = Field(description="Below the collection's folder.")
    image: str = Field(description="Where the image is to be had.")
    thumbnail: str
    collapsed: int = Field(description="Near-duplicates behind it that were left out.")

    @classmethod
    def of(cls, hit: Hit, path: str, collapsed: int = 0) -> Self:
        image = hit.image
        return cls(
            id=image.id,
            rank=hit.rank,
            cosine=hit.cosine,
            score=hit.score,
            chance=hit.evidence.chance if hit.evidence else None,
            evidence=EvidenceFound.of(hit.evidence) if hit.evidence else None,
            width=image.width,
            height=image.height,
            taken=image.taken,
            path=path,
            image=f"/images/{image.id}",
            thumbnail=f"/thumbnails/{image.id}",
            collapsed=collapsed,
        )


class Ranking(BaseModel):
    """What one model, or several together, found."""

    model: str
    hits: list[HitFound]
    problem: str | None = Field(description="Why there are none, where this model cannot answer.")

    @classmethod
    def of(cls, column: Column, shelf: Shelf, collection: str) -> Self:
        shown = shelf.showing(collection)
        hits = [
            HitFound.of(hit, showable(shown(hit.path)), column.collapsed.get(hit.image.id, 0)) for hit in column.hits
        ]
        return cls(model=column.hits.model, hits=hits, problem=column.reason and showable(column.reason))


class SearchAnswer(BaseModel):
    collection: str
    images: list[str] = Field(description="The ids of the images that were asked with: they save sending them again.")
    rankings: list[Ranking]


def as_json(model: BaseModel) -> Response:
    """An answer, written here: long ones take long, and the loop that serves all is not to wait for them."""
    return Response(model.model_dump_json(), media_type="application/json")


def ask_of(request: SearchRequest, terms: tuple[Term, ...], shelf: Shelf) -> Ask:
    """The query that a request means; `terms` are its own, with images by their id."""
    only, part = request.only, request.crop
    return Ask(
        terms=terms,
        collection=request.collection,
        models=tuple(request.models),
        k=request.k,
        crop=Box(part.left, part.top, part.width, part.height) if part else None,
        mirror=request.mirror,
        crops=request.crops,
        fuse=request.fuse,
        verify=request.verify,
        method=request.method,
        collapse=request.collapse,
        include_self=request.include_self,
        only=Only(
            folder=shelf.folder(only.folder, request.collection) if only.folder else None,
            since=only.since,
            until=only.until,
            least=only.least,
            most=only.most,
        ),
    )


# -- compare -----------------------------------------------------------------------------------------------------


class CompareRequest(Asked):
    """Two pictures."""

    a: PictureName
    b: PictureName
    models: list[ModelName] = Field(
        default=[], max_length=MOST_MODELS, description="None: all that need no download, and those of the collection."
    )
    collection: str | None = Field(
        default=None, max_length=1000, description="Tells what is usual for unrelated pictures."
    )
    why: bool = Field(default=False, description="Match local features, too.")
    method: str = Field(default="sift", max_length=100)
    mirror: bool = Field(default=False, description="Match the mirrored first picture, too.")

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"a": ID, "b": "data:image/png;base64,iVBORw0KGgo...", "why": True}]}
    )


class ScoreFound(BaseModel):
    model: str
    cosine: float | None = Field(description="-1 to 1.")
    score: float | None = Field(description="(cosine + 1) / 2.")
    problem: str | None = Field(description="Why there is none, where this model cannot answer.")


class CompareAnswer(BaseModel):
    scores: list[ScoreFound]
    chance: float | None = Field(description="0 to 1: how likely both show the same; where `why` was asked.")
    evidence: EvidenceFound | None
