"""Revisited Oxford and Paris: 70 queries each, cut to a box, with easy and hard answers, and junk.

    ROOT/jpg/*.jpg  gnd_roxford5k.pkl, or the same as gnd_roxford5k.json

    {"imlist": [names of the gallery], "qimlist": [names of the queries],
     "gnd": [{"bbx": [x1, y1, x2, y2], "easy": [places in imlist], "hard": [...], "junk": [...]}]}

Radenovic et al., "Revisiting Oxford and Paris: Large-Scale Image Retrieval Benchmarking" (CVPR 2018).
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from lookalike.bench.datasets import pickled
from lookalike.bench.datasets.dataset import Box, Dataset, Files, Query, folder_of, read_data, read_json, stem
from lookalike.errors import UsageError
from lookalike.wording import counted
from lookalike.writing import showable

FOLDERS = {"roxford": "roxford5k", "rparis": "rparis6k"}
_MOST_JSON = 64 << 20


def read(name: str, root: Path) -> Dataset:
    """`name` is roxford or rparis; `root` holds jpg/, or roxford5k/jpg/. Raises UsageError."""
    title = FOLDERS[name]
    place = root / title if (root / title).is_dir() else root
    path = next((p for suffix in ("json", "pkl") if (p := place / f"gnd_{title}.{suffix}").is_file()), None)
    if path is None:
        raise UsageError(f"{showable(str(place))}: no ground truth: it must hold gnd_{title}.pkl or gnd_{title}.json")
    shown = showable(str(path))
    if path.suffix == ".json":
        data = read_json(path, _MOST_JSON)
    else:
        try:
            data = pickled.loads(read_data(path, pickled.MOST_BYTES))
        except ValueError as error:
            raise UsageError(f"{shown}: not to be trusted, {error}: get the file anew, or as JSON") from error
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in ("imlist", "qimlist", "gnd")):
        raise UsageError(f"{shown}: it must hold the lists imlist, qimlist and gnd: get the file anew")
    names, asked = (_names(data[key], f"{shown}: {key}") for key in ("imlist", "qimlist"))
    if len(set(names)) < len(names) or len(asked) != len(data["gnd"]) or not asked:
        raise UsageError(f"{shown}: {len(asked)} queries, {len(data['gnd'])} answers, or a name twice: get it anew")
    files = Files.of(folder_of(place, ("jpg",), "images"), stem)
    if absent := [each for each in (*names, *asked) if each not in files]:
        raise UsageError(
            f"{shown}: {counted(len(absent), 'image')} not in jpg/, such as {absent[0]}.jpg: complete the data"
        )
    queries = []
    for i, (each, answers) in enumerate(zip(asked, data["gnd"], strict=True)):
        easy, hard, junk, box = _answers(answers, names, f"{shown}: gnd[{i}]")
        queries.append(Query(f"{i:03d}-{each}", files[each], easy | hard, hard, junk, box))
    gallery = Files(files.folder, {each: files.relative[each] for each in names})
    return Dataset(name, "revisited", gallery, queries, len(gallery))


def _names(values: list[Any], where: str) -> list[str]:
    for i, value in enumerate(values):
        if not isinstance(value, str) or not re.fullmatch(r"[\w.+-][\w.+ -]{0,199}", value):
            raise UsageError(f"{where}[{i}] is no name of an image: get the file anew")
    return values


def _answers(answers: Any, names: list[str], where: str) -> tuple[frozenset[str], frozenset[str], frozenset[str], Box]:
    """Easy, hard, junk, and the box."""
    if not isinstance(answers, dict):
        raise UsageError(f"{where} is no table of easy, hard, junk and bbx: get the file anew")
    found = []
    for key in ("easy", "hard", "junk"):
        places = answers.get(key, [])
        if not isinstance(places, list | tuple) or not all(
            type(place) is int and 0 <= place < len(names) for place in places
        ):
            raise UsageError(f"{where}: {key} is no list of places in imlist, 0 to {len(names) - 1}: get the file anew")
        found.append(frozenset(names[place] for place in places))
    easy, hard, junk = found
    if easy & hard or (easy | hard) & junk:
        raise UsageError(f"{where}: an image is two of easy, hard and junk: get the file anew")
    box = answers.get("bbx")
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(_is_edge(edge) for edge in box):
        raise UsageError(f"{where}: bbx is not four numbers: get the file anew")
    left, top, right, bottom = (float(edge) for edge in box)
    if left >= right or top >= bottom:
        raise UsageError(f"{where}: bbx is an empty box: get the file anew")
    return easy, hard, junk, (left, top, right, bottom)


def _is_edge(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and abs(value) < 1e6
