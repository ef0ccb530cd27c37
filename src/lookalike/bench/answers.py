"""What an entry of a benchmark answers: every query against the gallery, by exact search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lookalike import images
from lookalike.bench.entries import Entry
from lookalike.bench.results import Query
from lookalike.bench.whitening import Whitening
from lookalike.collection import Collection
from lookalike.embedding import embed_pictures
from lookalike.fusion import fused
from lookalike.indexing import Progress
from lookalike.models import registry
from lookalike.ranking import usual_of
from lookalike.reranking import rerank
from lookalike.types import Hit, Hits, ImageRef, Usual, Vectors
from lookalike.views import Views

KEPT = 50
"""Answers to a query that are kept: what comes behind them hardly moves any measure."""

Ranking = list[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Side:
    """Images of one part of the plan, by name, and the collections that have their vectors, by model."""

    photos: Collection
    pictures: Mapping[str, ImageRef]
    sources: Mapping[str, Collection]

    def vectors(self, model: str, names: Sequence[str] | None = None) -> Vectors:
        """(n, dim) in the order of the names; zeros where the model could not read a picture."""
        refs, rows = self.sources[model].vectors(model)
        place = {ref.id: i for i, ref in enumerate(refs)}
        wanted = [place.get(self.pictures[name].id) for name in (names or self.pictures)]
        found = np.zeros((len(wanted), rows.shape[1]), dtype=np.float32)
        there = [i for i, row in enumerate(wanted) if row is not None]
        found[there] = rows[[row for row in wanted if row is not None]]
        return found


def answer(
    entry: Entry,
    queries: Sequence[Query],
    folder: Path,
    asked: Collection,
    gallery: Side,
    fitting: Side,
    workers: int,
    tell: Progress,
) -> dict[str, Ranking]:
    """The best KEPT of the gallery for each query, by name, with a score that means the same for all queries."""
    names = list(gallery.pictures)
    cosines, apart = [], []
    for model in entry.models:
        shown = _shown(entry, model, queries, folder, asked)
        known, others = gallery.vectors(model), fitting.vectors(model)
        if entry.whiten:
            whiten = Whitening.fit(others, entry.whiten)
            shown = whiten(shown.reshape(-1, shown.shape[-1])).reshape(*shown.shape[:2], -1)
            known, others = whiten(known), whiten(others)
        cosines.append(_nearest(shown, known))
        apart.append(_nearest(shown, others))
    found: dict[str, Ranking] = {}
    for i, query in enumerate(queries):
        usual = [usual_of(each[i]) for each in apart]
        if len(entry.models) == 1:
            scores, known_usual = cosines[0][i].astype(np.float64), usual[0]
        else:
            scores = fused(np.stack([each[i] for each in cosines]).astype(np.float64), usual)
            known_usual = usual_of(fused(np.stack([each[i] for each in apart]).astype(np.float64), usual))
        best = np.argsort(-scores, kind="stable")[: max(KEPT, entry.verify)]
        ranking = [(names[j], float(scores[j])) for j in best]
        if entry.verify:
            ranking = _verified(entry, query, folder, ranking, gallery, known_usual, workers)
            tell(f"verifying ({entry.name})", i + 1, len(queries))
        found[query.id] = ranking[:KEPT]
    return found


def _shown(entry: Entry, model: str, queries: Sequence[Query], folder: Path, asked: Collection) -> Vectors:
    """(queries, views, dim); zeros where the model could not read a copy: it then finds nothing."""
    refs, rows = asked.vectors(model)
    of = {Path(ref.path).stem: row for ref, row in zip(refs, rows, strict=True)}
    nothing = np.zeros(rows.shape[1], dtype=np.float32)
    whole = np.stack([of.get(query.id, nothing) for query in queries])[:, None]
    views = Views(mirror=entry.mirror, crops=entry.crops)
    if not views.further:
        return np.asarray(whole, dtype=np.float32)
    card = registry.card(model)
    backbone = registry.load(card)
    further = [
        embed_pictures(backbone, views.of(images.read(str(folder / f"{query.id}.jpg"), side=card.input.read_side)))
        for query in queries
    ]
    return np.concatenate([whole, np.stack(further)], axis=1)


def _nearest(shown: Vectors, known: Vectors) -> npt.NDArray[np.float32]:
    """(queries, pictures): of a query's views the nearest counts."""
    found = shown[:, 0] @ known.T
    for view in range(1, shown.shape[1]):
        np.maximum(found, shown[:, view] @ known.T, out=found)
    return np.asarray(np.clip(found, -1, 1), dtype=np.float32)


def _verified(
    entry: Entry, query: Query, folder: Path, ranking: Ranking, gallery: Side, usual: Usual, workers: int
) -> Ranking:
    """The ranking with its first hits in the order of their chance, which then is their score."""
    items = tuple(Hit(rank, score, gallery.pictures[name]) for rank, (name, score) in enumerate(ranking, 1))
    hits = Hits(query.id, entry.name, items, usual)
    path = str(folder / f"{query.id}.jpg")
    (judged,) = rerank(
        gallery.photos, path, [hits], method=entry.method, top=entry.verify, mirror=entry.mirror, workers=workers
    )
    name_of = {gallery.pictures[name].id: name for name, _ in ranking}
    # What was not verified stays behind what was, in its order.
    return [(name_of[hit.image.id], hit.evidence.chance if hit.evidence else (hit.cosine - 2) * 1e-3) for hit in judged]
