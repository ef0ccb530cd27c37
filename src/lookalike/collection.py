"""A collection: folders of images, and their vectors by several models."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike import images
from lookalike.embedding import embed_files, embed_picture
from lookalike.errors import LookalikeError, ModelMismatch, ModelUnavailable, NoCollection, UnreadableImage, UsageError
from lookalike.index.exact import ExactIndex
from lookalike.indexing import AddReport, Progress, existing_folder, update
from lookalike.metrics import normalised
from lookalike.models import registry
from lookalike.store import CATALOGUE, PRIVATE, ModelEntry, Reader, Writer
from lookalike.types import Hit, Hits, ImageFile, ImageRef, Term, Vectors

IMPORTED = "imported"
"""How the fingerprint of vectors begins that came without the model that made them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one query found with each model, or the reason why the query could not be read."""

    query: str
    columns: tuple[Hits, ...] = ()
    reason: str | None = None


class Collection:
    """A folder of images with their vectors: `lookalike.open(path)` gives one.

    >>> photos = lookalike.open("photos")          # doctest: +SKIP
    >>> photos.add(models=["sift", "color"])       # doctest: +SKIP
    >>> photos.search("query.jpg", k=5)[0].path    # doctest: +SKIP
    """

    def __init__(self, directory: str | os.PathLike[str], folder: str | None = None) -> None:
        self.directory = Path(os.path.realpath(directory))
        self._folder = folder
        self._indexes: dict[str, tuple[ModelEntry, int, ExactIndex, npt.NDArray[np.bool_] | None]] = {}

    # -- what it holds ---------------------------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        """Whether anything has been indexed yet."""
        return Reader.exists(self.directory)

    @property
    def models(self) -> list[str]:
        """The names of its models, in the order of their coming; the first is the default of a search."""
        return [entry.name for entry in self.entries()]

    def entries(self) -> list[ModelEntry]:
        """Its models, with what it records of them."""
        return self._store.models() if self.exists else []

    @functools.cached_property
    def _store(self) -> Reader:
        return Reader.open(self.directory)

    def info(self) -> dict[str, Any]:
        """What the collection holds, as plain data: folders, counts, models with bytes, unreadable files."""
        with self._store.snapshot():
            return {
                "collection": str(self.directory),
                "folders": self._store.folders(),
                **self._store.counts(),
                "models": [
                    {
                        "name": model.name,
                        "dim": model.dim,
                        "pictures": self._store.covered(model),
                        "bytes": model.rows * model.dim * 2,
                        "fingerprint": model.fingerprint,
                    }
                    for model in self._store.models()
                ],
                "unreadable_files": [{"path": path, "reason": why} for path, why in self._store.unreadable()],
            }

    def thumbnail(self, image_id: str) -> bytes | None:
        """The small JPEG (about 320 pixels) that was made of the image when it was embedded, if it was and is kept."""
        return self._store.thumbnail(image_id)

    def close(self) -> None:
        """Let go of the files; the next use opens them again."""
        if store := self.__dict__.pop("_store", None):
            store.close()
        self._indexes.clear()

    # -- adding ----------------------------------------------------------------------------------------------

    def add(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        models: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        workers: int | None = None,
        batch: int | None = None,
        thumbnails: bool = True,
        allow_empty: bool = False,
        progress: Progress | None = None,
    ) -> AddReport:
        """Bring the collection up to date with `folder` (default: its own): embed what is new or changed, and
        forget what has gone below that folder.

        `models` default to the collection's own, at first "sift". `exclude` are globs for names and relative
        paths. `batch` pictures go through a network at a time (default: what is fastest on this machine).
        Everything is committed in small batches; a KeyboardInterrupt ends the run early (`report.interrupted`),
        and the next run goes on from there.

        Raises UsageError (no such folder), NoImages, UnknownModel, ModelUnavailable, CollectionBusy,
        StorageError, CollectionTooNew, CollectionDamaged.
        """
        root = existing_folder(self._own_folder() if folder is None else folder)
        names = list(models or self._living_models())
        if not names and self.entries():
            raise UsageError(
                " ".join(self.unusable()) or f"{self.directory}: has imported vectors only: name a --model"
            )
        names = names or [registry.DEFAULT]
        cards = [registry.card(name) for name in dict.fromkeys(names)]
        self.close()  # SQLite folds its log into the catalogue when the last one leaves: let that be the writer
        return update(
            self.directory,
            root,
            cards,
            exclude=exclude,
            workers=workers,
            batch=batch,
            thumbnails=thumbnails,
            allow_empty=allow_empty,
            progress=progress,
        )

    def _own_folder(self) -> str:
        if self._folder is not None:
            return self._folder
        if self.directory.name == PRIVATE:
            return str(self.directory.parent)
        raise UsageError(f"{self.directory}: say which folder to add")

    def _living_models(self) -> list[str]:
        """The collection's models that this machine knows, less those whose vectors were imported without them."""
        return [entry.name for entry in self.entries() if not _is_imported(entry) and registry.knows(entry.name)]

    def remove_model(self, name: str) -> None:
        """Drop a model and its vectors from the collection. Raises UsageError where it has none of that name."""
        if name not in self.models:
            raise UsageError(
                f"{self.directory}: has no vectors of {name!r} (it has {', '.join(self.models) or 'none'})"
            )
        self.close()
        with Writer.session(self.directory) as store:
            store.remove_model(name)

    def usable(self) -> list[str]:
        """The names of its models that can answer new queries here. Raises UsageError where there is none."""
        names = [entry.name for entry in self.entries() if not _is_imported(entry) and not self._problem(entry)]
        if not names:
            raise UsageError(" ".join(self.unusable()) or f"{self.directory}: no model that can answer new queries")
        return names

    def unusable(self) -> list[str]:
        """What keeps models of the collection from answering new queries: a line for each that cannot."""
        return [problem for entry in self.entries() if (problem := self._problem(entry))]

    # -- searching -------------------------------------------------------------------------------------------

    def search(
        self, query: images.ImageLike, *, model: str | None = None, k: int = 10, include_self: bool = False
    ) -> Hits:
        """The k images most like `query` by one model (default: the collection's first).

        `query` is a path, the bytes of a file, a PIL image or an array. A path that is in the collection is left
        out of its own results, unless `include_self`. Files with the same bytes are hits of their own.

        Raises NoCollection, UnreadableImage, UnknownModel, ModelUnavailable, ModelMismatch.
        """
        entry = self._entry(model or next(iter(self.models), registry.DEFAULT))
        if not isinstance(query, (str, os.PathLike)):
            return self._rank("-", self._vector(query, entry, "the query"), entry, k)
        path = os.fspath(query)
        try:
            vector = self._vector(images.read_bytes(path), entry, path)
        except UnreadableImage as error:
            raise UnreadableImage(error.reason, path) from error
        return self._rank(path, vector, entry, k, hidden=[] if include_self else [path])

    def search_terms(
        self, terms: Sequence[Term], *, model: str | None = None, k: int = 10, include_self: bool = False
    ) -> Hits:
        """The k images nearest to a mix of words and images: the weighted sum of their unit vectors.

        >>> photos.search_terms([Term(text="a red bus at night")], model="clip")                # doctest: +SKIP
        >>> photos.search_terms([Term(image="b.jpg"), Term(text="snow", weight=0.7)])           # doctest: +SKIP

        Raises what `search` does, and ModelUnavailable where there are words and the model cannot read any.
        """
        entry = self._entry(model or next(iter(self.models), registry.DEFAULT))
        if not terms:
            raise UsageError("an empty query: give words or an image")
        images_first = sorted(terms, key=lambda term: term.image is None)  # a missing file is told before all the work
        total = np.asarray(sum(term.weight * self._term(term, entry) for term in images_first))
        if not np.linalg.norm(total) > 1e-6:
            raise UsageError("the parts of the query cancel each other out: give them other weights")
        paths = [term.image for term in terms if term.image is not None]
        query = "".join(f"{' - ' if term.weight < 0 else ' + '}{term}" for term in terms)
        query = query.removeprefix(" + ").lstrip()
        return self._rank(query, normalised(total), entry, k, [] if include_self else paths)

    def _term(self, term: Term, entry: ModelEntry) -> Vectors:
        if term.image is not None:
            return self._vector(images.read_bytes(term.image), entry, term.image)
        if _is_imported(entry):
            raise self._no_model(entry, repr(term.text))
        return np.asarray(registry.load_for_texts(registry.card(entry.name)).embed_texts([term.text or ""])[0])

    def search_files(
        self,
        queries: Sequence[str],
        *,
        models: Sequence[str] | None = None,
        k: int = 10,
        include_self: bool = False,
        workers: int | None = None,
    ) -> Iterator[Answer]:
        """Search with many files by several models (default: all of its own): one Answer a query, in order."""
        if models:
            entries = [self._entry(name) for name in dict.fromkeys(models)]
        else:
            entries = [entry for entry in self.entries() if not self._problem(entry)]
        if not entries:
            self.usable()  # says why there is none
        cards = [registry.card(entry.name) for entry in entries if not _is_imported(entry)]
        wanted = functools.partial(self._store.missing, models=[card.name for card in cards])
        for file in embed_files([ImageFile(path) for path in queries], cards, wanted=wanted, workers=workers):
            if file.reason is not None or file.sha256 is None:
                yield Answer(file.path, reason=file.reason)
                continue
            columns = []
            for entry in entries:
                vector = file.vectors.get(entry.name)
                if vector is None:
                    vector = self._stored(entry, file.sha256)
                if vector is None and models:
                    raise self._no_model(entry, file.path)
                if vector is None:  # nobody asked for this one by name
                    continue
                columns.append(self._rank(file.path, vector, entry, k, [] if include_self else [file.path]))
            yield Answer(file.path, tuple(columns))

    def _entry(self, name: str) -> ModelEntry:
        """The collection's model of that name, if this machine's is still the same."""
        entries = {model.name: model for model in self._store.models()}
        entry = entries.get(name) or entries.get(registry.card(name).name)  # "./folder" is recorded in full
        if entry is None:
            raise UsageError(
                f"{self.directory}: has no vectors of {name!r} (it has {', '.join(self.models) or 'none'}):"
                f" run 'lookalike index FOLDER --model {name}' first"
            )
        if problem := self._problem(entry):
            raise ModelMismatch(problem)
        return entry

    def _now(self, entry: ModelEntry) -> ModelEntry:
        """A model that was checked before, as this snapshot has it: only another revision is checked again."""
        now = next((model for model in self._store.models() if model.name == entry.name), None)
        return now if now and now.fingerprint == entry.fingerprint else self._entry(entry.name)

    def _problem(self, entry: ModelEntry) -> str | None:
        """Why this machine cannot search the model's vectors, with the remedy; or None."""
        if _is_imported(entry):
            return None
        try:
            here = registry.card(entry.name).fingerprint
        except LookalikeError:
            return (
                f"{self.directory}: its vectors of {entry.name!r} were made by a model that is not on this machine:"
                f" add it again, or drop them with 'lookalike models remove {entry.name} --collection {self.directory}'"
            )
        if here == entry.fingerprint:
            return None
        return (
            f"{self.directory}: its vectors of {entry.name!r} were made by another revision of the model"
            f" ({entry.fingerprint}; here it is {here}):"
            f" run 'lookalike index FOLDER --model {entry.name}' to embed them again"
        )

    def _vector(self, source: images.ImageLike, entry: ModelEntry, name: str) -> Vectors:
        """The stored vector where the picture is in the collection, else a new one."""
        if isinstance(source, bytes):
            stored = self._stored(entry, hashlib.sha256(source).hexdigest())
            if stored is not None:
                return stored
        if _is_imported(entry):
            raise self._no_model(entry, name)
        return embed_picture(source, registry.card(entry.name), name)

    def _stored(self, entry: ModelEntry, sha256: str) -> Vectors | None:
        with self._store.snapshot():
            current = self._now(entry)
            row = self._store.row_of(current, sha256)
            return None if row is None else np.asarray(self._store.vectors(current)[row], dtype=np.float32)

    def _no_model(self, entry: ModelEntry, query: str) -> ModelUnavailable:
        return ModelUnavailable(
            f"{query}: not in the collection, and its vectors of {entry.name!r} were imported without their model:"
            " search with an image of the collection, or with another --model"
        )

    def _rank(self, query: str, vector: Vectors, entry: ModelEntry, k: int, hidden: Sequence[str] = ()) -> Hits:
        if k < 1:
            raise UsageError(f"k is {k}: ask for one hit or more")
        # A link is the picture that it leads to, and a picture of its own: neither is its own result.
        left_out = {os.path.join(os.path.realpath(os.path.dirname(p)), os.path.basename(p)) for p in hidden}
        left_out |= {os.path.realpath(path) for path in hidden}
        with self._store.snapshot():
            entry = self._now(entry)
            index, allowed = self._index(entry)
            cosines, rows = index.search(vector[None], k + len(left_out), allowed=allowed)
            images_of = self._store.images(entry, [row for row in rows[0] if row >= 0])
        found: list[tuple[float, ImageRef]] = [
            (float(cosine), image)
            for cosine, row in zip(cosines[0], rows[0], strict=True)
            for image in images_of.get(int(row), ())
            if image.path not in left_out
        ]
        items = (Hit(rank, cosine, image) for rank, (cosine, image) in enumerate(found[:k], 1))
        return Hits(query, entry.name, tuple(items))

    def _index(self, entry: ModelEntry) -> tuple[ExactIndex, npt.NDArray[np.bool_] | None]:
        """The index over the model's committed rows, and which of them live; kept until a commit changes them."""
        dead = self._store.dead_rows(entry)
        held = self._indexes.get(entry.name)
        if held is None or held[:2] != (entry, len(dead)):
            allowed = None
            if dead:
                allowed = np.ones(entry.rows, dtype=np.bool_)
                allowed[dead] = False
            held = (entry, len(dead), ExactIndex(self._store.vectors(entry)), allowed)
            self._indexes[entry.name] = held
        return held[2], held[3]

    def vectors(self, model: str) -> tuple[list[ImageRef], Vectors]:
        """All of a model's vectors: (n,) images, one a file, and (n, dim) unit rows beside them."""
        with self._store.snapshot():
            entry = self._entry(model)
            files = [(row, image) for row, group in self._store.images(entry).items() for image in group]
            rows = np.asarray(self._store.vectors(entry)[[row for row, _ in files]], dtype=np.float32)
        return [image for _, image in files], rows


def _is_imported(entry: ModelEntry) -> bool:
    return entry.fingerprint.startswith(IMPORTED)


def open_collection(path: str | os.PathLike[str], *, into: str | os.PathLike[str] | None = None) -> Collection:
    """Open the collection of a folder, or a collection's own directory (`lookalike.open`).

    `path` may be a folder that holds a collection, a folder that has none yet (`add()` makes `path/.lookalike`),
    or a collection directory. With `into` the collection lies there, and `path` is the folder that `add()` takes.

    Raises UsageError where `path` is no folder.
    """
    real = os.path.realpath(path)
    if into is not None:
        return Collection(into, real)
    if os.path.exists(os.path.join(real, CATALOGUE)):
        return Collection(real)
    return Collection(os.path.join(existing_folder(path), PRIVATE), real)


def nearest_collection(start: str | os.PathLike[str] = ".") -> Collection:
    """The collection of `start` or of the nearest folder above it, found as git finds its repository.

    Raises NoCollection where there is none.
    """
    folder = Path(os.path.realpath(start))
    for place in (folder, *folder.parents):
        for directory in (place, place / PRIVATE):
            if Reader.exists(directory):
                return Collection(directory)
    raise NoCollection(
        f"{folder}: no collection here or above: name one with --collection DIR, or run 'lookalike index FOLDER'"
    )
