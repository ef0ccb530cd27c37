"""A search as its address says it: what pages read it from, and write their links with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from lookalike.reranking import TOP
from lookalike.server.asking import MOST, Ask, Box
from lookalike.server.problems import Problem
from lookalike.server.shelf import Shelf
from lookalike.types import Only, Term

LONGEST = 1000
"""Letters of words: models read a few dozen."""

_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Address:
    """What /search is asked for.

    image:  the id of an upload or of an image of a collection; text, unlike: words for and against
    models: none means all that can answer
    folder: as `Shelf.shown` says paths
    """

    collection: str = ""
    image: str = ""
    text: str = ""
    unlike: str = ""
    models: tuple[str, ...] = ()
    k: int = 20
    crop: Box | None = None
    verify: bool = False
    collapse: bool = False
    folder: str = ""
    since: str = ""
    until: str = ""
    least: int | None = None

    @classmethod
    def read(cls, given: QueryParams) -> Address:
        """From the parameters of a request; what is blank is not there. Raises Problem 422."""
        image = given.get("image", "")
        if image and not _ID.fullmatch(image):
            raise Problem(422, "image: the 64 hexadecimal digits of a picture's SHA-256 are needed")
        for name in ("text", "not"):
            if len(given.get(name, "")) > LONGEST:
                raise Problem(422, f"{name}: at most {LONGEST} letters")
        return cls(
            collection=given.get("collection", ""),
            image=image,
            text=given.get("text", "").strip(),
            unlike=given.get("not", "").strip(),
            models=tuple(dict.fromkeys(name for name in given.getlist("model") if name)),
            k=_number(given, "k", MOST) or 20,
            crop=_box(given.get("crop", "")),
            verify=bool(given.get("verify")),
            collapse=bool(given.get("collapse")),
            folder=given.get("folder", ""),
            since=_day(given, "since"),
            until=_day(given, "until"),
            least=_number(given, "least", 1_000_000),
        )

    @property
    def asks(self) -> bool:
        """Whether there is a query at all, besides the settings."""
        return bool(self.image or self.text or self.unlike)

    @property
    def filtered(self) -> bool:
        return bool(self.folder or self.since or self.until or self.least)

    @property
    def part(self) -> str:
        """The crop as "left,top,width,height"; empty for the whole picture."""
        if self.crop is None:
            return ""
        return ",".join(f"{share:.4g}" for share in (self.crop.left, self.crop.top, self.crop.width, self.crop.height))

    def pairs(self) -> list[tuple[str, str]]:
        """Names and values as they stand in the address; what is as usual is left out."""
        found: Mapping[str, Any] = {
            "collection": self.collection,
            "image": self.image,
            "text": self.text,
            "not": self.unlike,
            "crop": self.part,
            "k": "" if self.k == 20 else self.k,
            "verify": "1" if self.verify else "",
            "collapse": "1" if self.collapse else "",
            "folder": self.folder,
            "since": self.since,
            "until": self.until,
            "least": self.least or "",
        }
        pairs = [(name, str(value)) for name, value in found.items() if value]
        return pairs + [("model", name) for name in self.models]

    def url(self, **changes: Any) -> str:
        """Of this search, with some of its fields changed."""
        return f"/search?{urlencode(replace(self, **changes).pairs())}"

    def by(self, image_id: str) -> str:
        """Of a search by a picture, with the same settings."""
        return self.url(image=image_id, text="", unlike="", crop=None)

    def ask(self, shelf: Shelf, *, whole: bool, include_self: bool = True) -> Ask:
        """The query; what takes longer (verifying) only if it is to be `whole`."""
        terms = [Term(image=self.image)] if self.image else []
        terms += [Term(text=self.text)] if self.text else []
        terms += [Term(text=self.unlike, weight=-1.0)] if self.unlike else []
        return Ask(
            terms=tuple(terms),
            collection=self.collection or None,
            models=self.models,
            k=self.k,
            crop=self.crop if len(terms) == 1 else None,
            verify=min(self.k, TOP) if self.verifies and whole else 0,
            collapse=self.collapse,
            include_self=include_self,
            only=Only(
                folder=shelf.folder(self.folder, self.collection or None) if self.folder else None,
                since=self.since or None,
                until=self.until or None,
                least=self.least,
            ),
        )

    @property
    def verifies(self) -> bool:
        """Whether hits are to be verified, and can be: keypoints say nothing of words."""
        return self.verify and bool(self.image) and not (self.text or self.unlike)


def _number(given: QueryParams, name: str, most: int) -> int | None:
    text = given.get(name, "")
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise Problem(422, f"{name}: a whole number from 1 to {most:,} is needed")
    return int(text)


def _day(given: QueryParams, name: str) -> str:
    text = given.get(name, "")
    if not text:
        return ""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise Problem(422, f"{name}: a day such as 2026-05-31 is needed") from None


def _box(text: str) -> Box | None:
    if not text:
        return None
    try:
        left, top, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise Problem(422, "crop: four numbers are needed: left,top,width,height") from None
    inside = (
        0 <= min(left, top) <= max(left, top) < 1
        and min(width, height) > 0
        and max(left + width, top + height) <= 1.001
    )
    if not inside:  # NaN neither
        raise Problem(422, "crop: left,top,width,height are shares of the picture, 0 to 1")
    return Box(left, top, min(width, 1 - left), min(height, 1 - top))
