"""How many pictures a network takes at a time, and on how many threads: found by a short trial, once a machine.

The best batch differs from network to network (DINOv2 is fastest one by one, CLIP by eight) and from processor to
processor; all give the same vectors.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from lookalike.models.weights import models_folder, read_json, write_atomically

BATCHES = (1, 2, 4, 8, 16)
TRIAL_SECONDS = 3.0
"""A trial that has taken so long ends with what it knows by then."""

ROUNDS_SECONDS = 0.2
"""How long each batch is tried, at least three times."""

WORTH = 1.12
"""A batch of twice as many pictures takes twice the memory besides the weights: it must be so much faster."""

CACHE = "tuning.cache"

log = logging.getLogger("lookalike")

Run = Callable[[int], object]
"""Put so many pictures through the network."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """`threads` within a run of the network; where it is 1, as many runs go side by side as there are workers."""

    threads: int = 1
    batch: int = 4


def tuned(network: str, workers: int, open_with: Callable[[int], Run], batches: tuple[int, ...] = BATCHES) -> Tuning:
    """The best way to run a network on this machine, remembered from an earlier trial or found by one.

    Args:
        network: what tells it from all others: its fingerprint, and the versions of what runs it.
        workers: threads that will call it at the same time.
        open_with: opens the network with so many threads within a run.
        batches: what it can take at a time, in rising order.
    """
    place, key = models_folder() / CACHE, f"{processor()}, {workers} workers"
    known = read_json(place)
    with suppress(KeyError, TypeError):
        found = Tuning(**known[key][network])
        if found.threads in (1, workers) and found.batch in batches:
            return found
    log.info("finding out how many pictures at a time are fastest here, once ...")
    found = _tried(workers, open_with, batches)
    fresh = {**known, key: {**_dict(known.get(key)), network: asdict(found)}}
    with suppress(OSError):  # where nothing can be written, it is found again the next time
        write_atomically(place, json.dumps(fresh, indent=1) + "\n")
    return found


def _tried(workers: int, open_with: Callable[[int], Run], batches: tuple[int, ...]) -> Tuning:
    best, best_rate = Tuning(1, batches[0]), 0.0
    until = time.perf_counter() + TRIAL_SECONDS
    for threads in sorted({1, workers}):
        run = open_with(threads)
        for batch in batches:
            rate = _rate(run, batch, workers if threads == 1 else 1)
            if rate <= best_rate * WORTH:
                break
            best, best_rate = Tuning(threads, batch), rate
            if time.perf_counter() > until:
                return best
        del run  # two open networks would take twice the memory
    return best


def _rate(run: Run, batch: int, side_by_side: int) -> float:
    """Pictures a second, at best: what else the machine does meanwhile only ever slows a run down."""
    run(batch)  # the first allocates
    with ThreadPoolExecutor(side_by_side) as pool:
        until = time.perf_counter() + ROUNDS_SECONDS
        taken: list[float] = []
        while len(taken) < 3 or (time.perf_counter() < until and len(taken) < 64):
            began = time.perf_counter()
            list(pool.map(run, [batch] * side_by_side))
            taken.append(time.perf_counter() - began)
    return side_by_side * batch / min(taken)


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """What the processor is called, as far as the system tells."""
    with suppress(OSError, StopIteration), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
