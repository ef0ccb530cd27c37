"""The flags of a folder: one for each drawing, however many files and countries share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from names import Countries
from palette import ColourMap, colour_map

import lookalike
from lookalike.errors import UsageError
from lookalike.types import ImageRef


@dataclass(frozen=True)
class Flag:
    """A drawing: its file, the country that it is called by, and all countries whose flag it is.

    `small` is the JPEG that the collection keeps of each picture, at most 320 pixels long: who uses that need not open
    strangers' files.
    """

    code: str
    name: str
    path: str
    small: bytes
    shared_by: tuple[str, ...]

    @cached_property
    def colours(self) -> ColourMap:
        return colour_map(self.small)


def flags_of(
    collection: lookalike.Collection,
    images: Iterable[ImageRef],
    countries: Countries,
    same: Iterable[Sequence[str]],
    asked: Iterable[str],
) -> tuple[dict[str, Flag], list[str]]:
    """The flag of each country by its code, and remarks on files that are passed over.

    Countries whose small pictures are the same byte by byte, or that are in one group of `same`, have one Flag. It is
    called by the one that is most often among those `asked` for.
    """
    files: dict[str, ImageRef] = {}
    remarks = []
    for image in sorted(images, key=lambda image: image.path):
        code = countries.of_file(image.path)
        if code in files:
            remarks.append(f"{image.path}: passed over: {files[code].path} is {countries.name(code)} already")
        else:
            files[code] = image
    small = {code: collection.thumbnail(image.id) for code, image in files.items()}
    alike: dict[bytes, list[str]] = {}
    for code, data in small.items():
        if data is None:
            raise UsageError(f"{collection.directory}: was made without thumbnails: keep the study's in a new folder")
        alike.setdefault(data, []).append(code)
    often = Counter(asked)
    found = {}
    for group in merged([*alike.values(), *([code for code in group if code in files] for group in same)]):
        first = min(group, key=lambda code: (-often[code], code))
        names = tuple(sorted(countries.name(code) for code in group))
        flag = Flag(first, countries.name(first), files[first].path, small[first] or b"", names)
        found.update(dict.fromkeys(group, flag))
    return found, remarks


def merged(groups: Iterable[Sequence[str]]) -> list[list[str]]:
    """Groups that share a member, made one.

    >>> merged([["a"], ["b"], ["c"], ["a", "c"]])
    [['b'], ['a', 'c']]
    """
    found: list[list[str]] = []
    for group in groups:
        touched = [other for other in found if set(other) & set(group)]
        found = [other for other in found if other not in touched]
        if joined := list(dict.fromkeys(code for each in (*touched, group) for code in each)):
            found.append(joined)
    return found
