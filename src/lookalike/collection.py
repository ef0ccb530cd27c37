"""A collection: folders of images, and their vectors by several models."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lookalike import images
from lookalike.embedding import embed_files, features_of
from lookalike.errors import UnreadableImage, UsageError
from lookalike.indexing import AddReport, Announce, Progress, existing_folder, update
from lookalike.keypoints.features import LIMIT, Features
from lookalike.models import registry
from lookalike.searching import Searcher, is_imported, no_model
from lookalike.store import PRIVATE, Halves, ModelEntry, Reader, Writer, summary
from lookalike.types import EVERYTHING, Hits, ImageFile, ImageRef, Only, Term, Vectors
from lookalike.views import PLAIN, Views


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

    @property
    def folders(self) -> list[str]:
        """The folders that were indexed, absolute."""
        return self._store.folders() if self.exists else []

    def entries(self) -> list[ModelEntry]:
        """Its models, with what it records of them."""
        return self._store.models() if self.exists else []

    @functools.cached_property
    def _store(self) -> Reader:
        return Reader.open(self.directory)

    @functools.cached_property
    def _searcher(self) -> Searcher:
        return Searcher(self._store)

    def info(self) -> dict[str, Any]:
        """What the collection holds, as plain data: folders, counts, models, features, bytes, unreadable files."""
        return summary(self._store)

    def listing(self, start: int = 0, count: int = 100, only: Only = EVERYTHING) -> tuple[int, list[ImageRef]]:
        """How many of its images meet `only`, and `count` of them by path, from number `start` on."""
        return self._store.files(start, count, only)

    def beginning(self, digits: str) -> list[str]:
        """The ids of its images that begin with these hexadecimal digits."""
        return self._store.beginning(digits)

    def showing(self, image_id: str) -> list[ImageRef]:
        """Its files whose bytes have this SHA-256, by path."""
        return self._store.showing(image_id)

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
        self.__dict__.pop("_searcher", None)
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
            raise UsageError(" ".join(self.unusable()) or f"{self.directory}: has imported vectors only: name a model")
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
        return [entry.name for entry in self.entries() if not is_imported(entry) and registry.knows(entry.name)]

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
        names = [entry.name for entry in self._healthy() if not is_imported(entry)]
        if not names:
            raise UsageError(" ".join(self.unusable()) or f"{self.directory}: no model that can answer new queries")
        return names

    def unusable(self) -> list[str]:
        """What keeps models of the collection from answering new queries: a line for each that cannot."""
        return [problem for entry in self.entries() if (problem := self._searcher.problem(entry))]

    def _healthy(self) -> list[ModelEntry]:
        return [entry for entry in self.entries() if not self._searcher.problem(entry)]

    # -- searching -------------------------------------------------------------------------------------------

    def search(
        self,
        query: images.ImageLike,
        *,
        model: str | None = None,
        k: int = 10,
        include_self: bool = False,
        views: Views = PLAIN,
        only: Only = EVERYTHING,
    ) -> Hits:
        """The k images most like `query` by one model (default: the collection's first), or by "several+together".

        `query` is a path, the bytes of a file, a PIL image or an array. A path that is in the collection is left
        out of its own results, unless `include_self`. Files with the same bytes are hits of their own. `views` says
        which parts of the query are looked for too, and how several models make one ranking; `only` which images
        of the collection count.

        Raises NoCollection, UnreadableImage, UnknownModel, ModelUnavailable, ModelMismatch.
        """
        searcher = self._searcher
        entries = searcher.parts(model)
        if not isinstance(query, (str, os.PathLike)):
            parts = [(entry, searcher.of_picture(query, entry, "the query", views)) for entry in entries]
            return searcher.rank("-", parts, k, views=views, only=only)
        path = os.fspath(query)
        try:
            data = images.read_bytes(path)
            parts = [(entry, searcher.of_picture(data, entry, path, views)) for entry in entries]
        except UnreadableImage as error:
            raise UnreadableImage(error.reason, path) from error
        return searcher.rank(path, parts, k, [] if include_self else [path], views, only)

    def search_terms(
        self,
        terms: Sequence[Term],
        *,
        model: str | None = None,
        k: int = 10,
        include_self: bool = False,
        views: Views = PLAIN,
        only: Only = EVERYTHING,
    ) -> Hits:
        """The k images nearest to a mix of words and images: the weighted sum of their unit vectors.

        >>> photos.search_terms([Term(text="a red bus at night")], model="clip")                # doctest: +SKIP
        >>> photos.search_terms([Term(image="b.jpg"), Term(text="snow", weight=0.7)])           # doctest: +SKIP

        Raises what `search` does, and ModelUnavailable where there are words and the model cannot read any.
        """
        parts = [(entry, self._searcher.of_terms(terms, entry)) for entry in self._searcher.parts(model)]
        paths = [term.image for term in terms if term.image is not None]
        query = "".join(f"{' - ' if term.weight < 0 else ' + '}{term}" for term in terms)
        query = query.removeprefix(" + ").lstrip()
        return self._searcher.rank(query, parts, k, [] if include_self else paths, views, only)

    def search_vectors(
        self,
        vectors: Mapping[str, Vectors],
        *,
        k: int = 10,
        query: str = "-",
        hidden: Sequence[str] = (),
        views: Views = PLAIN,
        only: Only = EVERYTHING,
    ) -> Hits:
        """The k images nearest to vectors of a query: (dim,), or (v, dim) of which the nearest counts, by model.

        Several models make one ranking. `hidden` are paths that are left out, `query` what the hits say was asked.
        Raises UsageError for vectors of another length or that are not finite.
        """
        return self._searcher.rank_vectors(query, vectors, k, hidden, views, only)

    def stored(self, model: str, image_ids: Iterable[str]) -> dict[str, Vectors]:
        """(dim,) by image id (the SHA-256 of a file's bytes), of those pictures that have a vector of the model."""
        return self._searcher.stored(self._searcher.entry(model), image_ids)

    def search_files(
        self,
        queries: Sequence[str],
        *,
        models: Sequence[str] | None = None,
        k: int = 10,
        include_self: bool = False,
        workers: int | None = None,
        views: Views = PLAIN,
        only: Only = EVERYTHING,
    ) -> Iterator[Answer]:
        """Search with many files by several models (default: all of its own): one Answer a query, in order."""
        searcher = self._searcher
        if models:
            columns_of = [searcher.parts(name) for name in dict.fromkeys(models)]
        else:
            columns_of = [[entry] for entry in self._healthy()]
        if not columns_of:
            self.usable()  # says why there is none
        names = dict.fromkeys(entry.name for entries in columns_of for entry in entries if not is_imported(entry))
        cards = [registry.card(name) for name in names]
        wanted = functools.partial(self._store.missing, models=list(names))
        for file in embed_files([ImageFile(path) for path in queries], cards, wanted=wanted, workers=workers):
            if file.reason is not None or file.sha256 is None:
                yield Answer(file.path, reason=file.reason)
                continue
            columns = []
            try:
                for entries in columns_of:
                    known = [(entry, searcher.of_file(file, entry, views)) for entry in entries]
                    parts = [(entry, vectors) for entry, vectors in known if vectors is not None]
                    if len(parts) < len(known):
                        if not models:  # nobody asked for this one by name
                            continue
                        raise no_model(next(entry for entry, vectors in known if vectors is None), file.path)
                    columns.append(searcher.rank(file.path, parts, k, [] if include_self else [file.path], views, only))
            except UnreadableImage as error:  # gone since it was embedded, and a view of it was wanted
                yield Answer(file.path, reason=error.reason)
                continue
            yield Answer(file.path, tuple(columns))

    def vectors(self, model: str) -> tuple[list[ImageRef], Vectors]:
        """All of a model's vectors: (n,) images, one a file, and (n, dim) unit rows beside them."""
        with self._store.snapshot():
            entry = self._searcher.entry(model)
            files = [(row, image) for row, group in self._store.images(entry).items() for image in group]
            rows = np.asarray(self._store.vectors(entry)[[row for row, _ in files]], dtype=np.float32)
        return [image for _, image in files], rows

    def mapped(self, model: str) -> tuple[dict[ImageRef, int], Halves]:
        """The same without reading them: the row of each image in (rows, dim) float16, as they lie on the disk."""
        with self._store.snapshot():
            entry = self._searcher.entry(model)
            files = {image: row for row, group in self._store.images(entry).items() for image in group}
            return files, self._store.vectors(entry)
