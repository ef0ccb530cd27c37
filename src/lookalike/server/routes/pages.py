"""The pages that people look at."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from lookalike.server.pages import page
from lookalike.server.service import Serving

router = APIRouter(include_in_schema=False)


@router.get("/")
async def search_page(service: Serving) -> HTMLResponse:
    return page("search.html", collections=service.shelf.names)
