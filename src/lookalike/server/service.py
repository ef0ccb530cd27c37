"""What a running service holds; routes get it as an argument of the type `Serving`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

from fastapi import Depends, Request

from lookalike.server.jobs import Jobs
from lookalike.server.settings import Settings
from lookalike.server.shelf import Shelf
from lookalike.server.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Service:
    """settings: what it may do; shelf: its collections; uploads: pictures that were asked for; jobs: long work."""

    settings: Settings
    shelf: Shelf
    uploads: Uploads
    jobs: Jobs = field(default_factory=Jobs)


def start(settings: Settings) -> Service:
    """Open what a service needs. Raises UsageError for a collection that is no folder."""
    return Service(settings, Shelf(settings.collections), Uploads(settings.uploads, settings.kept_bytes))


def _of_request(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Serving: TypeAlias = Annotated[Service, Depends(_of_request)]
