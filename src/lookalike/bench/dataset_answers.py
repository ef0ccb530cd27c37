"""What an entry answers to the queries of a published data set: exact search, a block of queries at a time.

A million references and fifty thousand queries make no table that fits in memory: answers are cut to the depth that
the data set's measures take.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lookalike import images
from lookalike.bench.answers import Ranking, Side
from lookalike.bench.entries import Entry
from lookalike.bench.whitening import Whitening
from lookalike.embedding import embed_pictures
from lookalike.fusion import fused
from lookalike.indexing import Progress
from lookalike.models import registry
from lookalike.ranking import SAMPLE, usual_of
from lookalike.reranking import rerank
from lookalike.types import Hit, Hits, Usual, Vectors
from lookalike.views import Views

_MOST_CELLS = 1 << 24
"""Queries times gallery that are held at once: 64 MB for each model."""

_MOST_QUERIES = 256


@dataclass(frozen=True, slots=True)
class Known:
    """A model's vectors of the gallery, (n, dim), and of whole queries, (q, dim), whitened where the entry says so."""

    model: str
    gallery: Vectors
    queries: Vectors
    whiten: Whitening | None

    @classmethod
    def of(cls, model: str, entry: Entry, asked: Side, gallery: Side, fitting: Side | None) -> Known:
        """`fitting` are the images that whitening is fitted on."""
        known, shown = gallery.vectors(model), asked.vectors(model)
        if not entry.whiten or fitting is None:
            return cls(model, known, shown, None)
        whiten = Whitening.fit(fitting.vectors(model), entry.whiten)
        return cls(model, whiten(known), whiten(shown), whiten)

    def cosines(self, first: int, paths: list[str], views: Views) -> npt.NDArray[np.float32]:
        """(queries, n) of the queries from number `first` on: of a query's views the nearest counts."""
        found = self.queries[first : first + len(paths)] @ self.gallery.T
        if views.further:
            card = registry.card(self.model)
            backbone = registry.load(card)
            for i, path in enumerate(paths):
                further = embed_pictures(backbone, views.of(images.read(path, side=card.input.read_side)))
                others = self.whiten(further) if self.whiten else further
                np.maximum(found[i], (others @ self.gallery.T).max(axis=0), out=found[i])
        return np.asarray(np.clip(found, -1, 1, out=found), dtype=np.float32)


def answers(
    entry: Entry,
    asked: Side,
    gallery: Side,
    fitting: Side | None,
    depth: int,
    *,
    seed: int,
    workers: int,
    tell: Progress,
) -> dict[str, Ranking]:
    """The best `depth` of the gallery for each query, by name, less the query itself where that is in there.

    Scores mean the same for all queries. What cosine is usual for one is told by pictures of the gallery, drawn by
    `seed`.
    """
    known = [Known.of(model, entry, asked, gallery, fitting) for model in entry.models]
    names, ids = list(gallery.pictures), list(asked.pictures)
    sample = np.sort(np.random.default_rng(seed).permutation(len(names))[:SAMPLE])
    views = Views(mirror=entry.mirror, crops=entry.crops)
    step = max(1, min(_MOST_QUERIES, _MOST_CELLS // len(names)))
    found: dict[str, Ranking] = {}
    for first in range(0, len(ids), step):
        block = ids[first : first + step]
        paths = [asked.pictures[id_].path for id_ in block]
        cosines = [each.cosines(first, paths, views) for each in known]
        for i, id_ in enumerate(block):
            scores, usual = _together([each[i] for each in cosines], sample)
            ranking = [(names[j], float(scores[j])) for j in _best(scores, max(depth, entry.verify)) if names[j] != id_]
            if entry.verify:
                ranking = _verified(entry, id_, asked, ranking, gallery, usual, workers)
            found[id_] = ranking[:depth]
            tell(f"asking ({entry.name})", first + i + 1, len(ids))
    return found


def _together(
    cosines: list[npt.NDArray[np.float32]], sample: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.floating], Usual]:
    """(n,) the scores of several models as one, and what is usual for the query."""
    usual = [usual_of(each[sample]) for each in cosines]
    if len(cosines) == 1:
        return cosines[0], usual[0]
    scores = fused(np.stack(cosines).astype(np.float64), usual)
    return scores, usual_of(scores[sample])


def _best(scores: npt.NDArray[np.floating], count: int) -> npt.NDArray[np.intp]:
    """The places of the highest scores, falling."""
    if count >= len(scores):
        return np.argsort(-scores, kind="stable")
    best = np.argpartition(-scores, count)[:count]
    return np.asarray(best[np.argsort(-scores[best], kind="stable")])


def _verified(
    entry: Entry, id_: str, asked: Side, ranking: Ranking, gallery: Side, usual: Usual, workers: int
) -> Ranking:
    """The ranking with its first hits in the order of their chance, which then is their score."""
    name_of = {gallery.pictures[name].path: name for name, _ in ranking}
    items = tuple(Hit(rank, score, gallery.pictures[name]) for rank, (name, score) in enumerate(ranking, 1))
    hits = Hits(id_, entry.name, items, usual)
    path = asked.pictures[id_].path
    (judged,) = rerank(
        gallery.photos, path, [hits], method=entry.method, top=entry.verify, mirror=entry.mirror, workers=workers
    )
    # What was not verified stays behind what was, in its order.
    return [(name_of[hit.path], hit.evidence.chance if hit.evidence else (hit.cosine - 2) * 1e-3) for hit in judged]
