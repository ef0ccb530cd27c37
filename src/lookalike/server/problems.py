"""Errors as a client gets them: RFC 9457, "Problem Details for HTTP APIs". No trace of a stack ever leaves.

A browser that asked for a page gets the same as a page.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.routing import Match

from lookalike.errors import (
    CollectionBusy,
    LookalikeError,
    ModelMismatch,
    ModelUnavailable,
    NoCollection,
    StorageError,
    UnknownModel,
    UnreadableImage,
    UsageError,
)
from lookalike.server.pages import page
from lookalike.writing import showable

log = logging.getLogger("lookalike")

MEDIA_TYPE = "application/problem+json"

SOON = {"Retry-After": "2"}
"""Of a problem that will have gone in a moment: when to come back, in seconds."""


class Problem(HTTPException):
    """What is wrong with a request, in one line, as a status between 400 and 599."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)

    @property
    def status(self) -> int:
        return self.status_code


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: the problems that it may answer with."""
    return {status: {"description": HTTPStatus(status).phrase, "content": _CONTENT} for status in statuses}


def problem_of(error: Exception) -> Problem:
    """What a client is told of an error."""
    match error:
        case Problem():
            return error
        case HTTPException():
            return Problem(error.status_code, str(error.detail), dict(error.headers or {}))
        case RequestValidationError():
            return Problem(422, invalid(error.errors()))
        case UnknownModel() | NoCollection():
            return Problem(404, str(error))
        case UnreadableImage():
            return Problem(422, error.reason)
        case CollectionBusy():
            return Problem(503, str(error), SOON)
        case StorageError():
            return Problem(507, str(error))
        case UsageError() if not isinstance(error, ModelUnavailable | ModelMismatch):
            return Problem(422, str(error))
        case LookalikeError():  # the request may be right, but does not go with what is here
            return Problem(409, str(error))
    log.error("a request failed", exc_info=error)
    return Problem(500, "an error of the service's own: its log says more")


def invalid(errors: Sequence[Mapping[str, Any]]) -> str:
    """What pydantic has found, in one line."""
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in errors)


def response_of(error: Exception, client: HTTPConnection) -> Response:
    """What a client gets of an error: application/problem+json, or a page."""
    shelf = client.app.state.service.shelf
    problem = shelf.problem(error)
    status, title = problem.status, HTTPStatus(problem.status).phrase
    detail = showable(problem.detail)
    if "text/html" in client.headers.get("accept", ""):
        asked = client.query_params.get("collection")
        known = asked if asked in shelf.names else None
        detail = _plainly(error) if isinstance(error, RequestValidationError) else detail
        answer: Response = page("problem.html", status, title=title, detail=detail, collection=known)
    else:
        # An extension of RFC 9457: OpenAI's clients show a `message`, and nothing else.
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "message": detail}
        answer = JSONResponse(body, status, media_type=MEDIA_TYPE)
    answer.headers.update(problem.headers or {})
    return answer


_WRONG = {
    "missing": "is missing",
    "string_pattern_mismatch": "is not written as it should be",
    "string_too_long": "is longer than {max_length} characters",
    "too_long": "is there more than {max_length} times",
    "int_parsing": "is no whole number",
    "bool_parsing": "is neither true nor false",
    "greater_than_equal": "is less than {ge}",
    "less_than_equal": "is more than {le}",
    "literal_error": "should be {expected}",
}


def _plainly(error: RequestValidationError) -> str:
    """What is wrong with an address or a form, for people."""
    found = []
    for each in error.errors():
        name = next((str(part) for part in each["loc"][1:]), "it")
        words = _WRONG.get(each["type"], "is not what is wanted here").format(**each.get("ctx", {}))
        found.append(f"{name!r} {words}")
    return "In the address or the form, " + "; ".join(found)


def install(app: FastAPI) -> None:
    """Have every error of the app's routes answered as a problem, and described; `security` answers all others."""

    async def handler(request: Request, error: Exception) -> Response:
        answer = response_of(error, request)
        if answer.status_code == 405:  # of several routes with the same path the error knows one
            answer.headers["Allow"] = ", ".join(_allowed(app, request))
        return answer

    for kind in (HTTPException, RequestValidationError, LookalikeError):
        app.add_exception_handler(kind, handler)
    describe = app.openapi

    def described() -> dict[str, Any]:
        found = describe()
        found["components"]["schemas"]["Problem"] = _SCHEMA
        return found

    app.openapi = described  # type: ignore[method-assign]


def _allowed(app: FastAPI, request: Request) -> list[str]:
    """The methods that this address may be asked by."""
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE")
    scopes = {method: {**request.scope, "method": method} for method in methods}
    found = [each for each in methods if any(route.matches(scopes[each])[0] is Match.FULL for route in app.routes)]
    return [*(["HEAD"] if "GET" in found else []), *found]


_SCHEMA = {
    "title": "Problem",
    "description": "What is wrong with a request (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, in one line."},
        "message": {"type": "string", "description": "The same, for OpenAI's clients."},
    },
    "example": {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "no picture 00... here"},
}

_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}

EVERYWHERE: dict[int | str, dict[str, Any]] = {
    "default": {"description": "Whatever else is wrong with the request, or with the service.", "content": _CONTENT}
}
"""For the app's `responses`: every route may answer with some problem."""
