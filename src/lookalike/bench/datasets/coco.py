"""COCO: ROOT/val2017/*.jpg and, where it is there, ROOT/annotations/instances_val2017.json.

Without annotations it is a gallery alone. With them, an image asks for those that show something of the same category.
Lin et al., "Microsoft COCO: Common Objects in Context" (2014).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lookalike.bench.datasets.dataset import Dataset, Files, Query, read_json, such
from lookalike.errors import UsageError
from lookalike.writing import showable

MOST_NEIGHBOURS = 10
_SPLITS = ("val2017", "train2017", "val2014")


def read(name: str, root: Path) -> Dataset:
    """`root` holds val2017/, or is that folder. Raises UsageError for annotations damaged or naming absent files."""
    folder = next((root / split for split in _SPLITS if (root / split).is_dir()), root)
    gallery = Files.of(folder)
    if not gallery:
        raise UsageError(f"{showable(str(folder))}: no image: name the folder that holds val2017/")
    path = next(
        (p for place in (root, root.parent) if (p := place / f"annotations/instances_{folder.name}.json").is_file()),
        None,
    )
    if path is None:
        note = f"no annotations/instances_{folder.name}.json: a gallery only"
        return Dataset(name, "coco", gallery, (), MOST_NEIGHBOURS + 1, warnings=[note])
    try:
        labels = _labels(read_json(path))
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{showable(str(path))}: not laid out as COCO's instances: get the file anew") from error
    if absent := sorted(labels.keys() - gallery.relative.keys()):
        raise UsageError(
            f"{showable(str(path))}: {such(len(absent), 'image', 'images', f'missing in {folder.name}/', absent[0])}:"
            " complete the folder, or take the annotations away to use it as a gallery"
        )
    asked = sorted(file for file, known in labels.items() if known)
    if not asked:
        raise UsageError(f"{showable(str(path))}: no image has a category: get the file anew")
    warnings = []
    if idle := sorted(gallery.relative.keys() - set(asked)):
        warnings.append(
            such(len(idle), "image", "images", "without a category: in the gallery, but not asked", idle[0])
        )
    return Dataset(
        name=name,
        protocol="coco",
        gallery=gallery,
        queries=[Query(file, gallery[file], junk=frozenset([file])) for file in asked],
        depth=min(len(gallery), MOST_NEIGHBOURS + 1),
        labels=labels,
        warnings=warnings,
    )


def _labels(data: Any) -> dict[str, frozenset[str]]:
    """By file name, the ids of the categories that it shows."""
    files = {image["id"]: str(image["file_name"]) for image in data["images"]}
    categories = {category["id"]: str(category["name"]) for category in data["categories"]}
    shown: dict[str, set[str]] = {file: set() for file in files.values()}
    for annotation in data["annotations"]:
        shown[files[annotation["image_id"]]].add(categories[annotation["category_id"]])
    return {file: frozenset(names) for file, names in shown.items()}
