"""From files to vectors and local features: read, hash, decode, embed, several files at a time, in order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from lookalike import images
from lookalike.errors import LookalikeError, ModelUnavailable, UnreadableImage
from lookalike.keypoints.features import LIMIT, Features
from lookalike.keypoints.methods import READ_SIDE, extract
from lookalike.models import registry
from lookalike.models.compiled import PHOTOS
from lookalike.models.tuning import usable_cores
from lookalike.store import Packed, Reader, pack, small_jpeg, unpack
from lookalike.types import Backbone, ImageFile, ImageRef, ModelCard, Picture, Tunable, Vectors

log = logging.getLogger("lookalike")

BATCH = 8
"""Files a worker takes at a time: enough for a network's matrices, few enough to lose little when killed."""

MOST = 64
"""Files that a worker takes at most, whatever batch is asked for: nothing of them is committed before all are done."""

AHEAD = 4
"""Batches a worker that may be done or waiting while one is committed: results are small, pixels are let go."""

WORTH_TUNING = 64
"""Files for which a model is tuned to the machine: for fewer, the trial would take longer than it saves."""

HELD_BYTES = 32 << 20
"""Decoded pixels that a worker holds before it embeds them: large pictures go in smaller batches."""

PIXEL_BYTES = 4
"""What Pillow keeps for an RGB pixel. (`Picture.pixels` would keep three more: models are fed without it.)"""

SMALLEST_SIDE = 512
"""The smallest scale at which anything is decoded: see InputSpec.read_side."""

Wanted = Callable[[str], Sequence[str]]
"""Content hash -> the names of the models whose vectors are wanted."""


@dataclass(frozen=True, slots=True)
class Describing:
    """The making of local features beside vectors; threads call both.

    lacking: content hash -> how many keypoints are wanted and not kept yet, by method
    keep:    puts away what was made of one picture
    """

    lacking: Callable[[str], Mapping[str, int]]
    keep: Callable[[Sequence[Packed]], None]


def prepare(
    files: Sequence[ImageFile], cards: Sequence[ModelCard], *, workers: int | None = None, batch: int | None = None
) -> int:
    """Load the models that are to embed `files`, and set how many pictures go through each at a time.

    That is `batch`, or what is best on this machine where the files are so many that finding it out is worth it;
    never more than MOST. Returns how many files a worker should take at a time for that. Raises ModelUnavailable.
    """
    taken, batch = BATCH, min(batch, MOST) if batch else None
    photos = [file.path for file in files[:: max(1, len(files) // PHOTOS)]][:PHOTOS]
    for card in cards:
        backbone = registry.load(card, photos=photos)
        if isinstance(backbone, Tunable) and (batch or len(files) >= WORTH_TUNING):
            backbone.tune(workers or usable_cores(), batch)
        taken = max(taken, _batch_of(backbone))
    return min(taken, MOST)


def embed_files(
    files: Sequence[ImageFile],
    cards: Sequence[ModelCard],
    *,
    wanted: Wanted | None = None,
    measure: bool = False,
    thumbnails: bool = False,
    describing: Describing | None = None,
    workers: int | None = None,
    taken: int = BATCH,
) -> Iterator[ImageFile]:
    """Embed files by every model of `cards`; yield a filled-in copy of each, in the same order.

    A file is read once, and decoded once for all models (a large JPEG once for each scale that they ask for). Each
    worker takes a batch of files from bytes to vectors: decoders and networks leave Python's lock, so threads are
    enough, and the work in hand, and so the memory, stays the same however many files there are. Unreadable files
    come out too, with the reason.
    With `measure` every file is decoded, for its size, even if no model wants it; with `thumbnails` a small JPEG is
    made of each that is decoded. Local features, being large, are put away by the workers themselves, before the file
    comes out: see `Describing`. A worker takes `taken` files at a time: see `prepare`.

    Raises ModelUnavailable where a model cannot be loaded, or fails on picture after picture.
    """
    workers = workers or usable_cores()
    taken = min(taken, max(1, -(-len(files) // workers)))  # a few files are shared out, too
    work = _Work(
        cards, wanted, measure, thumbnails, describing, {card.name: _batch_of(registry.load(card)) for card in cards}
    )
    waiting: deque[Future[list[ImageFile]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="embed")
    try:
        for start in range(0, len(files), taken):
            waiting.append(pool.submit(_embed_batch, files[start : start + taken], work))
            if len(waiting) > AHEAD * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def embed_picture(source: images.ImageLike, card: ModelCard, name: str | None = None) -> Vectors:
    """The (dim,) vector of one picture; `name` is its path, where `source` is its bytes."""
    picture = images.read(source, side=card.input.read_side, name=name)
    return np.asarray(embed_pictures(registry.load(card), [picture])[0])


def features_of(store: Reader, image: ImageRef, method: str, limit: int = LIMIT) -> Features:
    """The strongest keypoints of an image of a collection: those that are kept, else made of its file, and kept.

    They are the same either way. Raises what `Collection.features` does.
    """
    kept = store.features.get(image.id, method, limit)
    if kept is not None:
        return kept
    data = images.read_bytes(image.path)
    if images.content_hash(data) != image.id:
        raise UnreadableImage("has changed since it was indexed: index it again", image.path)
    picture = images.read(data, side=READ_SIDE, name=image.path)
    try:
        packed = pack(extract(picture, method, limit))
    except LookalikeError:
        raise
    except Exception as error:
        raise UnreadableImage(f"local features {method!r} failed on it: {_first_line(error)}", image.path) from error
    if limit <= store.wanted_features().get(method, limit):  # what is kept of a picture is bounded
        store.features.offer([Packed(image.id, method, limit, packed)])
    return cast(Features, unpack(method, packed))


def embed_pictures(backbone: Backbone, pictures: Sequence[Picture]) -> Vectors:
    """(n, dim) vectors. Raises ModelUnavailable where they are not finite: stored, they would never be found again."""
    vectors = backbone.embed(pictures)
    if not np.isfinite(vectors).all():
        raise ModelUnavailable(
            f"model {backbone.card.name!r} gives numbers that are not finite: its weights, or what was compiled of"
            " them, are damaged: get or compile them again"
        )
    return vectors


Queue = list[tuple[ImageFile, Picture]]


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be done with each file: see `embed_files`."""

    cards: Sequence[ModelCard]
    wanted: Wanted | None
    measure: bool
    thumbnails: bool
    describing: Describing | None
    batches: Mapping[str, int]


def _batch_of(backbone: Backbone) -> int:
    return backbone.batch if isinstance(backbone, Tunable) else BATCH


def _embed_batch(files: Sequence[ImageFile], work: _Work) -> list[ImageFile]:
    results = [replace(file, vectors={}) for file in files]
    queues: dict[str, Queue] = {card.name: [] for card in work.cards}
    held = 0
    for result in results:
        try:
            held += _decode(result, work, queues)
        except UnreadableImage as error:
            result.reason, result.sha256 = error.reason, None
        # What is decoded waits no longer than it must: pixels are most of what a worker holds.
        _embed_queues(work.cards, queues, {} if held > HELD_BYTES else work.batches)
        held = held if any(queues.values()) else 0
    _embed_queues(work.cards, queues, {})
    return results


def _decode(result: ImageFile, work: _Work, queues: Mapping[str, Queue]) -> int:
    """Queue the picture for the models that want it; how many bytes of pixels that holds."""
    data = images.read_bytes(result.path)
    result.sha256 = images.content_hash(data)
    names = work.wanted(result.sha256) if work.wanted else [card.name for card in work.cards]
    wanting = [card for card in work.cards if card.name in names]
    methods = work.describing.lacking(result.sha256) if work.describing else {}
    held = {card.input.read_side for card in wanting}
    sides = (held | {READ_SIDE} if methods else held) or ({SMALLEST_SIDE} if work.measure else set())
    if not sides:
        return 0
    pictures = images.read_scales(data, sides, name=result.path)
    for card in wanting:
        queues[card.name].append((result, pictures[card.input.read_side]))
    smallest = min(pictures.values(), key=_pixels)
    result.width, result.height, result.taken = smallest.width, smallest.height, smallest.taken
    if work.thumbnails:
        with suppress(Exception):  # no picture is lost for want of a small one
            result.thumbnail = small_jpeg(smallest)
    if work.describing and methods:
        work.describing.keep(_described(pictures[READ_SIDE], result.sha256, methods))
    return sum({id(pictures[side]): PIXEL_BYTES * _pixels(pictures[side]) for side in held}.values())


def _described(picture: Picture, sha256: str, methods: Mapping[str, int]) -> list[Packed]:
    made = []
    for method, limit in methods.items():
        try:
            made.append(Packed(sha256, method, limit, pack(extract(picture, method, limit))))
        except ModelUnavailable:
            raise
        except Exception:  # an odd picture is kept without; who asks for its features is told why
            log.debug("%s: no local features %r", sha256, method, exc_info=True)
    return made


def _pixels(picture: Picture) -> int:
    width, height = picture.size
    return width * height


def _embed_queues(cards: Sequence[ModelCard], queues: Mapping[str, Queue], least: Mapping[str, int]) -> None:
    """Embed, by each model, what waits for it, if that is as many pictures as it takes at `least`."""
    for card in cards:
        queue = queues[card.name]
        if len(queue) >= least.get(card.name, 1):
            backbone = registry.load(card)
            if not _embed(backbone, queue):
                worked = [_embed(backbone, [item]) for item in queue]
                if len(queue) > 1 and not any(worked):
                    raise ModelUnavailable(f"model {card.name!r} fails on every picture: {queue[0][0].reason}")
            queue.clear()


def _embed(backbone: Backbone, queue: Queue) -> bool:
    """Whether that worked; a picture on which a model fails by itself is told as unreadable."""
    try:
        vectors = embed_pictures(backbone, [picture for _, picture in queue])
    except Exception as error:  # noqa: BLE001 - one odd picture must not take its batch with it, nor end the run
        if len(queue) == 1:
            result = queue[0][0]
            result.reason, result.sha256 = f"model {backbone.card.name!r} failed on it: {_first_line(error)}", None
        return False
    for (result, _), vector in zip(queue, vectors, strict=True):
        result.vectors[backbone.card.name] = vector
    return True


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
