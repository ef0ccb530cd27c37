"""Search by pictures, words, and mixes of them."""

from __future__ import annotations

import asyncio
import re

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lookalike.server.asking import Column, answer
from lookalike.server.pictures import keep, picture_of
from lookalike.server.problems import documented
from lookalike.server.schemas import QueryTerm, Ranking, SearchAnswer, SearchRequest, TextTerm, as_json, ask_of
from lookalike.server.service import Service, Serving
from lookalike.server.threads import while_wanted
from lookalike.types import Term

router = APIRouter(tags=["search"])

_ID = re.compile(r"[0-9a-f]{64}")


@router.post("/v1/search", response_model=SearchAnswer, responses=documented(403, 404, 409, 413, 422, 429, 507))
async def search(service: Serving, request: Request, asked: SearchRequest) -> Response:
    """The images of a collection that are most like a picture, like words, or like a mix of both, by several models.

    Pictures are kept, and named in the answer by their id, so that they need not be sent again.
    """
    return await while_wanted(request, _answered(service, asked))


async def _answered(service: Service, asked: SearchRequest) -> Response:
    query = asked.query if isinstance(asked.query, list) else [asked.query]
    terms = tuple(await asyncio.gather(*(_term(service, each) for each in query)))
    ask = await service.searching.run(ask_of, asked, terms, service.shelf)
    columns = await answer(service, ask)
    return await service.searching.run(_told, service, asked, terms, columns)


async def _term(service: Service, given: QueryTerm) -> Term:
    if isinstance(given, TextTerm):
        return Term(text=given.text, weight=given.weight)
    if _ID.fullmatch(given.image):
        return Term(image=given.image, weight=given.weight)
    kept = await keep(service, await picture_of(service, given.image))
    return Term(image=kept.id, weight=given.weight)


def _told(service: Service, asked: SearchRequest, terms: tuple[Term, ...], columns: list[Column]) -> Response:
    name = asked.collection or service.shelf.names[0]
    found = SearchAnswer(
        collection=name,
        images=[term.image for term in terms if term.image is not None],
        rankings=[Ranking.of(column, service.shelf, name) for column in columns],
    )
    return as_json(found)
