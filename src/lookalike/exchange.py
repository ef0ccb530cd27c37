"""Vectors out of a collection and into one, in the formats that others read."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lookalike.collection import Collection
from lookalike.embedding import embed_files, embed_picture
from lookalike.errors import UnreadableImage, UsageError
from lookalike.indexing import Progress
from lookalike.metrics import normalised
from lookalike.models import registry
from lookalike.models.weights import sha256
from lookalike.searching import IMPORTED
from lookalike.store import Writer
from lookalike.types import ImageFile, ImageRef, InputSpec, ModelCard, Vectors
from lookalike.writing import write_text, write_whole

faiss: Any = importlib.import_module("faiss")

Metric = Literal["ip", "l2"]

SAME_MODEL = 0.98
"""The least cosine between imported vectors and our own model's, for them to pass as that model's."""

SAMPLES = 5

BLOCK = 1000
"""Images that are committed together."""

NAME = r"\w[\w.+-]{0,63}"


def write_faiss(collection: Collection, model: str, path: str, metric: Metric = "ip") -> int:
    """Write a flat FAISS index of the unit vectors, and its paths in the same order in `STEM.paths.json`.

    Returns how many. Raises StorageError, and what `Collection.vectors` does.
    """
    refs, vectors = collection.vectors(model)
    index = (faiss.IndexFlatIP if metric == "ip" else faiss.IndexFlatL2)(vectors.shape[1])
    index.add(vectors)

    def save(part: str) -> None:
        with Path(part).open("wb") as file:  # FAISS by itself takes no name that is not UTF-8
            try:
                faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))
            except RuntimeError as error:  # whatever the file had to say
                raise OSError("no room for it, perhaps") from error

    write_whole(path, save)
    _write_paths(path, refs)
    return len(refs)


def write_npy(collection: Collection, model: str, path: str) -> int:
    """Write (n, dim) float32 unit vectors, and their paths in the same order in `STEM.paths.json`."""
    refs, vectors = collection.vectors(model)

    def save(part: str) -> None:
        with Path(part).open("wb") as file:
            np.save(file, vectors, allow_pickle=False)

    write_whole(path, save)
    _write_paths(path, refs)
    return len(refs)


def write_parquet(collection: Collection, model: str, path: str) -> int:
    """Write a table: path, vector (a list of float32 of fixed length), sha256, width, height, taken.

    A path that is no UTF-8 is written with replacement marks. Raises UsageError where pyarrow is missing.
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
    write_whole(path, lambda part: parquet.write_table(table, part))
    return len(refs)


def read_faiss(
    index_path: str, paths_path: str, model: str, collection: Collection, progress: Progress | None = None
) -> tuple[int, list[str], bool]:
    """Put the vectors of a FAISS index into a collection, as `model`'s.

    `paths_path` is a JSON list of image paths in the order of the vectors; relative ones are looked for beside
    it, then in the current folder. Vectors are scaled to length 1.

    If `model` is in the catalogue and can run, a few images are embedded to see whether the vectors are that
    model's; then any image can be a query. Otherwise only images of the collection can.

    Returns how many were taken, the paths that are missing or unreadable (left out), and whether any image can
    be a query. Raises UsageError where the files do not fit together, the vectors are not the model's, or the
    collection has others under its name.
    """
    if not re.fullmatch(NAME, model):
        raise UsageError(f"--model {model!r}: use letters, digits, '.', '_', '+' and '-', at most 64")
    vectors = _index_vectors(index_path)
    paths = _paths_list(paths_path)
    if len(paths) != len(vectors):
        raise UsageError(
            f"{paths_path}: names {len(paths)} images, but {index_path} has {len(vectors)} vectors: they must match"
        )
    card = _card_for(model, vectors.shape[1], index_path)
    known = {entry.name: entry.fingerprint for entry in collection.entries()}
    fingerprint = card.fingerprint if card.kind != "vectors" else f"{IMPORTED}-{sha256(Path(index_path))[:16]}"
    if known.get(model, fingerprint) != fingerprint:
        raise UsageError(f"{collection.directory}: has other vectors of {model!r} already: import under another name")
    if card.kind != "vectors":
        _verify(card, paths, vectors, index_path)
    left_out = _take(collection, card, fingerprint, paths, vectors, progress)
    if len(left_out) == len(paths):
        raise UsageError(f"{paths_path}: none of its {len(paths)} images can be read: run this where they are")
    return len(paths) - len(left_out), left_out, card.kind != "vectors"


def _take(
    collection: Collection,
    card: ModelCard,
    fingerprint: str,
    paths: Sequence[str],
    vectors: Vectors,
    progress: Progress | None,
) -> list[str]:
    """Commit the images that can be read, block by block; the paths of the others."""
    files, left_out = [], []
    row_of: dict[str, int] = {}
    for row, path in enumerate(paths):
        real = os.path.realpath(path)
        try:
            status = os.stat(real)
        except OSError:
            left_out.append(path)
            continue
        row_of[real] = row
        files.append(ImageFile(real, status.st_size, status.st_mtime_ns))
    if not files:
        return left_out
    with contextlib.ExitStack() as stack:
        store: Writer | None = None  # opened for the first image that can be read: without any, nothing is made
        block: list[ImageFile] = []
        for done, file in enumerate(embed_files(files, [], measure=True, thumbnails=True), 1):
            if file.reason is None:
                block.append(replace(file, vectors={card.name: vectors[row_of[file.path]]}))
            else:
                left_out.append(paths[row_of[file.path]])
            if block and (len(block) == BLOCK or done == len(files)):
                if store is None:
                    store = stack.enter_context(Writer.session(collection.directory))
                    store.add_model(card, fingerprint)
                store.commit(block)
                block = []
            if progress:
                progress("reading", done, len(files))
    collection.close()
    return left_out


def _index_vectors(path: str) -> Vectors:
    try:
        with Path(path).open("rb") as file:
            index = faiss.read_index(faiss.PyCallbackIOReader(file.read))
        vectors = index.reconstruct_n(0, index.ntotal)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file") from error
    except (OSError, RuntimeError) as error:
        why = re.sub(r"^.*\.(cpp|h):\d+: ", "", str(error).strip().splitlines()[-1])
        raise UsageError(f"{path}: not a FAISS index whose vectors can be read back: {why}") from error
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1) | ~vectors.any(axis=1))
    if len(bad):
        raise UsageError(f"{path}: {len(bad)} vectors are zero or not finite, the first in row {bad[0]}: mend it first")
    return normalised(vectors)


def _paths_list(path: str) -> list[str]:
    try:
        names = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not a JSON file: {error}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{path}: must hold a JSON list of image paths")
    beside = os.path.dirname(os.path.abspath(path))
    return [found if os.path.exists(found := os.path.join(beside, name)) else os.path.abspath(name) for name in names]


def _card_for(model: str, dim: int, index_path: str) -> ModelCard:
    """The model's own card where it can run here, else a card without a model."""
    card = registry.card(model) if model in registry.cards() else None
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
    return card


def _verify(card: ModelCard, paths: Sequence[str], vectors: Vectors, index_path: str) -> None:
    """Raise UsageError unless the vectors of a few images are those of the card's model."""
    there = [row for row, path in enumerate(paths) if os.path.isfile(path)]
    for row in there[:: max(1, len(there) // SAMPLES)][:SAMPLES]:
        try:
            likeness = float(vectors[row] @ embed_picture(paths[row], card))
        except UnreadableImage:
            continue
        if likeness < SAME_MODEL:
            raise UsageError(
                f"{index_path}: these are not the vectors of {card.name!r} (cosine {likeness:.2f} on {paths[row]}):"
                " import them under another name"
            )


def _write_paths(path: str, refs: Sequence[ImageRef]) -> None:
    stem = path.removesuffix(Path(path).suffix)
    write_text(f"{stem}.paths.json", json.dumps([ref.path for ref in refs], indent=0))
