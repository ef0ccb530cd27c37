"""A collection on disk: a SQLite catalogue, which is the truth, and one file of vectors a model."""

from lookalike.store.reader import CATALOGUE, PRIVATE, FileEntry, ModelEntry, Reader, is_own
from lookalike.store.writer import Writer

__all__ = ["CATALOGUE", "PRIVATE", "FileEntry", "ModelEntry", "Reader", "Writer", "is_own"]
