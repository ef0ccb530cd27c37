"""The CSV files of ISC2021: the ground truth, and predicted pairs with a score. A first line with names is optional.

query_id,reference_id         query_id,reference_id,score
Q00000,                       Q00003,R326040,0.93
Q00003,R326040                Q00004,R000012,0.41

Douze et al., "The 2021 Image Similarity Dataset and Challenge" (2021).
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lookalike.bench.datasets.dataset import Dataset, Ranking, image_id, read_data
from lookalike.errors import UsageError
from lookalike.writing import showable, write_whole

CAP = 500_000
"""Predicted pairs in all: what the challenge allows."""

_PAIR = ("query_id", "reference_id")
_SCORED = (*_PAIR, "score")


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """What is a copy of what.

    truths:   by query, the references; none for a distractor
    lines:    by query, where it is named first
    repeated: lines that say what another had said
    """

    truths: Mapping[str, frozenset[str]]
    lines: Mapping[str, int]
    repeated: int


def read_ground_truth(path: Path) -> GroundTruth:
    """Raises UsageError, with the line, for what is none, or contradicts itself."""
    truths: dict[str, set[str]] = {}
    lines: dict[str, int] = {}
    empty: set[str] = set()
    repeated = 0
    for line, (query, reference) in _rows(path, _PAIR):
        known = truths.setdefault(query, set())
        lines.setdefault(query, line)
        repeated += reference in known or (not reference and query in empty)
        if reference:
            known.add(reference)
        else:
            empty.add(query)
        if query in empty and known:
            raise _wrong(path, line, f"{showable(query)} has a reference in one line and none in another")
    if not any(truths.values()):
        raise UsageError(f"{showable(str(path))}: no query has a reference: there is nothing to find")
    return GroundTruth({query: frozenset(known) for query, known in truths.items()}, lines, repeated)


def read_predictions(path: Path, dataset: Dataset) -> dict[str, Ranking]:
    """Rankings by query, the best first, as `protocols.judge` takes them.

    Raises UsageError, with the line, for ids that the data set does not have, pairs named twice, scores that are no
    finite numbers, no pairs, and more than CAP: nothing of such a file can be trusted.
    """
    queries = {query.id for query in dataset.queries}
    found: dict[str, dict[str, float]] = {}
    for count, (line, (query, reference, text)) in enumerate(_rows(path, _SCORED), 1):
        if count > CAP:
            raise _wrong(path, line, f"more than {CAP:,} predictions: keep those with the highest scores")
        if query not in queries:
            raise _wrong(path, line, f"{dataset.name} asks for no query {showable(query)!r}")
        if reference not in dataset.gallery:
            raise _wrong(path, line, f"{dataset.name} has no reference {showable(reference)!r}")
        try:
            score = float(text)
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            raise _wrong(path, line, f"the score {showable(text[:40])!r} is no finite number")
        ranking = found.setdefault(query, {})
        if reference in ranking:
            raise _wrong(path, line, f"{showable(query)},{showable(reference)} was predicted before: keep one of them")
        ranking[reference] = score
    if not found:
        raise UsageError(f"{showable(str(path))}: no predictions in it: expected lines of {','.join(_SCORED)}")
    return {query: sorted(ranking.items(), key=lambda pair: -pair[1]) for query, ranking in found.items()}


def write_predictions(path: str | os.PathLike[str], rankings: Mapping[str, Ranking]) -> int:
    """Write the CAP predictions with the highest scores; returns how many were left out. Raises StorageError."""
    kept, left_out = capped(rankings)

    def save(part: str) -> None:
        with open(part, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(_SCORED)
            rows.writerows((query, name, repr(float(score))) for query, row in kept.items() for name, score in row)

    write_whole(path, save)
    return left_out


def capped(rankings: Mapping[str, Ranking], cap: int = CAP) -> tuple[dict[str, Ranking], int]:
    """The `cap` predictions with the highest scores, of all queries together, and how many others there are."""
    total = sum(len(ranking) for ranking in rankings.values())
    if total <= cap:
        return dict(rankings), 0
    pairs = ((score, query, name) for query, ranking in rankings.items() for name, score in ranking)
    best = sorted(pairs, key=lambda pair: -pair[0])[:cap]
    kept: dict[str, list[tuple[str, float]]] = {}
    for score, query, name in best:
        kept.setdefault(query, []).append((name, score))
    return dict(kept), total - cap


def _rows(path: Path, header: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and fields, ids without an image's suffix."""
    data = read_data(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _wrong(path, data.count(b"\n", 0, error.start) + 1, "no text: the file is damaged") from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for fields in rows:
            row = [field.strip() for field in fields]
            if not any(row) or tuple(row) == header:
                continue
            if len(row) != len(header) or not row[0] or (len(header) > len(_PAIR) and not row[1]):
                raise _wrong(path, rows.line_num, f"expected {','.join(header)}")
            yield rows.line_num, [image_id(field) for field in row]
    except csv.Error as error:
        raise _wrong(path, rows.line_num, f"damaged ({error})") from error


def _wrong(path: Path, line: int, what: str) -> UsageError:
    return UsageError(f"{showable(str(path))}, line {line:,}: {what}")
