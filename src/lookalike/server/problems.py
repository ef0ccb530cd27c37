"""Errors as a client gets them: RFC 9457, "Problem Details for HTTP APIs". No trace of a stack ever leaves."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from lookalike.errors import LookalikeError, NoCollection, StorageError, UnknownModel, UnreadableImage
from lookalike.writing import showable

log = logging.getLogger("lookalike")

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """What is wrong with a request, in one line, as a status between 400 and 599."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        super().__init__(detail)


def response_of(problem: Problem) -> Response:
    """The problem as application/problem+json."""
    status = HTTPStatus(problem.status)
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": showable(problem.detail)}
    return JSONResponse(body, status.value, problem.headers, MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """What a client is told of an error."""
    match error:
        case Problem():
            return error
        case HTTPException():
            return Problem(error.status_code, str(error.detail), dict(error.headers or {}))
        case RequestValidationError():
            found = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
            return Problem(422, "; ".join(found))
        case UnknownModel() | NoCollection():
            return Problem(404, str(error))
        case UnreadableImage():
            return Problem(422, error.reason)
        case StorageError():
            return Problem(507, str(error))
        case LookalikeError():
            return Problem(409, str(error))
    log.error("a request failed", exc_info=error)
    return Problem(500, "an error of the service's own: its log says more")


def install(app: FastAPI) -> None:
    """Have every error of the app answered as a problem."""

    async def handler(_: Request, error: Exception) -> Response:
        return response_of(problem_of(error))

    for kind in (Problem, HTTPException, RequestValidationError, LookalikeError, Exception):
        app.add_exception_handler(kind, handler)
