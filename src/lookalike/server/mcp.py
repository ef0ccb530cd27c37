"""Search and compare for assistants, by the Model Context Protocol: on standard input and output, for one of them.

The assistant runs as the user does, on the same machine: so it names files by their paths, and is told paths.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Image
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field, ValidationError
from starlette.concurrency import run_in_threadpool

from lookalike import __version__, images
from lookalike.errors import LookalikeError
from lookalike.server.asking import Ask, answer
from lookalike.server.comparing import compared
from lookalike.server.pictures import is_named, keep, picture_of
from lookalike.server.problems import Problem, invalid, problem_of
from lookalike.server.service import Service
from lookalike.types import Hit, ImageRef, Score, Term
from lookalike.writing import showable

SHOWN = 6
"""Hits whose pictures are sent along, small: an assistant pays for each."""

SIDE = 256

INSTRUCTIONS = """\
Finds images that look alike in the collections of this machine. Begin with `collections` to see what there is.
A score is (cosine + 1) / 2: 1 for the same picture, 0.5 for nothing in common; scores of two models do not compare.\
"""

Picture = Annotated[str, Field(description="An image: the path of a file, or an id that a search gave.")]
Models = Annotated[list[str] | None, Field(description="Names of models [all that can answer].")]
Name = Annotated[str | None, Field(description="The collection's name [the first].")]
Count = Annotated[int, Field(ge=1, le=50, description="Hits of each model.")]
Words = Annotated[str | None, Field(max_length=1000, description="What is to be seen, for models that read words.")]


class _Server(MCPServer):
    """Says in one line what is wrong with a tool's arguments: pydantic takes several, with a link for programmers."""

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(f"{name}: {invalid(error.__cause__.errors())}") from None
            raise


def mcp_server(service: Service) -> MCPServer:
    """A server of three tools over the service's collections; `run()` serves standard input and output."""
    server = _Server("lookalike", instructions=INSTRUCTIONS, version=__version__, log_level="ERROR")

    @server.tool(structured_output=False)
    async def collections() -> str:
        """The collections that can be searched: their names, how many images they hold, and by which models."""
        return _text(await run_in_threadpool(_collections, service))

    @server.tool(structured_output=False)
    async def search(
        image: Picture | None = None,
        text: Words = None,
        collection: Name = None,
        models: Models = None,
        k: Count = 10,
        verify: Annotated[bool, Field(description="Check hits by keypoints, for the same picture edited.")] = False,
    ) -> list[str | Image]:
        """Find the images most like one image, or words, or both: paths and scores, and the first as pictures."""
        with _told():
            terms = [Term(image=(await _picture(service, image)).id)] if image else []
            terms += [Term(text=text)] if text else []
            ask = Ask(tuple(terms), collection, tuple(models or ()), k, verify=k if verify and not text else 0)
            columns = await answer(service, ask)
            told = [
                {"model": each.hits.model, "hits": [_hit(hit) for hit in each.hits]}
                | ({"reason": each.reason} if each.reason else {})
                for each in columns
            ]
            first = dict.fromkeys(hit.path for each in columns for hit in each.hits[:SHOWN])
            return [_text(told), *await run_in_threadpool(_small, list(first)[:SHOWN])]

    @server.tool(structured_output=False)
    async def compare(a: Picture, b: Picture, models: Models = None) -> list[str | Image]:
        """How alike two images are, by every model or by some; and the chance that they show the same, by keypoints."""
        with _told():
            pair = [await _picture(service, each) for each in (a, b)]
            first, second = [await run_in_threadpool(images.read_bytes, each.path) for each in pair]
            found = await compared(service, first, second, models=models or (), why=True)
            told = {
                "a": pair[0].path,
                "b": pair[1].path,
                "scores": {
                    name: round(each.score, 4) for name, each in found.scores.items() if isinstance(each, Score)
                },
                "chance": round(found.evidence.chance, 3) if found.evidence else None,
            }
            return [_text(told), *await run_in_threadpool(_small, [each.path for each in pair])]

    return server


async def _picture(service: Service, value: str) -> ImageRef:
    """An image of a collection, or an upload made of what else is named."""
    if found := await run_in_threadpool(service.shelf.image, value):
        return found

    path = os.path.abspath(os.path.expanduser(value))
    if await run_in_threadpool(os.path.isfile, path):
        kept = await keep(service, await run_in_threadpool(images.read_bytes, path))
        return replace(kept, path=path)
    if not is_named(value):
        raise Problem(404, f"{value[:200]}: no such file, nor the id of a picture")
    return await keep(service, await picture_of(service, value))


def _collections(service: Service) -> list[dict[str, Any]]:
    found = []
    for name in service.shelf.names:
        collection = service.shelf.collection(name)
        count = collection.listing(count=0)[0] if collection.exists else 0
        found.append({"name": name, "folders": collection.folders, "images": count, "models": collection.models})
    return found


def _hit(hit: Hit) -> dict[str, Any]:
    told = {"rank": hit.rank, "score": round(hit.score, 4), "path": hit.path, "id": hit.image.id}
    return told | ({"chance": round(hit.evidence.chance, 3)} if hit.evidence else {})


def _small(paths: list[str]) -> list[Image]:
    found = []
    for path in paths:
        with contextlib.suppress(LookalikeError):  # it has gone since it was indexed
            found.append(Image(data=images.thumbnail(path, SIDE), format="webp"))
    return found


def _text(data: object) -> str:
    """JSON; names of files that are no Unicode are made showable."""
    return showable(json.dumps(data, ensure_ascii=False))


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Has the assistant told what is wrong, in one line."""
    try:
        yield
    except (LookalikeError, Problem) as error:
        raise ToolError(showable(problem_of(error).detail)) from None
