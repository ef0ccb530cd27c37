"""What `lookalike search` was asked, put to the collection: queries of every kind, verified if need be."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lookalike import images
from lookalike.collection import Answer, Collection
from lookalike.errors import NoImages, UnreadableImage
from lookalike.models import registry
from lookalike.reranking import rerank
from lookalike.scan import scan
from lookalike.types import EVERYTHING, Only, Term
from lookalike.views import Views

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Asked:
    """`models` may be none: then all that can answer; so many hits are verified (0: none), by keypoints of `method`."""

    where: Collection
    models: Sequence[str]
    k: int
    include_self: bool
    workers: int | None
    views: Views
    verified: int
    method: str
    only: Only = EVERYTHING

    def queries(self, queries: Sequence[str], stdin: bytes) -> Iterator[Answer]:
        """In the order of the queries, files in one go, so that several are embedded at a time."""
        files: list[str] = []
        for query in queries:
            if query == STDIN:
                yield from self._files(files)
                files = []
                yield self._bytes(stdin)
            elif os.path.isdir(query):
                found = scan(os.path.abspath(query))
                if not found.images:
                    raise NoImages(f"{query}: no images in this folder ({found.ignored} other files): name another")
                files += [file.path for file in found.images]
            else:
                files.append(os.path.abspath(query))
        yield from self._files(files)

    def terms(self, terms: Sequence[Term]) -> Iterator[Answer]:
        """One query, of words and images."""
        names = self._names()
        if not self.models and any(term.text is not None for term in terms):
            names = [name for name in names if registry.card(name).texts] or names
        columns = [
            self.where.search_terms(
                terms, model=name, k=self.k, include_self=self.include_self, views=self.views, only=self.only
            )
            for name in names
        ]
        yield Answer(columns[0].query, tuple(columns))

    def _files(self, files: Sequence[str]) -> Iterator[Answer]:
        found = self.where.search_files(
            files,
            models=self.models,
            k=self._shortlist(),
            include_self=self.include_self,
            workers=self.workers,
            views=self.views,
            only=self.only,
        )
        for answer in found:
            try:
                yield self._verified(answer, answer.query)
            except UnreadableImage as error:  # gone since it was embedded
                yield Answer(answer.query, reason=error.reason)

    def _bytes(self, data: bytes) -> Answer:
        try:
            columns = [
                self.where.search(data, model=name, k=self._shortlist(), views=self.views, only=self.only)
                for name in self._names()
            ]
            return self._verified(Answer(STDIN, tuple(columns)), data)
        except UnreadableImage as error:
            return Answer(STDIN, reason=error.reason)

    def _names(self) -> list[str]:
        return list(dict.fromkeys(self.models)) or self.where.usable()

    def _shortlist(self) -> int:
        return max(self.k, self.verified)

    def _verified(self, answer: Answer, query: images.ImageLike) -> Answer:
        """The answer with its first hits verified, cut to what was asked for."""
        if not self.verified or not answer.columns:
            return answer
        columns = rerank(
            self.where,
            query,
            answer.columns,
            method=self.method,
            top=self.verified,
            mirror=self.views.mirror,
            workers=self.workers,
        )
        return replace(answer, columns=tuple(replace(hits, items=hits.items[: self.k]) for hits in columns))
