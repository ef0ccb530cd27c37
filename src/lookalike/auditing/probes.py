"""Probes: what a word on a picture, or another background, does to its place among the others.

typographic  pictures bear the same label: a word; its strokes, cut up and mixed; nothing. What the word does beyond its
             strokes is what it says. The attack by a written word: Goh et al., "Multimodal Neurons in Artificial
             Neural Networks" (2021)
context      the middle of a picture, half of its area, stands on another picture, or on grey. What the other picture
             does beyond the missing background is the pull of context: Xiao, Engstrom, Ilyas and Madry, "Noise or
             Signal: The Role of Image Backgrounds in Object Recognition" (2021)

All models look at the same pictures, so that the references tell what pixels alone do. Amounts are in deviations of a
model's own usual cosines, in which models can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lookalike import images
from lookalike.auditing.likeness import Audited
from lookalike.auditing.variants import WORDS, before, labelled, shrunk
from lookalike.embedding import embed_pictures
from lookalike.errors import UnreadableImage
from lookalike.indexing import Progress
from lookalike.models import registry
from lookalike.stats import Floats, Interval, mean_of_images, mean_of_pairs, share_of_images
from lookalike.types import ImageRef, Pixels, Vectors

IMAGES = 40
"""Pictures that are probed."""

LEAST = 8
"""Pictures without which nothing is told."""

BACKGROUNDS = 2
"""That each picture is put before."""

SHOWN = 3
"""Examples."""

Verdict = Literal["none", "as pixels", "shown"]
"""Whether there is an effect: none that can be shown; one no larger than a reference's; one that is larger."""


@dataclass(frozen=True, slots=True)
class Typographic:
    """How much nearer two pictures come that bear the same label, in deviations.

    blank, strokes, word: by what the label bears; effect: word less strokes
    captured_by_word, captured_by_strokes: how often the nearest is another picture with the label, where all others
        are there with and without it
    """

    model: str
    blank: Interval
    strokes: Interval
    word: Interval
    effect: Interval
    captured_by_strokes: Interval
    captured_by_word: Interval

    def to_json(self) -> dict[str, Any]:
        return _plain(self)


@dataclass(frozen=True, slots=True)
class Context:
    """How far a picture's middle drifts from the picture, in deviations.

    missing, other: without a background, before another picture; effect: other less missing
    taken_for_background: how often the mix is nearer to the picture behind than to the one before
    """

    model: str
    missing: Interval
    other: Interval
    effect: Interval
    taken_for_background: Interval

    def to_json(self) -> dict[str, Any]:
        return _plain(self)


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A picture that was probed: its variants as pixels, the word or the background as what it was done with."""

    image: ImageRef
    variants: tuple[tuple[str, Pixels], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """What the probes found: a row a model, the audited one first. Examples are those that it fell for most."""

    images: int
    unread: int
    typographic: tuple[Typographic, ...]
    context: tuple[Context, ...]
    words: tuple[Example, ...]
    backgrounds: tuple[Example, ...]

    def verdict(self, rows: Sequence[Typographic] | Sequence[Context]) -> Verdict:
        """Of the first row's effect against the others'."""
        if rows[0].effect.low <= 0:
            return "none"
        return "shown" if rows[0].effect.low > max([row.effect.value for row in rows[1:]]) else "as pixels"

    def to_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "unread": self.unread,
            "typographic": {
                "verdict": self.verdict(self.typographic),
                "words": list(WORDS),
                "models": [row.to_json() for row in self.typographic],
            },
            "context": {
                "verdict": self.verdict(self.context),
                "models": [row.to_json() for row in self.context],
            },
        }


def _plain(row: Typographic | Context) -> dict[str, Any]:
    fields = {name: getattr(row, name) for name in row.__slots__}
    return {name: value.to_json() if isinstance(value, Interval) else value for name, value in fields.items()}


def probe(audited: Audited, wanted: int, rng: np.random.Generator, tell: Progress) -> Probes | None:
    """Probe so many pictures of the collection by all models; None where too few can be read.

    Raises ModelUnavailable where a model cannot embed new pictures here.
    """
    models = [audited.model, *audited.visual]
    backbones = [registry.load(registry.card(each.model)) for each in models]
    chosen, pixels, unread = _read(audited, wanted, rng)
    if len(chosen) < LEAST:
        return None
    behind = [np.roll(np.arange(len(chosen)), -1 - shift) for shift in range(BACKGROUNDS)]
    tables: list[list[Vectors]] = [[] for _ in models]
    for i, own in enumerate(pixels):
        variants = [images.read(each) for each in _variants(own, [pixels[order[i]] for order in behind])]
        for table, backbone in zip(tables, backbones, strict=True):
            table.append(embed_pictures(backbone, variants))
        tell("probes", i + 1, len(pixels))
    seen = [np.stack(table).astype(np.float64).transpose(1, 0, 2) for table in tables]  # (variants, n, dim)
    scales = [float(np.median(each.deviation)) for each in models]
    seeds = [int(seed) for seed in rng.integers(2**32, size=2)]  # the same images are drawn for each model
    labels = [_labels(table, scale) for table, scale in zip(seen, scales, strict=True)]
    grounds = [_grounds(table, scale, behind) for table, scale in zip(seen, scales, strict=True)]
    return Probes(
        images=len(chosen),
        unread=unread,
        typographic=tuple(each.judged(model.model, seeds[0]) for each, model in zip(labels, models, strict=True)),
        context=tuple(each.judged(model.model, seeds[1]) for each, model in zip(grounds, models, strict=True)),
        words=tuple(
            Example(audited.images[chosen[i]], tuple(zip(("as it is", "blank", "strokes", "word"), four, strict=True)))
            for i in labels[0].fallen()
            for four in [(pixels[i], labelled(pixels[i], None), _strokes(pixels[i], 0), labelled(pixels[i], WORDS[0]))]
        ),
        backgrounds=tuple(
            Example(
                audited.images[chosen[i]],
                (
                    ("as it is", pixels[i]),
                    ("on grey", before(pixels[i], None)),
                    ("before another", before(pixels[i], pixels[behind[0][i]])),
                    ("the other", pixels[behind[0][i]]),
                ),
            )
            for i in grounds[0].fallen()
        ),
    )


def _read(audited: Audited, wanted: int, rng: np.random.Generator) -> tuple[list[int], list[Pixels], int]:
    """So many pictures by lot, and how many could not be read."""
    chosen: list[int] = []
    pixels: list[Pixels] = []
    unread = 0
    for i in rng.permutation(len(audited.images)).tolist():
        if len(chosen) == wanted or unread > wanted:
            break
        try:
            picture = images.read(audited.images[i].path, side=512)
        except UnreadableImage:
            unread += 1
            continue
        chosen.append(i)
        pixels.append(shrunk(picture.image.copy()))
    return chosen, pixels, unread


def _strokes(pixels: Pixels, word: int) -> Pixels:
    return labelled(pixels, WORDS[word], scramble=word)


def _variants(own: Pixels, others: Sequence[Pixels]) -> list[Pixels]:
    """Plain, blank, strokes and words, on grey, before each other: `_labels` and `_grounds` count on the order."""
    numbers = range(len(WORDS))
    return [
        own,
        labelled(own, None),
        *(_strokes(own, word) for word in numbers),
        *(labelled(own, WORDS[word]) for word in numbers),
        before(own, None),
        *(before(own, other) for other in others),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Labels:
    """By one model: (n, n) how much nearer pairs come by each label, and (n, times) whether pictures are captured."""

    blank: Floats
    strokes: Floats
    word: Floats
    by_strokes: Floats
    by_word: Floats

    def judged(self, model: str, seed: int) -> Typographic:
        pairs = (self.blank, self.strokes, self.word, self.word - self.strokes)
        found = [mean_of_pairs(each, np.random.default_rng(seed)) for each in pairs]
        found += [share_of_images(each, np.random.default_rng(seed)) for each in (self.by_strokes, self.by_word)]
        return Typographic(model, *found)

    def fallen(self) -> list[int]:
        """The pictures that the word moves most."""
        return np.argsort(-(self.word - self.strokes).mean(axis=1), kind="stable")[:SHOWN].tolist()  # type: ignore[no-any-return]


def _labels(seen: Floats, scale: float) -> _Labels:
    count = len(WORDS)
    plain = seen[0] @ seen[0].T
    nearer = [(each @ each.T - plain) / scale for each in seen[1 : 2 + 2 * count]]
    captured = [_captured(seen[0], each) for each in seen[2 : 2 + 2 * count]]
    return _Labels(
        nearer[0],
        np.mean(nearer[1 : 1 + count], axis=0),
        np.mean(nearer[1 + count :], axis=0),
        np.stack(captured[:count], axis=1),
        np.stack(captured[count:], axis=1),
    )


def _captured(plain: Floats, marked: Floats) -> Floats:
    """(n,) 1 where a marked picture's nearest other picture is a marked one."""
    off = np.diag(np.full(len(plain), np.inf))
    return np.asarray((marked @ marked.T - off).max(axis=1) > (marked @ plain.T - off).max(axis=1), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Grounds:
    """By one model: (n,) the drift on grey, (n, times) before others, and whether they are taken for what is behind."""

    missing: Floats
    other: Floats
    taken: Floats

    def judged(self, model: str, seed: int) -> Context:
        amounts = (self.missing, self.other, self.other - self.missing[:, None])
        found = [mean_of_images(each, np.random.default_rng(seed)) for each in amounts]
        found.append(share_of_images(self.taken, np.random.default_rng(seed)))
        return Context(model, *found)

    def fallen(self) -> list[int]:
        """The pictures that drift most before the first other."""
        return np.argsort(-(self.other[:, 0] - self.missing), kind="stable")[:SHOWN].tolist()  # type: ignore[no-any-return]


def _grounds(seen: Floats, scale: float, behind: Sequence[Any]) -> _Grounds:
    plain, grey, mixed = seen[0], seen[2 + 2 * len(WORDS)], seen[3 + 2 * len(WORDS) :]
    to_own = [(plain * each).sum(axis=1) for each in mixed]
    to_other = [(plain[order] * each).sum(axis=1) for order, each in zip(behind, mixed, strict=True)]
    own, other = np.stack(to_own, axis=1), np.stack(to_other, axis=1)
    return _Grounds((1 - (plain * grey).sum(axis=1)) / scale, (1 - own) / scale, (other > own).astype(np.float64))
