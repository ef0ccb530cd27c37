"""How a network should see pictures that are no squares: whole and out of shape, whole in a frame, or their middle.

    python benchmarks/flags/aspect.py [--seed S] [--flags DIR] [--out FILE]

Every network looks for the flags that people rate as similar to a flag, both ways, among all flags, each drawing once.

    crop    the short side made to fit, the middle cut out: the networks' own way
    squash  both sides made to fit: NAME@squash
    frame   the long side made to fit, round it the mean colour of the picture's own edge: NAME@pad
    white   the same in white, as letters and drawings lie on paper
    grey    the same in the mean colour of what the network learned from, which it sees as zeros

Intervals are bootstrap percentiles, 95 %, over the flags: a pair counts as often as both its flags were drawn, since
pairs that share a flag are not independent (Snijders and Borgatti, "Non-Parametric Standard Errors and Tests for
Network Statistics", 1999). The same rounds for all ways: `gain` is the paired difference to crop.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import record
from lookalike import images
from lookalike.models import registry
from lookalike.models.backbones import onnx
from lookalike.types import ModelCard, Picture, Vectors
from networks import NETWORKS, register

Floats = npt.NDArray[np.float64]
Ways = npt.NDArray[np.intp]

ROUNDS = 2000
COLUMNS = {"network": "", "fit": "", "recall@1": "recall@1", "recall@3": "recall@3", "mrr": "MRR", "gain": "gain"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--flags", type=Path, default=record.SHARED / "data" / "flags")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    files, ways = truth(options.flags)
    pictures = [images.read(path) for path in files]
    weights = drawn(ways, len(files), options.seed)
    found: dict[str, dict[str, Floats]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["LOOKALIKE_MODELS"] = scratch
        for network in NETWORKS:
            register(network)
            vectors = seen(registry.card(network), pictures)
            found[network] = {fit: 1 / ranks(each, ways)[None] for fit, each in vectors.items()}
    found["mean"] = {fit: np.concatenate([each[fit] for each in found.values()]) for fit in found["vit-tiny"]}
    rows = [
        {"network": network, "fit": fit, **told(inverse, each["crop"], weights)}
        for network, each in found.items()
        for fit, inverse in each.items()
    ]
    mean = found["mean"]
    frame = {fit: interval(mean["frame"] - mean[fit], weights) for fit in mean if fit != "frame"}
    print(record.table([{**row, **{name: row[name]["value"] for name in list(COLUMNS)[2:]}} for row in rows], COLUMNS))
    for fit, gain in frame.items():
        print(f"frame less {fit}, over all: {gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})")
    results = {"flags": len(files), "asked": len(ways), "rows": rows, "frame_gains": frame}
    record.write(__file__, options.out, options.seed, results)


def truth(folder: Path) -> tuple[list[Path], Ways]:
    """The files, one a drawing, and (n, 2) who is asked for and who should be found: pairs rated `yes`, both ways."""
    drawing: dict[str, str] = {}
    for group in table(folder / "identical_groups.csv"):
        first, *others = group["iso2_members"].split()
        drawing.update(dict.fromkeys(others, first))
    files = {row["iso2"]: folder / row["file"] for row in table(folder / "flags.csv") if row["iso2"] not in drawing}
    numbers = {code: i for i, code in enumerate(files)}
    pairs = set()
    for row in table(folder / "pairs.csv"):
        a, b = (numbers[drawing.get(row[side], row[side])] for side in ("iso2_a", "iso2_b"))
        if row["expect_similar"] == "yes" and a != b:
            pairs |= {(a, b), (b, a)}
    return list(files.values()), np.array(sorted(pairs))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def seen(card: ModelCard, pictures: list[Picture]) -> dict[str, Vectors]:
    """The vectors of all pictures by how the network is made to see them."""
    grey = tuple(round(255 * share) for share in card.input.mean or (0.5, 0.5, 0.5))
    squashed = registry.load(registry.card(f"{card.name}@squash"))
    white = onnx.load(replace(card, input=replace(card.input, fit="pad")))
    return {
        "crop": registry.load(card).embed(pictures),
        "squash": squashed.embed(pictures),
        "frame": registry.load(registry.card(f"{card.name}@pad")).embed(pictures),
        "white": white.embed(pictures),
        "grey": squashed.embed([framed(picture, grey) for picture in pictures]),
    }


def framed(picture: Picture, colour: tuple[int, ...]) -> Picture:
    """The picture in the middle of a square."""
    side = max(picture.size)
    canvas = Image.new("RGB", (side, side), colour)
    canvas.paste(picture.image, ((side - picture.size[0]) // 2, (side - picture.size[1]) // 2))
    return images.read(canvas)


def ranks(vectors: Vectors, ways: Ways) -> Floats:
    """(n,) from 1, of the one that should be found. Ties go against the network."""
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -np.inf)
    asked = likeness[ways[:, 0]]
    least = asked[np.arange(len(ways)), ways[:, 1]]
    return np.asarray((asked >= least[:, None]).sum(axis=1), dtype=np.float64)


def drawn(ways: Ways, flags: int, seed: int) -> Floats:
    """(rounds, n): how often each is counted in each round; the first is the sample itself."""
    rounds = np.random.default_rng(seed).multinomial(flags, np.full(flags, 1 / flags), size=ROUNDS)
    weights = (rounds[:, ways[:, 0]] * rounds[:, ways[:, 1]]).astype(float)
    return np.vstack([np.ones(len(ways)), weights])


def told(inverse: Floats, own: Floats, weights: Floats) -> dict[str, Any]:
    """Figures with intervals of (networks, n) inverse ranks; `own` are those of the networks' own way."""
    recalls = {f"recall@{k}": inverse >= 1 / k for k in (1, 3, 5)}
    values = {**recalls, "mrr": inverse, "gain": inverse - own}
    return {name: interval(value, weights) for name, value in values.items()}


def interval(value: npt.NDArray[Any], weights: Floats) -> dict[str, float]:
    """The mean of (networks, n) values, and where it may well lie."""
    means = weights @ value.mean(axis=0) / weights.sum(axis=1)
    low, high = np.percentile(means[1:], [2.5, 97.5])
    return {name: round(float(each), 4) for name, each in (("value", means[0]), ("low", low), ("high", high))}


if __name__ == "__main__":
    main()
