"""What all benchmarks share: entries, a place where the work is kept, answers that are judged, figures of speed.

A run goes on where it was interrupted: vectors lie in a collection, answers in files named by all they depend on.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lookalike.bench.answers import Side, Task, answers
from lookalike.bench.datasets import Ranking
from lookalike.bench.entries import Entry
from lookalike.bench.keeping import Keeper, checked
from lookalike.bench.linked import unwritable
from lookalike.bench.results import EntryResult
from lookalike.collection import Collection
from lookalike.errors import ModelUnavailable, UnreadableImage
from lookalike.indexing import Progress
from lookalike.keypoints.methods import remedy, revision
from lookalike.models import registry
from lookalike.models.tuning import usable_cores
from lookalike.places import read_json
from lookalike.types import ImageRef
from lookalike.wording import counted
from lookalike.writing import write_text

_KEPT = ("rankings", "bytes_per_vector", "ms_per_query")
"""Of an entry, in a file of answers."""

FEATURES_FIRST = 20_000
"""Images of a gallery at most whose local features are all made beforehand."""


class Run:
    """One run. Raises UsageError and ModelUnavailable for entries that it cannot have, before all the work.

    place: where vectors and answers are kept
    """

    def __init__(
        self,
        models: Sequence[str],
        place: Path,
        *,
        seed: int,
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.entries = [Entry.parse(text) for text in dict.fromkeys(models)]
        for entry in self.entries:
            if entry.verify and (how := remedy(entry.method)):
                raise ModelUnavailable(f"{entry.name!r}: {entry.method!r} cannot run here yet: run '{how}'")
        self.models = list(dict.fromkeys(name for entry in self.entries for name in entry.models))
        self.cards = {name: registry.card(name) for name in self.models}
        self.place, self.seed = place, seed
        self.workers = workers or usable_cores()
        self.tell: Progress = progress or (lambda what, done, total: None)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def clock(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[what] = self.seconds.get(what, 0.0) + time.monotonic() - began

    @property
    def told_seconds(self) -> dict[str, float]:
        return {what: round(seconds, 1) for what, seconds in self.seconds.items()}

    def make_place(self) -> None:
        """Raises StorageError where no work can be kept: before all of it."""
        try:
            self.place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.place):
                pass
        except OSError as error:
            raise unwritable(self.place, error) from error

    def add(
        self, photos: Collection, models: Sequence[str], folder: Path | None = None, progress: Progress | None = None
    ) -> None:
        """Embed what is in the folder of a collection, model by model, and take the time. Raises KeyboardInterrupt."""
        for name in models:
            report = photos.add(
                folder, models=[name], workers=self.workers, thumbnails=False, progress=progress or self.tell
            )
            if report.embedded and report.embed_seconds:
                count, seconds = self.speeds.get(name, (0, 0.0))  # of a run that was interrupted
                timed = read_json(self.place / "speeds.json")
                timed[self.cards[name].fingerprint] = [count + report.embedded, seconds + report.embed_seconds]
                write_text(self.place / "speeds.json", json.dumps(timed))
            if report.interrupted:
                raise KeyboardInterrupt

    @property
    def speeds(self) -> dict[str, tuple[int, float]]:
        """By model, how many vectors were made here, and in how many seconds: from files to vectors on the disk."""
        known = read_json(self.place / "speeds.json")
        found = {}
        for name, card in self.cards.items():
            with suppress(KeyError, TypeError, ValueError):  # not known, or damaged
                count, seconds = known[card.fingerprint]
                if count > 0 and seconds > 0:
                    found[name] = int(count), float(seconds)
        return found

    def answered(self, entry: Entry, task: Task, note: str | None = None) -> EntryResult:
        """What an entry answers: as it did before, where nothing has changed."""
        key = self._key(entry, task)
        place = self.place / f"answers-{key}.json"
        kept = _kept(read_json(place), task)
        if kept is None:
            if entry.verify and len(task.gallery.pictures) <= FEATURES_FIRST:
                self._features(task.gallery, entry.method)
            keeper = Keeper(self.place, key)
            began = keeper.seconds
            which = f", {self.entries.index(entry) + 1} of {len(self.entries)}" if len(self.entries) > 1 else ""
            rankings, numbers = answers(
                entry, task, keeper, self.workers, lambda what, done, total: self.tell(f"{what}{which}", done, total)
            )
            spent = (keeper.seconds - began) / max(1, len(task.queries.pictures))
            kept = rankings, 2 * numbers, round(spent * 1e3, 3)
            write_text(place, json.dumps(dict(zip(_KEPT, kept, strict=True))))
            keeper.forget()
        rankings, size, milliseconds = kept
        notes = [note] if note else []
        if size < 2 * entry.whiten * len(entry.models):
            notes.append(
                f"whitened to {counted(size // 2, 'dimension')}: there are no more, or too few pictures to fit"
            )
        together = [self.speeds[name] for name in entry.models if name in self.speeds]
        seconds = sum(spent / count for count, spent in together)
        return EntryResult(
            model=entry.name,
            rankings=rankings,
            images_per_second=1 / seconds if len(together) == len(entry.models) else None,
            bytes_per_vector=size,
            ms_per_query=milliseconds,
            note="; ".join(notes) or None,
        )

    def _key(self, entry: Entry, task: Task) -> str:
        """What answers depend on."""
        prints = [self.cards[name].fingerprint for name in entry.models]
        way = revision(entry.method) if entry.verify else None
        digest = hashlib.sha256(json.dumps([entry.name, prints, way, task.depth]).encode())
        for side in (task.queries, task.gallery, task.fitting if entry.whiten else None, task.usual):
            digest.update(b"\n")
            for name, ref in side.pictures.items() if side else ():
                digest.update(f"{name!r} {ref.id}\n".encode())
        return digest.hexdigest()[:16]

    def _features(self, gallery: Side, method: str) -> None:
        """Local features of the whole gallery, in the cache: what a query costs must not depend on who asked before."""
        photos = gallery.photos
        limit = photos.keypoints(method)

        def one(image: ImageRef) -> None:
            with suppress(UnreadableImage):  # told by the evidence
                photos.features(image, method, limit)

        with ThreadPoolExecutor(self.workers) as pool:
            for done, _ in enumerate(pool.map(one, gallery.pictures.values()), 1):
                self.tell(f"keypoints ({method})", done, len(gallery.pictures))


def _kept(found: dict[str, Any], task: Task) -> tuple[dict[str, Ranking], int, float] | None:
    """Answers that were kept, if they are whole, and of these queries and images."""
    with suppress(AttributeError, KeyError, TypeError, ValueError):
        rankings, size, milliseconds = (found[key] for key in _KEPT)
        return checked(rankings, task.queries.pictures, task.gallery.pictures), int(size), float(milliseconds)
    return None
