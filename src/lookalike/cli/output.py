"""What commands print, and how."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import click

from lookalike.errors import UsageError
from lookalike.formats import is_image_name
from lookalike.indexing import Progress
from lookalike.models import registry
from lookalike.searching import PLUS
from lookalike.types import Evidence, Hit, Hits, Score


def echo_json(data: object) -> None:
    """Plain ASCII, so that names which are no UTF-8 survive as \\udcXX escapes wherever it is sent."""
    click.echo(json.dumps(data))


def echo_text(line: str = "") -> None:
    """A line for people; names that are no UTF-8 are shown with replacement marks."""
    click.echo(printable(line))


def note(line: str) -> None:
    """A remark on standard error."""
    click.echo(printable(line), err=True)


def printable(text: str) -> str:
    """Safe for a terminal: no control characters, no lone surrogates."""
    clean = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)
    return clean.encode(errors="replace").decode()


def echo_paths(paths: Sequence[str], end: bytes) -> None:
    """Paths as the bytes that the file system gave, each once."""
    for path in dict.fromkeys(paths):
        sys.stdout.buffer.write(os.fsencode(path) + end)
    sys.stdout.buffer.flush()


def spared(option: str, target: str | None, pictures: Sequence[str]) -> None:
    """Raise UsageError where what is to be written would take the place of a picture: one that is to be read, or, where
    a page is to be written, any."""
    if target and option == "--html" and is_image_name(target):
        raise UsageError(f"{option} {target}: that is a picture's name: name a file that ends in .html")
    for picture in pictures:
        with suppress(OSError):  # where one of them is not there, nothing is lost
            if target and os.path.samefile(target, picture):
                raise UsageError(f"{option} {target}: that is the picture itself: name another file")


def in_ways(models: Sequence[str], pool: str | None, aspect: str | None) -> list[str]:
    """--pool and --aspect as part of the names of the models that they speak of, each one of "a+b" too."""
    for option, way in (("--pool", pool), ("--aspect", aspect)):
        if way and not models:
            raise click.UsageError(f"{option} needs --model: say which one is to do it that way")
    ending = "".join(f"@{way}" for way in (pool, aspect) if way)
    return [_each(name, ending) if ending else name for name in models]


def _each(name: str, ending: str) -> str:
    alone = PLUS not in name or os.path.isdir(name) or registry.knows(name)
    return PLUS.join(f"{part}{ending}" for part in ([name] if alone else name.split(PLUS)))


def hits_json(hits: Hits) -> dict[str, Any]:
    """The contract of `search --json` and `--jsonl`."""
    return {
        "query": hits.query,
        "model": hits.model,
        "hits": [_hit_json(hit) for hit in hits],
    }


def _hit_json(hit: Hit) -> dict[str, Any]:
    told = {"rank": hit.rank, "path": hit.path, "cosine": _short(hit.cosine), "score": _short(hit.score)}
    return told if hit.evidence is None else told | {"evidence": evidence_json(hit.evidence)}


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """What verification found, as the contract of `--json` has it."""
    return {**asdict(evidence), "chance": _short(evidence.chance)}


def scores_json(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """The contract of `compare --json`."""
    return [{"model": s.model, "cosine": _short(s.cosine), "score": _short(s.score)} for s in scores]


def _short(value: float) -> float:
    return round(value, 6)


def columns_text(columns: Sequence[Hits]) -> list[str]:
    """Rankings side by side, as wide as the terminal (no limit in a pipe)."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    names = shortened([hit.path for hits in columns for hit in hits])
    each = (width - 4) // max(1, len(columns)) - 2
    cells = [
        [hits.model, *(_clip(f"{hit.score:.3f} {_verified(hit)}", printable(names[hit.path]), each) for hit in hits)]
        for hits in columns
    ]
    widths = [max(map(len, column)) for column in cells]
    lines = []
    for i in range(max(map(len, cells))):
        row = (column[i] if i < len(column) else "" for column in cells)
        label = "" if i == 0 else str(i)
        lines.append(f"{label:>3} " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip())
    return lines


def _verified(hit: Hit) -> str:
    """What keypoints say of a hit, in a few signs: how many agree, and how likely it is the same picture."""
    if hit.evidence is None:
        return ""
    if note := hit.evidence.note:  # a chance beside it would be that of the likeness alone
        return "[nothing to verify] " if note.startswith("nothing to verify") else "[cannot be read]    "
    return f"[{hit.evidence.inliers:>4} agree, {hit.evidence.chance:>4.0%}] "


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as aligned lines."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def shortened(paths: Sequence[str]) -> dict[str, str]:
    """Each path, less the folder that all of them have in common."""
    if not paths:
        return {}
    common = os.path.commonpath([os.path.dirname(path) for path in paths])
    return {path: os.path.relpath(path, common) for path in paths}


def _clip(head: str, name: str, width: int) -> str:
    """Both in so many characters: the end of a name says more than its beginning."""
    left = width - len(head)
    return head + (name if len(name) <= left or left < 8 else "…" + name[1 - left :])


@contextmanager
def progress(unit: str = " files") -> Iterator[Progress]:
    """A bar with rate and time left on a terminal, nothing in a pipe."""
    from tqdm import tqdm

    bars: dict[str, Any] = {}

    def tell(what: str, done: int, total: int | None) -> None:
        if what not in bars or done < bars[what].n:  # something new, or the same once more
            for bar in bars.values():
                bar.close()
            size = shutil.get_terminal_size()  # some terminals say 0 x 0, which tqdm would believe
            bars[what] = tqdm(
                desc=what,
                total=total,
                unit=unit,
                unit_scale=unit == "B",
                file=sys.stderr,
                disable=None,  # unless it is a terminal
                ncols=size.columns,
                nrows=size.lines,
                leave=False,
            )
        bars[what].update(done - bars[what].n)

    try:
        yield tell
    finally:
        for bar in bars.values():
            bar.close()
