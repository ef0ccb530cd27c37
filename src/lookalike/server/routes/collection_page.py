"""The page of a collection: what it holds, and how it comes to hold more."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from lookalike.collection import Collection
from lookalike.errors import LookalikeError, UsageError
from lookalike.indexing import AddReport, Progress, existing_folder
from lookalike.models import registry
from lookalike.server.asking import card_of
from lookalike.server.jobs import Job
from lookalike.server.pages import page
from lookalike.server.problems import Problem
from lookalike.server.service import Service, Serving

router = APIRouter(include_in_schema=False)

SHOWN = 60
"""Pictures on a page."""

TOLD = 500
"""Unreadable files that are named, at most."""


@dataclass(frozen=True, slots=True)
class _Offer:
    """A model that the collection lacks; `command` is what would make it run here, where it does not."""

    name: str
    summary: str
    texts: bool
    command: str | None


@router.get("/collection")
async def collection_page(
    service: Serving, collection: str = "", start: Annotated[int, Query(ge=0, le=10**9)] = 0
) -> HTMLResponse:
    return await _page(service, collection, start)


@router.post("/collection")
async def add(
    service: Serving,
    collection: Annotated[str, Form()] = "",
    folder: Annotated[str, Form()] = "",
    model: Annotated[str, Form()] = "",
) -> Response:
    """Bring the collection up to date in the background: with a folder (none: all of its own), by a model (none: its
    own). Any folder may be named: who may ask this service may read what its user may."""
    try:
        await service.searching.run(_begin, service, collection, folder.strip(), model)
    except (Problem, LookalikeError) as error:
        return await _page(service, collection, 0, service.shelf.problem(error))
    return _back(collection)


@router.post("/collection/stop")
async def stop(service: Serving, collection: Annotated[str, Form()] = "") -> Response:
    if job := service.jobs.get(_key(service, collection)):
        service.jobs.stop(job.id)
    return _back(collection)


def _back(collection: str) -> RedirectResponse:
    return RedirectResponse(f"/collection?{urlencode({'collection': collection})}", 303)


def _key(service: Service, name: str) -> str:
    return f"collection {name or next(iter(service.shelf.names), '')}"


def _begin(service: Service, name: str, folder: str, model: str) -> Job:
    held = service.shelf.collection(name)
    models = [card_of(service, model).name] if model else None
    if folder and not os.path.isabs(os.path.expanduser(folder)):
        raise UsageError(f"{folder}: name a folder by its whole path")
    folders = [existing_folder(os.path.expanduser(folder))] if folder else held.folders
    if not folders:
        raise UsageError("nothing is indexed here yet: name a folder of images")
    what = f"Adding {folders[0]}" if folder else f"Adding the model {model}" if model else "Looking for changes"

    def work(tell: Progress) -> dict[str, Any]:
        own = Collection(held.directory)  # a collection belongs to one thread
        reports: list[AddReport] = []
        for each in folders:
            if not any(report.interrupted for report in reports):
                reports.append(own.add(each, models=models, progress=tell))
        own.close()
        return _told(reports)

    return service.jobs.start(_key(service, name), what, work)


def _told(reports: Sequence[AddReport]) -> dict[str, Any]:
    names = ("added", "changed", "unchanged", "removed", "embedded")
    return {name: sum(getattr(report, name) for report in reports) for name in names} | {
        "unreadable": sum(len(report.unreadable) for report in reports)
    }


async def _page(service: Service, name: str, start: int, problem: Problem | None = None) -> HTMLResponse:
    found: dict[str, Any] = {"read": False, "info": None, "problems": (), "offers": (), "total": 0, "images": ()}
    try:
        if service.shelf.names:
            name = name or service.shelf.names[0]
            found = await service.searching.run(_found, service, name, start)
    except (Problem, LookalikeError) as error:
        problem = problem or service.shelf.problem(error)
    return page(
        "collection.html",
        problem.status if problem else 200,
        collections=service.shelf.names,
        collection=name or None,
        problem=problem,
        job=service.jobs.get(_key(service, name)),
        start=start,
        shown=SHOWN,
        told=TOLD,
        default=registry.DEFAULT,
        **found,
    )


def _found(service: Service, name: str, start: int) -> dict[str, Any]:
    held = service.shelf.collection(name)
    total, images = held.listing(start, SHOWN) if held.exists else (0, [])
    own = set(held.models)
    others = [(card, registry.obstacle(card)) for card in registry.cards().values() if card.name not in own]
    return {
        "read": True,
        "info": held.info() if held.exists else None,
        "problems": [service.shelf.told(line) for line in held.unusable()],
        "offers": [
            _Offer(card.name, card.summary, card.texts, blocked.command if blocked else None)
            for card, blocked in others
        ],
        "total": total,
        "images": images,
    }
