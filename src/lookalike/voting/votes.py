"""Votes as they lie beside a collection: one JSON object a line, only ever appended to, synced before it counts."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from lookalike.errors import StorageError
from lookalike.store import VOTES

Answer: TypeAlias = Literal["left", "right", "tie", "skip"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)

_one_at_a_time = threading.Lock()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Vote:
    """An answer to a ballot.

    query:        the id of the image whose two lists were shown
    left, right:  whose they were: a model's name, or several with a plus between
    voter:        a name that the voter chose; None where they chose none
    fingerprints: of each model that had a part in the lists, by name
    ballot:       the id of the ballot
    time:         when, in UTC, as an ISO date
    """

    query: str
    left: str
    right: str
    answer: Answer
    voter: str | None
    fingerprints: Mapping[str, str]
    ballot: str
    time: str = field(default_factory=_now)

    @property
    def question(self) -> tuple[str | None, str, frozenset[str]]:
        """Who was asked what; the sides do not matter."""
        return self.voter, self.query, frozenset((self.left, self.right))


def keep_vote(directory: Path, vote: Vote) -> None:
    """Append a vote to those of a collection's directory. Raises StorageError; then nothing is kept."""
    place = directory / VOTES
    line = json.dumps(asdict(vote)).encode() + b"\n"
    try:
        with _one_at_a_time, open(place, "ab+", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            if end:  # a line that a crash cut short must not spoil this one
                file.seek(end - 1)
                line = line if file.read(1) == b"\n" else b"\n" + line
            try:
                if file.write(line) != len(line):
                    raise OSError("the disk is full")
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise
    except OSError as error:
        raise StorageError(f"{place}: the vote cannot be kept ({error.strerror or error})") from error


def kept_votes(directory: Path) -> tuple[list[Vote], int]:
    """All votes in their order, and how many lines are none. Raises StorageError where the file cannot be read."""
    place = directory / VOTES
    try:
        lines = place.read_bytes().splitlines()
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise StorageError(f"{place}: cannot be read ({error.strerror or error})") from error
    votes = [vote for line in lines if (vote := _read(line))]
    return votes, len(lines) - len(votes)


def _read(line: bytes) -> Vote | None:
    try:
        vote = Vote(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None
    return vote if _is_sound(vote) else None


def _is_sound(vote: Any) -> bool:
    texts = (vote.query, vote.left, vote.right, vote.ballot, vote.time)
    if not all(isinstance(text, str) for text in texts) or not isinstance(vote.voter, str | None):
        return False
    prints = vote.fingerprints
    return (
        vote.answer in ANSWERS and isinstance(prints, dict) and all(isinstance(text, str) for text in prints.values())
    )
