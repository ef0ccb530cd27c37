"""Work that takes longer than a request: it runs in a thread of its own, and whoever asks is told how far it is."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from lookalike.errors import LookalikeError
from lookalike.indexing import Progress
from lookalike.server.problems import Problem, problem_of

log = logging.getLogger("lookalike")

Work: TypeAlias = Callable[[Progress], Any]
"""Is given what to tell its progress to; gives its result as plain data, or raises."""

KEPT = 100
"""Jobs that are remembered after their end: a page that is loaded again finds what became of its own."""

PATIENCE = 5.0
"""Seconds that the service waits for its jobs when it ends."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands now.

    key:    what it works on; of each there is one at a time
    state:  "running", "done", "failed", or "stopped" by somebody
    phase:  what is going on ("embedding"), with `done` of `total` (None: unknown)
    result: what it gave, as plain data; error: one line, where it failed
    """

    id: str
    key: str
    name: str
    state: Literal["running", "done", "failed", "stopped"] = "running"
    phase: str = ""
    done: int = 0
    total: int | None = None
    result: Any = None
    error: str | None = None

    @property
    def over(self) -> bool:
        return self.state != "running"


class Jobs:
    """All jobs of a service, by id and, the newest, by key. `problem` says what clients are told of an error."""

    def __init__(self, problem: Callable[[Exception], Problem] = problem_of) -> None:
        self._problem = problem
        self._jobs: dict[str, Job] = {}
        self._newest: dict[str, str] = {}
        self._stopping: set[str] = set()
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def start(self, key: str, name: str, work: Work) -> Job:
        """Begin `work`; at its first word of progress after `stop` it gets a KeyboardInterrupt.

        Raises Problem 409 while another job of that key runs.
        """
        with self._lock:
            before = self._jobs.get(self._newest.get(key, ""))
            if before and not before.over:
                raise Problem(409, f"{before.name} still runs: wait for its end, or stop it")
            job = Job(secrets.token_hex(8), key, name)
            self._jobs[job.id] = job
            self._newest[key] = job.id
            self._forget()
            # A daemon: what never tells of its progress must not keep the service from ending.
            thread = threading.Thread(target=self._run, args=(job.id, work), name=f"job-{job.id}", daemon=True)
            self._threads[job.id] = thread
            thread.start()
        return job

    def get(self, key: str) -> Job | None:
        """The newest job of a key, running or not."""
        with self._lock:
            return self._jobs.get(self._newest.get(key, ""))

    def by_id(self, job_id: str) -> Job:
        """Raises Problem 404 where there is none."""
        with self._lock:
            if job_id not in self._jobs:
                raise Problem(404, "no such job: the service forgets them when it ends")
            return self._jobs[job_id]

    def stop(self, job_id: str) -> Job:
        """Ask a job to end early. Raises Problem 404."""
        job = self.by_id(job_id)
        with self._lock:
            self._stopping.add(job_id)
        return job

    def close(self) -> None:
        """Stop all jobs, and wait a while for their end."""
        with self._lock:
            threads = dict(self._threads)
            self._stopping.update(threads)
        until = time.monotonic() + PATIENCE
        for thread in threads.values():
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self, job_id: str, work: Work) -> None:
        def tell(phase: str, done: int, total: int | None) -> None:
            if job_id in self._stopping:
                raise KeyboardInterrupt
            self._update(job_id, phase=phase, done=done, total=total)

        try:
            result = work(tell)
            self._update(job_id, state="stopped" if job_id in self._stopping else "done", result=result)
        except KeyboardInterrupt:
            self._update(job_id, state="stopped")
        except (LookalikeError, Problem) as error:
            self._update(job_id, state="failed", error=self._problem(error).detail)
        except Exception as error:
            log.error("a job failed: %s", self.by_id(job_id).name, exc_info=error)
            self._update(job_id, state="failed", error="an error of the service's own: its log says more")
        finally:
            with self._lock:
                del self._threads[job_id]

    def _update(self, job_id: str, **changes: Any) -> None:
        with self._lock:
            self._jobs[job_id] = replace(self._jobs[job_id], **changes)

    def _forget(self) -> None:
        over = [job for job in self._jobs.values() if job.over]
        for job in over[: max(0, len(over) - KEPT)]:
            del self._jobs[job.id]
            self._stopping.discard(job.id)
