"""The study as one page: it opens anywhere, offline, with its pictures inside and without a script."""

from __future__ import annotations

import base64
import io
import math
import unicodedata
from collections.abc import Mapping
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folder import Flag
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from measures import TOP, there_and_back
from PIL import Image

from lookalike.errors import StorageError

if TYPE_CHECKING:
    from asking import Study

SHOWN = 5
"""Nearest flags of each that are shown."""

WIDTH = 120
"""Pixels of a picture: about twice what it takes on the page."""

DISPUTED = 8
"""Pairs that are shown where models disagree."""


def write_page(path: Path, study: Study, told: Mapping[str, Any]) -> None:
    """Write the study to `path`. Raises StorageError where that cannot be."""
    order = list(told["models"])
    expected: dict[str, set[str]] = {}
    for a, b in study.ways:
        expected.setdefault(a, set()).add(b)
    flags = sorted(study.drawings, key=lambda flag: initial(flag) + flag.name)
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = pages.get_template("page.html").render(
        told=told,
        order=order,
        worse=[name for name in order if told["models"][name]["behind"]["interval"][0] > 0],
        models=study.models,
        flags=study.flags,
        number={flag.code: number for number, flag in enumerate(flags)},
        pictures={flag.code: picture(flag) for flag in flags},
        letters=[(letter, list(group)) for letter, group in groupby(flags, key=initial)],
        expected=expected,
        disputed=disputed(study),
        missed=study.missed,
        today=date.today(),
        SHOWN=SHOWN,
        TOP=TOP,
    )
    try:
        path.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error


def initial(flag: Flag) -> str:
    return unicodedata.normalize("NFKD", flag.name)[0].upper()


def picture(flag: Flag) -> tuple[str, float]:
    """A small picture of the flag as a data URI, and how many times wider than high it is."""
    image = Image.open(io.BytesIO(flag.small))
    ratio = image.width / image.height
    image.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}", ratio


def disputed(study: Study) -> list[tuple[str, str, dict[str, int]]]:
    """The pairs that some model finds, and others hold farthest apart: each model's best rank of the two directions."""
    found = []
    for a, b in study.ways:
        ranks = {name: min(there_and_back(finds, a, b)) for name, finds in study.models.items()}
        if a < b and min(ranks.values()) <= TOP < max(ranks.values()):
            found.append((a, b, ranks))
    return sorted(found, key=lambda each: -math.log(max(each[2].values()) / min(each[2].values())))[:DISPUTED]
