"""Fit what src/lookalike/calibration.py weighs with, and write src/lookalike/data/calibration.json.

    python benchmarks/verification/learn_calibration.py [--methods sift,...] [--each N] [--seed S] [--folder DIR]

Copies by every operator in every grade of the photos whose role is "fit" (a fifth of each set, half of the web
cameras; the proof uses none of them) are searched for among those photos by SIFT-VLAD, by ViT-Tiny, and by both
together. Each query is paired with its original, which makes the positives, and with the best other hits of each
search, which are the hardest negatives: the same camera at another hour, the same kind of texture or drawing. Drawn
grids, boards, dots and pages of text are paired with others of their kind: they are negatives as well. Every pair is
verified, and a logistic model fitted by maximum likelihood, with a slight pull towards 0 and no coefficient
below 0 but the constant. Each query counts the same, negatives together as much as PRIOR says.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import material
import numpy as np
from scipy.optimize import minimize

import lookalike
from lookalike import calibration, images
from lookalike.keypoints.features import Features
from lookalike.keypoints.geometry import FEWEST, flipped, verify
from lookalike.keypoints.methods import READ_SIDE, extract

MODELS = ("sift", "vit-tiny", "vit-tiny+sift")
METHODS = ("sift", "orb", "akaze", "surf", "xfeat", "alike", "lighterglue")
SLOW = {"lighterglue": 6}
"""Methods that are tried on every so-many-th query only."""

NEGATIVES = 8
"""Of each ranking."""

PRIOR = 8.0
"""Negatives for every positive: as many as to make a list of hits."""

ENOUGH = 10
"""Copies in which nothing agrees: where there are fewer, nothing can be learnt of such, and they are as of others."""

PULL = 0.005
"""How much the sum of squares of the coefficients weighs beside the mean loss."""

ALIKE = 6.0
"""Deviations above the usual that copies have with their originals by the middle model."""

OUT = Path(calibration.__file__).parent / "data" / "calibration.json"


@dataclass(frozen=True)
class Pair:
    """A query and a hit, with the standards by the models that found it."""

    query: str
    hit: str
    standards: tuple[float, ...]
    same: bool


def main() -> None:
    options = arguments()
    cv2.setNumThreads(1)  # its threads wait for each other by turning round and round
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        os.environ.setdefault("LOOKALIKE_MODELS", str(folder / "models"))
        pairs = found_pairs(folder, options.each, options.seed) + drawn_pairs(folder, options.seed)
        print(f"{len(pairs):,} pairs, {sum(pair.same for pair in pairs):,} of them copies", file=sys.stderr)
        tables = {method: table(method, pairs, options.keypoints) for method in options.methods.split(",")}
    coefficients: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    for method, rows in tables.items():
        nothing = Rows(rows.x[rows.x[:, 1] == 0], rows.same[rows.x[:, 1] == 0], rows.weights[rows.x[:, 1] == 0])
        coefficients[method] = {"with": fit(rows), "without": fit(rows, known=False)}
        coefficients[f"{method} nothing"] = alone(nothing) if nothing.same.sum() >= ENOUGH else {}
        summary[method] = judged(rows, coefficients[method]["with"]) | {
            "copies_of_which_nothing_agrees": int(nothing.same.sum())
        }
        print(method, coefficients[method], coefficients[f"{method} nothing"], summary[method], file=sys.stderr)
    coefficients["unverified"] = alone(next(iter(tables.values())))
    coefficients["other"] = middle([coefficients[method] for method in tables])
    of_nothing = {f"{method} nothing": coefficients[f"{method} nothing"] for method in tables}
    coefficients["other nothing"] = middle([each for each in of_nothing.values() if each])
    coefficients |= {name: each or coefficients["other nothing"] for name, each in of_nothing.items()}
    out = {
        "what": "coefficients of lookalike.calibration: the constant, then those of `names`",
        "made_by": "benchmarks/verification/learn_calibration.py",
        "seed": options.seed,
        "names": calibration.NAMES,
        "coefficients": coefficients,
        "fitted_on": summary,
    }
    options.out.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")
    print(f"written: {options.out}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--methods", default=",".join(METHODS), help="[%(default)s]")
    parser.add_argument("--each", type=int, default=6, help="copies by each operator in each grade [%(default)s]")
    parser.add_argument("--keypoints", type=int, default=500, help="at most, of a picture [%(default)s]")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where copies and vectors are kept [nowhere]")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def found_pairs(folder: Path, each: int, seed: int) -> list[Pair]:
    """Every query with its original and the best others of each ranking."""
    material.register()
    chosen = material.photos(seed)
    own = [photo for photo in chosen if photo.role == "fit"]
    others = [photo for photo in chosen if photo.role == "others"]
    queries = material.write_copies(own, others, each, folder / "fit-queries", seed + 2)
    gallery = material.copy_into(folder / "fit", own)
    photos = lookalike.open(str(gallery))
    photos.add(gallery, models=["sift", "vit-tiny"], thumbnails=False)
    found: list[Pair] = []
    answers = photos.search_files([query.path for query in queries], models=MODELS, k=len(own))
    for query, answer in zip(queries, answers, strict=True):
        standards: dict[str, list[float]] = {}
        for hits in answer.columns:
            assert hits.usual is not None
            names = [str(Path(hit.path).relative_to(gallery)) for hit in hits]
            best = [name for name in names if name != query.truth][:NEGATIVES]
            for name, hit in zip(names, hits, strict=True):
                if name in best or name == query.truth:
                    standards.setdefault(name, []).append(hits.usual.standard(hit.cosine))
        found += [
            Pair(query.path, str(gallery / name), tuple(values), name == query.truth)
            for name, values in standards.items()
        ]
    return found


def drawn_pairs(folder: Path, seed: int) -> list[Pair]:
    """Patterns of one kind that are not the same, as if some model had found them very much alike."""
    kinds = material.write_patterns(folder / "patterns", 12, seed)
    return [
        Pair(one, other, (ALIKE,), same=False)
        for paths in kinds.values()
        for i, one in enumerate(paths)
        for other in paths[i + 1 :]
    ]


@dataclass(frozen=True)
class Rows:
    """(n, 5) measures, (n,) whether copies, (n,) how much each counts."""

    x: np.ndarray
    same: np.ndarray
    weights: np.ndarray


def table(method: str, pairs: Sequence[Pair], keypoints: int) -> Rows:
    """The measures of each pair that can be verified, once for each model that found it."""
    features: dict[str, Features] = {}
    turned: dict[str, Features] = {}

    def of(path: str) -> Features:
        if path not in features:
            features[path] = extract(images.read(path, side=READ_SIDE), method, keypoints)
        return features[path]

    def mirrored(path: str) -> Features:
        if path not in turned:
            turned[path] = flipped(images.read(path, side=READ_SIDE), of(path), keypoints)
        return turned[path]

    rows, same, weights = [], [], []
    for pair in _some(method, pairs):
        a, b = of(pair.query), of(pair.hit)
        if min(len(a), len(b)) < FEWEST:
            continue
        matches = verify(a, b, mirror=mirrored(pair.query))
        for standard in pair.standards:
            rows.append(calibration.measures(standard, matches, a, b))
            same.append(pair.same)
            weights.append(1 / len(pair.standards))
    x, y, w = np.array(rows), np.array(same), np.array(weights)
    w[y] /= w[y].sum()
    w[~y] *= PRIOR / w[~y].sum()
    return Rows(x, y, w / w.sum())


def _some(method: str, pairs: Sequence[Pair]) -> Iterator[Pair]:
    step = SLOW.get(method, 1)
    places: dict[str, int] = {}
    for pair in pairs:
        if places.setdefault(pair.query, len(places)) % step == 0:
            yield pair


def fit(rows: Rows, *, known: bool = True) -> list[float]:
    """The constant and the coefficients; unless `known`, without the standard."""
    x = rows.x if known else rows.x * (np.arange(rows.x.shape[1]) > 0)
    x = np.hstack([np.ones((len(x), 1)), x])
    signs = np.where(rows.same, 1.0, -1.0)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin = signs * (x @ w)
        slope = -signs / (1 + np.exp(np.clip(margin, -500, 500)))
        pulled = PULL / len(w) * w * (np.arange(len(w)) > 0)
        value = rows.weights @ np.logaddexp(0, -margin) + 0.5 * pulled @ w
        return float(value), x.T @ (rows.weights * slope) + pulled

    bounds = [(None, None)] + [(0, None)] * (x.shape[1] - 1)
    best = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds)
    return [round(float(value), 4) for value in best.x]


def judged(rows: Rows, coefficients: Sequence[float]) -> dict[str, Any]:
    likely = coefficients[0] + rows.x @ np.array(coefficients[1:]) > 0
    return {
        "copies": int(rows.same.sum()),
        "others": int((~rows.same).sum()),
        "copies_over_half": round(float(likely[rows.same].mean()), 4),
        "others_over_half": round(float(likely[~rows.same].mean()), 5),
    }


def alone(rows: Rows) -> dict[str, list[float]]:
    """What the standard says without anything else."""
    only = Rows(rows.x * np.eye(1, len(calibration.NAMES))[0], rows.same, rows.weights)
    return {"with": fit(only)[:2], "without": fit(only, known=False)[:1]}


def middle(known: Sequence[dict[str, list[float]]]) -> dict[str, list[float]]:
    """For methods that were not tried: of each coefficient the median."""
    return {key: np.median([each[key] for each in known], axis=0).round(4).tolist() for key in ("with", "without")}


if __name__ == "__main__":
    main()
