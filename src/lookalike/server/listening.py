"""The socket and the server behind it: uvicorn, less patient with clients that never come to the point."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import json
import logging
import socket

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from lookalike.errors import UsageError
from lookalike.server.problems import MEDIA_TYPE
from lookalike.server.settings import Settings

HEAD_BYTES = 16 << 10
"""Of request line and headers together."""

CONNECTIONS = 512
"""At a time: each takes a file descriptor, of which a process often has 1,024. When one more comes, that which waits
longest without a request is hung up on, so that hundreds that never send one lock nobody out."""

BACKLOG = 128
"""Connections that asyncio takes at once, before it tells of any."""

_DETAIL = json.dumps(
    {"type": "about:blank", "title": "Request Timeout", "status": 408, "detail": "the head came too slowly"}
)

TOO_SLOW = (
    f"HTTP/1.1 408 Request Timeout\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(_DETAIL)}\r\n"
    f"Connection: close\r\n\r\n{_DETAIL}"
).encode()
"""The answer to a head that does not come to its end: uvicorn has none."""


def bind(settings: Settings) -> socket.socket:
    """The socket that the service listens on; port 0 finds a free one.

    Raises UsageError where that cannot be, or where others than this machine could reach it and no token is asked for.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise UsageError(f"--host {settings.host}: no address of this machine") from None
    if not settings.token and not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
        raise UsageError(f"--host {settings.host}: others can reach it there: say with --token what they must show")
    # asyncio tells by the protocol's number that it is TCP, and only then has small answers sent at once (TCP_NODELAY):
    # without it each would wait 40 ms for the client's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)  # at once: who comes now waits until the server is there
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            why = f"port {settings.port} is taken: name another with --port, or 0 for any that is free"
        else:
            why = f"{settings.host}, port {settings.port}: cannot listen there ({(error.strerror or '').lower()})"
        raise UsageError(why) from None
    return listener


def server(app: FastAPI, settings: Settings) -> uvicorn.Server:
    """A server for the app, to be run on the socket of `bind`; what it logs holds no address that was asked for."""

    class Connection(_Connection):
        patience, slowest, idle = settings.patience, settings.slowest, {}

    # Of a damaged form only its sender needs to hear.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        access_log=False,
        log_config=None,
        log_level="critical",  # `security` logs errors, once
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)


class _Connection(H11Protocol):
    """Hangs up on a client that takes longer than `patience` seconds to send the head of a request (408), or to take
    what it was answered: uvicorn itself waits for as long as a byte comes now and then, or as nobody reads."""

    patience: float
    slowest: int
    idle: dict[_Connection, None]
    """Those that wait for a request; the first one has waited longest."""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.idle and len(self.connections) > CONNECTIONS:
            next(iter(self.idle))._hang_up()
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def _watch(self) -> None:
        # A request that is being handled has limits of its own (`bodies`).
        if self.cycle is not None and not self.cycle.response_complete:
            self._rest()
        elif self._deadline is None:
            unread = self.transport.get_write_buffer_size()
            self._deadline = self.loop.call_later(self.patience + unread / self.slowest, self._hang_up)
            self.idle[self] = None

    def _hang_up(self) -> None:
        self._rest()
        begun, _ = self.conn.trailing_data
        if begun and not self.transport.get_write_buffer_size():  # it sent a part of a head, and may be listening
            self.transport.write(TOO_SLOW)
            self.transport.close()
        else:
            self.transport.abort()

    def _rest(self) -> None:
        self.idle.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
