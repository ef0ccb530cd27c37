"""The audit of a model on a collection, from beginning to end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from lookalike import images
from lookalike.auditing import groups, labels, likeness, pairs, probes
from lookalike.auditing.results import Audit
from lookalike.collection import Collection
from lookalike.errors import NoCollection, UnreadableImage, UsageError
from lookalike.indexing import Progress
from lookalike.machine import machine, versions
from lookalike.opening import open_collection
from lookalike.searching import IMPORTED
from lookalike.types import ImageRef

LISTED = 12
"""Pairs in each list."""


def audit(
    collection: Collection | str | os.PathLike[str],
    model: str,
    visual: Sequence[str],
    *,
    groups_file: str | None = None,
    columns: Sequence[str] = (),
    probed: int = probes.IMAGES,
    listed: int = LISTED,
    seed: int = 7,
    progress: Progress | None = None,
) -> Audit:
    """What decides which pictures `model` finds alike beside their looks, which the `visual` models see.

    groups_file: CSV with the name of an image and its labels, a column each, for the test of `columns` (default: all)
    probed: pictures that are written on and put before others; 0 for no probes
    listed: pairs in each list

    The same seed gives the same figures. Raises NoCollection; UnknownModel; UsageError where the collection has no
    vectors of a model, where a request makes no sense, and for a file of groups that cannot be used; ModelUnavailable
    where a probe needs a model that cannot run here.
    """
    where = collection if isinstance(collection, Collection) else _opened(collection)
    _refuse(where, model, visual, columns, groups_file, probed)
    tell = progress or (lambda what, done, total: None)
    # Each part has numbers of its own: none changes with what else was asked for.
    lots = [np.random.default_rng([seed, part]) for part in range(4)]
    audited = likeness.gather(where, model, visual, lots[0], tell)
    notes = []
    if len(audited.images) < audited.total:
        notes.append(f"{len(audited.images):,} of {audited.total:,} pictures were drawn by lot")
    tested = None
    if groups_file is not None:  # what may be wrong with it is told before the work
        chosen, told = labels.read(groups_file, audited, columns)
        notes += told
    found = pairs.surprises(audited, listed, lots[1], tell)
    if groups_file is not None:
        tested = groups.judge(audited, chosen, lots[2], tell)
    made, told = _probes(where, audited, probed, lots[3], tell)
    return Audit(
        collection=str(where.directory),
        model=model,
        visual=tuple(visual),
        images=len(audited.images),
        total=audited.total,
        seed=seed,
        pairs=found,
        groups=tested,
        probes=made,
        notes=(*notes, *told),
        machine=machine(),
        versions=versions(),
        kept=lambda image: _small(where, image),
    )


def _opened(path: str | os.PathLike[str]) -> Collection:
    if not os.path.isdir(path):
        raise NoCollection(f"{os.fspath(path)}: no such folder: name a collection, or a folder that was indexed")
    return open_collection(path)


def _refuse(
    where: Collection,
    model: str,
    visual: Sequence[str],
    columns: Sequence[str],
    groups_file: str | None,
    probed: int,
) -> None:
    if not where.exists:
        raise NoCollection(f"{where.directory}: no collection here: run 'lookalike index FOLDER' first")
    if not visual:
        raise UsageError("name a model that sees looks alone: --visual layout, say")
    if model in visual or len(set(visual)) < len(visual):
        raise UsageError(f"{model} against {', '.join(visual)}: each must be another model")
    if columns and groups_file is None:
        raise UsageError(f"column {columns[0]!r}: of which file? Name it with --groups")
    if probed and probed < probes.LEAST:
        raise UsageError(f"{probed} pictures are too few to probe: take {probes.LEAST} or more, or 0 for no probes")


def _probes(
    where: Collection, audited: likeness.Audited, probed: int, rng: np.random.Generator, tell: Progress
) -> tuple[probes.Probes | None, list[str]]:
    if not probed:
        return None, []
    wanted = {audited.model.model, *(each.model for each in audited.visual)}
    for entry in where.entries():
        if entry.name in wanted and entry.fingerprint.startswith(IMPORTED):
            return None, [f"no probes: the vectors of {entry.name} were imported without their model"]
    made = probes.probe(audited, probed, rng, tell)
    if made is None:
        return None, [f"no probes: fewer than {probes.LEAST} pictures can be read"]
    return made, [f"pictures drawn for the probes that cannot be read: {made.unread:,}"] if made.unread else []


def _small(where: Collection, image: ImageRef) -> bytes | None:
    """Of a file that has gone nothing is shown, whatever is kept of it."""
    if not os.path.exists(image.path):
        return None
    with suppress(UnreadableImage):
        return where.thumbnail(image.id) or images.thumbnail(image.path)
    return None
