"""Everything that can go wrong, in one tree.

    LookalikeError
    ├── UnreadableImage        a file that is no image, is damaged, or is too large
    ├── UsageError             a request that cannot be met as it was made
    │   ├── UnknownModel       no such name in the catalogue
    │   ├── ModelUnavailable   known, but this machine cannot run it now
    │   ├── ModelMismatch      the vectors were made by another revision of the model
    │   ├── NoCollection       nothing has been indexed there
    │   └── NoImages           a folder without an image
    └── CollectionError        the collection itself is the trouble
        ├── CollectionBusy     another process is writing to it
        ├── CollectionTooNew   a newer version of Lookalike made it
        ├── CollectionDamaged  files are missing or shorter than the catalogue says
        └── StorageError       the disk is full, or may not be written to

Each message is one line: what is wrong, with which file, and what to do about it.
"""

from __future__ import annotations


class LookalikeError(Exception):
    """The root: catch this one to catch all of ours."""


class UnreadableImage(LookalikeError):
    """A file that cannot be decoded. `path` says which one (None: the data had no name), `reason` why."""

    def __init__(self, reason: str, path: str | None = None) -> None:
        self.reason = reason
        self.path = path
        super().__init__(f"{path}: {reason}" if path else reason)


class UsageError(LookalikeError):
    """A request that cannot be met as it was made."""


class UnknownModel(UsageError):
    """No model of that name is in the catalogue."""


class ModelUnavailable(UsageError):
    """The model is known, but cannot run here now: the message says what would change that."""


class ModelMismatch(UsageError):
    """The collection's vectors were made by another revision of the model."""


class NoCollection(UsageError):
    """Nothing has been indexed at that place."""


class NoImages(UsageError):
    """The folder holds no image."""


class CollectionError(LookalikeError):
    """The collection on disk is the trouble, not the request."""


class CollectionBusy(CollectionError):
    """Another process is writing to the collection."""


class CollectionTooNew(CollectionError):
    """A newer version of Lookalike made the collection."""


class CollectionDamaged(CollectionError):
    """Files are missing, or shorter than the catalogue says."""


class StorageError(CollectionError):
    """The disk is full, or may not be written to."""
