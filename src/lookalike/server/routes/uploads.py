"""Pictures to be asked with: sent once, then named by their id."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field
from starlette.datastructures import FormData, UploadFile

from lookalike.server.pictures import keep
from lookalike.server.problems import Problem, documented
from lookalike.server.service import Serving
from lookalike.server.threads import while_wanted

router = APIRouter()

FIELD = "picture"
"""The field of a form that holds the file."""

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"The file as it is, or a form whose field `{FIELD}` holds it.",
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}
"""For a route's `openapi_extra`."""


class Uploaded(BaseModel):
    """A picture that the service keeps for a while."""

    id: str = Field(description="The SHA-256 of the file's bytes: what names the picture from now on.")
    width: int = Field(description="Pixels, upright.")
    height: int

    model_config = {"json_schema_extra": {"example": {"id": "5f2b" + 60 * "0", "width": 320, "height": 213}}}


@router.post(
    "/v1/uploads",
    status_code=201,
    tags=["images"],
    openapi_extra=BODY,
    responses=documented(400, 408, 413, 422, 429, 507),
)
async def upload(service: Serving, request: Request) -> Uploaded:
    """Keep a picture to ask with. The least recently used go first when there are too many."""
    kept = await while_wanted(request, keep(service, await sent(request)))
    return Uploaded(id=kept.id, width=kept.width, height=kept.height)


@router.post("/search", include_in_schema=False)
async def search_by_upload(service: Serving, request: Request) -> Response:
    """The search page's form: on to the address of that search, with the settings that came along."""
    async with request.form() as form:
        settings = [(name, str(value)) for name, value in form.multi_items() if name not in (FIELD, "image")]
        data = await _file(form)
    if data:
        settings.append(("image", (await keep(service, data)).id))
    return RedirectResponse(f"/search?{urlencode(settings)}", 303)


async def sent(request: Request) -> bytes:
    """The file that a request brings, as its body or in a form. Raises Problem 422 where there is none."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form() as form:
            data = await _file(form)
    else:
        data = await request.body()
    if not data:
        raise Problem(422, f"no picture: send a file, as the body or as the field {FIELD!r} of a form")
    return data


async def _file(form: FormData) -> bytes:
    file = form.get(FIELD)
    return await file.read() if isinstance(file, UploadFile) else b""
