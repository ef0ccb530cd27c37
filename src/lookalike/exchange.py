"""Vectors out of a collection and into one, in the formats that others read."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lookalike import images
from lookalike.collection import IMPORTED, Collection
from lookalike.embedding import embed_picture
from lookalike.errors import StorageError, UnreadableImage, UsageError
from lookalike.metrics import normalised
from lookalike.models import registry
from lookalike.store import Writer
from lookalike.types import ImageFile, ImageRef, InputSpec, ModelCard, Vectors

faiss: Any = importlib.import_module("faiss")

Metric = Literal["ip", "l2"]

SAME_MODEL = 0.98
"""The least cosine between imported vectors and our own model's, for them to pass as that model's."""

SAMPLES = 5


def write_faiss(collection: Collection, model: str, path: str, metric: Metric = "ip") -> int:
    """Write a flat FAISS index of the unit vectors, and its paths in the same order in `STEM.paths.json`.

    Returns how many. Raises StorageError, and what `Collection.vectors` does.
    """
    refs, vectors = collection.vectors(model)
    index = (faiss.IndexFlatIP if metric == "ip" else faiss.IndexFlatL2)(vectors.shape[1])
    index.add(vectors)
    _replacing(path, lambda part: faiss.write_index(index, part))
    _write_paths(path, refs)
    return len(refs)


def write_npy(collection: Collection, model: str, path: str) -> int:
    """Write (n, dim) float32 unit vectors, and their paths in the same order in `STEM.paths.json`."""
    refs, vectors = collection.vectors(model)

    def save(part: str) -> None:
        with Path(part).open("wb") as file:
            np.save(file, vectors, allow_pickle=False)

    _replacing(path, save)
    _write_paths(path, refs)
    return len(refs)


def write_parquet(collection: Collection, model: str, path: str) -> int:
    """Write a table: path, vector (a list of float32 of fixed length), sha256, width, height, taken.

    A path that is no UTF-8 is written with replacement marks. Raises ModelUnavailable where pyarrow is missing.
    """
    try:
        pa = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError("Parquet needs pyarrow: pip install 'lookalike[parquet]'") from error
    refs, vectors = collection.vectors(model)
    values = pa.array(vectors.reshape(-1), type=pa.float32())
    table = pa.table(
        {
            "path": [ref.path.encode(errors="replace").decode() for ref in refs],
            "vector": pa.FixedSizeListArray.from_arrays(values, vectors.shape[1]),
            "sha256": [ref.id for ref in refs],
            "width": pa.array([ref.width for ref in refs], type=pa.int32()),
            "height": pa.array([ref.height for ref in refs], type=pa.int32()),
            "taken": pa.array([ref.taken for ref in refs], type=pa.string()),
        },
        metadata={"model": model},
    )
    _replacing(path, lambda part: parquet.write_table(table, part))
    return len(refs)


def read_faiss(index_path: str, paths_path: str, model: str, collection: Collection) -> tuple[int, list[str], bool]:
    """Put the vectors of a FAISS index into a collection, as `model`'s.

    `paths_path` is a JSON list of image paths in the order of the vectors; relative ones are looked for beside
    it, then in the current folder. Vectors are scaled to length 1.

    If `model` is in the catalogue and can run, a few images are embedded to see whether the vectors are that
    model's; then any image can be a query. Otherwise only images of the collection can.

    Returns how many were taken, the paths that are missing or unreadable (left out), and whether any image can
    be a query. Raises UsageError where the files do not fit together, or the vectors are not the model's.
    """
    vectors = _index_vectors(index_path)
    paths = _paths_list(paths_path)
    if len(paths) != len(vectors):
        raise UsageError(
            f"{paths_path}: names {len(paths)} images, but {index_path} has {len(vectors)} vectors: they must match"
        )
    files, left_out = _files(paths, vectors, model)
    if not files:
        raise UsageError(f"{paths_path}: none of its {len(paths)} images can be read: run this where they are")
    card = _verified_card(model, vectors.shape[1], files, index_path)
    with Writer.session(collection.directory) as store:
        store.add_model(card, IMPORTED if card.kind == "vectors" else None)
        store.commit(files)
    collection.close()
    return len(files), left_out, card.kind != "vectors"


def _index_vectors(path: str) -> Vectors:
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such file")
    try:
        index = faiss.read_index(path)
        return normalised(index.reconstruct_n(0, index.ntotal))
    except RuntimeError as error:
        why = re.sub(r"^.*\.(cpp|h):\d+: ", "", str(error).strip().splitlines()[-1])
        raise UsageError(f"{path}: not a FAISS index whose vectors can be read back: {why}") from error


def _paths_list(path: str) -> list[str]:
    try:
        names = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not a JSON file: {error}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{path}: must hold a JSON list of image paths")
    beside = os.path.dirname(os.path.abspath(path))
    return [found if os.path.exists(found := os.path.join(beside, name)) else os.path.abspath(name) for name in names]


def _files(paths: Sequence[str], vectors: Vectors, model: str) -> tuple[list[ImageFile], list[str]]:
    files: list[ImageFile] = []
    left_out: list[str] = []
    for path, vector in zip(paths, vectors, strict=True):
        real = os.path.realpath(path)
        try:
            status = os.stat(real)
            data = images.read_bytes(real)
            picture = images.read(data, side=512, name=real)
        except (OSError, UnreadableImage):
            left_out.append(path)
            continue
        digest = hashlib.sha256(data).hexdigest()
        files.append(
            ImageFile(
                real,
                status.st_size,
                status.st_mtime_ns,
                digest,
                picture.width,
                picture.height,
                picture.taken,
                vectors={model: vector},
            )
        )
    return files, left_out


def _verified_card(model: str, dim: int, files: Sequence[ImageFile], index_path: str) -> ModelCard:
    """Our own card where a few images show that the vectors are its model's, else a card without a model."""
    card = registry.cards().get(model)
    if card is None or registry.obstacle(card):
        return ModelCard(
            name=model,
            kind="vectors",
            dim=dim,
            input=InputSpec(size=(1, 1)),
            summary="vectors imported without their model",
            source=os.path.basename(index_path),
            revision=IMPORTED,
            license="unknown",
            loader="",
        )
    if card.dim != dim:
        raise UsageError(f"{index_path}: has {dim} dimensions, {model!r} has {card.dim}: import it under another name")
    for file in files[:: max(1, len(files) // SAMPLES)][:SAMPLES]:
        likeness = float(file.vectors[model] @ embed_picture(file.path, card))
        if likeness < SAME_MODEL:
            raise UsageError(
                f"{index_path}: these are not the vectors of {model!r} (cosine {likeness:.2f} on {file.path}):"
                " import them under another name"
            )
    return card


def _write_paths(path: str, refs: Sequence[ImageRef]) -> None:
    stem = path.removesuffix(Path(path).suffix)
    text = json.dumps([ref.path for ref in refs], indent=0)
    _replacing(f"{stem}.paths.json", lambda part: Path(part).write_text(text, encoding="utf-8"))


def _replacing(path: str, write: Callable[[str], object]) -> None:
    """Write beside, then rename: a reader sees the old file or the new one, never a part."""
    part = f"{path}.{os.getpid()}.part"
    try:
        write(part)
        os.replace(part, path)
    except (OSError, RuntimeError) as error:
        Path(part).unlink(missing_ok=True)
        why = error.strerror if isinstance(error, OSError) else "cannot be written"
        raise StorageError(f"{path}: {why}: choose another place for the file") from error
