"""Learns the codebooks of the `sift` and `orb` models: src/lookalike/data/*_vlad.npz.

    python benchmarks/learn_codebooks.py [--into FOLDER]

It takes the photos of SETS only, so that all others stay fair game for benchmarks; $LOOKALIKE_SHARED says
where they are. Prints what it used, and the new revisions for `models/catalog.py`. Two minutes or three; a
second run gives the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import faiss
import numpy as np
from PIL import Image

from lookalike.models.backbones.vlad import DESCRIBE, Floats, vlad
from lookalike.models.catalog import CARDS
from lookalike.models.preprocess import fit
from lookalike.types import ModelCard, Picture

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("LOOKALIKE_SHARED", HERE.parent.parent / "shared"))
SETS = (
    "adain_style",
    "coco_examples128",
    "coco_train128",
    "flowers",
    "fruitveg",
    "pets",
    "style_inputs",
)
SEED = 1
PARTS = 6  # random parts of each photo, since the photos alone are fewer than the dimensions to be learned
SHRINKAGE = 0.3  # of the mean eigenvalue, added to each: the last ones are known too badly to be divided by


@dataclass(frozen=True)
class Recipe:
    name: str
    local_dim: int
    centres: int


RECIPES = (Recipe("sift", local_dim=64, centres=64), Recipe("orb", local_dim=64, centres=32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, default=HERE.parent / "src" / "lookalike" / "data")
    into = parser.parse_args().into
    cv2.setNumThreads(1)
    faiss.omp_set_num_threads(1)  # sums in one order, so that a second run gives the same file
    paths = _photos()
    for recipe in RECIPES:
        card = next(card for card in CARDS if card.name == recipe.name)
        path = into / card.options["codebook"]
        np.savez_compressed(path, **learn(recipe, card, paths))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f'{recipe.name}: {path.stat().st_size / 1e6:.2f} MB, revision="sha256:{digest}"', flush=True)


def learn(recipe: Recipe, card: ModelCard, paths: list[Path]) -> dict[str, np.ndarray]:
    """The arrays of one codebook, as `vlad.load` wants them."""
    describe = DESCRIBE[card.options["local"]]

    def parts(path: Path) -> list[Floats]:
        return [describe(fit(picture, card.input)) for picture in _parts(path)]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        described = list(pool.map(parts, paths))  # whole photo first, then its parts
    whole = np.concatenate([photo[0] for photo in described])
    print(f"{recipe.name}: {len(whole)} keypoints in {len(paths)} photos", flush=True)

    local_mean = whole.mean(axis=0)
    _, local_basis = _principal(whole - local_mean, recipe.local_dim)
    kmeans = faiss.Kmeans(recipe.local_dim, recipe.centres, niter=25, seed=SEED, max_points_per_centroid=4096)
    kmeans.train((whole - local_mean) @ local_basis)

    vlads = np.stack([vlad(one, local_mean, local_basis, kmeans.centroids) for photo in described for one in photo])
    mean = vlads.mean(axis=0)
    strength, basis = _principal(vlads - mean, card.dim)
    whitening = np.ascontiguousarray((basis / np.sqrt(strength + SHRINKAGE * strength.mean())).T)
    scale = np.abs(whitening).max(axis=1) / 127
    print(f"{recipe.name}: whitened {vlads.shape[1]} -> {card.dim} from {len(vlads)} vectors", flush=True)
    return {
        "local_mean": local_mean.astype(np.float32),
        "local_basis": local_basis.astype(np.float32),
        "centres": kmeans.centroids.astype(np.float32),
        "mean": mean.astype(np.float32),
        "projection": np.round(whitening / scale[:, None]).astype(np.int8),
        "scale": scale.astype(np.float32),
    }


def _principal(centred: Floats, dim: int) -> tuple[np.ndarray, Floats]:
    """The `dim` largest variances of (n, size) rows, and (size, dim) their directions, of a settled sign."""
    covariance = (centred.T @ centred).astype(np.float64) / len(centred)
    variance, directions = np.linalg.eigh(covariance)
    directions = directions[:, ::-1][:, :dim]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=0)[None], axis=0)
    return variance[::-1][:dim], (directions * np.sign(largest)).astype(np.float32)


def _photos() -> list[Path]:
    with open(SHARED / "data" / "photos" / "manifest.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["set"] in SETS]
    for name, count in sorted(Counter(row["set"] for row in rows).items()):
        print(f"{name}: {count} photos")
    return sorted(SHARED / "data" / "photos" / row["file"] for row in rows)


def _parts(path: Path) -> Iterator[Picture]:
    """A photo, and PARTS random parts of it (half to four fifths of each side), every third a little turned."""
    whole = Image.open(path).convert("RGB")
    yield _picture(whole)
    random = np.random.default_rng([SEED, *path.name.encode()])
    for part in range(PARTS):
        share = random.uniform(0.5, 0.8)
        width, height = max(1, int(whole.width * share)), max(1, int(whole.height * share))
        left, top = random.integers(whole.width - width + 1), random.integers(whole.height - height + 1)
        image = whole.crop((left, top, left + width, top + height))
        if part % 3 == 2:
            image = image.rotate(random.uniform(-15, 15), Image.Resampling.BICUBIC, expand=True)
        yield _picture(image)


def _picture(image: Image.Image) -> Picture:
    return Picture(np.asarray(image), image.width, image.height, "JPEG")


if __name__ == "__main__":
    main()
