"""The app: security around, routes within."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool

from lookalike import __version__
from lookalike.server import problems
from lookalike.server.routes import images, jobs, pages
from lookalike.server.service import start
from lookalike.server.settings import Settings

STATIC = Path(str(files("lookalike") / "server" / "web" / "static"))


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await run_in_threadpool(app.state.service.close)


def create_app(settings: Settings) -> FastAPI:
    """The web app and the REST service over some collections. Raises UsageError for one that is no folder."""
    app = FastAPI(title="Lookalike", version=__version__, docs_url=None, redoc_url=None, lifespan=_lifespan)
    app.state.service = start(settings)
    problems.install(app)
    for routes in (pages, jobs, images):
        app.include_router(routes.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app
