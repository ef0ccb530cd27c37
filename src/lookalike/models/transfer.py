"""One file over HTTP: opened within seconds, continued where it broke off, verified. Knows nothing of models."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, Request, build_opener

from lookalike.models import placing

SILENCE = 5.0
"""Seconds that a connection may take to open, or be silent."""
DEADLINE = 7.0
"""Seconds until the first answer, all told: a socket's timeout covers neither the look-up of a name nor the next
address that is tried."""
TRIES = 5
"""How often a connection that breaks off in a file is opened again."""

PORTAL = "something else answers in its name: the login page of this network?"

_T = TypeVar("_T")
_CHUNK = 1 << 20
_HTML = re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to be had, and what is known of it: `sha256` may be the first digits, `git` is the hash that git uses."""

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None
    git: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Unreachable(Exception):
    """Nobody answers, or not in time."""


class Refused(Exception):
    """The answer is a status of 4xx or 5xx."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"it answers {code}")


class Broken(Exception):
    """The connection broke off, again and again; what came is kept."""


class Wrong(Exception):
    """Not the bytes that are wanted: what came is not to be kept."""


def fetch(wanted: Wanted, place: Path, tell: Callable[[int, int | None], None], sure: bool = False) -> str:
    """Bring one file to `place`, and give its SHA-256. What breaks off is continued, now or by a later pull.

    That is for files whose hash is known beforehand (or is checked by the caller: `sure`): nobody would notice that
    another file's end was put to the first one's beginning.
    """
    if place.is_file():
        with contextlib.suppress(Wrong):
            return verified(wanted, place)
    known = wanted.sha256 or wanted.git
    rest = place.with_name(f"{place.name}.{(known or 'new')[:12]}.rest")
    total, start = wanted.size, 0
    for _ in range(TRIES):
        start = rest.stat().st_size if (known or sure) and rest.exists() else 0
        response = _open(wanted, start) if total is None or start < total else None
        if response is None:
            rest.touch()
            break
        with response:
            start = start if response.status == http.client.PARTIAL_CONTENT else 0
            if total is None and response.length is not None:
                total = start + response.length
            placing.refuse_without_room(rest, response.length or 0)
            with rest.open("ab" if start else "wb") as file:
                for chunk in _chunks(response):
                    if start == 0 and _HTML.match(chunk):
                        raise Wrong(f"{wanted.url}: a web page came instead of the file: {PORTAL}")
                    start += file.write(chunk)
                    tell(start, total)
        if total is None or start >= total:
            break
    else:
        raise Broken(
            f"{wanted.url}: the connection broke off {TRIES} times, the last time after {start} of {total} bytes:"
            " run the same command again, it goes on from there"
        )
    digest = verified(wanted, rest)
    rest.replace(place)
    return digest


def _open(wanted: Wanted, start: int) -> http.client.HTTPResponse | None:
    """The answer to a GET, from byte `start` on; None where nothing comes after that."""
    request = Request(wanted.url, headers={"User-Agent": "lookalike", "Accept-Encoding": "identity"})  # noqa: S310
    for name, value in wanted.headers.items():
        # Not to be sent on to the store that the hub redirects to: the token is none of its business.
        request.add_unredirected_header(name.capitalize(), value)
    if start:
        request.add_header("Range", f"bytes={start}-")
    opener = build_opener(HTTPSHandler(context=_trust()))
    try:
        response: http.client.HTTPResponse = within(DEADLINE, lambda: opener.open(request, timeout=SILENCE))
    except HTTPError as error:
        with error:
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                return None
            raise Refused(error.code) from error
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(reason(error)) from error
    return response


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """What comes until the end, or until the connection breaks: the caller counts."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        while chunk := response.read(_CHUNK):
            yield chunk


def verified(wanted: Wanted, place: Path) -> str:
    """The SHA-256 of a file that came. Raises Wrong where it is not what was announced."""
    size = place.stat().st_size
    if wanted.size not in (None, size):
        raise Wrong(f"{wanted.url}: {size} bytes came instead of {wanted.size}; nothing was kept: try again")
    with place.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if wanted.sha256 and not digest.startswith(wanted.sha256):
        raise Wrong(f"{wanted.url}: came with SHA-256 {digest} instead of {wanted.sha256}; nothing was kept: try again")
    if wanted.git:
        data = place.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        if blob != wanted.git:
            raise Wrong(f"{wanted.url}: came with git hash {blob} instead of {wanted.git}; nothing was kept: try again")
    return digest


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """What `work` gives, or a TimeoutError: it is left alone then, for nothing can interrupt the look-up of a name."""
    answer: Future[_T] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the answer is awaited
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer.result(timeout=seconds)


def _trust() -> ssl.SSLContext:
    """The certificates that huggingface_hub trusts: the system's own, also where Python does not find them."""
    try:
        import truststore
    except ImportError:
        return ssl.create_default_context()
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def reason(error: BaseException) -> str:
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        return reason(error.reason)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)).strip() or type(error).__name__
