"""Bringing a collection up to date with a folder."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from lookalike.embedding import Describing, embed_files, prepare
from lookalike.errors import ModelUnavailable, NoImages, UsageError
from lookalike.keypoints.methods import METHODS, extract, remedy
from lookalike.keypoints.methods import known as known_method
from lookalike.scan import Scan, scan
from lookalike.store import FEATURES, MOST_KEYPOINTS, FeatureStore, Packed, Reader, Wanted, Writer
from lookalike.types import ImageFile, ModelCard, Picture

log = logging.getLogger("lookalike")

COMMIT_FILES = 64
COMMIT_SECONDS = 2.0
"""A batch is committed at whichever comes first: a kill loses no more than that."""

Progress = Callable[[str, int, int | None], None]
"""Called with what is going on ("scanning", "embedding"), how many files are done, of how many (None: unknown)."""


@dataclass(frozen=True, slots=True)
class FeatureCost:
    """What local features are about to cost: at most `keypoints` each of so many `pictures`, in about `bytes` each."""

    method: str
    keypoints: int
    pictures: int
    bytes: int


Announce = Callable[[FeatureCost], None]


@dataclass(slots=True)
class AddReport:
    """What a run did. The figures count files; `embedded` counts vectors made, `features` pictures described.

    `seconds` is all of it; `embed_seconds` only from the first file to the last, once the models were ready.
    `replaced` names the models whose vectors of another revision were dropped and made anew. `interrupted`
    says that Ctrl-C ended the run early: what it did is kept, and the next run goes on.
    """

    models: list[str]
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    ignored: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    embedded: int = 0
    features: int = 0
    replaced: list[str] = field(default_factory=list)
    seconds: float = 0.0
    embed_seconds: float = 0.0
    interrupted: bool = False


@dataclass(slots=True)
class _Plan:
    todo: list[ImageFile]
    gone: list[str]
    known: set[str]
    is_new: bool  # the folder or a model is not in the collection yet
    bare: int = 0  # files of which local features are to be made


def update(
    directory: Path,
    folder: str,
    cards: Sequence[ModelCard],
    *,
    exclude: Sequence[str] = (),
    workers: int | None = None,
    batch: int | None = None,
    thumbnails: bool = True,
    allow_empty: bool = False,
    keypoints: int | None = None,
    method: str | None = None,
    announce: Announce | None = None,
    progress: Progress | None = None,
) -> AddReport:
    """Embed what is new or changed in `folder`, and forget what has gone below it. See `Collection.add`."""
    began = time.monotonic()
    tell: Progress = progress or (lambda what, done, total: None)
    report = AddReport(models=[card.name for card in cards])
    found = scan(folder, exclude, on_file=lambda seen: tell("scanning", seen, None))
    report.ignored = found.ignored
    remembered = _remembered(directory)
    asked = _asked(directory, keypoints, method)
    wanted = _wanted(remembered, asked)
    plan = _plan_unlocked(directory, folder, found, cards, wanted)
    _refuse_emptiness(folder, found, plan, allow_empty)
    report.unchanged = len(found.images) - len(plan.todo)
    embed = partial(embed_files, cards=cards, workers=workers, thumbnails=thumbnails)
    if plan.todo:  # what cannot run is told before anything is written
        embed = partial(embed, taken=prepare(plan.todo, cards, workers=workers, batch=batch))
    for cost in _costs(directory, asked, plan.bare):
        if announce and cost.pictures:
            announce(cost)
    changes = {name: limit for name, limit in asked.items() if not limit or remembered.get(name) != limit}
    if plan.todo or plan.gone or plan.is_new or found.unreadable or changes:
        with Writer.session(directory) as store:
            if changes:
                store.want_features(changes)
            _write(store, folder, found, cards, wanted, report, embed, tell)
    report.seconds = time.monotonic() - began
    return report


def _remembered(directory: Path) -> dict[str, int]:
    if not Reader.exists(directory):
        return {}
    with Reader.open(directory) as store:
        return store.wanted_features()


def _asked(directory: Path, keypoints: int | None, method: str | None) -> dict[str, int]:
    """How many keypoints by which method this run was told to keep; 0: none any more."""
    if method is not None:
        known_method(method)
    if keypoints is None:
        if method is not None:
            raise UsageError(f"local features {method!r}: say of how many keypoints, 1 to {MOST_KEYPOINTS}")
        return {}
    if not 0 <= keypoints <= MOST_KEYPOINTS:
        raise UsageError(f"{keypoints} keypoints: ask for 1 to {MOST_KEYPOINTS}, or 0 to keep none any more")
    if keypoints == 0 and method is None:
        with closing(FeatureStore(directory / FEATURES)) as store:
            return dict.fromkeys([*_remembered(directory), *(kept.method for kept in store.summary())], 0)
    return {method or "sift": keypoints}


def _wanted(remembered: Wanted, asked: Wanted) -> dict[str, int]:
    """What is to be kept of every picture by the end of the run."""
    wanted = {}
    for method, limit in (dict(remembered) | dict(asked)).items():
        how = None if method in asked else remedy(method) if method in METHODS else "pip install --upgrade lookalike"
        if how:
            log.warning("local features %r are left out of this run: to find them, run '%s'", method, how)
        elif limit:
            wanted[method] = limit
    return wanted


def _costs(directory: Path, asked: Wanted, pictures: int) -> list[FeatureCost]:
    """What was asked for, tried: what cannot run is told before anything is written. Raises ModelUnavailable."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    costs = []
    with closing(FeatureStore(directory / FEATURES)) as kept:
        for method, limit in asked.items():
            if limit:
                width = extract(Picture(noise, 64, 64, "array"), method, limit).descriptors.shape[1]
                costs.append(FeatureCost(method, limit, pictures, kept.estimate(method, limit, width)))
    return costs


def _plan_unlocked(directory: Path, folder: str, found: Scan, cards: Sequence[ModelCard], features: Wanted) -> _Plan:
    if not Reader.exists(directory):
        return _Plan(found.images, [], set(), True, len(found.images) if features else 0)
    with Reader.open(directory) as store:
        return _plan(store, folder, found, cards, features)


def _plan(store: Reader, folder: str, found: Scan, cards: Sequence[ModelCard], features: Wanted) -> _Plan:
    """What there is to do, told from names, sizes and dates alone."""
    with store.snapshot():
        # Of a model whose vectors have been lost there is nothing: the writer clears it away.
        prints = {model.name: model.fingerprint for model in store.models() if store.holds(model)}
        same = [card.name for card in cards if prints.get(card.name) == card.fingerprint]
        known = store.files_below(folder, same, features)
        is_new = folder not in store.folders() or len(same) < len(cards)
    todo = [
        file for file in found.images if file.path not in known or not known[file.path].is_current(file, len(cards))
    ]
    seen = {file.path for file in found.images} | {file.path for file in found.unreadable}
    # What lies below a folder that could not be opened has not gone.
    closed = tuple(file.path + os.sep for file in found.unreadable)
    gone = [path for path in known if path not in seen and not path.startswith(closed)]
    bare = sum(not (file.path in known and known[file.path].is_described(file)) for file in todo) if features else 0
    return _Plan(todo, gone, {path for path, entry in known.items() if entry.readable}, is_new, bare)


def _refuse_emptiness(folder: str, found: Scan, plan: _Plan, allow_empty: bool) -> None:
    if found.images or found.unreadable or (plan.gone and allow_empty):
        return
    if plan.gone:
        # A drive that is not mounted looks just like this: nothing is forgotten on so little evidence.
        raise UsageError(
            f"{folder}: no images there now, or all are excluded, but the collection knows {len(plan.gone)}:"
            " is the drive mounted?"
            " To forget them, run again with --allow-empty"
        )
    raise NoImages(f"{folder}: no images in this folder ({found.ignored} other files): name one that has some")


def _write(
    store: Writer,
    folder: str,
    found: Scan,
    cards: Sequence[ModelCard],
    features: Wanted,
    report: AddReport,
    embed: Callable[..., Iterator[ImageFile]],
    tell: Progress,
) -> None:
    store.add_folder(folder)
    report.replaced = [card.name for card in cards if store.add_model(card)]
    plan = _plan(store, folder, found, cards, features)  # again: another run may have ended since
    report.unchanged = len(found.images) - len(plan.todo)
    store.commit(found.unreadable)
    report.unreadable = [(file.path, file.reason or "") for file in found.unreadable]
    names = [card.name for card in cards]
    began = since = time.monotonic()
    batch: list[ImageFile] = []
    # The workers ask a reader of their own: they need not wait until the writer has the disk's answer.
    with Reader.open(store.directory) as known:
        try:
            tell("embedding", 0, len(plan.todo))
            wanted, describing = partial(known.missing, models=names), _describing(store, known, features, report)
            for done, file in enumerate(embed(plan.todo, wanted=wanted, describing=describing), 1):
                batch.append(file)
                if len(batch) >= COMMIT_FILES or time.monotonic() - since > COMMIT_SECONDS:
                    _commit(store, batch, plan, report)
                    batch, since = [], time.monotonic()
                tell("embedding", done, len(plan.todo))
        except KeyboardInterrupt:
            report.interrupted = True
        except ModelUnavailable:
            _commit(store, batch, plan, report)
            raise
    _commit(store, batch, plan, report)
    report.embed_seconds = time.monotonic() - began
    if not report.interrupted:
        store.forget(plan.gone)
        report.removed = len(plan.gone)


def _describing(store: Writer, known: Reader, features: Wanted, report: AddReport) -> Describing | None:
    counting = threading.Lock()

    def lacking(sha256: str) -> Wanted:
        return known.features.lacking(sha256, features) if store.keeps_features else {}

    def keep(rows: Sequence[Packed]) -> None:
        store.keep_features(rows)
        if store.keeps_features:
            with counting:
                report.features += len(rows)

    return Describing(lacking, keep) if features else None


def _commit(store: Writer, batch: Sequence[ImageFile], plan: _Plan, report: AddReport) -> None:
    before = store.hashes(file.path for file in batch if file.path in plan.known)
    store.commit(batch)
    for file in batch:
        report.embedded += len(file.vectors)
        if file.reason is not None:
            report.unreadable.append((file.path, file.reason))
        elif file.path not in plan.known:
            report.added += 1
        elif before.get(file.path) == file.sha256:
            report.unchanged += 1
        else:
            report.changed += 1


def existing_folder(path: str | os.PathLike[str]) -> str:
    """The real, absolute path of a folder. Raises UsageError where it is none."""
    real = os.path.realpath(path)
    if os.path.isdir(real):
        return real
    what = "a file, not a folder" if os.path.exists(real) else "no such folder"
    raise UsageError(f"{os.fspath(path)}: {what}: name a folder of images")
