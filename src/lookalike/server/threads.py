"""Threads for blocking work, with a bounded queue before them: who finds it full is told when to come back."""

from __future__ import annotations

import asyncio
import functools
import math
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from fastapi import Request

from lookalike.server.problems import Problem

P = ParamSpec("P")
T = TypeVar("T")

SMOOTHING = 0.2
"""How much the newest measurement counts: bursts fade within some ten."""

LONGEST = 60
"""Seconds: nobody is sent away for more."""


class Pace:
    """How long a piece of work takes, as measured lately: a moving average in seconds."""

    def __init__(self, seconds: float = 0.05) -> None:
        self.seconds = seconds

    def measured(self, seconds: float) -> None:
        """Take a measurement in."""
        self.seconds += SMOOTHING * (seconds - self.seconds)

    def busy(self, what: str, waiting: int) -> Problem:
        """Problem 429, with Retry-After: the seconds until what waits now will be done."""
        after = min(max(1, math.ceil(waiting * self.seconds)), LONGEST)
        return Problem(429, f"{what}: busy, {waiting} before you: try again in {after} s", {"Retry-After": str(after)})


class Pool:
    """A few threads for one kind of work, and at most `queue` pieces that wait for them."""

    def __init__(self, name: str, workers: int, queue: int) -> None:
        self._name, self._workers, self._queue = name, workers, queue
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._pace = Pace()
        self._lock = threading.Lock()
        self._inside = 0

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns or raises. Raises Problem 429 where too many wait; if cancelled, it may never begin."""
        with self._lock:
            waiting = self._inside - self._workers
            if waiting >= self._queue:
                raise self._pace.busy(self._name, waiting)
            self._inside += 1
        future = self._threads.submit(self._timed, functools.partial(work, *args, **kwargs))
        future.add_done_callback(self._left)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Wait for what runs; what waits is dropped."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _timed(self, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return work()
        finally:
            self._pace.measured((time.perf_counter() - began) / self._workers)

    def _left(self, _: Future[Any]) -> None:
        with self._lock:
            self._inside -= 1


async def while_wanted(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled if the client goes away meanwhile (the answer is nobody's then)."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Problem(408, "the client went away")
    finally:
        for each in (task, gone):
            each.cancel()
        # Nobody is left who could be told; but a task that fails unheard would be logged.
        with suppress(BaseException):
            await task


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
