"""Two pictures compared."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from lookalike.server.comparing import Compared, compared
from lookalike.server.pictures import picture_of
from lookalike.server.problems import documented
from lookalike.server.schemas import CompareAnswer, CompareRequest, EvidenceFound, ScoreFound
from lookalike.server.service import Service, Serving
from lookalike.server.threads import while_wanted
from lookalike.types import Score
from lookalike.writing import showable

router = APIRouter(tags=["compare"])


@router.post("/v1/compare", responses=documented(403, 404, 409, 413, 422, 429))
async def compare(service: Serving, request: Request, asked: CompareRequest) -> CompareAnswer:
    """How alike two pictures are by each model; with `why`, whether their local features agree, and how likely they
    show the same."""
    return await while_wanted(request, _answered(service, asked))


async def _answered(service: Service, asked: CompareRequest) -> CompareAnswer:
    a, b = await asyncio.gather(picture_of(service, asked.a), picture_of(service, asked.b))
    found = await compared(
        service,
        a,
        b,
        models=asked.models,
        collection=asked.collection,
        why=asked.why,
        method=asked.method,
        mirror=asked.mirror,
    )
    return _told(service, found)


def _told(service: Service, found: Compared) -> CompareAnswer:
    evidence = found.evidence
    return CompareAnswer(
        scores=[
            ScoreFound(model=name, cosine=each.cosine, score=each.score, problem=None)
            if isinstance(each, Score)
            else ScoreFound(model=name, cosine=None, score=None, problem=showable(service.shelf.problem(each).detail))
            for name, each in found.scores.items()
        ],
        chance=evidence.chance if evidence else None,
        evidence=EvidenceFound.of(evidence) if evidence else None,
    )
