"""From a query to a ranking: which models answer, what their vectors of the query are, and what is nearest to them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from lookalike import images
from lookalike.embedding import embed_picture, embed_pictures
from lookalike.errors import LookalikeError, ModelMismatch, ModelUnavailable, UsageError
from lookalike.metrics import normalised
from lookalike.models import registry
from lookalike.ranking import Part, Ranker
from lookalike.store import ModelEntry, Reader
from lookalike.types import EVERYTHING, Hits, ImageFile, Only, Term, Vectors
from lookalike.views import PLAIN, Views

IMPORTED = "imported"
"""How the fingerprint of vectors begins that came without the model that made them."""

PLUS = "+"
"""Between the names of models that make one ranking together."""


class Searcher:
    """Searches one open collection."""

    def __init__(self, store: Reader) -> None:
        self._store = store
        self._ranker = Ranker(store)

    # -- which models ----------------------------------------------------------------------------------------

    def parts(self, model: str | None) -> list[ModelEntry]:
        """The models that make one ranking: "a+b" names two, None the collection's first.

        Raises UsageError where the collection has no vectors of one, UnknownModel, ModelMismatch.
        """
        own = [entry.name for entry in self._store.models()]
        name = model or next(iter(own), registry.DEFAULT)
        if PLUS in name and name not in own and not os.path.isdir(name):
            return [self.entry(each) for each in dict.fromkeys(name.split(PLUS))]
        return [self.entry(name)]

    def entry(self, name: str) -> ModelEntry:
        """The collection's model of that name, if this machine's is still the same."""
        entries = {model.name: model for model in self._store.models()}
        entry = entries.get(name) or entries.get(registry.card(name).name)  # "./folder" is recorded in full
        if entry is None:
            raise UsageError(
                f"{self._store.directory}: has no vectors of {name!r} (it has {', '.join(entries) or 'none'}):"
                f" run 'lookalike index FOLDER --model {name}' first"
            )
        if problem := self._mismatch(entry):
            raise ModelMismatch(problem)
        return entry

    def problem(self, entry: ModelEntry) -> str | None:
        """Why this machine cannot search the model's vectors, with the remedy; or None."""
        if self._store.holds(entry):
            return self._mismatch(entry)
        remedy = "import them" if is_imported(entry) else "run 'lookalike index FOLDER' to embed them"
        return f"{self._store.directory}: its vectors of {entry.name!r} are missing or cut off: {remedy} again"

    def _mismatch(self, entry: ModelEntry) -> str | None:
        if is_imported(entry):
            return None
        where = self._store.directory
        try:
            here = registry.card(entry.name).fingerprint
        except LookalikeError:
            return (
                f"{where}: its vectors of {entry.name!r} were made by a model that is not on this machine:"
                f" add it again, or drop them with 'lookalike models remove {entry.name} --collection {where}'"
            )
        if here == entry.fingerprint:
            return None
        return (
            f"{where}: its vectors of {entry.name!r} were made by another revision of the model"
            f" ({entry.fingerprint}; here it is {here}):"
            f" run 'lookalike index FOLDER --model {entry.name}' to embed them again"
        )

    def _now(self, entry: ModelEntry) -> ModelEntry:
        """A model that was checked before, as this snapshot has it: only another revision is checked again."""
        now = next((model for model in self._store.models() if model.name == entry.name), None)
        return now if now and now.fingerprint == entry.fingerprint else self.entry(entry.name)

    # -- the query's vectors ---------------------------------------------------------------------------------

    def of_picture(self, source: images.ImageLike, entry: ModelEntry, name: str, views: Views = PLAIN) -> Vectors:
        """(v, dim): of the whole picture (as stored, where its bytes are in the collection), and of its views."""
        whole = self._of_whole(source, entry, name)[None]
        return np.vstack([whole, self._of_views(source, entry, name, views)]) if views.further else whole

    def of_file(self, file: ImageFile, entry: ModelEntry, views: Views = PLAIN) -> Vectors | None:
        """(v, dim) of a query that was just read: what it was embedded to, or what is stored of it; or None."""
        vector = file.vectors.get(entry.name)
        if vector is None and file.sha256:
            vector = self.stored(entry, [file.sha256]).get(file.sha256)
        if vector is None or not views.further:
            return None if vector is None else vector[None]
        return np.vstack([vector, self._of_views(file.path, entry, file.path, views)])

    def of_terms(self, terms: Sequence[Term], entry: ModelEntry) -> Vectors:
        """(1, dim): the weighted sum of the unit vectors of words and images."""
        if not terms:
            raise UsageError("an empty query: give words or an image")
        images_first = sorted(terms, key=lambda term: term.image is None)  # a missing file is told before all the work
        return mixed([(term.weight, self._of_term(term, entry)) for term in images_first])

    def _of_term(self, term: Term, entry: ModelEntry) -> Vectors:
        if term.image is not None:
            return self._of_whole(images.read_bytes(term.image), entry, term.image)
        if is_imported(entry):
            raise no_model(entry, repr(term.text))
        return np.asarray(registry.load_for_texts(registry.card(entry.name)).embed_texts([term.text or ""])[0])

    def _of_whole(self, source: images.ImageLike, entry: ModelEntry, name: str) -> Vectors:
        if isinstance(source, bytes):
            sha256 = images.content_hash(source)
            stored = self.stored(entry, [sha256])
            if stored:
                return stored[sha256]
        if is_imported(entry):
            raise no_model(entry, name)
        return embed_picture(source, registry.card(entry.name), name)

    def _of_views(self, source: images.ImageLike, entry: ModelEntry, name: str, views: Views) -> Vectors:
        if is_imported(entry):
            raise no_model(entry, name)
        card = registry.card(entry.name)
        picture = images.read(source, side=card.input.read_side, name=name)
        return embed_pictures(registry.load(card), views.of(picture))

    def stored(self, entry: ModelEntry, hashes: Iterable[str]) -> dict[str, Vectors]:
        """(dim,) by content hash, of those pictures that have a vector of the model."""
        with self._store.snapshot():
            current = self._now(entry)
            rows = self._store.rows_of(current, hashes)
            vectors = self._store.vectors(current) if rows else ()
            return {sha256: np.asarray(vectors[row], dtype=np.float32) for sha256, row in rows.items()}

    # -- the ranking -----------------------------------------------------------------------------------------

    def rank(
        self,
        query: str,
        parts: Sequence[Part],
        k: int,
        hidden: Sequence[str] = (),
        views: Views = PLAIN,
        only: Only = EVERYTHING,
    ) -> Hits:
        """The k images nearest to a query's vectors; files at the paths of `hidden` are left out."""
        if k < 1:
            raise UsageError(f"k is {k}: ask for one hit or more")
        with self._store.snapshot():
            now = [(self._now(entry), vectors) for entry, vectors in parts]
            items, usual = self._ranker.rank(now, k, hidden, views.fuse, only)
        return Hits(query, PLUS.join(entry.name for entry, _ in parts), items, usual)

    def rank_vectors(
        self,
        query: str,
        vectors: Mapping[str, Vectors],
        k: int,
        hidden: Sequence[str] = (),
        views: Views = PLAIN,
        only: Only = EVERYTHING,
    ) -> Hits:
        """`rank` by vectors that were made elsewhere: (dim,) or (v, dim) by the name of each model."""
        parts = []
        for name, given in vectors.items():
            entry, rows = self.entry(name), np.atleast_2d(np.asarray(given, dtype=np.float32))
            if rows.ndim != 2 or rows.shape[1] != entry.dim or not len(rows) or not np.isfinite(rows).all():
                raise UsageError(
                    f"{name}: a vector of {entry.dim} finite numbers is needed, not one of {rows.shape[-1]}"
                )
            parts.append((entry, normalised(rows)))
        return self.rank(query, parts, k, hidden, views, only)


def mixed(parts: Sequence[tuple[float, Vectors]]) -> Vectors:
    """(1, dim): the weighted sum of (dim,) vectors, of length 1. Raises UsageError where nothing is left of them."""
    total = np.asarray(sum(weight * vector for weight, vector in parts))
    if not np.linalg.norm(total) > 1e-6:
        raise UsageError("the parts of the query cancel each other out: give them other weights")
    return np.asarray(normalised(total)[None])


def is_imported(entry: ModelEntry) -> bool:
    """Whether the vectors came without the model that made them."""
    return entry.fingerprint.startswith(IMPORTED)


def no_model(entry: ModelEntry, query: str) -> ModelUnavailable:
    """What to raise where a new query needs the model of vectors that came without it."""
    return ModelUnavailable(
        f"{query}: not in the collection, and its vectors of {entry.name!r} were imported without their model:"
        " search with an image of the collection, or with another model"
    )
