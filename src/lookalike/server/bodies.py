"""Bodies of requests: counted as they come, whatever Content-Length claims, and not waited for without end."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lookalike.server.problems import SOON, Problem
from lookalike.server.settings import Settings


class Bodies:
    """Refuses bodies that are too large (413), too slow (408), or too many at a time (429)."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._together = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        settings, clock = self._settings, asyncio.get_running_loop().time
        claimed = Headers(scope=scope).get("content-length", "")
        counted, more, began = 0, True, clock()

        async def counting() -> Message:
            nonlocal counted, more
            if not more:
                return await receive()
            _check(int(claimed) if claimed.isdecimal() else 0, settings.body_bytes)
            try:
                async with asyncio.timeout_at(began + settings.patience + counted / settings.slowest):
                    message = await receive()
            except TimeoutError:
                raise Problem(408, "the body came too slowly", {"Connection": "close"}) from None
            length = len(message.get("body", b""))
            counted, self._together, more = counted + length, self._together + length, message.get("more_body", False)
            _check(counted, settings.body_bytes)
            if self._together > settings.bodies_bytes:
                raise Problem(429, "too many uploads at a time", SOON)
            return message

        async def timely(message: Message) -> None:
            length = len(message.get("body", b""))
            async with asyncio.timeout(settings.patience + length / settings.slowest):
                await send(message)

        try:
            return await self._app(scope, counting, timely)
        finally:
            self._together -= counted


def _check(count: int, limit: int) -> None:
    if count > limit:
        raise Problem(413, f"a body of more than {limit >> 20} MiB")
