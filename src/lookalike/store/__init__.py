"""A collection on disk: a SQLite catalogue, which is the truth, one file of vectors a model, and what is derived."""

from lookalike.store.features import FEATURES, MOST_KEYPOINTS, FeatureStore, Packed, Wanted
from lookalike.store.overview import summary
from lookalike.store.packing import pack, unpack
from lookalike.store.reader import CATALOGUE, MAPS, PRIVATE, VOTES, FileEntry, ModelEntry, Reader, is_own
from lookalike.store.thumbnails import small_jpeg
from lookalike.store.vectors import Halves
from lookalike.store.writer import Writer

__all__ = [
    "CATALOGUE",
    "FEATURES",
    "MAPS",
    "MOST_KEYPOINTS",
    "PRIVATE",
    "VOTES",
    "FeatureStore",
    "FileEntry",
    "Halves",
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
