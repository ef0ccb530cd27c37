"""Which image is in which group, as a CSV file says."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lookalike.auditing.likeness import Audited
from lookalike.errors import UnreadableImage, UsageError
from lookalike.images import read_bytes

NAMES = ("path", "file", "image", "filename", "name")
"""How the column is called that names the images, the likeliest first; else it is the file's first."""

LEAST = 5
"""Images of a group that is tested."""

MOST = 25
"""Groups that are tested, the largest; a column of numbers or of names would have no end of them."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of labels: (n,) one an image, or None; and what had to be left out."""

    name: str
    labels: Sequence[str | None]
    notes: tuple[str, ...]

    @property
    def groups(self) -> list[str]:
        """The labels, in order."""
        return sorted({label for label in self.labels if label is not None})


def read(path: str, audited: Audited, wanted: Sequence[str]) -> tuple[list[Column], list[str]]:
    """The columns of FILE that can be tested (those `wanted`, or all), and notes on what cannot.

    Images are named by path, by a path's end or by file name alone. Raises UsageError where no column can be tested.
    """
    header, rows = _table(path)
    key = next((header.index(name) for name in NAMES if name in header), 0)
    if missing := [name for name in wanted if name not in header]:
        raise UsageError(f"{path}: has no column {missing[0]!r}: it has {', '.join(header)}")
    chosen = [i for i, name in enumerate(header) if i != key and name and (not wanted or name in wanted)]
    if not chosen:
        raise UsageError(f"{path}: has no column of labels beside {header[key]!r}: name one at its top")
    places: dict[str, list[tuple[str, int]]] = {}
    for number, files in enumerate(audited.files):
        for file in files:
            places.setdefault(os.path.basename(file), []).append((file, number))
    found: dict[int, list[str]] = {}
    unknown = ambiguous = twice = 0
    for row in rows:
        name = os.path.normpath(row[key].strip().replace("/", os.sep))
        same_name = places.get(os.path.basename(name), [])
        numbers = {n for file, n in same_name if file == name or file.endswith(os.sep + name)}
        unknown += not numbers
        ambiguous += len(numbers) > 1
        for number in numbers if len(numbers) == 1 else ():
            twice += number in found and found[number] != row
            found.setdefault(number, row)
    notes = [
        f"{path}: {why}: {count:,}"
        for count, why in (
            (unknown, "rows that name no image of the collection (or none that all the models know)"),
            (ambiguous, "rows that name several images (write more of their paths)"),
            (twice, "rows left out, since the same image has other labels before"),
        )
        if count
    ]
    if not found:
        said = f"it says {rows[0][key][:80]!r}, the collection {audited.files[0][0]!r}" if rows else "it has no rows"
        raise UsageError(f"{path}: names no image of the collection in its column {header[key]!r}: {said}")
    if bare := len(audited.images) - len(found):
        notes.append(f"{path}: images that are not in it: {bare:,}")
    columns, refused = [], []
    for i in chosen:
        column = _column(header[i], [found[n][i].strip() if n in found else "" for n in range(len(audited.images))])
        if len(column.groups) > 1:
            columns.append(column)
        else:
            refused.append(f"{path}: column {column.name!r} is not tested: fewer than two groups of {LEAST} images")
    if not columns:
        raise UsageError(refused[0] if len(refused) == 1 else f"{path}: no column has two groups of {LEAST} images")
    return columns, notes + refused


def _table(path: str) -> tuple[list[str], list[list[str]]]:
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnreadableImage as error:
        raise UsageError(f"{path}: {error.reason}: give a CSV file of image names and labels") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is no UTF-8 text: save it as a CSV file in UTF-8") from None
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    try:
        lines = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if any(row)]
    except csv.Error as error:
        raise UsageError(f"{path}: is no CSV file: {error}") from None
    header = [name.strip() for name in lines[0]] if lines else []
    if len(header) < 2:
        raise UsageError(f"{path}: needs a first line with two names at least: of the images' column, and of a label's")
    if repeated := [name for name, times in Counter(filter(None, header)).items() if times > 1]:
        raise UsageError(f"{path}: has two columns {repeated[0]!r}: give each a name of its own")
    return header, [(row + [""] * len(header))[: len(header)] for row in lines[1:]]


def _column(name: str, labels: Sequence[str]) -> Column:
    sizes = Counter(label for label in labels if label)
    tested = [label for label, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])) if size >= LEAST]
    kept = set(tested[:MOST])
    counts = (
        (sum(not label for label in labels), "images without a label"),
        (len(sizes) - len(tested), f"groups of fewer than {LEAST} images, left out"),
        (len(tested) - len(kept), f"groups left out, beside the {MOST} largest"),
    )
    notes = tuple(f"{name}: {why}: {count:,}" for count, why in counts if count)
    return Column(name, [label if label in kept else None for label in labels], notes)
