"""Pictures by the hash of their content: of collections, and what was uploaded to be asked for."""

from __future__ import annotations

import functools
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from lookalike import images
from lookalike.formats import format_of
from lookalike.server import additions
from lookalike.server.problems import Problem, documented
from lookalike.server.routes.uploads import BODY, sent
from lookalike.server.schemas import ID, Filters
from lookalike.server.service import Service, Serving
from lookalike.types import ImageRef, Only
from lookalike.writing import showable

router = APIRouter(tags=["images"])

SHOWN = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WebP": "image/webp", "AVIF": "image/avif"}
"""The formats that every browser shows; of any other file it gets a copy."""

SIDE = 2048
"""Pixels of such a copy's longer side, at most."""

THUMBNAIL = 320

_WEBP = "image/webp"
_FOREVER = "private, max-age=31536000, immutable"

ImageId = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="The SHA-256 of the file's bytes.")]
Known = Annotated[str | None, Header(alias="If-None-Match", include_in_schema=False)]


Name = Annotated[str | None, Query(alias="collection", max_length=1000, description="The first, if none is named.")]


class ImageFound(BaseModel):
    """An image of a collection."""

    id: str = Field(description="The SHA-256 of the file's bytes.")
    path: str = Field(description="Below the collection's folder.")
    width: int = Field(description="Pixels, upright.")
    height: int
    taken: str | None = Field(description="When, as the file says: YYYY-MM-DDTHH:MM:SS.")
    image: str = Field(description="Where the image is to be had.")
    thumbnail: str

    @classmethod
    def of(cls, image: ImageRef, path: str) -> ImageFound:
        return cls(
            id=image.id,
            path=showable(path),
            width=image.width,
            height=image.height,
            taken=image.taken,
            image=f"/images/{image.id}",
            thumbnail=f"/thumbnails/{image.id}",
        )


class ImagesFound(BaseModel):
    """A part of a list."""

    total: int = Field(description="Images that meet all that was asked.")
    images: list[ImageFound]

    model_config = {
        "json_schema_extra": {
            "example": {
                "total": 2688,
                "images": [
                    {
                        "id": ID,
                        "path": "pets/cat.jpg",
                        "width": 384,
                        "height": 256,
                        "taken": None,
                        "image": f"/images/{ID}",
                        "thumbnail": f"/thumbnails/{ID}",
                    }
                ],
            }
        }
    }


class Listed(Filters):
    """Which images are listed, from which on."""

    collection: str | None = Field(default=None, max_length=1000, description="The first, if none is named.")
    start: int = Field(default=0, ge=0, le=1 << 31)
    count: int = Field(default=100, ge=1, le=1000)

    model_config = ConfigDict(strict=False)  # numbers come as text


@router.get("/v1/images", responses=documented(404, 422))
def listing(service: Serving, asked: Annotated[Listed, Query()]) -> ImagesFound:
    """The images of a collection, by path."""
    collection = service.shelf.collection(asked.collection)
    if not collection.exists:
        return ImagesFound(total=0, images=[])
    folder = service.shelf.folder(asked.folder, asked.collection) if asked.folder else None
    only = Only(folder, asked.since, asked.until, asked.least, asked.most)
    total, found = collection.listing(asked.start, asked.count, only)
    shown = service.shelf.showing(asked.collection)
    return ImagesFound(total=total, images=[ImageFound.of(image, shown(image.path)) for image in found])


@router.post(
    "/v1/images",
    status_code=201,
    openapi_extra=BODY,
    responses={
        200: {"description": "The collection has it already.", "model": ImageFound},
        **documented(400, 404, 408, 409, 413, 422, 503, 507),
    },
)
async def add(service: Serving, request: Request, response: Response, name: Name = None) -> ImageFound:
    """Add a picture to a collection.

    It is kept in a folder of its own below the collection's, named lookalike-uploads, and embedded by all of the
    collection's models. One is added at a time: 503 says when to come back.
    """
    data = await sent(request)
    added, is_new = await run_in_threadpool(additions.add, service, data, name)
    response.status_code = 201 if is_new else 200
    return await run_in_threadpool(_told, service, added, name)


@router.delete("/v1/images/{image_id}", status_code=204, responses=documented(403, 404, 422, 503, 507))
def remove(service: Serving, image_id: ImageId, name: Name = None) -> None:
    """Take a picture out of a collection that was added here, and delete its file. A user's own files are never
    touched: for them the answer is 403.
    """
    additions.remove(service, image_id, name)


def _told(service: Service, image: ImageRef, name: str | None) -> ImageFound:
    return ImageFound.of(image, service.shelf.shown(image.path, name))


def _pictures(*kinds: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"description": "The picture.", "content": {kind: {} for kind in kinds}},
        304: {"description": "The client has it."},
        **documented(404, 422, 429),
    }


@router.get("/images/{image_id}", response_class=Response, responses=_pictures(*SHOWN.values()))
async def image(service: Serving, image_id: ImageId, known: Known = None) -> Response:
    """The image whole: the file's own bytes where browsers show its format, else a copy as WebP."""
    if answer := _unchanged(image_id, known):
        return answer
    if whole := await service.searching.run(_shown, service, image_id):
        return _lasting(image_id, *whole)
    return _lasting(image_id, await service.keeping.run(_copy, service, image_id, SIDE), _WEBP)


@router.get("/thumbnails/{image_id}", response_class=Response, responses=_pictures(_WEBP))
async def thumbnail(service: Serving, image_id: ImageId, known: Known = None) -> Response:
    """The image within 320 x 320 pixels, as WebP."""
    if answer := _unchanged(image_id, known):
        return answer
    if small := await service.searching.run(_small, service, image_id):
        return _lasting(image_id, small, _WEBP)
    return _lasting(image_id, await service.keeping.run(_copy, service, image_id, THUMBNAIL), _WEBP)


def _shown(service: Service, image_id: str) -> tuple[bytes, str] | None:
    """The file's own bytes and their media type, if browsers show its format."""
    data, path = _found(service, image_id)
    kind = SHOWN.get(format_of(data, path).name)
    return (data, kind) if kind else None


def _copy(service: Service, image_id: str, side: int) -> bytes:
    """The image within a square of `side` pixels, as WebP: of the whole file, which may take 600 MB to decode."""
    data, path = _found(service, image_id)
    return images.thumbnail(path or data, side, effort=1)


def _small(service: Service, image_id: str) -> bytes | None:
    """The small picture that a collection made when it embedded the image, if any."""
    kept = (collection.thumbnail(image_id) for collection, _ in service.shelf.holding(image_id))
    jpeg = next(filter(None, kept), None)
    return jpeg and _as_webp(jpeg)


@functools.lru_cache(maxsize=512)
def _as_webp(jpeg: bytes) -> bytes:
    """About 20 KB each, and 5 ms to make, while a page asks for dozens."""
    return images.thumbnail(jpeg, effort=1)


def _found(service: Service, image_id: str) -> tuple[bytes, str | None]:
    """The bytes that have this hash, and the path of the file, whose suffix alone tells some formats."""
    found = service.shelf.image(image_id)
    data = images.read_bytes(found.path) if found else service.uploads.get(image_id)
    if data is None or images.content_hash(data) != image_id:  # the file may have changed since it was indexed
        raise Problem(404, f"no picture {image_id} here")
    return data, found.path if found else None


def _unchanged(image_id: str, known: str | None) -> Response | None:
    """An id stands for its content: whoever has any picture of that tag has this one."""
    if known is None or f'"{image_id}"' not in known:
        return None
    return Response(status_code=304, headers=_headers(image_id))


def _lasting(image_id: str, data: bytes, kind: str) -> Response:
    return Response(data, media_type=kind, headers=_headers(image_id))


def _headers(image_id: str) -> dict[str, str]:
    return {"ETag": f'"{image_id}"', "Cache-Control": _FOREVER}
