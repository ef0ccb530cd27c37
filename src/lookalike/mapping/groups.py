"""What belongs together on a map: pictures of one folder, of one label, or that their vectors put together."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from lookalike.collection import Collection
from lookalike.errors import UsageError
from lookalike.mapping.layout import Floats

By = Literal["folder", "label", "group"]
WAYS: tuple[By, ...] = get_args(By)

COLOURS = 12
"""Groups that can be told apart on a map; of more, the smallest are one."""

OTHERS = "others"
LABELS = "labels.csv"
"""In an indexed folder: a table with the columns `path` (relative to the folder) and `label`."""

_MOST_BYTES = 64 << 20
_ROUNDS = 25
_SAMPLE = 5000

Whole = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """The names of at most COLOURS groups, the largest first, and (n,) the number of each picture's group."""

    names: tuple[str, ...]
    numbers: Whole

    @property
    def sizes(self) -> list[int]:
        """How many pictures each group has."""
        return [int(size) for size in np.bincount(self.numbers, minlength=len(self.names))]


def clusters(parts: Floats, seed: int = 0, count: int = COLOURS) -> Whole:
    """(n,) the number of a group for each row, the largest group first, at most `count`.

    k-means (Lloyd, 1982), begun by k-means++ (Arthur and Vassilvitskii, 2007).
    """
    if not len(parts):
        return np.zeros(0, dtype=np.uint32)
    rng = np.random.default_rng(seed)
    sample = parts[rng.permutation(len(parts))[:_SAMPLE]]
    centres = sample[:1]
    while len(centres) < min(count, len(sample)):
        far = _distances(sample, centres).min(axis=1)
        if far.sum() <= 0:
            break
        centres = np.vstack([centres, sample[rng.choice(len(sample), p=far / far.sum())]])
    for _ in range(_ROUNDS):
        nearest = _distances(sample, centres).argmin(axis=1)
        centres = np.stack(
            [sample[nearest == i].mean(axis=0) if (nearest == i).any() else old for i, old in enumerate(centres)]
        )
    numbers = _distances(parts, centres).argmin(axis=1)
    order = np.argsort(-np.bincount(numbers, minlength=len(centres)), kind="stable")
    return np.asarray(np.argsort(order)[numbers], dtype=np.uint32)


def grouping(collection: Collection, ids: Sequence[str], groups: Whole, by: By) -> Grouping:
    """The groups of a map's pictures; `groups` are those of `clusters`. Raises UsageError where there are no labels."""
    if by == "group":
        return Grouping(tuple(f"group {i + 1}" for i in range(int(groups.max(initial=0)) + 1)), groups)
    paths = {image.id: image.path for image in reversed(collection.listing(0, collection.listing(0, 0)[0])[1])}
    names = _folders(paths) if by == "folder" else _labels(collection, paths)
    counted = [name for name, _ in Counter(names.get(image_id, OTHERS) for image_id in ids).most_common()]
    large = [name for name in counted if name != OTHERS][: COLOURS - 1]
    own = counted if len(counted) <= COLOURS else [*large, OTHERS]
    number = {name: i for i, name in enumerate(own)}
    numbers = [number.get(names.get(image_id, OTHERS), len(own) - 1) for image_id in ids]
    return Grouping(tuple(own), np.array(numbers, dtype=np.uint32))


def has_labels(collection: Collection) -> bool:
    """Whether any of its folders has a table of labels."""
    return any(os.path.isfile(os.path.join(folder, LABELS)) for folder in collection.info()["folders"])


def _distances(rows: Floats, centres: Floats) -> npt.NDArray[np.float64]:
    """(n, k) squared."""
    cross = rows.astype(np.float64) @ centres.T
    return np.asarray(np.maximum((rows**2).sum(1)[:, None] - 2 * cross + (centres**2).sum(1), 0))


def _folders(paths: Mapping[str, str]) -> dict[str, str]:
    """The first folder in which pictures part, by picture; of those that lie above, the folder of all."""
    common = os.path.commonpath({os.path.dirname(path) for path in paths.values()}) if paths else ""
    start = len(os.path.join(common, ""))
    parts = {image_id: path[start:].partition(os.sep) for image_id, path in paths.items()}
    own = os.path.basename(common) or OTHERS
    return {image_id: first if below else own for image_id, (first, _, below) in parts.items()}


def _labels(collection: Collection, paths: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for folder in collection.info()["folders"]:
        place = os.path.join(folder, LABELS)
        if os.path.isfile(place):
            found |= {os.path.join(folder, path): label for path, label in _table(place)}
    if not found:
        raise UsageError(f"no labels: put a table {LABELS} with the columns path and label into the indexed folder")
    return {image_id: found[path] for image_id, path in paths.items() if path in found}


def _table(place: str) -> list[tuple[str, str]]:
    try:
        with open(place, encoding="utf-8-sig", newline="") as file:
            if os.path.getsize(place) > _MOST_BYTES:
                raise UsageError(f"{place}: larger than {_MOST_BYTES >> 20} MB")
            return [(row["path"], row["label"] or OTHERS) for row in csv.DictReader(file) if row["path"]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{place}: cannot be read as a table: {error}") from error
    except KeyError as error:
        raise UsageError(f"{place}: has no column {error}: it needs path and label") from error
