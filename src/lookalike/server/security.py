"""Who may ask for what, decided before anything of a request is looked at; and what browsers are told to refuse.

The service is meant for the people of one machine. Three kinds of others are kept out: whoever reaches the port
without the token; pages elsewhere that have a visitor's browser ask for them (told by Fetch Metadata, W3C, and the
Origin header, RFC 6454); and pages elsewhere whose own name comes to resolve to this machine (DNS rebinding).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
from urllib.parse import urlencode

from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lookalike.server.monitoring import Monitor
from lookalike.server.problems import SOON, Problem, response_of
from lookalike.server.settings import Settings

log = logging.getLogger("lookalike")

ADDRESS_BYTES, HEADER_BYTES = 8 << 10, 16 << 10
"""Of a request; what takes more while it comes in is not even read to its end (`listening`)."""

OPEN = ("/healthz", "/static/")
"""What needs no token: it tells nothing of anybody's pictures."""

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:/@?#\s]+))(?::\d{1,5})?")

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:;"
    " object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    # Not "no-referrer": it would have a browser send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Doorway:
    """The outermost: has every answer carry the headers that protect, counts it, and lets no error out bare.

    At most `most` requests are under way at a time.
    """

    def __init__(self, app: ASGIApp, monitor: Monitor, most: int) -> None:
        self._app = app
        self._monitor = monitor
        self._most, self._under_way = most, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        method, began, status = scope["method"], time.perf_counter(), 0
        # Whatever answers GET answers HEAD.
        inner = {**scope, "method": "GET"} if method == "HEAD" else scope

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-cache" if scope["path"].startswith("/static/") else "no-store")
            elif method == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        self._under_way += 1
        try:
            if self._under_way > self._most:
                raise Problem(503, f"{self._most} requests are under way: try again", SOON)
            await self._app(inner, receive, guarded)
        except Exception as error:
            if status:  # it has begun: all that is left is to break off
                if not isinstance(error, TimeoutError):  # of a client that does not read on (`bodies`)
                    log.error("an answer broke off", exc_info=error)
                raise
            await response_of(error, HTTPConnection(scope))(scope, receive, guarded)
        finally:
            self._under_way -= 1
            self._monitor.answered(method, getattr(inner.get("route"), "path", ""), status, time.perf_counter() - began)
        return None


class Guard:
    """Refuses whoever may not ask."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._hosts = {host.lower() for host in settings.hosts}
        self._token = settings.token
        # A browser keeps something else than the token. Cookies do not tell ports apart: each token's has its own name.
        digest = hmac.digest((settings.token or "").encode(), b"lookalike cookie", hashlib.sha256).hex()
        self._cookie, self._pass = f"lookalike-{digest[:8]}", digest[8:]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            client = HTTPConnection(scope)
            self._check_form(client)
            self._check_site(client)
            if answer := self._let_in(client):
                return await answer(scope, receive, send)
        return await self._app(scope, receive, send)

    def _check_form(self, client: HTTPConnection) -> None:
        host = client.headers.get("host", "")
        name = _HOST.fullmatch(host.lower())
        if name is None or (name[1] or name[2]) not in self._hosts:
            raise Problem(
                421, f"asked under the name {host[:80]!r}: if it is this machine's, start with --allow-host NAME"
            )
        if len(client.scope["raw_path"]) + len(client.scope["query_string"]) > ADDRESS_BYTES:
            raise Problem(414, f"an address of more than {ADDRESS_BYTES} bytes")
        if sum(len(name) + len(value) for name, value in client.headers.raw) > HEADER_BYTES:
            raise Problem(431, f"headers of more than {HEADER_BYTES} bytes")
        if "content-length" in client.headers and "transfer-encoding" in client.headers:
            raise Problem(400, "two lengths of one body", {"Connection": "close"})

    def _check_site(self, client: HTTPConnection) -> None:
        headers, method = client.headers, client.scope["method"]
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        followed = (  # a link from elsewhere may be followed: that changes nothing, and the other page sees nothing
            method in ("GET", "HEAD")
            and headers.get("sec-fetch-mode") == "navigate"
            and headers.get("sec-fetch-dest") == "document"
        )
        # To a browser all ports of a machine are one site: other programs' pages are strangers all the same.
        if site in ("cross-site", "same-site") and not followed:
            raise Problem(403, "asked by a page of another site")
        if origin is not None and origin.lower().partition("://")[2] != headers["host"].lower():
            raise Problem(403, "asked by a page of another origin")

    def _let_in(self, client: HTTPConnection) -> Response | None:
        """None for whoever may come in; for a visitor whose address holds the token, the way on, without it."""
        path, headers = client.scope["path"], client.headers
        if self._token is None or path == OPEN[0] or path.startswith(OPEN[1]):
            return None
        if path == "/" and _same(client.query_params.get("token"), self._token):
            rest = [(name, value) for name, value in client.query_params.multi_items() if name != "token"]
            answer = RedirectResponse(f"/?{urlencode(rest)}" if rest else "/", 303)
            answer.set_cookie(self._cookie, self._pass, httponly=True, samesite="strict")
            return answer
        bearer = re.fullmatch(r"(?i:bearer) +(\S+)", headers.get("authorization", ""))
        if (
            _same(bearer and bearer[1], self._token)
            or _same(headers.get("api-key"), self._token)  # as clients of Qdrant send it
            or _same(client.cookies.get(self._cookie), self._pass)
        ):
            return None
        raise Problem(
            401,
            "this service needs its token: open the address that 'lookalike serve' printed,"
            " or send 'Authorization: Bearer TOKEN'",
            {"WWW-Authenticate": 'Bearer realm="lookalike"'},
        )


def _same(shown: str | None, secret: str) -> bool:
    return shown is not None and hmac.compare_digest(shown.encode(), secret.encode())
