"""Pictures by the hash of their content: of collections, and what was uploaded to be asked for."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path
from fastapi.responses import Response

from lookalike import images
from lookalike.formats import format_of
from lookalike.server.problems import Problem
from lookalike.server.service import Service, Serving

router = APIRouter(tags=["images"])

SHOWN = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WebP": "image/webp", "AVIF": "image/avif"}
"""The formats that every browser shows; of any other file it gets a copy."""

SIDE = 2048
"""Pixels of such a copy's longer side, at most."""

_WEBP = "image/webp"
_FOREVER = "private, max-age=31536000, immutable"

ImageId = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="The SHA-256 of the file's bytes.")]
Known = Annotated[str | None, Header(alias="If-None-Match", include_in_schema=False)]


def _pictures(*kinds: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"description": "The picture.", "content": {kind: {} for kind in kinds}},
        304: {"description": "The client has it."},
    }


@router.get("/images/{image_id}", response_class=Response, responses=_pictures(*SHOWN.values()))
def image(service: Serving, image_id: ImageId, known: Known = None) -> Response:
    """The image whole: the file's own bytes where browsers show its format, else a copy as WebP."""
    if answer := _unchanged(image_id, known):
        return answer
    data, path = _found(service, image_id)
    kind = SHOWN.get(format_of(data, path).name)
    return _lasting(image_id, data if kind else images.thumbnail(path or data, SIDE), kind or _WEBP)


@router.get("/thumbnails/{image_id}", response_class=Response, responses=_pictures(_WEBP))
def thumbnail(service: Serving, image_id: ImageId, known: Known = None) -> Response:
    """The image within 320 x 320 pixels, as WebP."""
    if answer := _unchanged(image_id, known):
        return answer
    source: str | bytes | None = _kept(service, image_id)
    if source is None:
        data, path = _found(service, image_id)
        source = path or data
    return _lasting(image_id, images.thumbnail(source), _WEBP)


def _kept(service: Service, image_id: str) -> bytes | None:
    """The small picture that a collection made when it embedded the image."""
    for name in service.shelf.names:
        collection = service.shelf.collection(name)
        if collection.exists and collection.showing(image_id) and (jpeg := collection.thumbnail(image_id)):
            return jpeg
    return None


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
