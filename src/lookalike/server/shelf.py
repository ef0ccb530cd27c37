"""The collections that are served, by name. A Collection searches one query at a time, so each thread has its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from lookalike.collection import Collection
from lookalike.errors import LookalikeError
from lookalike.opening import open_collection
from lookalike.server.problems import Problem, problem_of
from lookalike.store import PRIVATE
from lookalike.types import ImageRef


class Shelf:
    """Collections by name: the folder's own name, with a number behind it where two have the same."""

    def __init__(self, places: Sequence[Path]) -> None:
        self._directories: dict[str, Path] = {}
        for place in places:
            directory = open_collection(place).directory
            folder = directory.parent if directory.name == PRIVATE else directory
            name, number = folder.name or "collection", 2
            while name in self._directories:
                name, number = f"{folder.name}-{number}", number + 1
            self._directories[name] = directory
        self._own = threading.local()

    @property
    def names(self) -> list[str]:
        """Of all collections, in the order in which they were given; the first is the default."""
        return list(self._directories)

    def collection(self, name: str | None = None) -> Collection:
        """This thread's own view of a collection. Raises Problem 404 where there is none of that name."""
        wanted = name or next(iter(self._directories), "")
        if wanted not in self._directories:
            choice = ", ".join(self._directories) or "none"
            raise Problem(404, f"no collection is called {wanted!r} here: choose from {choice}")
        opened: dict[str, Collection] = self._own.__dict__.setdefault("opened", {})
        return opened.setdefault(wanted, Collection(self._directories[wanted]))

    def shown(self, path: str, name: str | None = None) -> str:
        """A path of a collection as clients are told it: below the folder that was indexed.

        That folder's own name stands before it only where there are several.
        """
        return self.showing(name)(path)

    def showing(self, name: str | None = None) -> Callable[[str], str]:
        """`shown`, for many paths of one collection."""
        return partial(_shown, roots=self._roots(name))

    def problem(self, error: Exception) -> Problem:
        """What a client is told of an error."""
        found = problem_of(error)
        return Problem(found.status, self.told(found.detail), dict(found.headers or {}))

    def told(self, text: str) -> str:
        """A text as clients are told it: with the collections' names in place of where they lie."""
        for name, directory in self._directories.items():
            folder = directory.parent if directory.name == PRIVATE else directory
            text = text.replace(str(directory), name).replace(str(folder), name)
        return text

    def folder(self, shown: str, name: str | None = None) -> str:
        """The folder that a client means by such a path, absolute."""
        roots = self._roots(name)
        first, _, rest = shown.partition(os.sep)
        own = next((root for root in roots if os.path.basename(root) == first), None) if len(roots) > 1 else None
        return os.path.normpath(os.path.join(own or next(iter(roots), os.sep), rest if own else shown))

    def _roots(self, name: str | None) -> list[str]:
        """The folders that were indexed, without those that lie in others of them."""
        folders = self.collection(name).folders
        return [own for own in folders if not any(own.startswith(each.rstrip(os.sep) + os.sep) for each in folders)]

    def image(self, image_id: str, name: str | None = None) -> ImageRef | None:
        """The image with that content in a collection (None: in any), if its file is there still."""
        return next((image for _, image in self.holding(image_id, name) if os.path.isfile(image.path)), None)

    def holding(self, image_id: str, name: str | None = None) -> Iterator[tuple[Collection, ImageRef]]:
        """The images with that content in a collection (None: in any), each with the collection that holds it.

        Where any will do, one that cannot be read keeps nobody from what the others hold.
        """
        for each in [name] if name else self.names:
            collection = self.collection(each)
            try:
                found = collection.showing(image_id) if collection.exists else []
            except LookalikeError:
                if name:
                    raise
                continue
            yield from ((collection, image) for image in found)


def _shown(path: str, roots: Sequence[str]) -> str:
    root = next((each for each in roots if path.startswith(each.rstrip(os.sep) + os.sep)), "")
    below = os.path.relpath(path, root) if root else os.path.basename(path)
    return below if len(roots) < 2 else os.path.join(os.path.basename(root), below)
