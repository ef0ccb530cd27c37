"""What a running service holds; routes get it as an argument of the type `Serving`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

from fastapi import Depends, Request

from lookalike.models.tuning import usable_cores
from lookalike.server.batching import Batcher
from lookalike.server.explanations import Explanations
from lookalike.server.jobs import Jobs
from lookalike.server.monitoring import Monitor
from lookalike.server.settings import Settings
from lookalike.server.shelf import Shelf
from lookalike.server.threads import Pool
from lookalike.server.uploads import Uploads

KEEPING = 2
"""Whole files that are decoded at the same time: each may take 600 MB."""

FETCHING = 8
"""Images by URL that are waited for at the same time."""


@dataclass(frozen=True, slots=True)
class Service:
    """What it is made of; each may be used by any thread.

    settings:  what it may do; shelf: its collections; uploads: pictures that were asked for; jobs: long work
    batcher:   embeds for all requests
    searching: threads for what takes milliseconds; verifying: for what takes seconds, and must not be in its way
    keeping:   threads that decode whole files: uploads, and what is shown without a small picture of its own
    fetching:  threads that wait for other hosts
    explanations: why pairs match
    monitor:   counts
    """

    settings: Settings
    shelf: Shelf
    uploads: Uploads
    batcher: Batcher
    searching: Pool
    verifying: Pool
    keeping: Pool
    fetching: Pool
    monitor: Monitor
    jobs: Jobs
    explanations: Explanations = field(default_factory=Explanations)

    def close(self) -> None:
        """Wait for what is under way, and end all threads."""
        self.jobs.close()
        self.batcher.close()
        self.searching.close()
        self.verifying.close()
        self.keeping.close()
        self.fetching.close()
        self.explanations.close()


def start(settings: Settings) -> Service:
    """Open what a service needs. Raises UsageError for a collection that is no folder."""
    cores, batcher, shelf = usable_cores(), Batcher(settings.queue), Shelf(settings.collections)
    return Service(
        settings,
        shelf,
        Uploads(settings.uploads, settings.kept_bytes),
        batcher,
        Pool("searching", cores + 1, settings.queue),
        Pool("verifying", cores, settings.queue),
        Pool("keeping", KEEPING, settings.queue),
        Pool("fetching", FETCHING, settings.queue),
        Monitor(batcher.figures),
        Jobs(shelf.problem),
    )


def _of_request(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Serving: TypeAlias = Annotated[Service, Depends(_of_request)]
