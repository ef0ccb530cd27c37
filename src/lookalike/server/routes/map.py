"""The map of a collection: its page, its points, and small pictures of many images at a time."""

from __future__ import annotations

import io
import os
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response
from PIL import Image, ImageOps

from lookalike import images
from lookalike.collection import Collection
from lookalike.errors import NoCollection, UnreadableImage, UsageError
from lookalike.indexing import Progress
from lookalike.mapping import (
    LABELS,
    METHODS,
    WAYS,
    By,
    Map,
    Method,
    grouping,
    has_labels,
    kept_map,
    map_of,
    missing,
    state_of,
)
from lookalike.server.jobs import Job
from lookalike.server.pages import empty, page
from lookalike.server.problems import Problem
from lookalike.server.service import Service, Serving
from lookalike.writing import showable

router = APIRouter()

TILE = 8
"""Images along each side of a tile, which is one picture of TILE * TILE images that are neighbours."""

SIDE = 64
"""Pixels of each image in a tile, along each side."""

CHUNK = 1024
"""Ids that are told at a time, at most."""

LISTED = 240
"""Images that the page lists at a time, at most: without a script, these."""

PATIENCE = 1.5
"""Seconds after which a page tells how far the map is, instead of waiting for it."""

_KEPT = 4
_maps: OrderedDict[str, Map] = OrderedDict()
_BINARY = "application/octet-stream"
_MAT = (128, 128, 128)

Name = Annotated[str, Query(alias="collection", description="Its name; the first one if none is given.")]
State = Annotated[str, Query(description="That of the map, from its page: then the answer may be kept for good.")]
Model = Annotated[str, Query(description="One of the collection's; its first if none is given.")]


@router.get("/map", include_in_schema=False)
def map_page(
    service: Serving, name: Name = "", model: Model = "", method: Method = "pca", by: By = "folder"
) -> HTMLResponse:
    """The map, or how far it is."""
    if nothing := empty("map", service.shelf, name):
        return nothing
    where, name, model = _asked(service, name, model)
    found = _ready(service, where, model, method)
    labelled = has_labels(where)
    by = by if by != "label" or labelled else "folder"
    shown = isinstance(found, Map)
    return page(
        "map.html",
        collections=service.shelf.names,
        collection=name,
        choice=where.models,
        model=model,
        methods=[(each, missing(each)) for each in METHODS],
        method=method,
        ways=[way for way in WAYS if way != "label" or labelled],
        labels=LABELS,
        by=by,
        map=found if shown else None,
        job=None if shown else found,
        grouping=grouping(where, found.ids, found.groups, by) if isinstance(found, Map) else None,
        listed=_names(where, found.ids[:LISTED]) if isinstance(found, Map) else (),
        tile=TILE,
        side=SIDE,
        chunk=CHUNK,
    )


@router.get(
    "/v1/map",
    tags=["map"],
    response_class=Response,
    responses={200: {"description": "The points.", "content": {_BINARY: {}}}},
)
def points(service: Serving, name: Name = "", model: Model = "", method: Method = "pca", by: By = "folder") -> Response:
    """All images laid out by likeness: 16 bytes each, little-endian: float32 x and y (0 to 1, y down), uint32 number
    of the colour group, uint32 cell on a grid. The headers Lookalike-Columns and Lookalike-Rows tell its size."""
    where, _, model = _asked(service, name, model)
    found = _made(where, model, method)
    groups = grouping(where, found.ids, found.groups, by)
    table = np.zeros(len(found), dtype=[("x", "<f4"), ("y", "<f4"), ("group", "<u4"), ("cell", "<u4")])
    table["x"], table["y"] = found.points.T
    table["group"], table["cell"] = groups.numbers, found.cells
    sides = {"Lookalike-Columns": str(found.columns), "Lookalike-Rows": str(found.rows)}
    return Response(table.tobytes(), media_type=_BINARY, headers={"Cache-Control": "no-cache", **sides})


@router.get(
    "/v1/map/ids",
    tags=["map"],
    response_class=Response,
    responses={200: {"description": "The ids.", "content": {_BINARY: {}}}},
)
def ids(
    service: Serving,
    name: Name = "",
    model: Model = "",
    method: Method = "pca",
    start: Annotated[int, Query(ge=0, le=2**53)] = 0,
    count: Annotated[int, Query(ge=1, le=CHUNK)] = CHUNK,
    state: State = "",
) -> Response:
    """The ids of the images, in the order of their points: 32 bytes each, the SHA-256 of the file's bytes."""
    where, _, model = _asked(service, name, model)
    found = _made(where, model, method)
    text = "".join(found.ids[start : start + count])
    return Response(bytes.fromhex(text), media_type=_BINARY, headers=_lasting(found, state))


@router.get("/map/names", include_in_schema=False)
def names(
    service: Serving,
    number: Annotated[list[int], Query(max_length=LISTED)],
    name: Name = "",
    model: Model = "",
    method: Method = "pca",
) -> list[str]:
    """What images are called that the page lists, by their numbers in the list of points."""
    where, _, model = _asked(service, name, model)
    found = _made(where, model, method)
    known = dict(_names(where, [found.ids[i] for i in number if 0 <= i < len(found)]))
    return [known[found.ids[i]] if 0 <= i < len(found) else "" for i in number]


@router.get(
    "/v1/map/tiles/{tile}",
    tags=["map"],
    response_class=Response,
    responses={200: {"description": "The tile.", "content": {"image/webp": {}}}},
)
def tile(
    service: Serving,
    tile: int,
    name: Name = "",
    model: Model = "",
    method: Method = "pca",
    state: State = "",
) -> Response:
    """64 images, as they follow each other in the list of points, in one picture of 8 x 8 squares."""
    where, _, model = _asked(service, name, model)
    found = _made(where, model, method)
    own = found.ids[tile * TILE**2 : (tile + 1) * TILE**2] if tile >= 0 else ()
    if not own:
        raise Problem(404, f"no tile {tile}: there are {-(-len(found) // TILE**2)}")
    whole = Image.new("RGB", (TILE * SIDE, TILE * SIDE), _MAT)
    for i, image_id in enumerate(own):
        if square := _square(where, image_id):
            whole.paste(square, (i % TILE * SIDE, i // TILE * SIDE))
    data = io.BytesIO()
    whole.save(data, "WEBP", quality=80, method=2)
    return Response(data.getvalue(), media_type="image/webp", headers=_lasting(found, state))


def _asked(service: Service, name: str, model: str) -> tuple[Collection, str, str]:
    """The collection, its name, and which of its models is meant."""
    name = name or next(iter(service.shelf.names), "")
    where = service.shelf.collection(name)
    if not where.exists:
        raise NoCollection(f"{name}: nothing is indexed here yet")
    if not (model := model or next(iter(where.models), "")):
        raise UsageError(f"{name}: has no vectors yet")
    return where, name, model


def _current(where: Collection, model: str, method: Method) -> Map | None:
    """The map as it would be made now, if it was."""
    found = _maps.get(state_of(where, model, method)) or kept_map(where, model, method)
    return _remembered(found) if found else None


def _remembered(found: Map) -> Map:
    _maps[found.state] = found
    while len(_maps) > _KEPT:
        _maps.popitem(last=False)
    return found


def _made(where: Collection, model: str, method: Method) -> Map:
    return _current(where, model, method) or _remembered(map_of(where, model, method))


def _ready(service: Service, where: Collection, model: str, method: Method) -> Map | Job:
    """The map, or the job that makes it, or that failed to."""
    if found := _current(where, model, method):
        return found

    def work(tell: Progress) -> dict[str, Any]:
        own = Collection(where.directory)  # each thread has its own
        try:
            return {"images": len(_remembered(map_of(own, model, method, progress=tell)))}
        finally:
            own.close()

    key = f"map {where.directory} {model} {method}"
    job = service.jobs.get(key)
    if job is None or job.over:
        job = service.jobs.start(key, f"The map of {model}", work)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and not (job := service.jobs.by_id(job.id)).over:
        time.sleep(0.05)
    return _current(where, model, method) or job


def _names(where: Collection, image_ids: Sequence[str]) -> list[tuple[str, str]]:
    """Each id with the name of a file that shows it."""
    found = [(image_id, next(iter(where.showing(image_id)), None)) for image_id in image_ids]
    return [(image_id, showable(os.path.basename(image.path)) if image else "") for image_id, image in found]


def _square(where: Collection, image_id: str) -> Image.Image | None:
    """The middle of a picture, SIDE x SIDE; None where it cannot be read any more."""
    try:
        source = where.thumbnail(image_id) or next((image.path for image in where.showing(image_id)), None)
        return ImageOps.fit(images.read(source, side=SIDE).image, (SIDE, SIDE)) if source else None
    except UnreadableImage:
        return None


def _lasting(found: Map, state: str) -> dict[str, str]:
    return {"Cache-Control": "private, max-age=31536000, immutable" if state == found.state else "no-cache"}
