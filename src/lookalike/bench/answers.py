"""What an entry of a benchmark answers: every query against the gallery, by exact search.

A million images and fifty thousand queries make no table that fits in memory: the gallery is read from the disk block
by block, and the best answers so far are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from lookalike import images
from lookalike.bench.datasets import Ranking
from lookalike.bench.entries import Entry
from lookalike.bench.keeping import PART, Keeper
from lookalike.bench.whitening import Whitening
from lookalike.collection import Collection
from lookalike.embedding import embed_pictures
from lookalike.fusion import fused
from lookalike.indexing import Progress
from lookalike.models import registry
from lookalike.ranking import usual_of
from lookalike.reranking import rerank
from lookalike.store import Halves
from lookalike.types import Hit, Hits, ImageRef, Usual, Vectors
from lookalike.views import Views

Scores = npt.NDArray[np.floating]

_QUERIES, _ROWS = 512, 8192
"""That are worked on at a time: 16 MB of cosines for each model."""

_BEHIND = -30.0
"""Less than the log odds of anything that was verified."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """(n, dim) vectors as they lie on the disk, in an order of their own; zeros where `place` is -1."""

    stored: Halves
    place: npt.NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.place)

    def block(self, start: int, stop: int) -> Vectors:
        """Some of them, read."""
        place = self.place[start:stop]
        found = np.zeros((len(place), self.stored.shape[1]), dtype=np.float32)
        found[place >= 0] = self.stored[place[place >= 0]]
        return found

    def all(self) -> Vectors:
        return self.block(0, len(self))


@dataclass(frozen=True, slots=True)
class Side:
    """Images that play one part, by name, and the collections that have their vectors, by model."""

    photos: Collection
    pictures: Mapping[str, ImageRef]
    sources: Mapping[str, Collection]

    def vectors(self, model: str) -> Rows:
        """In the order of the names."""
        files, stored = self.sources[model].mapped(model)
        rows = {image.id: row for image, row in files.items()}
        return Rows(stored, np.array([rows.get(ref.id, -1) for ref in self.pictures.values()], dtype=np.intp))

    def some(self, count: int, seed: int) -> Side:
        """So many of them, drawn by lot."""
        names = list(self.pictures)
        drawn = np.sort(np.random.default_rng(seed).permutation(len(names))[:count])
        return Side(self.photos, {names[i]: self.pictures[names[i]] for i in drawn}, self.sources)


@dataclass(frozen=True, slots=True)
class Task:
    """What entries are asked, and what they may use for that.

    queries: what is looked for; a picture of the gallery by the same name is the query itself, and no answer
    fitting: what whitening is fitted on; None where there is nothing for that
    usual:   pictures that tell what cosine is usual for a query
    depth:   how many answers to a query are kept
    """

    queries: Side
    gallery: Side
    fitting: Side | None
    usual: Side
    depth: int


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A model's vectors: of the gallery, as they are; of the queries and the usual ones, whitened if the entry says so.

    queries: (q, dim), of the whole pictures
    unread:  (q,) those that the model could not read
    usual:   (u, dim)
    """

    model: str
    gallery: Rows
    queries: Vectors
    unread: npt.NDArray[np.bool_]
    usual: Vectors
    whiten: Whitening | None

    @classmethod
    def of(cls, model: str, entry: Entry, task: Task) -> Known:
        gallery, queries, usual = (side.vectors(model) for side in (task.gallery, task.queries, task.usual))
        unread = queries.place < 0
        if not entry.whiten or task.fitting is None:
            return cls(model, gallery, queries.all(), unread, usual.all(), None)
        whiten = Whitening.fit(task.fitting.vectors(model).all(), entry.whiten)
        return cls(model, gallery, whiten(queries.all()), unread, whiten(usual.all()), whiten)

    @property
    def dim(self) -> int:
        return int(self.usual.shape[1])

    def block(self, start: int, stop: int) -> Vectors:
        """Some of the gallery."""
        rows = self.gallery.block(start, stop)
        return self.whiten(rows) if self.whiten else rows

    def shown(self, start: int, queries: Sequence[ImageRef], asking: Asking) -> Vectors:
        """(queries, views, dim) of the queries from number `start` on."""
        whole = self.queries[start : start + len(queries), None]
        if not asking.views.further:
            return whole
        parts = range(0, len(queries), PART)
        further = np.concatenate([self._further(start + i, queries[i : i + PART], asking) for i in parts])
        if self.whiten:
            further = self.whiten(further.reshape(-1, further.shape[2])).reshape(*further.shape[:2], -1)
        return np.concatenate([whole, further], axis=1)

    def _further(self, start: int, queries: Sequence[ImageRef], asking: Asking) -> Vectors:
        """Of each query the views beside the whole picture, not whitened; zeros where the model could not read it."""
        card = registry.card(self.model)
        shape = asking.views.count - 1, self.gallery.stored.shape[1]

        def one(i: int) -> Vectors:
            if self.unread[start + i]:
                return np.zeros(shape, dtype=np.float32)
            picture = images.read(queries[i].path, side=card.input.read_side)
            return embed_pictures(registry.load(card), asking.views.of(picture))

        def make() -> Vectors:
            with ThreadPoolExecutor(asking.workers, thread_name_prefix="views") as pool:
                return np.stack(list(pool.map(one, range(len(queries)))))

        return asking.keeper.views(card, asking.views, queries, (len(queries), *shape), make)


@dataclass(eq=False)
class Best:
    """Of each query the best so far: (queries, count) scores and places in the gallery."""

    queries: int
    count: int
    scores: Scores = field(init=False)
    places: npt.NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        self.scores = np.full((self.queries, 0), -np.inf)
        self.places = np.zeros((self.queries, 0), dtype=np.intp)

    def add(self, start: int, scores: Scores) -> None:
        """(queries, rows) of the gallery from `start` on."""
        places = np.broadcast_to(np.arange(start, start + scores.shape[1]), scores.shape)
        self.scores = np.concatenate([self.scores, scores], axis=1)
        self.places = np.concatenate([self.places, places], axis=1)
        if self.scores.shape[1] > self.count:
            kept = np.argpartition(-self.scores, self.count - 1, axis=1)[:, : self.count]
            self.scores = np.take_along_axis(self.scores, kept, axis=1)
            self.places = np.take_along_axis(self.places, kept, axis=1)

    def of(self, i: int) -> list[tuple[int, float]]:
        """Of a query, the places and their scores, falling."""
        order = np.lexsort((self.places[i], -self.scores[i]))
        return list(zip(self.places[i][order].tolist(), self.scores[i][order].tolist(), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """How an entry is asked: with these views, by so many threads, by what of its work was kept."""

    entry: Entry
    task: Task
    views: Views
    keeper: Keeper
    workers: int


def answers(entry: Entry, task: Task, keeper: Keeper, workers: int, tell: Progress) -> tuple[dict[str, Ranking], int]:
    """The best `depth` of the gallery for each query, less the query itself where that is in there, with scores.

    Scores mean the same for all queries; one that a model could not read finds nothing. Returns the numbers in a vector
    of all models, too.
    """
    asking = Asking(entry, task, Views(mirror=entry.mirror, crops=entry.crops), keeper, workers)
    known = [Known.of(model, entry, task) for model in entry.models]
    ids = list(task.queries.pictures)
    size = PART if entry.verify else _QUERIES  # verification is slow: it is kept part by part
    found: dict[str, Ranking] = {}
    for first in range(0, len(ids), size):
        some = ids[first : first + size]
        work = partial(
            _answers_to, some, first, known, asking, lambda done: tell(f"asking ({entry.name})", done, len(ids))
        )
        found |= keeper.rankings(some, task.gallery.pictures, work) if entry.verify else work()
    return found, sum(each.dim for each in known)


def _answers_to(
    ids: Sequence[str], first: int, known: Sequence[Known], asking: Asking, tell: Callable[[int], object]
) -> dict[str, Ranking]:
    """To these queries, which are those from number `first` on."""
    entry, task = asking.entry, asking.task
    names = list(task.gallery.pictures)
    count = max(task.depth, entry.verify)
    pictures = [task.queries.pictures[id_] for id_ in ids]
    shown = [each.shown(first, pictures, asking) for each in known]
    apart = [_nearest(each, one.usual) for each, one in zip(shown, known, strict=True)]
    usual = [[usual_of(each[i]) for each in apart] for i in range(len(ids))]
    best = Best(len(ids), min(len(names), count + 1))  # one may be the query itself
    for start in range(0, len(names), _ROWS):
        cosines = [_nearest(s, one.block(start, start + _ROWS)) for s, one in zip(shown, known, strict=True)]
        best.add(start, _together(cosines, usual))
    together = _together(apart, usual)
    found: dict[str, Ranking] = {}
    for i, id_ in enumerate(ids):
        if not any(each.unread[first + i] for each in known):
            ranking: Ranking = [(names[j], score) for j, score in best.of(i) if names[j] != id_][:count]
            if entry.verify:
                ranking = _verified(asking, id_, ranking, usual_of(together[i]))
            found[id_] = [(name, round(score, 9)) for name, score in ranking[: task.depth]]
        tell(first + i + 1)
    return found


def _nearest(shown: Vectors, known: Vectors) -> npt.NDArray[np.float32]:
    """(queries, pictures): of a query's views the nearest counts."""
    found = shown[:, 0] @ known.T
    for view in range(1, shown.shape[1]):
        np.maximum(found, shown[:, view] @ known.T, out=found)
    return np.asarray(np.clip(found, -1, 1, out=found), dtype=np.float32)


def _together(cosines: Sequence[npt.NDArray[np.float32]], usual: Sequence[Sequence[Usual]]) -> Scores:
    """(queries, pictures) of several models as one."""
    if len(cosines) == 1:
        return cosines[0]
    tables = zip(*cosines, strict=True)
    rows = [fused(np.stack(table).astype(np.float64), each) for table, each in zip(tables, usual, strict=True)]
    return np.stack(rows)


def _verified(asking: Asking, id_: str, ranking: Ranking, usual: Usual) -> Ranking:
    """The ranking with its first hits in the order of their chance: the log odds are their score."""
    entry, gallery = asking.entry, asking.task.gallery
    name_of = {gallery.pictures[name].path: name for name, _ in ranking}
    items = tuple(Hit(rank, score, gallery.pictures[name]) for rank, (name, score) in enumerate(ranking, 1))
    hits = Hits(id_, entry.name, items, usual)
    path = asking.task.queries.pictures[id_].path
    (judged,) = rerank(
        gallery.photos, path, [hits], method=entry.method, top=entry.verify, mirror=entry.mirror, workers=asking.workers
    )
    return [(name_of[hit.path], _log_odds(hit)) for hit in judged]


def _log_odds(hit: Hit) -> float:
    """That it shows the same; where the chance is as high as can be, and in what was not verified, cosine decides."""
    if hit.evidence is None:
        return _BEHIND + hit.cosine
    return math.log(hit.evidence.chance / (1 - hit.evidence.chance)) + 1e-6 * hit.cosine
