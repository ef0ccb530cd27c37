"""Images by URL, from hosts that the service was told to trust: with limits, and nowhere else.

Whoever can have a service fetch a URL of theirs can look into the network that it stands in. So the host must be named
(`--allow-remote`), its address must be one of the public Internet unless the address itself was named, the connection
goes to the very address that was checked, and a redirect is not followed.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Collection, Iterator
from urllib.parse import SplitResult, urlsplit

from lookalike.server.problems import Problem
from lookalike.writing import showable

SECONDS = 20.0
"""For all of it but the look-up of the host, which the system bounds."""

CHUNK = 64 << 10


def fetch(url: str, hosts: Collection[str], limit: int) -> bytes:
    """What the URL holds. Raises Problem 403 where its host is none of `hosts`, 413 beyond `limit` bytes, 422."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise Problem(422, "no URL that can be read") from None
    if parts.scheme not in ("http", "https") or parts.username is not None or not url.isascii():
        raise Problem(422, "an image's URL begins with http:// or https:// and a host, and is plain ASCII")
    if host not in hosts:
        raise Problem(403, f"images of {host!r} are not fetched: upload it, or start with --allow-remote {host}")
    port = port or (443 if parts.scheme == "https" else 80)
    end = time.monotonic() + SECONDS
    try:
        data = _fetch(parts, host, port, limit, end)
    except (OSError, http.client.HTTPException) as error:
        why = "too slow" if time.monotonic() >= end else showable(str(error)) or "no answer"
        raise Problem(422, f"{host}: the image cannot be fetched ({why})") from None
    if time.monotonic() >= end:  # it may have been cut off
        raise Problem(422, f"{host}: the image cannot be fetched (too slow)")
    return data


def _fetch(parts: SplitResult, host: str, port: int, limit: int, end: float) -> bytes:
    with contextlib.ExitStack() as stack:
        address, left = _address(host, port), end - time.monotonic()
        stream = stack.enter_context(socket.create_connection((address, port), timeout=max(left, 0.001)))
        stack.enter_context(_ended(stream, end))
        if parts.scheme == "https":
            secure = ssl.create_default_context().wrap_socket(stream, server_hostname=host)
            stream = stack.enter_context(secure)
        connection = stack.enter_context(contextlib.closing(http.client.HTTPConnection(host, port)))
        connection.sock = stream
        path = parts.path or "/"
        headers = {"Host": parts.netloc, "Accept": "image/*", "Accept-Encoding": "identity", "Connection": "close"}
        connection.request("GET", f"{path}?{parts.query}" if parts.query else path, headers=headers)
        answer = stack.enter_context(connection.getresponse())
        if answer.status != 200:
            what = "it redirects elsewhere" if 300 <= answer.status < 400 else f"status {answer.status}"
            raise Problem(422, f"{host}: the image cannot be fetched ({what})")
        data = bytearray()
        while chunk := answer.read1(CHUNK):
            data += chunk
            if len(data) > limit:
                raise Problem(413, f"{host}: an image of more than {limit >> 20} MiB")
        return bytes(data)


@contextlib.contextmanager
def _ended(stream: socket.socket, end: float) -> Iterator[None]:
    """Has a connection end at some time, whatever waits for it: a timeout begins anew with each byte that comes."""
    with stream.dup() as own:  # TLS takes the stream itself over
        timer = threading.Timer(max(0.0, end - time.monotonic()), _end, [own])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def _end(stream: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has ended by itself
        stream.shutdown(socket.SHUT_RDWR)


def _address(host: str, port: int) -> str:
    """An address of the host. Raises Problem 403 where one of them is not public and was not named itself."""
    found = [str(sockaddr[0]) for *_, sockaddr in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        number = ipaddress.ip_address(address.partition("%")[0])
        number = getattr(number, "ipv4_mapped", None) or number
        if address != host and not number.is_global:
            raise Problem(403, f"{host}: its address {address} is not one of the public Internet")
    return found[0]
