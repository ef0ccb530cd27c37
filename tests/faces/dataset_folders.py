"""Published data sets in small: real photos, edited, in the official layouts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

Photos = Mapping[str, np.ndarray]


def parts(photos: Photos) -> list[Image.Image]:
    """Eight pictures of each photo that do not overlap: (2 rows, 4 columns)."""
    found = []
    for pixels in photos.values():
        height, width = pixels.shape[0] // 2, pixels.shape[1] // 4
        for i in range(8):
            top, left = (i // 4) * height, (i % 4) * width
            part = Image.fromarray(pixels[top : top + height, left : left + width])
            found.append(part.resize((2 * width, 2 * height)))
    return found


def save(image: Image.Image, path: Path, quality: int = 92) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=quality)


def album(folder: Path, photos: Photos) -> Path:
    """64 different pictures."""
    for i, part in enumerate(parts(photos)):
        save(part, folder / f"{i:02d}.jpg")
    return folder


def edited(image: Image.Image) -> Image.Image:
    """Without its edges, and greyish."""
    edge = max(4, min(image.size) // 12)
    grey = ImageOps.grayscale(image).convert("RGB")
    return Image.blend(image, grey, 0.5).crop((edge, edge, image.width - edge, image.height - edge))


def disc21(root: Path, photos: Photos) -> Path:
    """16 references, 6 copies of the first of them, 2 distractors, and 16 training images."""
    pictures = parts(photos)
    lines = ["query_id,reference_id"]
    for i, picture in enumerate(pictures[::4]):
        save(picture, root / "references" / f"R{i:06d}.jpg")
    for i in range(6):
        save(edited(pictures[4 * i]), root / "dev_queries" / f"Q{i:05d}.jpg", 70)
        lines.append(f"Q{i:05d},R{i:06d}")
    for i in (6, 7):
        save(pictures[4 * i + 1], root / "dev_queries" / f"Q{i:05d}.jpg")
        lines.append(f"Q{i:05d},")
    for i, picture in enumerate(pictures[2::4]):
        save(picture, root / "train" / f"T{i:06d}.jpg")
    (root / "public_ground_truth.csv").write_text("\n".join(lines) + "\n")
    return root


def classes(root: Path, photos: Photos) -> Path:
    """A class for each photo, of the six parts of it."""
    for i, picture in enumerate(parts(photos)):
        if i % 8 < 6:
            save(picture, root / list(photos)[i // 8] / f"{i % 8}.jpg")
    return root


def copydays(root: Path, photos: Photos) -> Path:
    """Eight originals, two strong copies of each of four, and a JPEG of each; eight distractors."""
    for i, pixels in enumerate(photos.values()):
        original = Image.fromarray(pixels)
        save(original, root / "original" / f"20{i:02d}00.jpg")
        save(original, root / "jpeg" / "3" / f"20{i:02d}00.jpg", 3)
        if i < 4:
            save(edited(original), root / "strong" / f"20{i:02d}01.jpg")
            save(edited(edited(original)).rotate(8), root / "strong" / f"20{i:02d}02.jpg")
    for i, picture in enumerate(parts(photos)[::8]):
        save(picture, root / "distractors" / f"{i}.jpg")
    return root


def roxford(root: Path, photos: Photos) -> Path:
    """Eight photos, each halved: two queries are the middles of the left halves of other pictures."""
    names = []
    for i, pixels in enumerate(photos.values()):
        for side, half in enumerate(np.array_split(pixels, 2, axis=1)):
            names.append(f"place_{i:06d}_{side}")
            save(Image.fromarray(half), root / "jpg" / f"{names[-1]}.jpg")
    gnd = []
    for i in range(2):  # a query shows one photo beside another, and is cut to the first
        first, second = list(photos.values())[i], list(photos.values())[i + 4]
        low = min(len(first), len(second))
        save(Image.fromarray(np.hstack([first[:low], second[:low]])), root / "jpg" / f"query_{i}.jpg")
        gnd.append({"bbx": [0, 0, first.shape[1], low], "easy": [2 * i], "hard": [2 * i + 1], "junk": []})
    truth = {"imlist": names, "qimlist": ["query_0", "query_1"], "gnd": gnd}
    (root / "gnd_roxford5k.json").write_text(json.dumps(truth))
    return root


def coco(root: Path, photos: Photos) -> Path:
    """Eight parts of each photo, which is a category; those of the last have none."""
    images, annotations = [], []
    for i, picture in enumerate(parts(photos)):
        images.append({"id": i, "file_name": f"{i:012d}.jpg"})
        save(picture, root / "val2017" / f"{i:012d}.jpg")
        if i // 8 < len(photos) - 1:
            annotations.append({"image_id": i, "category_id": i // 8})
    categories = [{"id": i, "name": name} for i, name in enumerate(photos)]
    told = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(told))
    return root
