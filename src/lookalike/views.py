"""What else of a query is looked for: its mirror image, and parts of it.

A picture that was mirrored is found by its mirror image; one that was pasted into another, framed by a screenshot or
put into a collage, by the part of the query that shows it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lookalike.fusion import Fuse
from lookalike.types import Picture

CROPS = (
    (0.15, 0.15, 0.85, 0.85),
    (0.0, 0.0, 0.6, 0.6),
    (0.4, 0.0, 1.0, 0.6),
    (0.0, 0.4, 0.6, 1.0),
    (0.4, 0.4, 1.0, 1.0),
    (0.0, 0.0, 0.5, 1.0),
    (0.5, 0.0, 1.0, 1.0),
    (0.0, 0.0, 1.0, 0.5),
    (0.0, 0.5, 1.0, 1.0),
)
"""Left, top, right, bottom, as shares: the middle, the corners, the halves."""


@dataclass(frozen=True, slots=True)
class Views:
    """How a query is asked: as it is, mirrored too, its parts too; `fuse` is how several models make one ranking."""

    mirror: bool = False
    crops: bool = False
    fuse: Fuse = "scores"

    @property
    def further(self) -> bool:
        """Whether there is more to look for than the picture itself."""
        return self.mirror or self.crops

    @property
    def count(self) -> int:
        """How many pictures are looked for: the picture itself, and the further ones."""
        return (1 + len(CROPS) * self.crops) * (1 + self.mirror)

    def of(self, picture: Picture) -> list[Picture]:
        """The further pictures to look for, beside the picture itself."""
        found = [picture] if not self.crops else [picture, *(cut(picture, box) for box in CROPS)]
        mirrored = [_mirrored(each) for each in found] if self.mirror else []
        return [*found[1:], *mirrored]


PLAIN = Views()


def cut(picture: Picture, box: tuple[float, float, float, float]) -> Picture:
    """A part of a picture: left, top, right, bottom, as shares; at least a pixel of it."""
    height, width = picture.pixels.shape[:2]
    left, top, right, bottom = (
        round(share * side) for share, side in zip(box, (width, height, width, height), strict=True)
    )
    left, top = min(left, width - 1), min(top, height - 1)
    part = np.ascontiguousarray(picture.pixels[top : max(bottom, top + 1), left : max(right, left + 1)])
    shares = (box[2] - box[0], box[3] - box[1])
    return replace(
        picture,
        raster=part,
        width=max(1, round(picture.width * shares[0])),
        height=max(1, round(picture.height * shares[1])),
    )


def _mirrored(picture: Picture) -> Picture:
    return replace(picture, raster=np.ascontiguousarray(picture.pixels[:, ::-1]))
