"""The page that people search on."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from lookalike.collection import Collection
from lookalike.errors import LookalikeError
from lookalike.models import registry
from lookalike.server.addresses import Address
from lookalike.server.asking import Ask, answer
from lookalike.server.pages import page
from lookalike.server.problems import Problem
from lookalike.server.service import Service, Serving
from lookalike.server.threads import while_wanted
from lookalike.types import ImageRef

router = APIRouter(include_in_schema=False)

BEGIN_WITH = 24
"""Pictures of the collection that an empty page offers to search by."""

FOLDERS = 200
"""Folders that are offered to search in, at most."""

STEPS = (20, 50, 100, 200, 500, 1000, 2000)


_UNKNOWN: dict[str, Any] = {
    "exists": False,
    "choices": (),
    "unusable": (),
    "folders": (),
    "roots": (),
    "begin": (),
}
"""What the page says of a collection that is empty, or not there."""


def _asked(service: Service, address: Address, whole: bool) -> Ask:
    # Who brings a picture is glad to see it in the collection; who clicked on one there has seen it.
    brought = not address.image or service.uploads.has(address.image)
    return address.ask(service.shelf, whole=whole, include_self=brought)


@router.get("/")
async def front(request: Request) -> Response:
    """For people the page to begin with; for programs what it is that answers here, as Qdrant's clients ask for it."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/search")
    return JSONResponse({"title": request.app.title, "version": request.app.version})


@router.get("/search")
async def search_page(service: Serving, request: Request) -> HTMLResponse:
    address, columns, problem, whole = Address(), [], None, bool(request.query_params.get("whole"))
    collection = _UNKNOWN
    try:
        address = Address.read(request.query_params)
        if service.shelf.names:
            address = replace(address, collection=address.collection or service.shelf.names[0])
            collection = await service.searching.run(_described, service, address)
        if address.asks and collection["exists"]:
            ask = await service.searching.run(_asked, service, address, whole)
            columns = await while_wanted(request, answer(service, ask))
    except (Problem, LookalikeError) as error:
        problem = service.shelf.problem(error)
    waits = bool(columns) and address.verifies and not whole
    # In a thread, since thousands of hits take a while to be written.
    return await service.searching.run(
        page,
        "search.html",
        problem.status if problem else 200,
        collections=service.shelf.names,
        collection=address.collection or None,
        address=address,
        columns=columns,
        problem=problem,
        waits=address.url() + "&whole=1" if waits else None,
        steps=sorted({*STEPS, address.k}),
        **{f"its_{name}": value for name, value in collection.items()},
    )


def _described(service: Service, address: Address) -> dict[str, Any]:
    collection = service.shelf.collection(address.collection)
    if not collection.exists:
        return _UNKNOWN
    return {
        "exists": True,
        "choices": [registry.card(name) for name in _usable(collection)],
        "unusable": [service.shelf.told(line) for line in collection.unusable()],
        "folders": _folders(service, address),
        "roots": collection.folders,
        "begin": () if address.asks else _spread(collection, BEGIN_WITH),
    }


def _usable(collection: Collection) -> list[str]:
    try:
        return collection.usable()
    except LookalikeError:  # `unusable` says why
        return []


def _folders(service: Service, address: Address) -> list[str]:
    """The folders right below the collection's own, as the shelf says paths."""
    found, shown = [], service.shelf.showing(address.collection)
    for root in service.shelf.collection(address.collection).folders:
        try:
            with os.scandir(root) as entries:
                below = [entry.path for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
        except OSError:  # gone, or not mounted now
            continue
        found += [shown(path) for path in sorted(below)[:FOLDERS]]
    return found


def _spread(collection: Collection, count: int) -> list[ImageRef]:
    """Pictures from all over the collection, the same each time: hashes are as good as lots."""
    total, first = collection.listing(0, count)
    if total <= count:
        return first
    drawn = collection.beginning("0" * int(math.log(total / count, 16)))
    return [image for image_id in drawn[:count] for image in collection.showing(image_id)[:1]] or first
