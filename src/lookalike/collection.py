"""A collection: folders of images, and their vectors by several models."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lookalike import images
from lookalike.embedding import embed_files, embed_picture, embed_pictures, features_of
from lookalike.errors import LookalikeError, ModelMismatch, ModelUnavailable, UnreadableImage, UsageError
from lookalike.indexing import AddReport, Announce, Progress, existing_folder, update
from lookalike.keypoints.features import LIMIT, Features
from lookalike.metrics import normalised
from lookalike.models import registry
from lookalike.ranking import Part, Ranker
from lookalike.store import PRIVATE, ModelEntry, Reader, Writer, summary
from lookalike.types import Hits, ImageFile, ImageRef, Term, Vectors
from lookalike.views import PLAIN, Views

IMPORTED = "imported"
"""How the fingerprint of vectors begins that came without the model that made them."""

PLUS = "+"
"""Between the names of models that make one ranking together."""


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
        """What the collection holds, as plain data: folders, counts, models, features, bytes, unreadable files."""
        return summary(self._store)

    def thumbnail(self, image_id: str) -> bytes | None:
        """The small JPEG (about 320 pixels) that was made of the image when it was embedded, if it was and is kept."""
        return self._store.thumbnail(image_id)

    def features(self, image: ImageRef, method: str = "sift", limit: int = LIMIT) -> Features:
        """The strongest keypoints of one of its images, at most `limit`: those that are kept, else made of the file.

        What was made is kept for the next time, where it can be. Threads may call it. Raises UnreadableImage, also
        where the file has changed since it was indexed; UnknownModel; ModelUnavailable.
        """
        return features_of(self._store, image, method, limit)

    def keypoints(self, method: str = "sift") -> int:
        """How many keypoints of each picture it keeps by a method, or LIMIT: nothing need be made for so many."""
        return self._store.wanted_features().get(method, LIMIT)

    def close(self) -> None:
        """Let go of the files; the next use opens them again."""
        self.__dict__.pop("_ranker", None)
        if store := self.__dict__.pop("_store", None):
            store.close()

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
        keypoints: int | None = None,
        method: str | None = None,
        announce: Announce | None = None,
        progress: Progress | None = None,
    ) -> AddReport:
        """Bring the collection up to date with `folder` (default: its own): embed what is new or changed, and
        forget what has gone below that folder.

        `models` default to the collection's own, at first "sift". `exclude` are globs for names and relative
        paths. `batch` pictures go through a network at a time (default: what is fastest on this machine).
        With `keypoints` the local features of every picture are kept as well, found by `method` (default "sift"), at
        most so many; later runs keep that up, until one is given 0. `announce` is told what they cost beforehand.
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
            keypoints=keypoints,
            method=method,
            announce=announce,
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
        self,
        query: images.ImageLike,
        *,
        model: str | None = None,
        k: int = 10,
        include_self: bool = False,
        views: Views = PLAIN,
    ) -> Hits:
        """The k images most like `query` by one model (default: the collection's first), or by "several+together".

        `query` is a path, the bytes of a file, a PIL image or an array. A path that is in the collection is left
        out of its own results, unless `include_self`. Files with the same bytes are hits of their own. `views` says
        which parts of the query are looked for too, and how several models make one ranking.

        Raises NoCollection, UnreadableImage, UnknownModel, ModelUnavailable, ModelMismatch.
        """
        entries = self._parts(model)
        if not isinstance(query, (str, os.PathLike)):
            return self._rank("-", [(e, self._views(query, e, "the query", views)) for e in entries], k, views=views)
        path = os.fspath(query)
        try:
            data = images.read_bytes(path)
            parts = [(entry, self._views(data, entry, path, views)) for entry in entries]
        except UnreadableImage as error:
            raise UnreadableImage(error.reason, path) from error
        return self._rank(path, parts, k, [] if include_self else [path], views)

    def search_terms(
        self,
        terms: Sequence[Term],
        *,
        model: str | None = None,
        k: int = 10,
        include_self: bool = False,
        views: Views = PLAIN,
    ) -> Hits:
        """The k images nearest to a mix of words and images: the weighted sum of their unit vectors.

        >>> photos.search_terms([Term(text="a red bus at night")], model="clip")                # doctest: +SKIP
        >>> photos.search_terms([Term(image="b.jpg"), Term(text="snow", weight=0.7)])           # doctest: +SKIP

        Raises what `search` does, and ModelUnavailable where there are words and the model cannot read any.
        """
        entries = self._parts(model)
        if not terms:
            raise UsageError("an empty query: give words or an image")
        images_first = sorted(terms, key=lambda term: term.image is None)  # a missing file is told before all the work
        parts = []
        for entry in entries:
            total = np.asarray(sum(term.weight * self._term(term, entry) for term in images_first))
            if not np.linalg.norm(total) > 1e-6:
                raise UsageError("the parts of the query cancel each other out: give them other weights")
            parts.append((entry, normalised(total)[None]))
        paths = [term.image for term in terms if term.image is not None]
        query = "".join(f"{' - ' if term.weight < 0 else ' + '}{term}" for term in terms)
        query = query.removeprefix(" + ").lstrip()
        return self._rank(query, parts, k, [] if include_self else paths, views)

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
        views: Views = PLAIN,
    ) -> Iterator[Answer]:
        """Search with many files by several models (default: all of its own): one Answer a query, in order."""
        if models:
            columns_of = [self._parts(name) for name in dict.fromkeys(models)]
        else:
            columns_of = [[entry] for entry in self.entries() if not self._problem(entry)]
        if not columns_of:
            self.usable()  # says why there is none
        names = dict.fromkeys(entry.name for entries in columns_of for entry in entries if not _is_imported(entry))
        cards = [registry.card(name) for name in names]
        wanted = functools.partial(self._store.missing, models=list(names))
        for file in embed_files([ImageFile(path) for path in queries], cards, wanted=wanted, workers=workers):
            if file.reason is not None or file.sha256 is None:
                yield Answer(file.path, reason=file.reason)
                continue
            columns = []
            for entries in columns_of:
                known = [(entry, self._known(entry, file)) for entry in entries]
                parts = [(entry, vectors) for entry, vectors in known if vectors is not None]
                if len(parts) < len(known):
                    if not models:  # nobody asked for this one by name
                        continue
                    raise self._no_model(next(entry for entry, vectors in known if vectors is None), file.path)
                if views.further:
                    parts = [(e, np.vstack([v, self._others(file.path, e, file.path, views)])) for e, v in parts]
                columns.append(self._rank(file.path, parts, k, [] if include_self else [file.path], views))
            yield Answer(file.path, tuple(columns))

    def _known(self, entry: ModelEntry, file: ImageFile) -> Vectors | None:
        """(1, dim): the vector that a query was just embedded to, or that is stored of it."""
        vector = file.vectors.get(entry.name)
        if vector is None and file.sha256:
            vector = self._stored(entry, file.sha256)
        return None if vector is None else vector[None]

    def _parts(self, model: str | None) -> list[ModelEntry]:
        """The models that make one ranking: "a+b" names two."""
        name = model or next(iter(self.models), registry.DEFAULT)
        if PLUS in name and name not in self.models and not os.path.isdir(name):
            return [self._entry(each) for each in dict.fromkeys(name.split(PLUS))]
        return [self._entry(name)]

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
            stored = self._stored(entry, images.content_hash(source))
            if stored is not None:
                return stored
        if _is_imported(entry):
            raise self._no_model(entry, name)
        return embed_picture(source, registry.card(entry.name), name)

    def _views(self, source: images.ImageLike, entry: ModelEntry, name: str, views: Views) -> Vectors:
        """(v, dim): of the whole picture, and of the views that were asked for."""
        whole = self._vector(source, entry, name)[None]
        return np.vstack([whole, self._others(source, entry, name, views)]) if views.further else whole

    def _others(self, source: images.ImageLike, entry: ModelEntry, name: str, views: Views) -> Vectors:
        if _is_imported(entry):
            raise self._no_model(entry, name)
        card = registry.card(entry.name)
        picture = images.read(source, side=card.input.read_side, name=name)
        return embed_pictures(registry.load(card), views.of(picture))

    def _stored(self, entry: ModelEntry, sha256: str) -> Vectors | None:
        with self._store.snapshot():
            current = self._now(entry)
            row = self._store.rows_of(current, [sha256]).get(sha256)
            return None if row is None else np.asarray(self._store.vectors(current)[row], dtype=np.float32)

    def _no_model(self, entry: ModelEntry, query: str) -> ModelUnavailable:
        return ModelUnavailable(
            f"{query}: not in the collection, and its vectors of {entry.name!r} were imported without their model:"
            " search with an image of the collection, or with another --model"
        )

    def _rank(
        self, query: str, parts: Sequence[Part], k: int, hidden: Sequence[str] = (), views: Views = PLAIN
    ) -> Hits:
        if k < 1:
            raise UsageError(f"k is {k}: ask for one hit or more")
        with self._store.snapshot():
            now = [(self._now(entry), vectors) for entry, vectors in parts]
            items, usual = self._ranker.rank(now, k, hidden, views.fuse)
        return Hits(query, PLUS.join(entry.name for entry, _ in parts), items, usual)

    @functools.cached_property
    def _ranker(self) -> Ranker:
        return Ranker(self._store)

    def vectors(self, model: str) -> tuple[list[ImageRef], Vectors]:
        """All of a model's vectors: (n,) images, one a file, and (n, dim) unit rows beside them."""
        with self._store.snapshot():
            entry = self._entry(model)
            files = [(row, image) for row, group in self._store.images(entry).items() for image in group]
            rows = np.asarray(self._store.vectors(entry)[[row for row, _ in files]], dtype=np.float32)
        return [image for _, image in files], rows


def _is_imported(entry: ModelEntry) -> bool:
    return entry.fingerprint.startswith(IMPORTED)
