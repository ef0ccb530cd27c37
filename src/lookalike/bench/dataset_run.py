"""Running a published data set: gallery and queries are embedded, queries asked, answers judged by its own measures.

Everything lies in one place (`ROOT/.lookalike/bench-NAME`, or where it is told to): an interrupted run goes on from
there, and another entry finds the vectors of the ones before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from lookalike.bench.answers import Known, Side, Task
from lookalike.bench.datasets import Dataset, read_predictions
from lookalike.bench.datasets.dataset import such
from lookalike.bench.described import MOST_DIMENSIONS, describe
from lookalike.bench.linked import link_files, query_files
from lookalike.bench.results import BenchReport, EntryResult
from lookalike.bench.run import Run
from lookalike.collection import Collection
from lookalike.errors import UsageError
from lookalike.indexing import Progress
from lookalike.machine import machine, versions
from lookalike.ranking import SAMPLE
from lookalike.store import PRIVATE
from lookalike.types import ImageRef, Vectors
from lookalike.writing import showable

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


class DatasetRun(Run):
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
        place = Path(into) if into else Path(root) / PRIVATE / f"bench-{dataset.name}"
        super().__init__(models, place, seed=seed, workers=workers, progress=progress)
        self.dataset, self.root, self.gallery = dataset, Path(root), gallery
        for entry in self.entries:
            if entry.whiten and not dataset.training:
                raise UsageError(
                    f"--model {entry.name!r}: {dataset.name} has no training images here that whitening could be"
                    " fitted on: leave whiten out"
                )
        self.photos = Collection(self.place / "collection", str(self.place))
        self.warnings: list[str] = []

    def report(
        self,
        predictions: str | os.PathLike[str] | None = None,
        descriptors: Sequence[str | os.PathLike[str]] = (),
    ) -> BenchReport:
        """What the entries come to, and beside them somebody's `predictions` in a CSV file, or `descriptors` in HDF5.

        Raises UsageError, UnknownModel, ModelUnavailable, StorageError, CollectionBusy, and KeyboardInterrupt, after
        which the next run goes on.
        """
        # First: what is wrong with the files is told before hours of work.
        results = self.others(predictions, [Path(path) for path in descriptors])
        if self.entries:
            task = self.task()
            with self.clock("ranking"):
                results = [*(self.answered(entry, task) for entry in self.entries), *results]
        with_match = sum(bool(q.truths) or q.id in self.dataset.labels for q in self.dataset.queries)
        facts = {
            "gallery": len(self.dataset.gallery),
            "queries": len(self.dataset.queries),
            "with_match": with_match,
            "depth": self.dataset.depth,
            "seconds": self.told_seconds,
        }
        return BenchReport(
            dataset=self.dataset,
            folder=os.path.abspath(self.root),
            results=results,
            machine=machine(),
            versions=versions(),
            seed=self.seed,
            facts=facts,
            warnings=[*self.dataset.warnings, *self.warnings],
        )

    def others(self, predictions: str | os.PathLike[str] | None, descriptors: Sequence[Path]) -> list[EntryResult]:
        """What somebody's files answer, each kind a row by the names of its files."""
        found: list[EntryResult] = []

        def name(files: Sequence[Path]) -> str:
            told = " and ".join(showable(path.name) for path in files)
            taken = {*(entry.name for entry in self.entries), *(other.model for other in found)}
            return told if told not in taken else f"{'file' if len(files) == 1 else 'files'} {told}"

        if predictions is not None:
            rankings = read_predictions(Path(predictions), self.dataset)
            found.append(EntryResult(name([Path(predictions)]), rankings, None, None, None))
        if descriptors:
            rankings, dim = describe(descriptors, self.dataset)
            note = f"{dim:,} dimensions: the challenge allows {MOST_DIMENSIONS}" if dim > MOST_DIMENSIONS else None
            found.append(EntryResult(name(descriptors), rankings, None, 4 * dim, None, note))
        return found

    def descriptors(self) -> tuple[list[str], Vectors]:
        """The vectors of queries and gallery by the one model of the run, whitened if it is. Raises UsageError."""
        (entry,) = self.entries
        if len(entry.models) > 1:
            raise UsageError(f"{entry.name}: descriptors are one model's: name a single one")
        task = self.task()
        known = Known.of(entry.models[0], entry, task)
        names = [*task.queries.pictures, *task.gallery.pictures]
        return names, np.concatenate([known.queries, known.block(0, len(known.gallery))])

    def task(self) -> Task:
        """Queries and gallery with their vectors. Raises UsageError where no image of a part can be read."""
        self.make_place()
        with self.clock("embedding"):
            self.warnings = []
            queries = self.embedded("queries", query_files(self.place / "queries", self.dataset.queries, self.root))
            links = link_files(self.place / self.gallery, self.dataset.gallery, self.root)
            gallery = self.embedded(self.gallery, links)
            fitting = None
            if whitened := [name for entry in self.entries if entry.whiten for name in entry.models]:
                names = sorted(self.dataset.training)
                drawn = np.random.default_rng(self.seed).permutation(len(names))[:FITTING]
                files = {names[i]: self.dataset.training[names[i]] for i in sorted(drawn)}
                links = link_files(self.place / "training", files, self.root)
                fitting = self.embedded("training", links, list(dict.fromkeys(whitened)))
            return Task(queries, gallery, fitting, gallery.some(SAMPLE, self.seed), self.dataset.depth)

    def embedded(self, part: str, names: Mapping[str, str], models: Sequence[str] | None = None) -> Side:
        """The files of a folder of the work by name, as far as all `models` could read them."""
        models = models or self.models
        refs: dict[str, ImageRef] = {}
        for number, model in enumerate(models):
            self.add(self.photos, [model], self.place / part, partial(self.told, f"{part} ({model})"))
            there = {ref.path: ref for ref in self.photos.mapped(model)[0] if ref.path in names}
            refs = {path: ref for path, ref in refs.items() if path in there} if number else there
        if not refs:
            raise UsageError(f"{showable(str(self.root))}: no image of the {part} of {self.dataset.name} can be read")
        if lost := [path for path in names if path not in refs]:
            why = "counted as found nothing" if part == "queries" else "left out"
            what = such(len(lost), "unreadable image", "unreadable images", f"of the {part}, {why}", names[lost[0]])
            self.warnings.append(what)
        pictures = {name: refs[path] for path, name in names.items() if path in refs}
        return Side(self.photos, pictures, dict.fromkeys(models, self.photos))

    def told(self, which: str, what: str, done: int, total: int | None) -> None:
        self.tell(f"{what} {which}", done, total)
