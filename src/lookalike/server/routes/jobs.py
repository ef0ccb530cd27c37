"""How far a job is: once, or live."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from lookalike.server.jobs import Job
from lookalike.server.service import Service, Serving
from lookalike.writing import showable

router = APIRouter(prefix="/jobs", include_in_schema=False)

EVERY = 0.2
"""Seconds between two looks at a job."""


@router.get("/{job_id}")
async def job(service: Serving, job_id: str) -> dict[str, Any]:
    return _plain(service.jobs.by_id(job_id))


@router.get("/{job_id}/events")
async def events(service: Serving, job_id: str) -> StreamingResponse:
    """Server-Sent Events: a message whenever something has changed, until the job is over."""
    service.jobs.by_id(job_id)
    return StreamingResponse(_changes(service, job_id), media_type="text/event-stream")


@router.post("/{job_id}/stop")
async def stop(service: Serving, job_id: str) -> dict[str, Any]:
    return _plain(service.jobs.stop(job_id))


async def _changes(service: Service, job_id: str) -> AsyncIterator[str]:
    told = None
    while True:
        now = service.jobs.by_id(job_id)
        if now != told:
            yield f"data: {json.dumps(_plain(now))}\n\n"
            told = now
        if now.over:
            return
        await asyncio.sleep(EVERY)


def _plain(job: Job) -> dict[str, Any]:
    told = asdict(job)
    return {**told, "name": showable(job.name), "error": showable(job.error) if job.error else None, "over": job.over}
