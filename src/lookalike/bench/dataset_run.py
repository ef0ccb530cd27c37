"""Running a published data set: gallery and queries are embedded, queries asked, answers judged by its own measures.

Everything lies in one place (`ROOT/.lookalike/bench-NAME`, or where it is told to): an interrupted run goes on from
there, and another entry finds the vectors of the ones before.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from lookalike import images
from lookalike.bench.answers import Side
from lookalike.bench.dataset_answers import Known, answers
from lookalike.bench.dataset_report import DatasetReport
from lookalike.bench.datasets import Dataset, read_predictions
from lookalike.bench.entries import Entry
from lookalike.bench.linked import link_files, query_files
from lookalike.bench.pictures import SIDE
from lookalike.bench.results import EntryResult
from lookalike.bench.run import Interrupted, machine, versions
from lookalike.collection import Collection
from lookalike.errors import ModelUnavailable, UnreadableImage, UsageError
from lookalike.indexing import Progress
from lookalike.keypoints.methods import remedy
from lookalike.models import registry
from lookalike.models.tuning import usable_cores
from lookalike.store import PRIVATE, small_jpeg
from lookalike.types import ImageRef, Vectors
from lookalike.writing import showable, write_whole

FITTING = 10_000
"""Images of the training set that whitening is fitted on: several for each dimension of any model."""


def thinned(dataset: Dataset, distractors: int, seed: int) -> Dataset:
    """The data set with `distractors` images in its gallery beside the ones that are to be found, drawn by `seed`.

    Raises UsageError for one whose whole gallery is to be found.
    """
    if dataset.labels:
        raise UsageError(f"--distractors: {dataset.name} has none: every image of it is an answer to some query")
    wanted = set(chain.from_iterable(query.truths | query.junk for query in dataset.queries))
    others = [name for name in dataset.gallery if name not in wanted]
    drawn = np.random.default_rng(seed).permutation(len(others))[:distractors]
    kept = wanted | {others[i] for i in drawn}
    note = f"gallery: what is to be found and {len(drawn):,} of {len(others):,} others, drawn by seed {seed}"
    if distractors > len(others):
        note += f" (there are no {distractors:,})"
    gallery = {name: path for name, path in dataset.gallery.items() if name in kept}
    depth = min(dataset.depth, len(gallery))
    return replace(dataset, gallery=gallery, depth=depth, warnings=[*dataset.warnings, note])


def picture_of(dataset: Dataset) -> Callable[[str], bytes | None]:
    """By a query's id or a name of the gallery, a small JPEG; None where the file cannot be read."""
    queries = {query.id: query for query in dataset.queries}

    def picture(name: str) -> bytes | None:
        try:
            if query := queries.get(name):
                return small_jpeg(query.picture(SIDE))
            return small_jpeg(images.read(dataset.gallery[name], side=SIDE)) if name in dataset.gallery else None
        except UnreadableImage:
            return None

    return picture


class DatasetRun:
    """One run over a data set. Raises UsageError for entries that it cannot have.

    into:     where links, vectors and answers are kept
    gallery:  names the gallery among others of the same place, such as thinned ones
    """

    def __init__(
        self,
        dataset: Dataset,
        root: str | os.PathLike[str],
        models: Sequence[str],
        *,
        seed: int = 7,
        into: str | os.PathLike[str] | None = None,
        gallery: str = "gallery",
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.dataset, self.root, self.seed, self.gallery = dataset, Path(root), seed, gallery
        self.entries = [Entry.parse(text) for text in dict.fromkeys(models)]
        for entry in self.entries:  # before hours of work
            if entry.verify and (how := remedy(entry.method)):
                raise ModelUnavailable(f"--model {entry.name!r}: {entry.method!r} cannot run here yet: run '{how}'")
            if entry.whiten and not dataset.training:
                raise UsageError(
                    f"--model {entry.name!r}: {dataset.name} has no training images here that whitening could be"
                    " fitted on: leave whiten out"
                )
        self.models = list(dict.fromkeys(name for entry in self.entries for name in entry.models))
        self.cards = {name: registry.card(name) for name in self.models}
        self.home = Path(into) if into else self.root / PRIVATE / f"bench-{dataset.name}"
        self.photos = Collection(self.home / "collection", str(self.home))
        self.workers = workers or usable_cores()
        self.tell: Progress = progress or (lambda what, done, total: None)
        self.seconds: dict[str, float] = {}
        self.warnings: list[str] = []

    @contextmanager
    def clock(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[what] = self.seconds.get(what, 0.0) + time.monotonic() - began

    def report(self, predictions: str | os.PathLike[str] | None = None) -> DatasetReport:
        """What the entries come to, and somebody's `predictions` in a CSV file beside them.

        Raises UsageError, UnknownModel, ModelUnavailable, StorageError, CollectionBusy, and Interrupted, after which
        the next run goes on.
        """
        results = []
        if predictions is not None:  # first: what is wrong with the file is told before hours of work
            rankings = read_predictions(Path(predictions), self.dataset)
            name = showable(os.path.basename(predictions))
            name = f"file {name}" if name in {entry.name for entry in self.entries} else name
            results.append(EntryResult(name, rankings, None, None, None))
        if self.entries:
            asked, gallery, fitting = self.sides()
            with self.clock("ranking"):
                results = [*(self.judged(entry, asked, gallery, fitting) for entry in self.entries), *results]
        with_match = sum(bool(q.truths) or q.id in self.dataset.labels for q in self.dataset.queries)
        facts = {
            "gallery": len(self.dataset.gallery),
            "queries": len(self.dataset.queries),
            "with_match": with_match,
            "depth": self.dataset.depth,
            "seconds": {what: round(seconds, 1) for what, seconds in self.seconds.items()},
        }
        warnings = [*self.dataset.warnings, *self.warnings]
        root = os.path.abspath(self.root)
        return DatasetReport(self.dataset, root, results, machine(), versions(), self.seed, facts, warnings)

    def descriptors(self) -> tuple[list[str], Vectors]:
        """The vectors of queries and gallery by the one model of the run, whitened if it is. Raises UsageError."""
        (entry,) = self.entries
        if len(entry.models) > 1:
            raise UsageError(f"{entry.name}: descriptors are one model's: name a single one")
        asked, gallery, fitting = self.sides()
        known = Known.of(entry.models[0], entry, asked, gallery, fitting)
        return [*asked.pictures, *gallery.pictures], np.concatenate([known.queries, known.gallery])

    # -- what is embedded --------------------------------------------------------------------------------------------

    def sides(self) -> tuple[Side, Side, Side | None]:
        """Queries, gallery and fitting set. Raises UsageError where no image of a part can be read."""
        with self.clock("embedding"):
            self.warnings = []
            asked = self.embedded("queries", query_files(self.home / "queries", self.dataset.queries, self.root))
            links = link_files(self.home / self.gallery, self.dataset.gallery, self.root)
            gallery = self.embedded(self.gallery, links)
            whitened = [name for entry in self.entries if entry.whiten for name in entry.models]
            if not whitened:
                return asked, gallery, None
            names = sorted(self.dataset.training)
            drawn = np.random.default_rng(self.seed).permutation(len(names))[:FITTING]
            files = {names[i]: self.dataset.training[names[i]] for i in sorted(drawn)}
            links = link_files(self.home / "training", files, self.root)
            return asked, gallery, self.embedded("training", links, list(dict.fromkeys(whitened)))

    def embedded(self, part: str, names: Mapping[str, str], models: Sequence[str] | None = None) -> Side:
        """The files of a folder of the work by name, as far as all `models` could read them."""
        models = models or self.models
        for model in models:
            report = self.photos.add(
                self.home / part,
                models=[model],
                workers=self.workers,
                thumbnails=False,
                progress=partial(self.told, f"{part} ({model})"),
            )
            self.timed(model, report.embedded, report.embed_seconds)
            if report.interrupted:
                raise Interrupted
        refs: dict[str, ImageRef] = {}
        for number, model in enumerate(models):
            there = {ref.path: ref for ref in self.photos.vectors(model)[0] if ref.path in names}
            refs = {path: ref for path, ref in refs.items() if path in there} if number else there
        if not refs:
            raise UsageError(f"{showable(str(self.root))}: no image of the {part} of {self.dataset.name} can be read")
        if lost := [path for path in names if path not in refs]:
            why = "counted as found nothing" if part == "queries" else "left out"
            self.warnings.append(f"{len(lost):,} unreadable images of the {part}, {why}: such as {names[lost[0]]}")
        # Side takes its own order from `pictures`: that of the data set, and no duplicates by path.
        return Side(
            self.photos,
            {name: refs[path] for path, name in names.items() if path in refs},
            dict.fromkeys(models, self.photos),
        )

    def told(self, which: str, what: str, done: int, total: int | None) -> None:
        self.tell(f"{what} {which}", done, total)

    @property
    def speeds(self) -> dict[str, list[float]]:
        """By fingerprint, how many vectors were made here, and in how many seconds."""
        with suppress(OSError, ValueError):
            found: dict[str, list[float]] = json.loads((self.home / "speeds.json").read_bytes())
            return found
        return {}

    def timed(self, model: str, embedded: int, seconds: float) -> None:
        """Count in what was embedded: from files to vectors on the disk."""
        if embedded and seconds:
            speeds = self.speeds
            before = speeds.get(self.cards[model].fingerprint, [0, 0.0])
            speeds[self.cards[model].fingerprint] = [before[0] + embedded, before[1] + seconds]
            text = json.dumps(speeds)
            write_whole(self.home / "speeds.json", lambda part: Path(part).write_text(text, encoding="utf-8"))

    # -- the answers -------------------------------------------------------------------------------------------------

    def judged(self, entry: Entry, asked: Side, gallery: Side, fitting: Side | None) -> EntryResult:
        """What an entry answers: as it did before, where nothing has changed."""
        place = self.home / f"answers-{self.key(entry, asked, gallery, fitting)}.json"
        try:
            found = json.loads(place.read_bytes())
        except (OSError, ValueError):
            began = time.process_time()
            rankings = answers(
                entry,
                asked,
                gallery,
                fitting,
                self.dataset.depth,
                seed=self.seed,
                workers=self.workers,
                tell=self.tell,
            )
            spent = (time.process_time() - began) / max(1, len(rankings))
            found = {"rankings": rankings, "ms_per_query": round(spent * 1e3, 3)}
            text = json.dumps(found)
            write_whole(place, lambda part: Path(part).write_text(text, encoding="utf-8"))
        known = self.speeds
        together = [known[card.fingerprint] for name in entry.models if (card := self.cards[name]).fingerprint in known]
        each = [seconds / embedded for embedded, seconds in together]
        dims = [min(entry.whiten or 1 << 30, self.cards[name].dim) for name in entry.models]
        rankings = {
            query: [(str(name), float(score)) for name, score in row] for query, row in found["rankings"].items()
        }
        return EntryResult(
            model=entry.name,
            rankings=rankings,
            images_per_second=1 / sum(each) if len(each) == len(entry.models) else None,
            bytes_per_vector=2 * sum(dims),
            ms_per_query=found["ms_per_query"],
        )

    def key(self, entry: Entry, *sides: Side | None) -> str:
        """What answers depend on."""
        prints = [self.cards[name].fingerprint for name in entry.models]
        digest = hashlib.sha256(json.dumps([entry.name, prints, self.dataset.depth, self.seed]).encode())
        for side in sides:
            digest.update(b"\n")
            for name, ref in side.pictures.items() if side else ():
                digest.update(f"{name!r} {ref.id}\n".encode())
        return digest.hexdigest()[:16]
