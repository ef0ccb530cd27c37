"""How the service does."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from lookalike.server import monitoring
from lookalike.server.service import Serving

router = APIRouter(tags=["service"])


@router.get("/healthz", responses={200: {"content": {"application/json": {"example": {"status": "ok"}}}}})
async def healthz() -> dict[str, str]:
    """Whether the service answers. Needs no token."""
    return {"status": "ok"}


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(service: Serving) -> Response:
    """Requests by route and status, latencies, pictures that wait and that were embedded, memory: for Prometheus."""
    return Response(service.monitor.text(), media_type=monitoring.MEDIA_TYPE)
