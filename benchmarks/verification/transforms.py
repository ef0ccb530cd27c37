"""How right the estimated transforms are, how many unrelated pictures seem to match, and what repeated patterns do.

    python benchmarks/verification/transforms.py [--methods sift,...] [--each N] [--pairs N] [--seed S]
                                                 [--folder DIR] [--out FILE]

transforms  copies of gallery photos, verified against their originals: how far the corners of the original are off
            where the transform puts them, on average of the four, in pixels of the copy; its median by operator and
            grade over the copies for which a transform was found
unrelated   pairs of photos of two sets, whose cosines are as high as those of a hit (`standard`): how many of them
            have keypoints that agree, and how many a chance over one half
patterns    drawn grids, boards, dots, stripes, pages of text and textures, each with all others of its kind and with
            flat pictures: how many have a chance over one half, and the highest
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import material
import numpy as np
from material import Query

import record
from lookalike import images
from lookalike.bench.copies import GRADES, OPERATORS
from lookalike.calibration import chance
from lookalike.keypoints.features import LIMIT, Features
from lookalike.keypoints.geometry import FEWEST, Matches, flipped, verify
from lookalike.keypoints.methods import READ_SIDE, extract
from lookalike.types import Picture

STANDARD = 6.0
"""Deviations above the usual: what copies have with their originals by the middle model."""

METHODS = ("sift", "orb", "xfeat", "alike")


def main() -> None:
    options = arguments()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        os.environ.setdefault("LOOKALIKE_MODELS", str(folder / "models"))
        material.register()
        rows = [measured(method, options, folder) for method in options.methods.split(",")]
    out = options.out or Path(__file__).resolve().parent.parent / "results" / "verification_transforms.json"
    record.write(__file__, out, options.seed, {"methods": rows}, ("opencv-contrib-python-headless",))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--methods", default=",".join(METHODS), help="[%(default)s]")
    parser.add_argument("--each", type=int, default=7, help="copies by each operator in each grade [%(default)s]")
    parser.add_argument("--pairs", type=int, default=20_000, help="unrelated ones [%(default)s]")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where copies are kept [nowhere]")
    parser.add_argument("--out", type=Path, help="the JSON [benchmarks/results/verification_transforms.json]")
    return parser.parse_args()


def measured(method: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    chosen = material.photos(options.seed)
    own = [photo for photo in chosen if photo.role == "gallery"]
    others = [photo for photo in chosen if photo.role == "others"]
    copies = material.write_copies(own, others, options.each, folder / "queries", options.seed)
    patterns = material.write_patterns(folder / "other-patterns", 12, options.seed + 1)
    result = {
        "method": method,
        "transforms": transforms(method, copies),
        "unrelated": unrelated(method, own, options.pairs, options.seed),
        "patterns": repeated(method, patterns),
    }
    show(result)
    return result


# --- Transforms ---


def transforms(method: str, copies: Sequence[Query]) -> dict[str, Any]:
    errors: dict[tuple[str, str], list[float | None]] = {}
    for copy in copies:
        errors.setdefault((copy.operator, copy.grade), []).append(error(method, copy))
    table = {
        operator: {grade: median(errors[operator, grade]) for grade in GRADES}
        for operator in OPERATORS
        if (operator, GRADES[0]) in errors
    }
    grades = {
        grade: median([value for (_, own), values in errors.items() for value in values if own == grade])
        for grade in GRADES
    }
    return {"by_grade": grades, "by_operator": table}


def error(method: str, copy: Query) -> float | None:
    """Pixels that the corners are off; None where nothing was found."""
    picture = images.read(material.PHOTOS / copy.truth, side=READ_SIDE)
    original = extract(picture, method)
    turned = flipped(picture, original, LIMIT)
    found = verify(original, extract(images.read(copy.path, side=READ_SIDE), method), mirror=turned)
    if found.transform is None:
        return None
    width, height = original.size
    corners = np.array([[(0, 0), (width, 0), (width, height), (0, height)]], dtype=np.float64)
    ours, truth = (cv2.perspectiveTransform(corners, np.array(each)) for each in (found.transform, copy.transform))
    return float(np.linalg.norm(ours - truth, axis=2).mean())


def median(values: Sequence[float | None]) -> dict[str, Any]:
    found = [value for value in values if value is not None]
    middle = round(float(np.median(found)), 3) if found else None
    return {"found": f"{len(found)} of {len(values)}", "median_pixels": middle}


# --- Pictures that have nothing to do with each other ---


def unrelated(method: str, photos: Sequence[material.Photo], count: int, seed: int) -> dict[str, Any]:
    """Pairs by chance, of two sets each: no photo of one set is near to one of another."""
    rng = np.random.default_rng(seed)
    some = [photos[i] for i in rng.permutation(len(photos))[:400]]
    features = [both(images.read(material.PHOTOS / photo.name, side=READ_SIDE), method) for photo in some]
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < count:
        i, j = (int(n) for n in rng.integers(0, len(some), 2))
        if some[i].set != some[j].set:
            pairs.add((i, j))
    return judged((features[i], features[j]) for i, j in sorted(pairs))


Both: TypeAlias = tuple[Features, Features]
"""The features of a picture, and of the mirrored picture."""


def both(picture: Picture, method: str) -> Both:
    own = extract(picture, method)
    return own, flipped(picture, own, LIMIT)


def judged(pairs: Iterator[tuple[Both, Both]]) -> dict[str, Any]:
    chances, agreeing, spent = [], [], 0.0
    for (a, turned), (b, _) in pairs:
        began = time.process_time()
        matches = matched(a, b, turned)
        spent += time.process_time() - began
        chances.append(chance(STANDARD, matches, a, b))
        agreeing.append(matches.count if matches else 0)
    return {
        "pairs": len(chances),
        "with_keypoints_that_agree": int(np.count_nonzero(agreeing)),
        "most_that_agree": int(max(agreeing)),
        "over_half": int((np.array(chances) > 0.5).sum()),
        "highest_chance": round(max(chances), 4),
        "cpu_ms_a_pair": round(spent * 1e3 / len(chances), 2),
    }


def matched(a: Features, b: Features, turned: Features) -> Matches | None:
    """What a search does with a query and a hit."""
    return verify(a, b, mirror=turned) if min(len(a), len(b)) >= FEWEST else None


# --- Patterns ---


def repeated(method: str, kinds: dict[str, list[str]]) -> dict[str, Any]:
    flat = [both(images.read(np.full((200, 300, 3), value, dtype=np.uint8)), method) for value in (0, 120, 255)]
    found = {}
    for kind, paths in kinds.items():
        features = [both(images.read(path, side=READ_SIDE), method) for path in paths]
        pairs = [(a, b) for i, a in enumerate(features) for b in [*features[i + 1 :], *flat]]
        found[kind] = judged(iter(pairs))
    return found


def show(result: dict[str, Any]) -> None:
    print(f"\n{result['method']}: {result['transforms']['by_grade']}\nunrelated: {result['unrelated']}")
    rows = [
        {"operator": name, **{grade: each["median_pixels"] for grade, each in grades.items()}}
        for name, grades in result["transforms"]["by_operator"].items()
    ]
    print(record.table(rows, {"operator": "", **dict(zip(GRADES, GRADES, strict=True))}))
    columns = {"kind": "", "pairs": "pairs", "over_half": "over half", "highest_chance": "highest"}
    print(record.table([{"kind": kind, **row} for kind, row in result["patterns"].items()], columns))


if __name__ == "__main__":
    main()
