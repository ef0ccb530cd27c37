"""Folders of classes, ROOT/CLASS/.../x.jpg: every image asks for the others of its class.

As Stanford Online Products, CUB or a folder of ImageNet's are laid out; the label is the first folder.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from lookalike.bench.datasets.dataset import Dataset, Files, Query, such
from lookalike.errors import UsageError
from lookalike.wording import counted
from lookalike.writing import showable

MOST_NEIGHBOURS = 20


def read(name: str, root: Path) -> Dataset:
    """Raises UsageError for fewer than two classes, or none with two images."""
    files = Files.of(root)
    inside = {file: relative for file, relative in files.relative.items() if "/" in relative}
    classes = {file: frozenset([relative.partition("/")[0]]) for file, relative in inside.items()}
    sizes = Counter(classes.values())
    queries = [file for file, label in classes.items() if sizes[label] > 1]
    if len(sizes) < 2 or not queries:
        raise UsageError(
            f"{showable(str(root))}: {counted(len(sizes), 'class', 'classes')},"
            f" {counted(len(queries), 'image')} that share one:"
            " it must hold two folders of images at least, named after what they show"
        )
    warnings = []
    if loose := [file for file in files if file not in inside]:
        warnings.append(such(len(loose), "image", "images", "in no class: left out", loose[0]))
    if alone := [file for file, label in classes.items() if sizes[label] == 1]:
        warnings.append(
            such(len(alone), "image", "images", "without another of its class: in the gallery, but not asked", alone[0])
        )
    return Dataset(
        name=name,
        protocol="labelled",
        gallery=Files(root, inside),
        queries=[Query(file, files[file], junk=frozenset([file])) for file in queries],
        depth=min(len(inside), max(MOST_NEIGHBOURS + 1, max(sizes.values()))),
        labels=classes,
        warnings=warnings,
    )
