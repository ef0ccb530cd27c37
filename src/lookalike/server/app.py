"""The app: security around, routes within."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool

from lookalike import __version__
from lookalike.server import problems
from lookalike.server.bodies import Bodies
from lookalike.server.routes import (
    benchmarks,
    collection_page,
    compare,
    compare_page,
    embeddings,
    health,
    images,
    jobs,
    map,
    models,
    openapi,
    pages,
    qdrant,
    search,
    uploads,
    votes,
)
from lookalike.server.security import Doorway, Guard
from lookalike.server.service import start
from lookalike.server.settings import Settings

TOKEN = HTTPBearer(auto_error=False, description="The service's token. `security` checks it; this describes it.")

STATIC = Path(str(files("lookalike") / "server" / "web" / "static"))


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await run_in_threadpool(app.state.service.close)


def create_app(settings: Settings) -> FastAPI:
    """The web app and the REST service over some collections. Raises UsageError for one that is no folder."""
    app = FastAPI(
        title="Lookalike",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        responses=problems.EVERYWHERE,
        dependencies=[Depends(TOKEN)] if settings.token else [],
        lifespan=_lifespan,
        # FastAPI could be told by the environment to send what it sees to a collector of such data.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    app.state.service = service = start(settings)
    problems.install(app)
    app.add_middleware(Bodies, settings=settings)
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Doorway, monitor=service.monitor, most=settings.requests)  # the last is the outermost
    for routes in (  # in the order in which they are described
        search,
        compare,
        embeddings,
        models,
        images,
        uploads,
        health,
        qdrant,
        map,
        pages,
        compare_page,
        collection_page,
        jobs,
        openapi,
        votes,
        benchmarks,
    ):
        app.include_router(routes.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app
