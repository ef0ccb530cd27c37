"""Running the benchmark of a folder: its images are embedded, edited copies are asked for, answers are kept.

Everything lies in one place (`FOLDER/.lookalike/bench`, or where it is told to): an interrupted run goes on from there,
and another entry finds the vectors of the ones before.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from lookalike import images
from lookalike.bench import copies
from lookalike.bench.answers import Side, Task
from lookalike.bench.datasets import Dataset, Edits, Query
from lookalike.bench.datasets.dataset import such
from lookalike.bench.entries import Entry
from lookalike.bench.linked import link_files
from lookalike.bench.plan import Plan, plan
from lookalike.bench.results import BenchReport
from lookalike.bench.run import Run
from lookalike.bench.twins import HASHES, near_duplicates
from lookalike.bench.words import number
from lookalike.collection import Collection
from lookalike.errors import UsageError
from lookalike.indexing import Progress, existing_folder
from lookalike.machine import machine, versions
from lookalike.store import PRIVATE
from lookalike.types import ImageRef, Pixels
from lookalike.wording import counted
from lookalike.writing import write_whole

SIDE = 800
"""Pixels of a copy's longer side, at most: as pictures are passed on."""

QUALITY = 95
KEY_DIGITS = 12

TIMED = 100
"""Images of the folder that each model is timed with, by themselves."""

ORIGINALS = 200

DEPTH = 50
"""Answers to a query that are kept: what comes behind them hardly moves any measure."""


def bench(
    folder: str | os.PathLike[str],
    models: Sequence[str],
    *,
    seed: int = 7,
    originals: int = ORIGINALS,
    into: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> BenchReport:
    """Judge models by how well they find the originals of edited copies among a folder's own images; no labels needed.

    Args:
        models: entries: see `entries`.
        originals: images that copies are made of, three each; a quarter as many are asked for in vain.
        into: where vectors, copies and answers are kept.

    The same seed gives the same copies, with the same versions of the libraries. Raises UsageError for a folder of too
    few different images, what `Collection.add` raises, and KeyboardInterrupt, after which the next run goes on.
    """
    place = Path(into) if into else Path(folder) / PRIVATE / "bench"
    return _FolderRun(existing_folder(folder), models, originals, place, seed, workers, progress).report()


class _FolderRun(Run):
    def __init__(
        self,
        folder: str,
        models: Sequence[str],
        originals: int,
        home: Path,
        seed: int,
        workers: int | None,
        progress: Progress | None,
    ) -> None:
        super().__init__(models, home, seed=seed, workers=workers, progress=progress)
        self.folder, self.home, self.originals = folder, home, originals

    def report(self) -> BenchReport:
        self.make_place()
        with self.clock("duplicates"):
            photos, lost = self.indexed()
            pictures = {os.path.relpath(ref.path, self.folder): ref for ref in self.distinct(photos)}
            kept = self.collapsed(photos, pictures)
        left_out = [counted(len(pictures) - len(kept), "near-duplicate")] if len(kept) < len(pictures) else []
        left_out += [f"{len(lost):,} unreadable"] if lost else []
        besides = f" (left out: {', '.join(left_out)})" if left_out else ""
        dealt = plan(kept, self.seed, self.originals, besides=besides)
        with self.clock("embedding"):
            sources = self.sources(photos, {ref.id for ref in pictures.values()})
        with self.clock("copies"):
            queries = self.copied(dealt, pictures)
        with self.clock("embedding"):
            asked = self.embedded(queries)
        gallery, fitting = (
            Side(photos, {name: pictures[name] for name in names}, sources) for names in (dealt.gallery, dealt.fitting)
        )
        with self.clock("speed"):
            timed = self.timed(dealt, pictures)
        task = Task(asked, gallery, fitting, fitting, DEPTH)
        with self.clock("ranking"):
            results = [self.answered(entry, task, self.unread(entry, asked)) for entry in self.entries]
        facts = {
            "unreadable": len(lost),
            "images": len(pictures),
            "near_duplicates": len(pictures) - len(kept),
            "gallery": len(dealt.gallery),
            "fitting": len(dealt.fitting),
            "backgrounds": len(dealt.backgrounds),
            "queries": len(queries),
            "negatives": sum(not query.truths for query in queries),
            "images_per_second": timed,
            "seconds": self.told_seconds,
        }
        files = {name: Path(self.folder, name) for name in dealt.gallery}
        return BenchReport(
            dataset=Dataset("copies", "copies", files, queries, DEPTH),
            folder=self.folder,
            results=results,
            machine=machine(),
            versions=versions(),
            seed=self.seed,
            facts=facts,
            warnings=[such(len(lost), "unreadable image", "unreadable images", "left out", lost[0])] if lost else [],
        )

    # -- the folder's own images -------------------------------------------------------------------------------------

    def indexed(self) -> tuple[Collection, list[str]]:
        """The images, with the hashes that tell near-duplicates, and the names of those that could not be read."""
        photos = Collection(self.home / "photos", self.folder)
        report = photos.add(models=HASHES, workers=self.workers, progress=self.tell)
        if report.interrupted:
            raise KeyboardInterrupt
        return photos, [os.path.relpath(path, self.folder) for path, _ in report.unreadable]

    def sources(self, photos: Collection, wanted: AbstractSet[str]) -> dict[str, Collection]:
        """Where each model's vectors are: in the folder's own collection, if that has them all, or made now."""
        own = Collection(Path(self.folder) / PRIVATE, self.folder)
        found = {}
        for name in self.models:
            with suppress(UsageError):
                if own.exists and wanted <= {ref.id for ref in own.mapped(name)[0]}:
                    found[name] = own
        missing = [name for name in self.models if name not in found]
        if missing and photos.add(models=missing, workers=self.workers, progress=self.tell).interrupted:
            raise KeyboardInterrupt
        return found | dict.fromkeys(missing, photos)

    def distinct(self, photos: Collection) -> list[ImageRef]:
        """One file for each different content. With `into`, another folder's may lie in the same place."""
        inside = os.path.join(self.folder, "")
        refs = [ref for ref in photos.mapped(HASHES[0])[0] if ref.path.startswith(inside)]
        return list({ref.id: ref for ref in sorted(refs, key=lambda ref: ref.path, reverse=True)}.values())

    def collapsed(self, photos: Collection, pictures: Mapping[str, ImageRef]) -> list[str]:
        """The names of the images, one of each group of near-duplicates."""
        ordered = {name: pictures[name] for name in sorted(pictures)}
        side = Side(photos, ordered, dict.fromkeys(HASHES, photos))
        hashes = [side.vectors(model).all() for model in HASHES]
        refs, names = list(ordered.values()), list(ordered)
        groups = near_duplicates(photos, refs, hashes, lambda done, total: self.tell("comparing", done, total))
        return [names[group[0]] for group in groups]

    # -- the copies --------------------------------------------------------------------------------------------------

    def copied(self, dealt: Plan, pictures: Mapping[str, ImageRef]) -> list[Query]:
        """The queries with their files, made where they are not there yet: the place for all that rests on them."""
        key = hashlib.sha256(
            json.dumps(
                [
                    versions(),
                    [
                        (q.id, self.edits(q).seed, self.edits(q).steps, pictures[str(q.original)].id)
                        for q in dealt.queries
                    ],
                    [pictures[name].id for name in dealt.backgrounds],
                ]
            ).encode()
        ).hexdigest()[:KEY_DIGITS]
        self.place = self.home / f"queries-{self.seed}-{key}"
        # What else lies in a place of the user's choice is not ours to remove.
        for old in self.home.glob(f"queries-{self.seed}-{'[0-9a-f]' * KEY_DIGITS}"):
            if old != self.place:  # of other images, or other versions
                shutil.rmtree(old, ignore_errors=True)
        self.place.mkdir(parents=True, exist_ok=True)
        queries = [replace(query, path=self.place / query.path) for query in dealt.queries]
        missing = [query for query in queries if not query.path.exists()]
        others = [self.pixels(pictures[name].path) for name in dealt.backgrounds] if missing else []

        def one(query: Query) -> None:
            edits = self.edits(query)
            steps = cast(tuple[copies.Step, ...], edits.steps)
            copy = copies.combine(self.pixels(pictures[str(query.original)].path), steps, edits.seed, others)
            image = Image.fromarray(copy.pixels)
            write_whole(query.path, lambda part: image.save(part, "JPEG", quality=QUALITY))

        with ThreadPoolExecutor(self.workers) as pool:
            for done, _ in enumerate(pool.map(one, missing), 1):
                self.tell("copying", done, len(missing))
        return queries

    def edits(self, query: Query) -> Edits:
        assert query.edits is not None  # noqa: S101 - all queries of a plan are edited
        return query.edits

    def pixels(self, path: str) -> Pixels:
        picture = images.read(path, side=SIDE)
        image = picture.image
        if max(image.size) > SIDE:
            image = image.copy()
            image.thumbnail((SIDE, SIDE))
        return np.asarray(image, dtype=np.uint8)

    def embedded(self, queries: Sequence[Query]) -> Side:
        """The queries, with their vectors by each model."""
        asked = Collection(self.place / PRIVATE, str(self.place))
        if asked.add(models=self.models, workers=self.workers, thumbnails=False, progress=self.tell).interrupted:
            raise KeyboardInterrupt
        refs = {ref.path: ref for name in self.models for ref in asked.mapped(name)[0]}
        base = os.path.realpath(self.place)
        paths = {query.id: os.path.join(base, query.path.name) for query in queries}
        found = {id_: refs[path] for id_, path in paths.items() if path in refs}
        return Side(asked, found, dict.fromkeys(self.models, asked))

    # -- the speed ---------------------------------------------------------------------------------------------------

    def timed(self, dealt: Plan, pictures: Mapping[str, ImageRef]) -> str:
        """Take the time that each model needs for images of the folder as their files are; says of which that is."""
        drawn = np.random.default_rng([self.seed, 2]).permutation(dealt.gallery)[:TIMED].tolist()
        place = self.place / PRIVATE / "speed"
        link_files(place / "files", {name: Path(self.folder, name) for name in drawn}, Path(self.folder))
        own = Collection(place / "collection", str(place / "files"))
        self.add(own, self.models, progress=lambda what, done, total: self.tell("timing", done, total))
        middle = np.median([pictures[name].width * pictures[name].height for name in drawn]) / 1e6
        return f"of {counted(len(drawn), 'file')} of the folder, half of them of {number(middle)} megapixels or more"

    def unread(self, entry: Entry, asked: Side) -> str | None:
        """How many copies a model could not read: they found nothing."""
        lost = [(name, int((asked.vectors(name).place < 0).sum())) for name in entry.models]
        told = [f"{name} could not read {count} of the copies" for name, count in lost if count > 0]
        return "; ".join(told) or None
