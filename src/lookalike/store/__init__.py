"""A collection on disk: a SQLite catalogue, which is the truth, one file of vectors a model, and small pictures."""

from lookalike.store.reader import CATALOGUE, PRIVATE, FileEntry, ModelEntry, Reader, is_own
from lookalike.store.thumbnails import small_jpeg
from lookalike.store.writer import Writer

__all__ = ["CATALOGUE", "PRIVATE", "FileEntry", "ModelEntry", "Reader", "Writer", "is_own", "small_jpeg"]
