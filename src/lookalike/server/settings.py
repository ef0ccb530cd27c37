"""What a service may do, decided once, when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import platformdirs

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Settings:
    """What `lookalike serve` was told, and the limits that protect it.

    collections: directories or folders of collections, each known by a name of its own in every address
    token:       what a client must show; None only where nobody but this machine can reach the service
    hosts:       the names that it may be asked under, without port: a page elsewhere that has its own name resolve to
                 this machine (DNS rebinding) is refused
    remote:      hosts from which images may be fetched by URL; none unless somebody says so
    uploads:     the folder where pictures that were asked for are kept, so that an address with one works tomorrow
    upload_bytes, upload_pixels: of one picture; it is refused while it is read, and before it is decoded
    kept_bytes:  of all uploads together; the oldest go first
    requests:    that are worked on at a time; what comes then is told to come back
    queue:       pictures that may wait for one model; what comes then is told to come back
    body_bytes:  of one request's body
    bodies_bytes: of all bodies that are being received or worked on together; what comes then is told to come back
    patience:    seconds that a client may take to send the head of a request, and to begin with a body or an answer
    slowest:     bytes in a second of either that are waited for from then on
    """

    collections: tuple[Path, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8642
    token: str | None = None
    hosts: tuple[str, ...] = LOOPBACK
    remote: tuple[str, ...] = ()
    uploads: Path = platformdirs.user_cache_path("lookalike") / "uploads"
    upload_bytes: int = 32 << 20
    upload_pixels: int = 100_000_000
    kept_bytes: int = 512 << 20
    requests: int = 512
    queue: int = 64
    body_bytes: int = 64 << 20
    bodies_bytes: int = 256 << 20
    patience: float = 20.0
    slowest: int = 8 << 10
