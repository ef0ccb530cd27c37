"""Which photos the verification benchmarks use for what, the edited copies that they ask with, and the networks."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

sys.path.append(str(Path(__file__).resolve().parent.parent))

import record
from lookalike import images
from lookalike.bench.copies import GRADES, OPERATORS, make
from lookalike.keypoints import networks
from lookalike.models import registry
from lookalike.types import Pixels
from networks import register as add_network

PHOTOS = record.SHARED / "data" / "photos"
NETWORKS = record.SHARED / "models"

CAMERAS = "daynight"
"""The set of web cameras: many pictures of few places, which are no copies of each other."""

IMAGENET = "imagenet_sample"

SHARES = {"fit": 0.20, "absent": 0.05, "others": 0.03}
"""Of each set: what calibration is fitted on, what is asked for and is not there, what copies are pasted into.

The rest is the gallery, which is asked for and searched.
"""

LATER = ("print", "emoji")
"""Operators that came later: their copies are the last, and those of the others stay what they were."""

LOCAL = {"xfeat": "xfeat.onnx", "lighterglue": "lighterglue_L3.onnx", "alike": "alike_n.onnx"}


@dataclass(frozen=True)
class Photo:
    """A photo of the material: `name` is its path below PHOTOS, `role` as in SHARES, or "gallery"."""

    name: str
    set: str
    role: str


@dataclass(frozen=True)
class Query:
    """An edited copy in a file. `truth` is the original's name, also where it is `absent` from the gallery."""

    path: str
    operator: str
    grade: str
    truth: str
    set: str
    absent: bool
    transform: list[list[float]]

    @property
    def wanted(self) -> str | None:
        return None if self.absent else self.truth


def photos(seed: int) -> list[Photo]:
    """All photos, each with its role, in an order of chance. No photo has two roles.

    Of the web cameras one half is for fitting, the other in the gallery: the same places, other pictures.
    """
    with (PHOTOS / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = sorted((row["set"], row["file"]) for row in csv.DictReader(file))
    rng = np.random.default_rng(seed)
    found = []
    for name in sorted({name for name, _ in rows}):
        files = [file for own, file in rows if own == name]
        shares = {"fit": 0.5} if name == CAMERAS else SHARES
        bounds = np.cumsum([round(share * len(files)) for share in shares.values()])
        for place, i in enumerate(rng.permutation(len(files))):
            role = next((r for r, end in zip(shares, bounds, strict=True) if place < end), "gallery")
            found.append(Photo(files[i], name, role))
    return [found[i] for i in rng.permutation(len(found))]


def copy_into(folder: Path, chosen: Sequence[Photo]) -> Path:
    """A folder with these photos, under their names."""
    for photo in chosen:
        place = folder / photo.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.copyfile(PHOTOS / photo.name, place)
    return folder


def write_copies(
    originals: Sequence[Photo], others: Sequence[Photo], each: int, folder: Path, seed: int, *, absent: bool = False
) -> list[Query]:
    """`each` copies by every operator in every grade, each of another original so long as there are enough, as PNG."""
    known = folder / "queries.json"
    if known.exists():
        return [Query(**row) for row in json.loads(known.read_text(encoding="utf-8"))]
    folder.mkdir(parents=True, exist_ok=True)
    beside = [pixels(photo) for photo in others]
    found = []
    for i, (operator, grade) in enumerate(_turns(each)):
        photo = originals[i % len(originals)]
        copy = make(pixels(photo), operator, grade, seed + i, beside)
        path = folder / f"{i:04}-{operator}-{grade}.png"
        Image.fromarray(copy.pixels).save(path, compress_level=1)
        found.append(Query(str(path), operator, grade, photo.name, photo.set, absent, copy.transform.tolist()))
    known.write_text(json.dumps([asdict(query) for query in found]), encoding="utf-8")
    return found


def pixels(photo: Photo) -> Pixels:
    return images.read(PHOTOS / photo.name).pixels


def write_patterns(folder: Path, each: int, seed: int) -> dict[str, list[str]]:
    """`each` drawn pictures of every kind in PATTERNS, as PNG: patterns in which much looks like much else."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[str]] = {}
    for kind, draw in PATTERNS.items():
        for i in range(each):
            path = folder / f"{kind}-{i:02}.png"
            Image.fromarray(draw(rng)).save(path)
            found.setdefault(kind, []).append(str(path))
    return found


def grid(rng: np.random.Generator) -> Pixels:
    """Lines across, in two colours."""
    step, width = rng.integers(10, 60, 2), rng.integers(1, 6)
    y, x = np.mgrid[:300, :400]
    lines = (x % step[0] < width) | (y % step[1] < width)
    return _coloured(lines, rng)


def board(rng: np.random.Generator) -> Pixels:
    """Squares in two colours."""
    step = rng.integers(10, 60, 2)
    y, x = np.mgrid[:300, :400]
    return _coloured((x // step[0] + y // step[1]) % 2 == 0, rng)


def dots(rng: np.random.Generator) -> Pixels:
    step, radius = rng.integers(14, 50), rng.uniform(0.15, 0.45)
    y, x = np.mgrid[:300, :400] % step - step / 2
    return _coloured(x**2 + y**2 < (radius * step) ** 2, rng)


def stripes(rng: np.random.Generator) -> Pixels:
    y, x = np.mgrid[:300, :400]
    angle = rng.uniform(0, np.pi)
    return _coloured(np.sin((x * np.cos(angle) + y * np.sin(angle)) / rng.uniform(2, 12)) > 0, rng)


def page(rng: np.random.Generator) -> Pixels:
    """Words that mean nothing, black on white, line by line."""
    image = Image.new("RGB", (400, 300), "white")
    draw = ImageDraw.Draw(image)
    size = int(rng.integers(10, 20))
    font = ImageFont.load_default(size)
    for top in range(8, 290, round(size * 1.4)):
        words = ("".join(rng.choice(list("etaoinshrdlu"), rng.integers(2, 9))) for _ in range(9))
        draw.text((10, top), " ".join(words), fill="black", font=font)
    return np.asarray(image)


def noise(rng: np.random.Generator) -> Pixels:
    """A texture: noise of one grain."""
    side = int(rng.integers(40, 200))
    grain = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(grain).resize((400, 300), Image.Resampling.BICUBIC))


PATTERNS = {each.__name__: each for each in (grid, board, dots, stripes, page, noise)}


def _coloured(where: npt.NDArray[np.bool_], rng: np.random.Generator) -> Pixels:
    one, other = rng.integers(0, 256, (2, 3), dtype=np.uint8)
    return np.where(where[..., None], one, other)


def register() -> None:
    """ViT-Tiny and the networks of local features, in $LOOKALIKE_MODELS."""
    if not registry.knows("vit-tiny"):
        add_network("vit-tiny", NETWORKS)
    for name, file in LOCAL.items():
        networks.add(name, str(NETWORKS / file))


def _turns(each: int) -> Iterator[tuple[str, str]]:
    for operators in ([name for name in OPERATORS if name not in LATER], LATER):
        for _ in range(each):
            for operator in operators:
                for grade in GRADES:
                    yield operator, grade
