"""What can be benchmarked: models, several together, whitened, verified.

sift                            a model
vit-tiny+sift                   two, whose scores are fused
mobilenetv2|whiten:512          its vectors whitened to 512 dimensions, fitted on pictures apart
vit-tiny+sift|mirror|verify:50  the mirrored query asked too, and the 50 best verified by keypoints
./my+model|v2|verify:50         a model by its folder, whatever that is called
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Self

from lookalike.errors import UsageError
from lookalike.keypoints.methods import METHODS

STEPS = "whiten:DIM, mirror, crops, verify:N, verify:N:METHOD"


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of a benchmark. `whiten` is the dimensions, `verify` how many hits; 0 where it is not done."""

    name: str
    models: tuple[str, ...]
    whiten: int = 0
    mirror: bool = False
    crops: bool = False
    verify: int = 0
    method: str = "sift"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises UsageError for what is none."""
        names, steps = _apart(text)
        found: dict[str, object] = {}
        for step in map(str.strip, steps):
            if made := re.fullmatch(r"whiten:(\d{1,5})", step):
                found["whiten"] = int(made[1])
            elif step in ("mirror", "crops"):
                found[step] = True
            elif made := re.fullmatch(r"verify(?::(\d{1,4}))?(?::([\w-]+))?", step):
                found |= {"verify": int(made[1] or 50), "method": made[2] or "sift"}
            else:
                raise UsageError(f"{text!r}: {step!r} is no step: use {STEPS}")
        method = found.get("method", "sift")
        if method not in METHODS:
            raise UsageError(f"{text!r}: no local features are called {method!r}: use {', '.join(METHODS)}")
        models = tuple(dict.fromkeys(name.strip() for name in names))
        if not all(models) or found.get("whiten", 1) == 0 or found.get("verify", 1) == 0:
            raise UsageError(f"{text!r}: name a model, or several joined by +, then steps: {STEPS}")
        return cls(text, models, **found)  # type: ignore[arg-type]


def _apart(text: str) -> tuple[list[str], list[str]]:
    """The models, and the steps behind them. A folder may have the signs between them in its name."""
    parts = re.split(r"([+|])", text)
    names: list[str] = []
    while parts:
        count = next((n for n in range(len(parts), 1, -2) if os.path.isdir(os.path.expanduser("".join(parts[:n])))), 1)
        names.append("".join(parts[:count]))
        if parts[count : count + 1] == ["|"]:
            return names, "".join(parts[count + 1 :]).split("|")
        del parts[: count + 1]
    return names, []
