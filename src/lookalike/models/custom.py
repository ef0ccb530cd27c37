"""Models of your own, written in Python.

    @lookalike.model("mean-colour", dim=3, size=(8, 8))
    def mean_colour(pixels):
        return pixels.mean(axis=(1, 2))

A package that names the module of such functions under the entry point "lookalike.models" makes them known to the
command line too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import metadata
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lookalike.errors import ModelUnavailable, UsageError
from lookalike.metrics import normalised
from lookalike.models.catalog import CARDS
from lookalike.models.preprocess import fit
from lookalike.types import Fit, InputSpec, ModelCard, Picture, Resample, Vectors

log = logging.getLogger("lookalike")

Embed: TypeAlias = Callable[[npt.NDArray[np.uint8]], npt.ArrayLike]
"""(n, height, width, 3) RGB pixels of 0 to 255 -> (n, dim) numbers of any length."""

GROUP = "lookalike.models"
_LOADER = f"{__name__}:load"

_models: dict[str, tuple[ModelCard, Embed]] = {}


class FunctionBackbone:
    """A function as a model."""

    def __init__(self, card: ModelCard, embed: Embed) -> None:
        self.card = card
        self._embed = embed

    def embed(self, pictures: Sequence[Picture]) -> Vectors:
        pixels = np.stack([fit(picture, self.card.input) for picture in pictures])
        found = np.asarray(self._embed(pixels), dtype=np.float32)
        if found.shape != (len(pictures), self.card.dim):
            raise ModelUnavailable(
                f"model {self.card.name!r} gives {found.shape}, not {(len(pictures), self.card.dim)}: mend the function"
            )
        if not np.isfinite(found).all():
            raise ModelUnavailable(f"model {self.card.name!r} gives numbers that are not finite: mend the function")
        return normalised(found)


def register(
    name: str,
    *,
    dim: int,
    size: tuple[int, int],
    fit: Fit = "squash",
    resample: Resample = "bicubic",
    revision: str = "1",
    summary: str = "",
    license: str = "unknown",
) -> Callable[[Embed], Embed]:
    """Make a function a model (`lookalike.model`): it gets pixels in `size`, and gives `dim` numbers a picture.

    Change `revision` whenever its numbers change. It must treat each picture alone; 'lookalike models check NAME'
    tells whether it keeps what all models promise.
    """

    if not re.fullmatch(r"\w[\w.+-]{0,63}", name) or any(name == card.name for card in CARDS):
        raise UsageError(f"{name!r} cannot be the name of a model of yours: use letters, digits, '.', '_', '+' and '-'")

    def keep(embed: Embed) -> Embed:
        card = ModelCard(
            name=name,
            kind="descriptor",
            dim=dim,
            input=InputSpec(size, fit, resample=resample),
            summary=summary or (embed.__doc__ or "").strip().partition("\n")[0],
            source=f"{embed.__module__}:{embed.__qualname__}",
            revision=revision,
            license=license,
            loader=_LOADER,
            options={"function": name},  # two functions of one shape are two models
        )
        _models[name] = (card, embed)
        return embed

    return keep


def cards() -> list[ModelCard]:
    """The cards of all models that were registered in this process or come with an installed package."""
    _import_plugins()
    return [card for card, _ in _models.values()]


def load(card: ModelCard) -> FunctionBackbone:
    # By its name, each time: in a notebook the function may be written anew.
    return FunctionBackbone(card, lambda pixels: _models[card.options["function"]][1](pixels))


@lru_cache(maxsize=1)
def _import_plugins() -> None:
    for entry in metadata.entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:  # noqa: BLE001 - somebody else's code: it must not take our models away
            log.warning("the models of %s cannot be loaded: %r", entry.value, error)
