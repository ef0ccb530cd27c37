"""An audit's findings, as one value."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lookalike.auditing.groups import Grouping
from lookalike.auditing.pairs import Surprises
from lookalike.auditing.probes import Probes
from lookalike.types import ImageRef
from lookalike.writing import write_text


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """What a model was found to be biased by, against references that see looks alone.

    images:   pictures that were audited, of `total` in the collection
    groups:   a column of labels each; None where there were no labels
    probes:   None where none were made
    notes:    what was left out, and why
    machine, versions: for the reader
    """

    collection: str
    model: str
    visual: tuple[str, ...]
    images: int
    total: int
    seed: int
    pairs: Surprises
    groups: tuple[Grouping, ...] | None
    probes: Probes | None
    notes: tuple[str, ...]
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    kept: Callable[[ImageRef], bytes | None] = field(repr=False)
    """A small JPEG or WebP of an image, for the page; None where it cannot be read any more."""

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data; shares are between 0 and 1."""
        return {
            "collection": self.collection,
            "model": self.model,
            "visual": list(self.visual),
            "images": self.images,
            "images_in_collection": self.total,
            "seed": self.seed,
            "pairs": self.pairs.to_json(),
            "groups": None if self.groups is None else [each.to_json() for each in self.groups],
            "probes": self.probes.to_json() if self.probes else None,
            "notes": list(self.notes),
            "machine": dict(self.machine),
            "versions": dict(self.versions),
        }

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Write one page that opens anywhere, offline, with the pictures in it. Raises StorageError."""
        from lookalike.auditing.report import render

        write_text(path, render(self))
