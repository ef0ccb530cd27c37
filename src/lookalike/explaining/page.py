"""An explanation as one HTML file, which opens anywhere, offline: see `report`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lookalike import draw, report
from lookalike.explaining import panels
from lookalike.explaining.explanation import Explanation, Side
from lookalike.explaining.maps import Heat
from lookalike.explaining.standing import told
from lookalike.explaining.words import overlaid
from lookalike.writing import write_text

LARGE, WIDE = 800, 1600
"""Pixels of the longer side of a picture, and of the width of two."""

CELLS = 12
"""Cells along the longer side of a picture whose parts are found by the transform."""


def save(explanation: Explanation, path: str) -> None:
    """Write the page. Raises StorageError."""
    write_text(path, render(explanation))


def render(explanation: Explanation) -> str:
    """The page as HTML text, free of surrogates: it always encodes as UTF-8."""
    parts = _parts(explanation)
    return _pages.fill(
        "why.html",
        a=_side(explanation.a),
        b=_side(explanation.b),
        lines=report.uri(panels.lines(explanation, WIDE)),
        verdict=panels.verdict(explanation),
        chance=panels.chance(explanation),
        laid=_laid(explanation),
        maps=[
            {"legend": panels.legend(maps), "a": report.uri(one), "b": report.uri(other)}
            for maps in explanation.maps
            for one, other in [panels.drawn(explanation, maps, (LARGE, LARGE))]
        ],
        colours=report.uri(draw.coloured(np.linspace(0, 1, 256)[None], 0, 1), 100),
        rows=_rows(explanation),
        collection=explanation.collection,
        ways=[part["name"] for part in parts],
        parts=parts,
    )


def _side(side: Side) -> dict[str, str]:
    pixels = draw.resized(side.picture.pixels, panels.within(side.size, (LARGE, LARGE)))
    return {"name": side.name, "path": side.path, "uri": report.uri(pixels)}


def _laid(explanation: Explanation) -> dict[str, str] | None:
    laid = panels.overlay(explanation, LARGE)
    if laid is None:
        return None
    differs = panels.difference(laid)
    return {
        "base": report.uri(laid.base),
        "blend": report.uri(laid.blend),
        "difference": report.uri(differs.pixels),
        "words": differs.words,
        "high": f"far apart ({differs.high:.0f} in CIELAB)",
    }


def _rows(explanation: Explanation) -> list[dict[str, Any]]:
    rows = []
    for score in explanation.comparison.scores:
        standing = explanation.standings.get(score.model)
        row = {"score": score, "usual": "", "standard": "", "above": ""}
        if standing:
            row["usual"] = f"{standing.usual.mean:.3f} ± {standing.usual.deviation:.3f}"
            row["standard"] = f"{standing.standard:.1f} deviations"
            row["above"] = told(standing)
        rows.append(row)
    return rows


def _parts(explanation: Explanation) -> list[dict[str, Any]]:
    """Which part goes with which, in each way that is known: the contract with why.js."""
    found = []
    if overlaid(explanation.evidence):
        a, b = explanation.a.size, explanation.b.size
        shares = np.diag([1 / b[0], 1 / b[1], 1]) @ np.array(explanation.evidence.transform) @ np.diag([a[0], a[1], 1])
        found.append({"name": "keypoints", "a": _moved(a, shares), "b": _moved(b, np.linalg.inv(shares))})
    return found + [
        {"name": f"patches of {maps.model}", "a": _patches(maps.a), "b": _patches(maps.b)}
        for maps in explanation.maps
        if maps.kind == "patches"
    ]


def _moved(size: tuple[int, int], onto: Any) -> dict[str, Any]:
    cell = max(size) / CELLS
    rows, cols = (max(1, math.ceil(side / cell)) for side in (size[1], size[0]))
    return {"rows": rows, "cols": cols, "box": [0, 0, 1, 1], "move": [float(f"{x:.6g}") for x in onto.ravel()]}


def _patches(heat: Heat) -> dict[str, Any]:
    assert heat.best is not None  # noqa: S101 - of patches
    return {
        "rows": heat.values.shape[0],
        "cols": heat.values.shape[1],
        "box": [round(x, 5) for x in heat.box],
        "best": heat.best.ravel().tolist(),
        "cosine": [round(float(x), 3) for x in heat.values.ravel()],
    }


_pages = report.Pages(percent=report.percent)
