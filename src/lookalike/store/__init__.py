"""A collection on disk: a SQLite catalogue, which is the truth, one file of vectors a model, and what is derived."""

from lookalike.store.features import FEATURES, MOST_KEYPOINTS, FeatureStore, Packed, Wanted
from lookalike.store.overview import summary
from lookalike.store.packing import pack, unpack
from lookalike.store.reader import CATALOGUE, PRIVATE, FileEntry, ModelEntry, Reader, is_own
from lookalike.store.thumbnails import small_jpeg
from lookalike.store.writer import Writer

__all__ = [
    "CATALOGUE",
    "FEATURES",
    "MOST_KEYPOINTS",
    "PRIVATE",
    "FeatureStore",
    "FileEntry",
    "ModelEntry",
    "Packed",
    "Reader",
    "Wanted",
    "Writer",
    "is_own",
    "pack",
    "small_jpeg",
    "summary",
    "unpack",
]
