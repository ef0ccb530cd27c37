"""The page that shows two pictures, and why they match or do not."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import UploadFile

from lookalike.collection import Collection
from lookalike.comparison import compare
from lookalike.errors import LookalikeError, UsageError
from lookalike.keypoints.methods import METHODS, remedy
from lookalike.models import registry
from lookalike.server.asking import picture_bytes
from lookalike.server.explanations import Pair, Row
from lookalike.server.pages import page
from lookalike.server.pictures import keep
from lookalike.server.problems import Problem
from lookalike.server.routes.uploads import FIELD
from lookalike.server.service import Service, Serving

router = APIRouter(include_in_schema=False)

Id = Annotated[str, Query(pattern="^([0-9a-f]{64})?$")]


@router.get("/compare")
async def compare_page(
    service: Serving,
    a: Id = "",
    b: Id = "",
    collection: str = "",
    method: str = "sift",
    mirror: bool = False,
    whole: bool = False,
) -> HTMLResponse:
    """Both pictures and the scores at once; what explains them when it is asked for `whole`, or was made before."""
    rows: tuple[Row, ...] = ()
    shown, problem = None, None
    pair = Pair(a, b, collection or next(iter(service.shelf.names), None), method, mirror)
    try:
        known = _collection(service, pair)
        if method not in METHODS:
            raise Problem(422, f"no local features are called {method!r}: choose from {', '.join(METHODS)}")
        if a and b:
            files = await service.searching.run(_files, service, pair)
            shown = service.explanations.kept(pair)
            if whole:
                shown = await service.explanations.of(pair, files, known)
            rows = shown.rows if shown else await service.verifying.run(_scores, service, pair, files)
    except (Problem, LookalikeError) as error:
        problem = service.shelf.problem(error)
    fields = {"collection": pair.collection, "a": a, "b": b, "method": method, "mirror": mirror or None}
    asked = {name: value for name, value in fields.items() if value and (name, value) != ("method", "sift")}
    swapped = asked | {"a": b, "b": a}
    explained = bool(a and b) and not problem
    return page(
        "compare.html",
        problem.status if problem else 200,
        collection=pair.collection,
        pair=pair,
        asked=asked,
        swapped=f"/compare?{urlencode(swapped)}" if a or b else None,
        rows=rows,
        shown=shown,
        problem=problem,
        waits=f"/compare?{urlencode(asked | {'whole': 1})}" if explained and not shown else None,
        pictures=f"/explanations/{a}/{b}",
        how=urlencode({name: value for name, value in asked.items() if name not in ("a", "b")}),
        methods=[name for name in METHODS if not remedy(name)],
    )


@router.post("/compare")
async def bring(service: Serving, request: Request) -> RedirectResponse:
    """The page's form: keep the picture as the one of `side`, and go to the address with both."""
    async with request.form() as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str) and value}
        file = form.get(FIELD)
        data = await file.read() if isinstance(file, UploadFile) else b""
    side = fields.pop("side", "a")
    if data and side in ("a", "b"):
        fields[side] = (await keep(service, data)).id
    return RedirectResponse(f"/compare?{urlencode(fields)}", 303)


@router.get("/explanations/{a}/{b}/{name}.webp")
async def panel(
    service: Serving,
    a: Annotated[str, Path(pattern="^[0-9a-f]{64}$")],
    b: Annotated[str, Path(pattern="^[0-9a-f]{64}$")],
    name: str,
    collection: str = "",
    method: str = "sift",
    mirror: bool = False,
) -> Response:
    """One of the pictures that explain a pair."""
    pair = Pair(a, b, collection or next(iter(service.shelf.names), None), method, mirror)
    shown = service.explanations.kept(pair)
    if shown is None:
        files = await service.searching.run(_files, service, pair)
        shown = await service.explanations.of(pair, files, _collection(service, pair))
    if name not in shown.pictures:
        raise Problem(404, f"no picture {name!r} explains these two: there are {', '.join(shown.pictures)}")
    # The models may come to be others: to be kept only for as long as somebody looks at it.
    return Response(
        shown.pictures[name].data, media_type="image/webp", headers={"Cache-Control": "private, max-age=600"}
    )


def _files(service: Service, pair: Pair) -> tuple[str, str]:
    """Where the two lie. Raises Problem 404."""
    places = []
    for image_id in (pair.a, pair.b):
        picture_bytes(service, image_id)  # says whether it is there, and still the same
        image = service.shelf.image(image_id)
        places.append(image.path if image else str(service.settings.uploads / image_id))
    return places[0], places[1]


def _collection(service: Service, pair: Pair) -> Collection | None:
    found = service.shelf.collection(pair.collection) if pair.collection else None
    return found if found and found.exists else None


def _scores(service: Service, pair: Pair, files: tuple[str, str]) -> tuple[Row, ...]:
    """What costs least, to be shown first."""
    collection = _collection(service, pair)
    try:
        own = collection.usable() if collection else []
    except UsageError:  # the collection's models cannot run here; others can
        own = []
    found = compare(*files, models=list(dict.fromkeys([*own, *registry.downloadless()])))
    return tuple(Row(score.model, score.score, score.cosine) for score in found.scores)
