"""Pictures and words of many requests, embedded together: each model has a queue, and a thread that works it off.

A model takes what waits, up to its batch, and never waits for more. Waiting pictures are bytes or ids: they are
decoded when their turn has come, so that memory is bounded by the queue, not by what was put into it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterable, Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import numpy as np

from lookalike import images
from lookalike.embedding import BATCH, embed_pictures
from lookalike.errors import LookalikeError, UnreadableImage
from lookalike.models import registry
from lookalike.models.tuning import usable_cores
from lookalike.server.problems import SOON, Problem
from lookalike.server.threads import Pace
from lookalike.types import Backbone, ModelCard, Picture, Tunable, Vectors

log = logging.getLogger("lookalike")

AT_ONCE = 16
"""Pictures or words of one request that are in a queue together."""


def alone(picture: Picture) -> list[Picture]:
    """Nothing but the picture as it is."""
    return [picture]


class Source:
    """The bytes of a picture that models are to embed, or where they are to be had when its turn has come.

    It is decoded when the first model comes to it, once for all that look at it at the same time, and let go when
    the last one has done. `sides` are all scales that are needed (`InputSpec.read_side`), `seen` makes of the decoded
    picture what is embedded: parts, views; `count` says how many those are.
    """

    def __init__(
        self,
        data: bytes | Callable[[], bytes],
        sides: Collection[int | None],
        seen: Callable[[Picture], Sequence[Picture]] = alone,
        count: int = 1,
    ) -> None:
        self.count = count
        self._data, self._sides, self._seen = data, sides, seen
        self._decoded: dict[int | None, Picture] = {}
        self._looking = 0
        self._lock = threading.Lock()

    def take(self, side: int | None) -> list[Picture]:
        """The pictures to embed; `let_go` is to follow, whatever comes of it. Raises UnreadableImage, or what came of
        getting the bytes.
        """
        with self._lock:
            self._looking += 1
            if not self._decoded:
                self._decoded = images.read_scales(self._data() if callable(self._data) else self._data, self._sides)
            decoded = self._decoded[side]
        return list(self._seen(decoded))

    def let_go(self) -> None:
        """What was taken is not needed any more."""
        with self._lock:
            self._looking -= 1
            if not self._looking:
                self._decoded = {}


Item: TypeAlias = Source | str
"""A picture, or words."""


class Batcher:
    """Embeds for all requests of a service. At most about `queue` pictures or words wait for each model."""

    def __init__(self, queue: int) -> None:
        self._queue = queue
        self._lanes: dict[str, _Lane] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(usable_cores(), thread_name_prefix="batch")

    def let_in(self, name: str) -> None:
        """Raises Problem 429 where no place is free for a model: to be asked before anything is done for nothing."""
        with self._lock:
            lane = self._lanes.get(name)
        if lane:
            lane.let_in()

    async def embed(self, item: Item, card: ModelCard) -> Vectors:
        """(v, dim): a row for each picture that `item` shows, or one for words.

        Raises Problem 429 where too many wait, 422 for words where the model reads none; UnreadableImage,
        ModelUnavailable. If it is cancelled, it gives up its place.
        """
        return await asyncio.wrap_future(self._lane(card).put(item))

    async def embed_all(self, items: AsyncIterable[Item], card: ModelCard) -> Vectors:
        """(n, dim) for the items of one request: it is refused, or let in, as a whole. Raises what `embed` does.

        They are taken a few at a time, so that a long request leaves room for others.
        """
        lane = self._lane(card)
        rows: list[Vectors] = []
        waiting: deque[Future[Vectors]] = deque()
        try:
            async for item in items:
                waiting.append(lane.put(item, further=bool(waiting or rows)))
                if len(waiting) == AT_ONCE:
                    rows.append(await asyncio.wrap_future(waiting.popleft()))
            rows += [await asyncio.wrap_future(future) for future in waiting]
        finally:
            for future in waiting:
                future.cancel()
        return np.concatenate(rows)

    def figures(self) -> dict[str, Figures]:
        """How each model that was asked for fares, by name."""
        with self._lock:
            return {name: lane.figures() for name, lane in self._lanes.items()}

    def close(self) -> None:
        """Wait for what is being embedded; what waits gets Problem 503."""
        with self._lock:
            lanes = list(self._lanes.values())
        for lane in lanes:
            lane.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _lane(self, card: ModelCard) -> _Lane:
        with self._lock:
            lane = self._lanes.get(card.name)
            if lane is None or lane.card.fingerprint != card.fingerprint:
                if lane:  # what waits for it is still embedded by the revision that was asked for
                    lane.end()
                lane = self._lanes[card.name] = _Lane(card, self._queue, self._threads)
            return lane


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one model: what waits now, what was embedded and refused so far, and the seconds that a picture takes."""

    waiting: int
    embedded: int
    refused: int
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    item: Item
    future: Future[Vectors] = field(default_factory=Future)

    @property
    def count(self) -> int:
        return 1 if isinstance(self.item, str) else self.item.count


class _Lane:
    """One model's queue and thread."""

    def __init__(self, card: ModelCard, queue: int, threads: ThreadPoolExecutor) -> None:
        self.card = card
        self._queue, self._threads = queue, threads
        self._waiting: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._ending = False
        self._pace = Pace()
        self._embedded = self._refused = 0
        self._thread = threading.Thread(target=self._work, name=f"embed-{card.name}", daemon=True)
        self._thread.start()

    def put(self, item: Item, *, further: bool = False) -> Future[Vectors]:
        """Queue an item; `further` ones of a request that was let in are not refused. Raises Problem 422, 429, 503."""
        if isinstance(item, str) and not self.card.texts:
            raise Problem(422, f"model {self.card.name!r} cannot read words: choose one that can")
        job = _Job(item)
        with self._changed:
            self._let_in(0 if further else job.count)
            self._waiting.append(job)
            self._changed.notify()
        job.future.add_done_callback(partial(self._left, job))
        return job.future

    def let_in(self) -> None:
        """Raises Problem 429, 503 where no place is free."""
        with self._changed:
            self._let_in(1)

    def figures(self) -> Figures:
        with self._changed:
            return Figures(self._count(), self._embedded, self._refused, self._pace.seconds)

    def end(self) -> None:
        """Take nothing more, and end when nothing waits any longer."""
        with self._changed:
            self._ending = True
            self._changed.notify()

    def close(self) -> None:
        """End now: what waits gets Problem 503."""
        with self._changed:
            self._ending = True
            dropped, self._waiting = self._waiting, deque()
            self._changed.notify()
        for job in dropped:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(_ending())
        self._thread.join()

    def _count(self) -> int:
        return sum(job.count for job in self._waiting)

    def _let_in(self, count: int) -> None:
        if self._ending:
            raise _ending()
        waiting = self._count()
        if count and waiting and waiting + count > self._queue:
            self._refused += 1
            raise self._pace.busy(f"model {self.card.name!r}", waiting)

    def _left(self, job: _Job, future: Future[Vectors]) -> None:
        if future.cancelled():
            with self._changed, suppress(ValueError):  # it may have been taken out already
                self._waiting.remove(job)

    # -- in the thread ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        backbone: Backbone | None = None
        while jobs := self._next(backbone.batch * usable_cores() if isinstance(backbone, Tunable) else BATCH):
            jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            if not jobs:  # all have gone away
                continue
            try:
                backbone = backbone or registry.load(self.card)
                began = time.perf_counter()
                self._embed(backbone, jobs)
            except Exception as error:  # noqa: BLE001 - whoever waits must be told, and the thread must go on
                self._fail(jobs, error)
                continue
            count = sum(job.count for job in jobs)
            self._pace.measured((time.perf_counter() - began) / count)
            self._embedded += count
            del jobs  # or their bytes would be held until the next ones come

    def _next(self, batch: int) -> list[_Job]:
        """What waits, up to a batch; nothing when it is over."""
        with self._changed:
            while not self._waiting and not self._ending:
                self._changed.wait()
            jobs: list[_Job] = []
            while self._waiting and (not jobs or sum(job.count for job in jobs) + self._waiting[0].count <= batch):
                jobs.append(self._waiting.popleft())
            return jobs

    def _embed(self, backbone: Backbone, jobs: Sequence[_Job]) -> None:
        self._give([job for job in jobs if isinstance(job.item, str)], self._of_words)
        sources = {job: job.item for job in jobs if isinstance(job.item, Source)}
        side = self.card.input.read_side
        taking = {job: self._threads.submit(source.take, side) for job, source in sources.items()}
        try:
            pictures: dict[_Job, list[Picture]] = {}
            for job, taken in taking.items():
                try:
                    pictures[job] = taken.result()
                except Exception as error:  # noqa: BLE001 - a picture's own trouble is not its neighbours'
                    self._fail([job], error)
            self._give(
                list(pictures),
                lambda some: self._of_pictures(backbone, [each for job in some for each in pictures[job]]),
            )
        finally:
            wait(taking.values())
            for source in sources.values():
                source.let_go()

    def _of_pictures(self, backbone: Backbone, pictures: Sequence[Picture]) -> Vectors:
        """Side by side, as many at a time as suit the model: it may be tuned to one thread in each."""
        size = backbone.batch if isinstance(backbone, Tunable) else len(pictures)
        parts = [pictures[start : start + size] for start in range(0, len(pictures), size)]
        return np.concatenate(list(self._threads.map(partial(embed_pictures, backbone), parts)))

    def _of_words(self, jobs: Sequence[_Job]) -> Vectors:
        return registry.load_for_texts(self.card).embed_texts([str(job.item) for job in jobs])

    def _give(self, jobs: Sequence[_Job], embed: Callable[[Sequence[_Job]], Vectors]) -> None:
        """Embed the items of some jobs together; where that fails, each by itself."""
        if not jobs:
            return
        try:
            rows = embed(jobs)
        except Exception as error:  # noqa: BLE001 - one odd picture must not take its neighbours with it
            if len(jobs) == 1:
                self._fail(jobs, error)
            for job in jobs if len(jobs) > 1 else ():
                self._give([job], embed)
            return
        for job, own in zip(jobs, np.split(rows, np.cumsum([job.count for job in jobs])[:-1]), strict=True):
            job.future.set_result(own)

    def _fail(self, jobs: Sequence[_Job], error: Exception) -> None:
        """Tell who waits; what a library has to say is for the log."""
        if not isinstance(error, LookalikeError | Problem):
            log.error("model %r failed", self.card.name, exc_info=error)
            error = UnreadableImage(f"model {self.card.name!r} failed on it: the service's log says more")
        for job in jobs:
            if not job.future.done():
                job.future.set_exception(error)


def _ending() -> Problem:
    return Problem(503, "the model is being put away: try again", SOON)
