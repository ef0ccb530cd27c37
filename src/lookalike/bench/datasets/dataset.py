"""What is asked, by a published data set or of a user's own folder, and how files of a data set are read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from lookalike import images
from lookalike.errors import UnreadableImage, UsageError
from lookalike.formats import is_image_name
from lookalike.store import PRIVATE
from lookalike.types import Picture
from lookalike.wording import counted
from lookalike.writing import showable

Protocol = Literal["copies", "disc21", "disc21-article", "labelled", "coco", "copydays", "revisited"]
"""What is measured, and how: see `protocols`."""

Box = tuple[float, float, float, float]

Ranking: TypeAlias = Sequence[tuple[str, float]]
"""What was found for a query, the best first: names of the gallery and scores."""

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Edits:
    """How a copy was made: the main operator, in this grade; `steps` are all of them, each with its own grade."""

    operator: str
    grade: str
    seed: int
    steps: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> str:
        """All operators, the main one first, for the reader."""
        return " + ".join(operator for operator, _ in self.steps) or self.operator


@dataclass(frozen=True, slots=True)
class Query:
    """An image that is looked for.

    truths:   the names that are to be found; empty where nothing is, or where labels say it (see `Dataset.is_right`)
    hard:     those of them that are hard to find, where a data set tells
    junk:     names that count neither for a method nor against it, the query itself among them, if it is in the gallery
    box:      (left, top, right, bottom) in pixels of the file: the part that is looked for
    original: what it is a copy of, if of anything: several copies of one image are not independent
    edits:    how it was made, where that was done here
    """

    id: str
    path: Path
    truths: frozenset[str] = NOTHING
    hard: frozenset[str] = NOTHING
    junk: frozenset[str] = NOTHING
    box: Box | None = None
    original: str | None = None
    edits: Edits | None = None

    @property
    def truth(self) -> str | None:
        """What is to be found, where that is one image."""
        return next(iter(self.truths)) if len(self.truths) == 1 else None

    def picture(self, side: int | None = None) -> Picture:
        """The image, cut to its box; `side` as in `images.read`. Raises UnreadableImage."""
        if self.box is None:
            return images.read(self.path, side=side)
        whole = images.read(self.path)
        left, top, right, bottom = (round(edge) for edge in self.box)
        box = max(left, 0), max(top, 0), min(right, whole.width), min(bottom, whole.height)
        if box[0] >= box[2] or box[1] >= box[3]:
            raise UnreadableImage("the box of the query lies outside of it", str(self.path))
        part = whole.image.crop(box)
        return Picture(part, part.width, part.height, whole.format, whole.taken)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A gallery, what is looked for in it, and how the answers are to be judged.

    name:     of the configuration, such as "disc21-article"; "copies" of a user's own folder
    gallery:  image files by the names that rankings use
    labels:   what is on images of the gallery, by name; a query of the gallery looks for what shares a label with it
    training: image files that neither queries nor gallery contain, for whitening and the like
    depth:    how many answers to a query its measures take, junk included; fewer make them pessimistic
    warnings: what was passed over, with counts: for the reader
    """

    name: str
    protocol: Protocol
    gallery: Mapping[str, Path]
    queries: Sequence[Query]
    depth: int
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    training: Mapping[str, Path] = field(default_factory=dict)
    warnings: Sequence[str] = ()

    def is_right(self, query: Query, name: str) -> bool:
        """Whether `name` of the gallery is an answer to the query (junk is none)."""
        if name in query.junk:
            return False
        return name in query.truths or not self.labels.get(name, NOTHING).isdisjoint(self.labels.get(query.id, NOTHING))


class Files(Mapping[str, Path]):
    """Image files of a folder and the folders in it, by name, in order. It holds a million of them in 200 MB."""

    def __init__(self, folder: Path, relative: Mapping[str, str]) -> None:
        self.folder, self.relative = folder, relative

    @classmethod
    def of(cls, folder: Path, name: Callable[[str], str] = lambda relative: relative) -> Files:
        """All files with an image's suffix. `name` makes the name of the path relative to the folder, with slashes.

        Links to folders are not followed. Raises UsageError where two files have the same name, or a folder cannot
        be opened.
        """
        found: dict[str, str] = {}
        for relative in sorted(_image_paths(folder)):
            key = name(relative)
            if key in found:
                raise UsageError(
                    f"{showable(str(folder))}: {showable(found[key])} and {showable(relative)} have the same name,"
                    f" {showable(key)}: keep one of them there"
                )
            found[key] = relative
        return cls(folder, found)

    def __getitem__(self, name: str) -> Path:
        return self.folder / self.relative[name]

    def __contains__(self, name: object) -> bool:
        return name in self.relative

    def __iter__(self) -> Iterator[str]:
        return iter(self.relative)

    def __len__(self) -> int:
        return len(self.relative)


def _image_paths(folder: Path) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise UsageError(f"{showable(str(error.filename))}: cannot be opened ({error.strerror})")

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [each for each in folders if each != PRIVATE]
        inner = Path(os.path.relpath(place, folder)).as_posix()
        for name in names:
            if is_image_name(name):
                yield name if inner == "." else f"{inner}/{name}"


def stem(relative: str) -> str:
    """The name of a file without folders and suffix: the ids of most data sets."""
    return os.path.splitext(relative.rpartition("/")[2])[0]


def image_id(name: str) -> str:
    """As files of a challenge name an image: with its suffix or without."""
    return os.path.splitext(name)[0] if is_image_name(name) else name


def folder_of(root: Path, names: Sequence[str], what: str) -> Path:
    """The first of the folders `names` of `root` that is there. Raises UsageError where none is."""
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise UsageError(f"{showable(str(root))}: no folder of {what}: it must hold {' or '.join(f'{n}/' for n in names)}")


def read_data(path: Path, limit: int = images.MAX_BYTES) -> bytes:
    """The bytes of a regular file of at most `limit`. Raises UsageError."""
    try:
        if (size := path.stat().st_size) > limit:
            raise UsageError(f"{showable(str(path))}: {size / 2**20:.0f} MiB: the limit is {limit >> 20}")
        return images.read_bytes(path)
    except (UnreadableImage, OSError, ValueError) as error:
        reason = error.reason if isinstance(error, UnreadableImage) else getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{showable(str(path))}: {reason.lower()}") from error


def read_json(path: Path, limit: int = images.MAX_BYTES) -> Any:
    """What a JSON file says. Raises UsageError."""
    try:
        return json.loads(read_data(path, limit))
    except (ValueError, RecursionError) as error:
        why = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else "damaged, or too deep"
        raise UsageError(f"{showable(str(path))}: no JSON ({why}): get the file anew") from error


def such(number: int, one: str, more: str, behind: str, example: str) -> str:
    """A warning, such as "3 queries without an image, such as Q00001"."""
    return f"{counted(number, one, more)} {behind}, such as {showable(example)}"
