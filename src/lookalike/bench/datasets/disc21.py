"""DISC21, the data of the Image Similarity Challenge 2021: edited copies among distractors, a million references.

    ROOT/references/R000000.jpg  dev_queries/Q00000.jpg  final_queries/Q50000.jpg  train/T000000.jpg
         public_ground_truth.csv (development)  final_ground_truth.csv

Other names under which these are passed on are known too. Douze et al., "The 2021 Image Similarity Dataset and
Challenge" (2021).

disc21          the development queries, with their distractors, against all references
disc21-final    the queries of the final phase
disc21-article  queries that have a truth, against however many references there are: accuracy only
"""

from __future__ import annotations

from pathlib import Path

from lookalike.bench.datasets.dataset import Dataset, Files, Query, folder_of, stem, such
from lookalike.bench.datasets.predictions import CAP, GroundTruth, read_ground_truth
from lookalike.errors import UsageError
from lookalike.wording import counted
from lookalike.writing import showable

_COMMON_TRUTHS = ("ground_truth.csv", "val_groundtruth_matches.csv")
_COMMON_QUERIES = ("queries", "query_images", "val_query")
_TRUTHS = {
    "dev": ("dev_ground_truth.csv", "public_ground_truth.csv", *_COMMON_TRUTHS, "final_ground_truth.csv"),
    "final": ("final_ground_truth.csv", "private_ground_truth.csv", *_COMMON_TRUTHS),
}
_REFERENCES = ("references", "reference_images", "val_ref")
_TRAINING = ("train", "training", "training_images")

MOST_ANSWERS = 50
"""To a query that are asked for: what comes behind them hardly moves any measure."""


def read(name: str, root: Path) -> Dataset:
    """`name` is one of the three above. Raises UsageError.

    Files that the ground truth names and that are absent are an error, but for disc21-article, which leaves such
    queries out and counts them.
    """
    article = name == "disc21-article"
    part = "final" if name == "disc21-final" else "dev"
    path = _ground_truth(root, _TRUTHS[part])
    if path.name.startswith("final"):
        part = "final"
    truth = read_ground_truth(path)
    references = Files.of(folder_of(root, _REFERENCES, "references"), stem)
    images = Files.of(folder_of(root, (f"{part}_queries", *_COMMON_QUERIES), "queries"), stem)
    training = next((Files.of(root / folder, stem) for folder in _TRAINING if (root / folder).is_dir()), None)

    warnings = []
    if name == "disc21" and part == "final":
        warnings.append(f"no ground truth of the development queries: judged by {path.name}")
    if truth.repeated:
        warnings.append(f"{path.name}: {counted(truth.repeated, 'repeated line')}")
    asked = {query: known for query, known in truth.truths.items() if known or not article}
    absent = [query for query in asked if query not in images or not asked[query] <= references.relative.keys()]
    if absent and not article:
        raise _absent(path, truth, absent, images, references, article)
    if absent:
        warnings.append(
            f"{path.name}: " + such(len(absent), "query", "queries", "left out for want of files", absent[0])
        )
        asked = {query: known for query, known in asked.items() if query not in set(absent)}
        if not asked:
            raise _absent(path, truth, absent, images, references, article)
    unnamed = [query for query in images if query not in truth.truths] if not article else []
    if unnamed and all(truth.truths.values()):  # it names matches only: whatever else is there has none
        warnings.append(
            such(
                len(unnamed),
                "query image",
                "query images",
                f"not in {path.name}: asked, as having no match",
                unnamed[0],
            )
        )
        asked |= dict.fromkeys(unnamed, frozenset())
    elif unnamed:
        warnings.append(such(len(unnamed), "query image", "query images", f"not in {path.name}: not asked", unnamed[0]))
    return Dataset(
        name=name,
        protocol="disc21-article" if article else "disc21",
        gallery=references,
        queries=[
            Query(query, images[query], known, original=min(known, default=None))
            for query, known in sorted(asked.items())
        ],
        depth=min(len(references), MOST_ANSWERS, max(10, CAP // len(asked))),
        training=training if training is not None else {},
        warnings=warnings,
    )


def _ground_truth(root: Path, names: tuple[str, ...]) -> Path:
    for folder in (root, root / "list_files"):
        for name in names:
            if (folder / name).is_file():
                return folder / name
    raise UsageError(f"{showable(str(root))}: no ground truth: it must hold {', '.join(names[:-1])} or {names[-1]}")


def _absent(
    path: Path, truth: GroundTruth, absent: list[str], images: Files, references: Files, article: bool
) -> UsageError:
    first = absent[0]
    where = images.folder if first not in images else references.folder
    missing = first if first not in images else min(truth.truths[first] - references.relative.keys())
    return UsageError(
        f"{showable(str(path))}, line {truth.lines[first]:,}: no image {showable(missing)} in {where.name}/"
        f" ({counted(len(absent), 'query lacks', 'queries lack')} a file): complete the data"
        + ("" if article else ", or take disc21-article, which leaves them out")
    )
