"""Vectors of pictures and words, in the shape that OpenAI's clients know."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response

from lookalike.server.asking import card_of
from lookalike.server.batching import Item
from lookalike.server.pictures import source_of
from lookalike.server.problems import Problem, documented
from lookalike.server.schemas import (
    LONGEST,
    Embedding,
    Embeddings,
    EmbeddingsRequest,
    ImageInput,
    Input,
    TextInput,
    Usage,
    as_json,
)
from lookalike.server.service import Service, Serving
from lookalike.server.threads import while_wanted
from lookalike.types import ModelCard, Vectors

router = APIRouter(tags=["embeddings"])


@router.post("/v1/embeddings", response_model=Embeddings, responses=documented(403, 404, 409, 413, 422, 429))
async def embeddings(service: Serving, request: Request, asked: EmbeddingsRequest) -> Response:
    """Vectors of pictures and words, of length 1.

    A string is words, unless it is the data URI of a picture; `{"image": ...}` and `{"text": ...}` say which it is.
    """
    service.batcher.let_in(asked.model)
    card = await service.searching.run(card_of, service, asked.model)
    if asked.dimensions not in (None, card.dim):
        raise Problem(422, f"dimensions: {card.name!r} has {card.dim}, and vectors are not shortened")
    vectors = await while_wanted(request, service.batcher.embed_all(_items(service, asked, card), card))
    return await service.searching.run(_told, asked, vectors)


async def _items(service: Service, asked: EmbeddingsRequest, card: ModelCard) -> AsyncIterator[Item]:
    for each in asked.input if isinstance(asked.input, list) else [asked.input]:
        yield await _item(service, each, card)


def _told(asked: EmbeddingsRequest, vectors: Vectors) -> Response:
    whole = asked.encoding_format == "float"
    data = [Embedding(index=i, embedding=row.tolist() if whole else _base64(row)) for i, row in enumerate(vectors)]
    usage = Usage(prompt_tokens=len(vectors), total_tokens=len(vectors))
    return as_json(Embeddings(data=data, model=asked.model, usage=usage))


async def _item(service: Service, given: Input, card: ModelCard) -> Item:
    match given:
        case TextInput():
            return given.text
        case ImageInput():
            return await source_of(service, given.image, card)
    if re.match("data:image/", given, re.IGNORECASE):
        return await source_of(service, given, card)
    if len(given) > LONGEST:
        raise Problem(422, f"input: words of {len(given):,} letters: at most {LONGEST:,} are read")
    return given


def _base64(row: Vectors) -> str:
    return base64.b64encode(np.ascontiguousarray(row, dtype="<f4").tobytes()).decode("ascii")
