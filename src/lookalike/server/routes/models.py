"""The models that there are, in the shape that OpenAI's clients know, and with what more is known of them."""

from __future__ import annotations

import os

from fastapi import APIRouter

from lookalike.models import registry
from lookalike.server import schemas
from lookalike.server.asking import card_of
from lookalike.server.problems import documented
from lookalike.server.service import Service, Serving
from lookalike.types import ModelCard

router = APIRouter(tags=["embeddings"])


@router.get("/v1/models", responses=documented(429))
async def models(service: Serving) -> schemas.Models:
    """All models: the built-in ones, and those that were added here."""
    return await service.searching.run(_all)


@router.get("/v1/models/{name:path}", responses=documented(404, 409, 429))
async def model(service: Serving, name: str) -> schemas.Model:
    """One model."""
    return await service.searching.run(_one, service, name)


def _all() -> schemas.Models:
    return schemas.Models(data=[_told(card) for card in registry.cards().values()])


def _one(service: Service, name: str) -> schemas.Model:
    return _told(card_of(service, name))


def _told(card: ModelCard) -> schemas.Model:
    obstacle = registry.obstacle(card)
    return schemas.Model(
        id=card.name,
        owned_by=os.path.basename(card.source) if os.path.isabs(card.source) else card.source,
        kind=card.kind,
        dim=card.dim,
        texts=card.texts,
        license=card.license,
        summary=card.summary,
        obstacle=obstacle.reason if obstacle else None,
    )
