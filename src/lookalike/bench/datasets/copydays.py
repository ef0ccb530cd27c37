"""INRIA Copydays: photos, and copies of them that were cropped, compressed, or changed strongly.

    ROOT/original/200000.jpg  strong/200001.jpg  jpeg/3/200000.jpg  crops/10/200000.jpg  [distractors/*.jpg]

The first four digits name the photo. The official set has 157 originals and 229 strong copies. Jegou and Douze,
"INRIA Copydays dataset" (2008); Douze et al., "Evaluation of GIST descriptors for web-scale image search" (2009).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from lookalike.bench.datasets.dataset import Dataset, Files, Query, folder_of, stem, such
from lookalike.errors import UsageError
from lookalike.wording import counted
from lookalike.writing import showable

BLOCKS = {"strong": ("strong",), "jpeg": ("jpeg", "jpegqual"), "crops": ("crops", "crop")}
ORIGINALS, STRONG = 157, 229
MOST_ANSWERS = 1000
"""To a query that are asked for: an original behind them would add 0.0005 to its AP."""

_ID = re.compile(r"(\d{4})\d\d")


def read(name: str, root: Path) -> Dataset:
    """Queries are named after their folders, "strong/200001", "jpeg/3/200000". Raises UsageError.

    The gallery is the originals, and what lies in distractors/, where that is.
    """
    originals = Files.of(folder_of(root, ("original",), "originals"), stem)
    photos: dict[str, str] = {}
    for id_, path in originals.items():
        if photos.setdefault(_photo(path), id_) != id_:
            raise UsageError(f"{showable(str(path))}: a second original of photo {_photo(path)}: keep one of them")
    queries = []
    folder_of(root, BLOCKS["strong"], "strong copies")
    for block, folders in BLOCKS.items():
        folder = next((root / known for known in folders if (root / known).is_dir()), None)
        files: Mapping[str, Path] = Files.of(folder, lambda relative: os.path.splitext(relative)[0]) if folder else {}
        for id_, path in files.items():
            photo = _photo(path)
            if photo not in photos:
                raise UsageError(f"{showable(str(path))}: no original of it, {photo}00, in original/")
            queries.append(Query(f"{block}/{id_}", path, frozenset([photos[photo]]), original=photos[photo]))
    strong = sum(query.id.startswith("strong/") for query in queries)
    if not strong:
        raise UsageError(f"{showable(str(root / 'strong'))}: no image: put the strong copies there")
    warnings = []
    if (len(originals), strong) != (ORIGINALS, STRONG):
        warnings.append(
            f"{counted(len(originals), 'original')} and {counted(strong, 'strong copy', 'strong copies')}:"
            f" the official set has {ORIGINALS} and {STRONG}"
        )
    gallery: dict[str, Path] = dict(originals)
    if (root / "distractors").is_dir():
        distractors = Files.of(root / "distractors")
        gallery |= {f"distractors/{file}": distractors[file] for file in distractors}
        warnings.append(
            such(len(distractors), "distractor", "distractors", "in the gallery", next(iter(distractors), "none"))
        )
    return Dataset(name, "copydays", gallery, queries, min(len(gallery), MOST_ANSWERS), warnings=warnings)


def _photo(path: Path) -> str:
    made = _ID.fullmatch(path.stem)
    if made is None:
        raise UsageError(f"{showable(str(path))}: Copydays' files are named by six digits, as 200001.jpg")
    return made[1]
