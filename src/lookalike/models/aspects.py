"""A model that brings pictures to its size in another way than its own: NAME@squash, NAME@pad, NAME@crop.

The network is the same; since the pixels that it gets are not, its vectors are those of another model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from lookalike.errors import UsageError
from lookalike.types import Fit, ModelCard

ASPECTS: Mapping[str, Fit] = {"squash": "squash", "pad": "frame", "crop": "crop"}
"""What users say, and the InputSpec's word for it: all of the picture out of shape, all of it in a frame, its middle.

The frame has the colour of the picture's edge: of three colours it did best on flags, though by no more than chance
may do. See benchmarks/flags/aspect.py.
"""

_OWN = "own_fit"


def in_aspect(card: ModelCard, aspect: str) -> ModelCard:
    """The same network, which sees pictures in another way: another model.

    Raises UsageError where it takes pictures of any shape, or another way was chosen before.
    """
    if card.input.fit == "longest":
        raise UsageError(f"{card.name!r} takes pictures in their own shape: leave --aspect {aspect} out for it")
    if _OWN in card.options:
        raise UsageError(f"{card.name}@{aspect}: choose one of {', '.join(ASPECTS)}")
    return replace(
        card,
        name=f"{card.name}@{aspect}",
        summary=f"{card.summary} ({aspect})",
        input=replace(card.input, fit=ASPECTS[aspect]),
        options={**card.options, _OWN: card.input.fit},
    )


def in_own(card: ModelCard) -> ModelCard:
    """What `in_aspect` was made of, but for its summary; a card that sees in its own way is its own."""
    if _OWN not in card.options:
        return card
    own = cast(Fit, card.options[_OWN])
    options = {key: value for key, value in card.options.items() if key != _OWN}
    return replace(card, name=card.name.rpartition("@")[0], input=replace(card.input, fit=own), options=options)
