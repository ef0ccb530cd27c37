"""The nouns that every floor of the house shares: plain, frozen data and the protocols between parts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, cast, overload, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""(height, width, 3) RGB, 0 to 255, upright."""

Vectors: TypeAlias = npt.NDArray[np.float32]
"""(n, dim) rows of length 1."""

Rows: TypeAlias = npt.NDArray[np.int64]
"""Row numbers of vectors; -1 where a search found fewer than k."""

PIXELS_REVISION = 2
"""Goes up when files come to be decoded or resized otherwise, and so all numbers may change."""

Fit = Literal["crop", "squash", "pad", "frame", "longest"]
Resample = Literal["nearest", "box", "bilinear", "bicubic", "lanczos"]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded image.

    It may be smaller than the file's own `width` x `height` (upright), where the codec could decode at a
    reduced scale and nobody needed more. `taken` is the EXIF date as "YYYY-MM-DDTHH:MM:SS", or None.

    `raster` is what it was made of, an RGB image of Pillow's or an array; `image` and `pixels` are the same
    picture as the one and as the other. Threads share them: they are not to be written into.
    """

    raster: Image.Image | Pixels
    width: int
    height: int
    format: str
    taken: str | None = None
    _pixels: Pixels | None = field(default=None, init=False, repr=False)

    @property
    def image(self) -> Image.Image:
        """RGB, as Pillow has it."""
        if not isinstance(self.raster, np.ndarray):
            return self.raster
        from PIL import Image

        return Image.fromarray(self.raster)

    @property
    def pixels(self) -> Pixels:
        """(height, width, 3) uint8."""
        if self._pixels is None:  # two threads may both make it: they make the same
            object.__setattr__(self, "_pixels", np.asarray(self.raster))
        return cast(Pixels, self._pixels)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the pixels, in no time."""
        if not isinstance(self.raster, np.ndarray):
            return self.raster.size
        height, width = self.raster.shape[:2]
        return width, height


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What a model wants to be fed: preprocessing as data.

    size:     (height, width) that the model takes
    fit:      how a picture of another shape gets there:
              "crop"    resize the short side to `resize` (default: the smaller of `size`), cut out the centre
              "squash"  resize to `size`, whatever the shape
              "pad"     resize to fit inside `size`, white round it
              "frame"   the same, but round it the mean colour of its own edge
              "longest" resize so that neither side exceeds `size`; the shape stays, small pictures stay
    centre:   where "crop" goes that is half a pixel off the middle: "down" as in transformers, or to the "even"
              place, as in torchvision
    mean, std: of each RGB channel, on the scale 0 to 1; None where the model takes the 0 to 255 pixels
    """

    size: tuple[int, int]
    fit: Fit = "crop"
    resize: int | None = None
    resample: Resample = "bicubic"
    centre: Literal["down", "even"] = "down"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None

    @property
    def read_side(self) -> int | None:
        """How small a codec may decode for this model: the short side must keep so many pixels (None: all).

        There are only three steps, so that models of one run share a decode, and a model's vectors do not
        depend on which others run beside it.
        """
        if self.resample == "nearest":  # picks single pixels: it must have them all to pick the right ones
            return None
        need = max(*self.size, self.resize or 0)
        return 512 if need <= 256 else 1024 if need <= 512 else None


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One row of the catalogue: all there is to know about a model before it is loaded.

    kind:     "hash", "descriptor" or "network"; "vectors" for vectors imported without their model
    revision: changes whenever the numbers change (for a file: its SHA-256)
    license:  SPDX where there is one
    loader:   "module:function", called with the card, returns a Backbone
    extra:    the pip extra that it needs, if any
    texts:    whether it embeds words too
    options:  the loader's own settings (part of the fingerprint)
    parameters: how many numbers a picture goes through (not part of the fingerprint)
    weights:  where the official weights are: "hf:OWNER/NAME", "https://...", or "file" where the user brings them;
              None where the model needs none (not part of the fingerprint)
    path:     the file or folder with the weights on this machine (not part of the fingerprint)
    """

    name: str
    kind: str
    dim: int
    input: InputSpec
    summary: str
    source: str
    revision: str
    license: str
    loader: str
    extra: str | None = None
    texts: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    parameters: int | None = None
    weights: str | None = None
    path: str | None = None

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change whenever the model's numbers may: vectors never mix silently."""
        shape = {
            "pixels": PIXELS_REVISION,
            "dim": self.dim,
            "input": asdict(self.input),
            "options": dict(self.options),
            "revision": self.revision,
        }
        return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]

    def as_json(self) -> dict[str, Any]:
        """The card as plain data."""
        return {**asdict(self), "options": dict(self.options)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelCard:
        """A card from plain data. Raises KeyError or TypeError where that is none."""
        spec: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data["input"].items()
        }
        return cls(**{**data, "input": InputSpec(**spec)})


@runtime_checkable
class Backbone(Protocol):
    """A model that turns pictures into vectors. Called from several threads at once."""

    card: ModelCard

    def embed(self, pictures: Sequence[Picture]) -> Vectors:
        """(n, dim) float32 of length 1, one row a picture, the same whatever else is in the batch."""
        ...


@runtime_checkable
class TextBackbone(Backbone, Protocol):
    """A model that puts words where it puts the pictures that they describe."""

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, dim) float32 of length 1."""
        ...


@runtime_checkable
class Tunable(Backbone, Protocol):
    """A model whose speed depends on how many pictures go through it at a time; its vectors do not."""

    batch: int
    """Pictures that go through it at a time."""

    def tune(self, workers: int, batch: int | None = None) -> None:
        """Choose `batch` (unless it is given) and threads by a short trial, or as remembered from one here."""
        ...


class Index(Protocol):
    """Nearest rows by cosine. `index.exact.ExactIndex` is the reference that others are measured against."""

    def search(self, vectors: Vectors, k: int, *, allowed: npt.NDArray[np.bool_] | None = None) -> tuple[Vectors, Rows]:
        """The k best rows for each of (n, dim) vectors: (n, k) cosines, falling, and (n, k) row numbers.

        `allowed` (one bool a row) restricts the search. Where fewer than k rows are there, the cosine is
        -inf and the row -1. Rows of equal cosine come in their order; where some of them must be left out at
        the end, it is not said which.
        """
        ...


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a mixed query: words, or the path of an image, and how much it counts (below 0: keep away from it)."""

    text: str | None = None
    image: str | None = None
    weight: float = 1.0

    def __str__(self) -> str:
        weight = abs(self.weight)
        return f"{self.text or self.image}" + (f":{weight:g}" if weight != 1 else "")


@dataclass(slots=True)
class ImageFile:
    """A file on its way into a collection, or a query: a scan says its path, size and date, embedding the rest.

    vectors: (dim,) by the name of each model that was asked; where none was, the file is not decoded, and
             `width` is 0
    thumbnail: a small JPEG, where it was asked for and the file was decoded
    reason:  why there is nothing, where the file could not be read
    """

    path: str
    size: int = 0
    mtime_ns: int = 0
    sha256: str | None = None
    width: int = 0
    height: int = 0
    taken: str | None = None
    thumbnail: bytes | None = None
    reason: str | None = None
    vectors: dict[str, Vectors] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image of a collection. `id` is the SHA-256 of the file's bytes, `path` absolute."""

    id: str
    path: str
    width: int
    height: int
    taken: str | None = None


@dataclass(frozen=True, slots=True)
class Only:
    """Which images of a collection count: those that meet all that is asked; None asks nothing.

    folder:       absolute: the image lies below it
    since, until: ISO dates, or dates with a time, both included: when it was taken or, where EXIF does not say, when
                  the file was last changed (UTC)
    least, most:  pixels of its longer side
    """

    folder: str | None = None
    since: str | None = None
    until: str | None = None
    least: int | None = None
    most: int | None = None


EVERYTHING = Only()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What local features say of a query and a hit.

    method:    what found the features
    pairs:     keypoints of the one that look like one of the other
    inliers:   pairs that agree on one transform; 0 where the two have nothing in common
    kind:      of the transform: "similarity", "affine" or "homography"; None where there is none
    transform: 3 rows of 3: a point (x, y, 1) of the query's own pixels to the hit's
    mirrored:  whether the hit shows the query mirrored
    chance:    0 to 1: how likely both show the same picture, or parts of it (see `calibration`)
    note:      why nothing could be verified, where nothing could
    """

    method: str
    pairs: int = 0
    inliers: int = 0
    kind: str | None = None
    transform: tuple[tuple[float, ...], ...] | None = None
    mirrored: bool = False
    chance: float = 0.0
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One result: `cosine` in -1 to 1, `score` = (cosine + 1) / 2, `rank` from 1; `evidence` where it was verified."""

    rank: int
    cosine: float
    image: ImageRef
    evidence: Evidence | None = None

    @property
    def score(self) -> float:
        return (self.cosine + 1) / 2

    @property
    def path(self) -> str:
        return self.image.path


@dataclass(frozen=True, slots=True)
class Usual:
    """The cosines between a picture and others that have nothing to do with it: their mean and standard deviation."""

    mean: float
    deviation: float

    def standard(self, cosine: float) -> float:
        """How many deviations a cosine is above the mean."""
        return (cosine - self.mean) / self.deviation


@dataclass(frozen=True, slots=True)
class Hits(Sequence[Hit]):
    """The ranked results of one query with one model; `usual` is what the query has with any picture there."""

    query: str
    model: str
    items: tuple[Hit, ...]
    usual: Usual | None = None

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        return self.items[index]


@dataclass(frozen=True, slots=True)
class Score:
    """How alike one model finds two pictures: `cosine` in -1 to 1, `score` = (cosine + 1) / 2."""

    model: str
    cosine: float

    @property
    def score(self) -> float:
        return (self.cosine + 1) / 2
