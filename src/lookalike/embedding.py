"""From files to vectors: read, hash, decode and embed, several files at a time, in order."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from lookalike import images
from lookalike.errors import LookalikeError, UnreadableImage
from lookalike.models import registry
from lookalike.types import ImageFile, ModelCard, Picture, Vectors

BATCH = 16
"""Files a worker takes at a time: enough for a network's matrices, few enough to lose little when killed."""

Wanted = Callable[[str], Sequence[str]]
"""Content hash -> the names of the models whose vectors are wanted."""


def default_workers() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def embed_files(
    files: Sequence[ImageFile],
    cards: Sequence[ModelCard],
    *,
    wanted: Wanted | None = None,
    workers: int | None = None,
) -> Iterator[ImageFile]:
    """Embed files by every model of `cards`; yield a filled-in copy of each, in the same order.

    A file is read once and decoded once for all models. Each worker takes a batch of files from bytes to
    vectors: decoders and networks leave Python's lock, so threads are enough, and the work in hand, and so
    the memory, stays the same however many files there are. Unreadable files come out too, with the reason.
    """
    workers = workers or default_workers()
    waiting: deque[Future[list[ImageFile]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="embed")
    try:
        for start in range(0, len(files), BATCH):
            waiting.append(pool.submit(_embed_batch, files[start : start + BATCH], cards, wanted))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def embed_picture(source: images.ImageLike, card: ModelCard) -> Vectors:
    """The (dim,) vector of one picture."""
    vectors: Vectors = registry.load(card).embed([images.read(source, side=card.input.read_side)])
    return np.asarray(vectors[0])


Queue = list[tuple[ImageFile, Picture]]


def _embed_batch(files: Sequence[ImageFile], cards: Sequence[ModelCard], wanted: Wanted | None) -> list[ImageFile]:
    results = [replace(file, vectors={}) for file in files]
    queues: dict[str, Queue] = {card.name: [] for card in cards}
    for result in results:
        try:
            _decode(result, cards, wanted, queues)
        except UnreadableImage as error:
            result.reason = error.reason
    for card in cards:
        _embed(card, queues[card.name])
    return results


def _decode(result: ImageFile, cards: Sequence[ModelCard], wanted: Wanted | None, queues: Mapping[str, Queue]) -> None:
    data = images.read_bytes(result.path)
    result.sha256 = hashlib.sha256(data).hexdigest()
    names = wanted(result.sha256) if wanted else [card.name for card in cards]
    pictures: dict[int | None, Picture] = {}
    for card in cards:
        if card.name in names:
            side = card.input.read_side
            if side not in pictures:
                pictures[side] = images.read(data, side=side, name=result.path)
            queues[card.name].append((result, pictures[side]))
    for picture in pictures.values():
        result.width, result.height, result.taken = picture.width, picture.height, picture.taken


def _embed(card: ModelCard, queue: Queue) -> None:
    if not queue:
        return
    try:
        vectors = registry.load(card).embed([picture for _, picture in queue])
    except LookalikeError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a model makes of an odd picture
        # One odd picture must not take its batch with it, nor end the run.
        if len(queue) == 1:
            queue[0][0].reason = f"model {card.name!r} failed on it: {str(error).splitlines()[0][:120]}"
        else:
            for item in queue:
                _embed(card, [item])
        return
    for (result, _), vector in zip(queue, vectors, strict=True):
        result.vectors[card.name] = vector
