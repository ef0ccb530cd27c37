"""Running the benchmark of a folder: its images are embedded, edited copies are asked for, answers are kept.

Everything lies in one place (`FOLDER/.lookalike/bench`, or where it is told to): an interrupted run goes on from there,
and another entry finds the vectors of the ones before.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from lookalike import __version__, images
from lookalike.bench import copies
from lookalike.bench.answers import Side, answer
from lookalike.bench.entries import Entry
from lookalike.bench.plan import Plan, plan
from lookalike.bench.results import BenchReport, EntryResult, Query
from lookalike.bench.twins import HASHES, near_duplicates
from lookalike.collection import Collection
from lookalike.errors import ModelUnavailable, UnreadableImage, UsageError
from lookalike.indexing import Progress, existing_folder
from lookalike.keypoints.methods import remedy, revision
from lookalike.models import registry
from lookalike.models.tuning import usable_cores
from lookalike.places import read_json
from lookalike.store import PRIVATE
from lookalike.types import ImageRef, Pixels
from lookalike.writing import write_whole

SIDE = 800
"""Pixels of a copy's longer side, at most: as pictures are passed on."""

QUALITY = 95
KEY_DIGITS = 12
ORIGINALS = 200


class Interrupted(KeyboardInterrupt):
    """Ctrl-C: what was done is kept."""


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
    few different images, and what `Collection.add` raises.
    """
    entries = [Entry.parse(text) for text in dict.fromkeys(models)]
    run = _Run(existing_folder(folder), entries, seed, originals, into, workers, progress)
    return run.report()


def copies_of(report: BenchReport, into: str | os.PathLike[str] | None = None) -> Path:
    """The folder with the copies that were asked for, each named by its query's id."""
    return next(_home(report.folder, into).glob(_copies_folder(report.seed)))


def _copies_folder(seed: int) -> str:
    """As a glob. What else lies in a place of the user's choice is not ours to remove."""
    return f"queries-{seed}-{'[0-9a-f]' * KEY_DIGITS}"


def _home(folder: str, into: str | os.PathLike[str] | None) -> Path:
    return Path(into) if into else Path(folder) / PRIVATE / "bench"


class _Run:
    def __init__(
        self,
        folder: str,
        entries: Sequence[Entry],
        seed: int,
        originals: int,
        into: str | os.PathLike[str] | None,
        workers: int | None,
        progress: Progress | None,
    ) -> None:
        self.folder, self.entries, self.seed, self.originals = folder, entries, seed, originals
        self.place = _home(folder, into)
        self.workers = workers or usable_cores()
        self.tell: Progress = progress or (lambda what, done, total: None)
        self.seconds: dict[str, float] = {}
        self.models = list(dict.fromkeys(name for entry in entries for name in entry.models))
        self.cards = {name: registry.card(name) for name in self.models}
        for entry in entries:  # before all the work that leads up to it
            if entry.verify and (how := remedy(entry.method)):
                raise ModelUnavailable(f"--model {entry.name!r}: {entry.method!r} cannot run here yet: run '{how}'")

    @contextmanager
    def clock(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[what] = self.seconds.get(what, 0.0) + time.monotonic() - began

    def report(self) -> BenchReport:
        with self.clock("embedding"):
            photos, facts = self.indexed()
            pictures = {os.path.relpath(ref.path, self.folder): ref for ref in self.distinct(photos)}
            sources = self.sources(photos, {ref.id for ref in pictures.values()})
        with self.clock("duplicates"):
            kept = self.collapsed(photos, pictures)
        left_out = {"near-duplicates": len(pictures) - len(kept), "unreadable": facts["unreadable"]}
        besides = ", ".join(f"{count:,} {what}" for what, count in left_out.items() if count)
        dealt = plan(kept, self.seed, self.originals, besides=f" (left out: {besides})" if besides else "")
        with self.clock("copies"):
            asked = self.copied(dealt, pictures)
        with self.clock("embedding"):
            speeds = self.embedded(asked)
        gallery = Side(photos, {name: pictures[name] for name in dealt.gallery}, sources)
        fitting = Side(photos, {name: pictures[name] for name in dealt.fitting}, sources)
        with self.clock("ranking"):
            results = [self.judged(entry, dealt.queries, asked, gallery, fitting, speeds) for entry in self.entries]
        facts |= {
            "images": len(pictures),
            "near_duplicates": len(pictures) - len(kept),
            "gallery": len(dealt.gallery),
            "fitting": len(dealt.fitting),
            "backgrounds": len(dealt.backgrounds),
            "queries": len(dealt.queries),
            "negatives": sum(query.truth is None for query in dealt.queries),
            "seconds": {what: round(seconds, 1) for what, seconds in self.seconds.items()},
        }
        return BenchReport(
            dataset="copies",
            folder=self.folder,
            queries=tuple(dealt.queries),
            results=tuple(results),
            machine=machine(),
            versions=versions(),
            seed=self.seed,
            facts=facts,
        )

    # -- the folder's own images -------------------------------------------------------------------------------------

    def indexed(self) -> tuple[Collection, dict[str, Any]]:
        """The images, with the hashes that tell near-duplicates."""
        photos = Collection(self.place / "photos", self.folder)
        report = photos.add(models=HASHES, workers=self.workers, progress=self.tell)
        if report.interrupted:
            raise Interrupted
        return photos, {"unreadable": len(report.unreadable)}

    def sources(self, photos: Collection, wanted: AbstractSet[str]) -> dict[str, Collection]:
        """Where each model's vectors are: in the folder's own collection, if that has them all, or made now."""
        own = Collection(Path(self.folder) / PRIVATE, self.folder)
        found = {}
        for name in self.models:
            with suppress(UsageError):
                if own.exists and wanted <= {ref.id for ref in own.vectors(name)[0]}:
                    found[name] = own
        missing = [name for name in self.models if name not in found]
        if missing and photos.add(models=missing, workers=self.workers, progress=self.tell).interrupted:
            raise Interrupted
        return found | dict.fromkeys(missing, photos)

    def distinct(self, photos: Collection) -> list[ImageRef]:
        """One file for each different content. With `into`, another folder's may lie in the same place."""
        inside = os.path.join(self.folder, "")
        refs = [ref for ref in photos.vectors(HASHES[0])[0] if ref.path.startswith(inside)]
        return list({ref.id: ref for ref in sorted(refs, key=lambda ref: ref.path, reverse=True)}.values())

    def collapsed(self, photos: Collection, pictures: Mapping[str, ImageRef]) -> list[str]:
        """The names of the images, one of each group of near-duplicates."""
        names = sorted(pictures)
        refs = [pictures[name] for name in names]
        hashes = [Side(photos, pictures, dict.fromkeys(HASHES, photos)).vectors(model, names) for model in HASHES]
        groups = near_duplicates(photos, refs, hashes, lambda done, total: self.tell("comparing", done, total))
        return [names[group[0]] for group in groups]

    # -- the copies --------------------------------------------------------------------------------------------------

    def copied(self, dealt: Plan, pictures: Mapping[str, ImageRef]) -> Collection:
        """A folder with the queries, made where they are not there yet."""
        key = hashlib.sha256(
            json.dumps(
                [
                    versions(),
                    [(q.id, q.seed, q.steps, pictures[q.original].id) for q in dealt.queries],
                    [pictures[name].id for name in dealt.backgrounds],
                ]
            ).encode()
        ).hexdigest()[:KEY_DIGITS]
        folder = self.place / f"queries-{self.seed}-{key}"
        for old in self.place.glob(_copies_folder(self.seed)):
            if old != folder:  # of other images, or other versions
                shutil.rmtree(old, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        missing = [query for query in dealt.queries if not (folder / f"{query.id}.jpg").exists()]
        others = [self.pixels(pictures[name].path) for name in dealt.backgrounds] if missing else []

        def one(query: Query) -> None:
            steps = cast(tuple[copies.Step, ...], query.steps)
            copy = copies.combine(self.pixels(pictures[query.original].path), steps, query.seed, others)
            image = Image.fromarray(copy.pixels)
            write_whole(folder / f"{query.id}.jpg", lambda part: image.save(part, "JPEG", quality=QUALITY))

        with ThreadPoolExecutor(self.workers) as pool:
            for done, _ in enumerate(pool.map(one, missing), 1):
                self.tell("copying", done, len(missing))
        return Collection(folder / PRIVATE, str(folder))

    def pixels(self, path: str) -> Pixels:
        picture = images.read(path, side=SIDE)
        image = picture.image
        if max(image.size) > SIDE:
            image = image.copy()
            image.thumbnail((SIDE, SIDE))
        return np.asarray(image, dtype=np.uint8)

    def embedded(self, asked: Collection) -> dict[str, float]:
        """The queries' vectors, model by model: the images a second of each, from files to vectors on the disk."""
        place = asked.directory.parent / "speeds.json"
        done = {name: each for name, each in read_json(place).items() if isinstance(each, list) and len(each) == 2}
        for name, card in self.cards.items():
            report = asked.add(models=[name], workers=self.workers, thumbnails=False, progress=self.tell)
            if report.interrupted:
                raise Interrupted
            if report.embedded and report.embed_seconds:
                count, seconds = done.get(card.fingerprint, (0, 0.0))  # of a run that was interrupted
                done[card.fingerprint] = [count + report.embedded, seconds + report.embed_seconds]
                write_whole(place, lambda part: Path(part).write_text(json.dumps(done), encoding="utf-8"))
        known = {name: done[card.fingerprint] for name, card in self.cards.items() if card.fingerprint in done}
        return {name: count / seconds for name, (count, seconds) in known.items()}

    # -- the answers -------------------------------------------------------------------------------------------------

    def judged(
        self,
        entry: Entry,
        queries: Sequence[Query],
        asked: Collection,
        gallery: Side,
        fitting: Side,
        speeds: Mapping[str, float],
    ) -> EntryResult:
        """What an entry answers: as it did before, where nothing has changed."""
        folder = asked.directory.parent
        prints = [self.cards[name].fingerprint for name in entry.models]
        parts = [[(name, ref.id) for name, ref in side.pictures.items()] for side in (gallery, fitting)]
        ways = revision(entry.method) if entry.verify else None
        key = hashlib.sha256(json.dumps([entry.name, prints, ways, parts]).encode()).hexdigest()[:16]
        place = folder / f"answers-{key}.json"
        found = read_json(place)
        if not found:
            if entry.verify:
                self.remembered(gallery, entry.method)
            began = time.process_time()
            rankings = answer(entry, queries, folder, asked, gallery, fitting, self.workers, self.tell)
            spent = (time.process_time() - began) / max(1, len(queries))
            found = {"rankings": rankings, "ms_per_query": round(spent * 1e3, 3)}
            write_whole(place, lambda part: Path(part).write_text(json.dumps(found), encoding="utf-8"))
        together = [speeds[name] for name in entry.models if name in speeds]
        dims = [self.cards[name].dim for name in entry.models]
        if entry.whiten:  # as many as were asked for, and as the fitting set can tell
            dims = [min(dim, entry.whiten, len(fitting.pictures) - 1) for dim in dims]
        return EntryResult(
            model=entry.name,
            rankings={query: [(str(n), float(s)) for n, s in row] for query, row in found["rankings"].items()},
            images_per_second=1 / sum(1 / speed for speed in together) if len(together) == len(entry.models) else None,
            bytes_per_vector=2 * sum(dims),
            ms_per_query=found["ms_per_query"],
            note=self.unread(entry, queries, asked),
        )

    def remembered(self, gallery: Side, method: str) -> None:
        """Local features of the whole gallery, in the cache: what a query costs must not depend on who asked before."""
        photos = gallery.photos
        limit = photos.keypoints(method)

        def one(image: ImageRef) -> None:
            with suppress(UnreadableImage):  # told by the evidence
                photos.features(image, method, limit)

        with ThreadPoolExecutor(self.workers) as pool:
            for done, _ in enumerate(pool.map(one, gallery.pictures.values()), 1):
                self.tell(f"keypoints ({method})", done, len(gallery.pictures))

    def unread(self, entry: Entry, queries: Sequence[Query], asked: Collection) -> str | None:
        """How many copies a model could not read: they found nothing."""
        lost = [(name, len(queries) - len(asked.vectors(name)[0])) for name in entry.models]
        told = [f"{name} could not read {count} of the copies" for name, count in lost if count > 0]
        return "; ".join(told) or None


def machine() -> dict[str, Any]:
    """What figures of speed depend on."""
    name = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {"cpu": name, "cores": usable_cores(), "system": platform.platform(terse=True)}


def versions() -> dict[str, str]:
    """What the copies and the vectors depend on."""
    found = {"python": platform.python_version(), "lookalike": __version__}
    for name in ("numpy", "pillow", "opencv-contrib-python-headless", "opencv-python-headless", "onnxruntime"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
