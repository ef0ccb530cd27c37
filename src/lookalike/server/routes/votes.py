"""The page where two models' lists are compared blindly, and what came of it. It remembers nothing but the votes."""

from __future__ import annotations

import functools
import zlib
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse

from lookalike.collection import Collection
from lookalike.server.pages import empty, page
from lookalike.server.problems import Problem
from lookalike.server.service import Serving
from lookalike.store import ModelEntry
from lookalike.voting import ANSWERS, Answer, Ballot, Vote, draw, keep_vote, kept_votes, tally

router = APIRouter(include_in_schema=False)

REVEALED = 10
"""Votes of a voter after which the results are at hand: who sees them sooner may be swayed by them."""

Models = Annotated[list[str], Query(default_factory=list, max_length=8)]
Voter = Annotated[str, Query(max_length=60)]


@router.get("/vote")
def vote_page(
    service: Serving,
    model: Models,
    collection: str = "",
    voter: Voter = "",
    show: bool = False,
) -> HTMLResponse:
    """The next ballot of a voter."""
    if nothing := empty("vote", service.shelf, collection):
        return nothing
    name = collection or service.shelf.names[0]
    where = service.shelf.collection(name)
    entries = where.entries()
    models = model or [entry.name for entry in entries][:2]
    ballots = _ballots(where, models, voter) if len(models) > 1 else []
    answered = _answered(where, voter)
    left = [ballot for ballot in ballots if _question(ballot) not in answered]
    voted = len(ballots) - len(left)
    own = {"collection": name, "model": models, "voter": voter}
    return page(
        "vote.html",
        collections=service.shelf.names,
        collection=name,
        choice=[entry.name for entry in entries],
        models=models,
        voter=voter,
        ballot=next(iter(left), None),
        asked=len(ballots),
        voted=voted,
        revealed=REVEALED,
        tally=tally(where) if show or voted >= REVEALED or not left else None,
        answers=ANSWERS,
        shown_at="/vote?" + urlencode({**own, "show": 1}, doseq=True) + "#results",
    )


@router.post("/vote")
def vote(
    service: Serving,
    collection: Annotated[str, Form()],
    model: Annotated[list[str], Form(max_length=8)],
    ballot: Annotated[str, Form(max_length=40)],
    answer: Annotated[Answer, Form()],
    voter: Annotated[str, Form(max_length=60)] = "",
) -> RedirectResponse:
    """Keep a vote; the next ballot follows."""
    where = service.shelf.collection(collection)
    asked = next((one for one in _ballots(where, model, voter) if one.id == ballot), None)
    if asked is None:
        raise Problem(409, "the collection has changed since this was asked: go back and load the page again")
    keep_vote(where.directory, asked.vote(answer, voter or None))
    query = urlencode({"collection": collection, "model": model, "voter": voter}, doseq=True)
    return RedirectResponse(f"/vote?{query}", 303)


def _ballots(where: Collection, models: list[str], voter: str) -> list[Ballot]:
    """Each voter is asked about other images, or the same ones on other sides: seeded by the name."""
    return _drawn(where.directory, tuple(where.entries()), tuple(models), zlib.crc32(voter.encode()))


@functools.lru_cache(maxsize=32)
def _drawn(directory: Path, entries: tuple[ModelEntry, ...], models: tuple[str, ...], seed: int) -> list[Ballot]:
    """Kept for as long as the models' vectors (`entries`) are the same."""
    where = Collection(directory)
    try:
        return draw(where, models, seed=seed)
    finally:
        where.close()


def _question(one: Ballot | Vote) -> tuple[str, frozenset[tuple[str, str]], frozenset[str]]:
    sides = (one.left, one.right) if isinstance(one, Vote) else (one.left.model, one.right.model)
    query = one.query if isinstance(one, Vote) else one.query.id
    return query, frozenset(one.fingerprints.items()), frozenset(sides)


def _answered(where: Collection, voter: str) -> set[tuple[str, frozenset[tuple[str, str]], frozenset[str]]]:
    return {_question(vote) for vote in kept_votes(where.directory)[0] if (vote.voter or "") == voter}
