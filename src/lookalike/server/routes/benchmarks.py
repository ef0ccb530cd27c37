"""The page of benchmarks: the reports that were made, and one more at the press of a button."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from lookalike.bench.entries import Entry
from lookalike.bench.folder_run import ORIGINALS, bench
from lookalike.bench.pictures import picture_of
from lookalike.bench.words import title
from lookalike.collection import Collection
from lookalike.errors import LookalikeError, NoCollection, UsageError
from lookalike.indexing import Progress
from lookalike.models import registry
from lookalike.server.pages import empty, page
from lookalike.server.problems import Problem
from lookalike.server.service import Service, Serving
from lookalike.store import PRIVATE
from lookalike.writing import write_whole

router = APIRouter(prefix="/benchmarks", include_in_schema=False)

SEED = 7
MOST_ORIGINALS = 5000
MOST_LETTERS = 2000

_NAME = re.compile(r"[\w-]{1,60}")

# A report brings its own style and script, and names them by hash in a policy of its own. Whatever else might lie in
# its place runs as a stranger: it reaches neither this service nor anybody.
_SEALED = {
    "Content-Security-Policy": "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline';"
    " script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
}


@dataclass(frozen=True, slots=True)
class Report:
    """A report as the list has it: `rows` are (entry, headline, images a second), the best first."""

    name: str
    made: datetime
    folder: str
    headline: str
    rows: tuple[tuple[str, float | None, float | None], ...]
    queries: int


@dataclass(frozen=True, slots=True)
class Choices:
    """What the form says. `models` are those that are ticked, `others` the lines below."""

    folder: str
    models: Sequence[str]
    others: Sequence[str] = ()
    originals: int = ORIGINALS


@router.get("")
def benchmarks_page(service: Serving, collection: str = "", report: str = "") -> HTMLResponse:
    """The reports of a collection, one of them shown, and how far the one is that is being made."""
    if nothing := empty("benchmarks", service.shelf, collection):
        return nothing
    name, where = _asked(service, collection)
    return _page(service, name, where, report)


@router.post("")
def start(
    service: Serving,
    collection: Annotated[str, Form()],
    folder: Annotated[str, Form()],
    model: Annotated[list[str], Form(default_factory=list, max_length=50)],
    others: Annotated[str, Form(max_length=MOST_LETTERS)] = "",
    originals: Annotated[int, Form(ge=5, le=MOST_ORIGINALS)] = ORIGINALS,
) -> Response:
    """Begin a benchmark of a folder of the collection, or go on with one that was stopped."""
    name, where = _asked(service, collection)
    chosen = Choices(folder, model, others.splitlines(), originals)
    try:
        _begin(service, where, chosen)
    except (Problem, LookalikeError) as error:
        return _page(service, name, where, problem=service.shelf.problem(error), chosen=chosen)
    return RedirectResponse("/benchmarks?" + urlencode({"collection": name}), 303)


def _begin(service: Service, where: Collection, chosen: Choices) -> None:
    if chosen.folder not in where.info()["folders"]:
        raise Problem(404, f"{chosen.folder}: no folder of this collection")
    entries = list(dict.fromkeys([*chosen.models, *filter(None, map(str.strip, chosen.others))]))
    if not entries:
        raise UsageError("choose a model to judge, or several")
    for each in entries:  # before the work begins
        for part in Entry.parse(each).models:
            registry.card(part)

    def work(tell: Progress) -> dict[str, Any]:
        found = bench(chosen.folder, entries, seed=SEED, originals=chosen.originals, into=_home(where), progress=tell)
        tell("writing the report", 0, None)
        return {"report": _kept(where, found.to_html(picture_of(found.dataset)), found.to_json())}

    service.jobs.start(_key(where), f"The benchmark of {', '.join(entries)}", work)


def _page(
    service: Service,
    name: str,
    where: Collection,
    report: str = "",
    problem: Problem | None = None,
    chosen: Choices | None = None,
) -> HTMLResponse:
    reports = [found for path in sorted(_reports(where).glob("*.json"), reverse=True) if (found := _told(path))]
    folders = where.info()["folders"]
    return page(
        "benchmarks.html",
        problem.status if problem else 200,
        collections=service.shelf.names,
        collection=name,
        problem=problem,
        reports=reports,
        shown=next((each for each in reports if each.name == report), next(iter(reports), None)),
        job=service.jobs.get(_key(where)),
        models=list(dict.fromkeys([*where.models, *registry.downloadless()])),
        chosen=chosen or Choices(next(iter(folders), ""), where.models),
        most=MOST_ORIGINALS,
        letters=MOST_LETTERS,
        folders=folders,
        title_of=title,
    )


@router.post("/stop")
def stop(service: Serving, collection: Annotated[str, Form()]) -> RedirectResponse:
    """Have the benchmark end early, at its next step; what is done is kept."""
    name, where = _asked(service, collection)
    if (job := service.jobs.get(_key(where))) and not job.over:
        service.jobs.stop(job.id)
    return RedirectResponse("/benchmarks?" + urlencode({"collection": name}), 303)


@router.get("/report")
def report(service: Serving, name: str, collection: str = "") -> HTMLResponse:
    """A report, whole."""
    _, where = _asked(service, collection)
    path = _reports(where) / f"{name}.html"
    if not _NAME.fullmatch(name) or not path.is_file():
        raise Problem(404, f"no report is called {name!r} here")
    return HTMLResponse(path.read_bytes(), headers=_SEALED)


def _asked(service: Service, collection: str) -> tuple[str, Collection]:
    name = collection or next(iter(service.shelf.names), "")
    where = service.shelf.collection(name)
    if not where.exists:
        raise NoCollection(f"{name}: nothing is indexed here yet")
    return name, where


def _home(where: Collection) -> Path:
    """Where `lookalike bench FOLDER` works, too, so that neither does again what the other did."""
    return (where.directory if where.directory.name == PRIVATE else where.directory / PRIVATE) / "bench"


def _reports(where: Collection) -> Path:
    return _home(where) / "reports"


def _key(where: Collection) -> str:
    return f"bench {where.directory}"


def _kept(where: Collection, html: str, data: dict[str, Any]) -> str:
    """Write a report; its name."""
    name = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    _reports(where).mkdir(parents=True, exist_ok=True)
    texts = {"html": html, "json": json.dumps(data)}
    for ending, text in texts.items():  # the list goes by the second: what it has is whole
        write_whole(
            _reports(where) / f"{name}.{ending}",
            lambda part, text=text: Path(part).write_text(text, encoding="utf-8"),  # type: ignore[misc]
        )
    return name


def _told(path: Path) -> Report | None:
    try:
        return _read(path, path.stat().st_mtime_ns) if path.with_suffix(".html").is_file() else None
    except OSError:
        return None


@lru_cache(maxsize=256)
def _read(path: Path, mtime_ns: int) -> Report | None:
    """What a report says in short; None for a file that is none."""
    try:
        data = json.loads(path.read_bytes())
        headline = data["headline"]
        return Report(
            path.stem,
            datetime.fromtimestamp(mtime_ns / 1e9, UTC).astimezone(),
            data["folder"],
            headline,
            tuple((row["model"], row[headline]["value"], row["images_per_second"]) for row in data["rows"]),
            len(data["queries"]),
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
