"""Pictures as requests name them: by what they hold, by id, or by URL; and checked before anybody decodes them."""

from __future__ import annotations

import base64
import binascii
import re
from functools import partial
from urllib.parse import unquote_to_bytes

from starlette.concurrency import run_in_threadpool

from lookalike import images
from lookalike.server.asking import picture_bytes
from lookalike.server.batching import Source
from lookalike.server.fetching import fetch
from lookalike.server.problems import Problem
from lookalike.server.service import Service
from lookalike.server.settings import Settings
from lookalike.types import ImageRef, ModelCard

_ID = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(rf"{_ID.pattern}$|data:|\w+://", re.IGNORECASE)


async def picture_of(service: Service, value: str) -> bytes:
    """The bytes of the picture that `value` names: a data URI, an id, or a URL of a host that is trusted.

    Raises Problem 403, 404, 413 or 422, or 429 where too many wait for other hosts; UnreadableImage.
    """
    settings = service.settings
    if _ID.fullmatch(value):
        return await run_in_threadpool(picture_bytes, service, value)
    if value[:5].lower() == "data:":
        data = _of_data_uri(value)
    elif re.match(r"\w+://", value):
        data = await service.fetching.run(fetch, value, settings.remote, settings.upload_bytes)
    else:
        raise Problem(422, "a picture is named by a data URI, by its id, or by a URL")
    checked(data, settings)
    return data


async def source_of(service: Service, value: str, card: ModelCard) -> Source:
    """The same, for a model to embed. What an id names is read when its turn has come: nothing else bounds how many
    large pictures a small request names.

    Raises what `picture_of` does, at once or when it is taken.
    """
    data = partial(picture_bytes, service, value) if _ID.fullmatch(value) else await picture_of(service, value)
    return Source(data, {card.input.read_side})


def is_named(value: str) -> bool:
    """Whether a string may name a picture for `picture_of`."""
    return bool(_NAME.match(value))


async def keep(service: Service, data: bytes) -> ImageRef:
    """Keep a picture to ask with. Raises Problem 413, or 429 where too many wait; UnreadableImage, StorageError."""
    return await service.keeping.run(_kept, service, data)


def _kept(service: Service, data: bytes) -> ImageRef:
    checked(data, service.settings)
    return service.uploads.put(data)


def checked(data: bytes, settings: Settings) -> None:
    """Raises Problem 413 for what is too large to be decoded here, UnreadableImage for what is no image."""
    if len(data) > settings.upload_bytes:
        raise Problem(413, f"an image of more than {settings.upload_bytes >> 20} MiB")
    width, height = images.size_of(data)
    if width * height > settings.upload_pixels:
        millions = settings.upload_pixels // 1_000_000
        raise Problem(413, f"an image of {width} x {height} pixels: the limit is {millions} megapixels")


def _of_data_uri(value: str) -> bytes:
    """The bytes in a data URI (RFC 2397); what it says of their type does not matter."""
    head, comma, body = value.partition(",")
    if not comma:
        raise Problem(422, "a data URI without data")
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(422, "a data URI whose base64 is damaged") from None
