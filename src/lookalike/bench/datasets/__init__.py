"""The published data sets, read from their official files.

dataset = read("disc21-article", "/data/disc21")
figures = protocols.judge(dataset, rankings).figures
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from lookalike.bench.datasets import coco, copydays, disc21, labelled, revisited
from lookalike.bench.datasets.dataset import Dataset, Edits, Files, Query, Ranking
from lookalike.bench.datasets.descriptors import hdf5, read_descriptors, write_descriptors
from lookalike.bench.datasets.predictions import CAP, capped, read_predictions, write_predictions
from lookalike.errors import UsageError
from lookalike.writing import showable

READERS: Mapping[str, Callable[[str, Path], Dataset]] = {
    "disc21": disc21.read,
    "disc21-final": disc21.read,
    "disc21-article": disc21.read,
    "labelled": labelled.read,
    "coco": coco.read,
    "copydays": copydays.read,
    "roxford": revisited.read,
    "rparis": revisited.read,
}

__all__ = [
    "CAP",
    "READERS",
    "Dataset",
    "Edits",
    "Files",
    "Query",
    "Ranking",
    "capped",
    "hdf5",
    "read",
    "read_descriptors",
    "read_predictions",
    "write_descriptors",
    "write_predictions",
]


def read(name: str, root: str | os.PathLike[str]) -> Dataset:
    """The data set `name`, one of READERS, whose files are under `root`. No image is opened.

    Raises UsageError for an unknown name, files that are absent, damaged or contradict each other: what is missing is
    said, or passed over and counted in `Dataset.warnings`.
    """
    if name not in READERS:
        raise UsageError(f"no data set is called {showable(name)!r}: use {', '.join(READERS)}")
    place = Path(root)
    if not place.is_dir():
        raise UsageError(f"{showable(str(place))}: no such folder: name the one that holds the data set")
    return READERS[name](name, place)
