"""What Lookalike does, shown on real pictures: python demo/demo.py [FOLDER]

Without FOLDER the demo makes its own pictures in demo/pictures. A FOLDER of yours is only read: its
collection is kept in demo/.lookalike.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pictures

import lookalike
from lookalike.errors import LookalikeError, UsageError
from lookalike.report import ComparisonSection, SearchSection, Section, write

HERE = Path(__file__).resolve().parent
REPORT = HERE / "report.html"
MODELS = ("sift", "phash", "hog", "color")
SHOWN = ("sift", "color")
"""Those whose hits are printed: two columns fit a terminal. The report has room for more."""

WELL, NOTHING, UNREADABLE = 0, 1, 3
"""Exit codes of the command: all went well, nothing was found, some file could not be read."""


@dataclass(frozen=True)
class Tour:
    """What is shown: a collection, searches (a query and its models each), and two pictures to compare."""

    collection: Path
    searches: list[tuple[Path, tuple[str, ...]]]
    pair: tuple[Path, Path] | None


def main() -> None:
    parser = argparse.ArgumentParser(description="Index, search and compare pictures, and write a report.")
    parser.add_argument("folder", nargs="?", type=Path, help="your own images [the demo makes some]")
    folder = parser.parse_args().folder
    try:
        tour = visit(folder.absolute()) if folder else own_pictures()
        report(tour)
    except (LookalikeError, ModuleNotFoundError, OSError) as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"Report: {REPORT}")


def own_pictures() -> Tour:
    """The tour of the demo's own pictures: copies of a photo, then flags that are easily confused."""
    folder = HERE / "pictures"
    pictures.build(folder)
    coffee, cropped = folder / "photos" / "coffee.jpg", folder / "edited" / "coffee (cropped).jpg"
    run("index", shown(folder), *named(MODELS), bearable=UNREADABLE)
    run("search", shown(cropped), "--collection", shown(folder), *named(SHOWN), "-k", "5", bearable=NOTHING)
    run("compare", shown(coffee), shown(cropped), *named(MODELS), bearable=NOTHING)
    # Flags have edges and colours, but hardly the small details that sift goes by.
    norway = folder / "flags" / "Norway.png"
    searches = [(cropped, ("sift", "phash", "color")), (norway, ("hog", "color"))]
    return Tour(folder, searches, (coffee, cropped))


def visit(folder: Path) -> Tour:
    """The tour of a visitor's folder: its first picture, and what sift finds most like it."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder: name a folder of images, or none for the demo's own")
    # Two folders of the same name must not share a collection.
    mark = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    place = HERE / ".lookalike" / f"{folder.name}-{mark}"
    run("index", shown(folder), "--into", shown(place), *named(MODELS), bearable=UNREADABLE)
    collection = lookalike.open(folder, into=place)
    images = collection.vectors(MODELS[0])[0] if collection.exists else []
    if not images:
        raise UsageError(f"{folder}: no image in it can be read: name another, or none for the demo's own")
    query = min(image.path for image in images)
    run("search", shown(Path(query)), "--collection", shown(place), *named(SHOWN), "-k", "5", bearable=NOTHING)
    nearest = collection.search(query, model=MODELS[0], k=1)
    if not nearest:
        return Tour(place, [(Path(query), MODELS)], None)
    pair = Path(query), Path(nearest[0].path)
    run("compare", *map(shown, pair), *named(MODELS), bearable=NOTHING)
    return Tour(place, [(Path(query), MODELS)], pair)


def report(tour: Tour) -> None:
    """The same by the Python API, as a page with the pictures."""
    collection = lookalike.open(tour.collection)
    sections: list[Section] = []
    for query, models in tour.searches:
        columns = [collection.search(query, model=model, k=6) for model in models]
        sections.append(SearchSection(str(query), columns))
    if tour.pair:
        comparison = lookalike.compare(*tour.pair, models=MODELS)
        sections.append(ComparisonSection(comparison.a, comparison.b, comparison.scores))
    write(REPORT, sections, title="Images that look alike")


def run(command: str, *arguments: str, bearable: int) -> None:
    """Show a command, then run it. It reports its own errors; one that is not `bearable` ends the demo."""
    print(f"$ {shlex.join(['lookalike', command, *arguments])}", flush=True)
    program = shutil.which("lookalike", path=Path(sys.executable).parent)
    if program is None:
        raise FileNotFoundError("the command 'lookalike' is not installed: pip install -e '.[demo]'")
    code = subprocess.run([program, command, *arguments], check=False).returncode
    if code not in (WELL, bearable):
        sys.exit(code)
    print(flush=True)


def named(models: Sequence[str]) -> list[str]:
    return [word for model in models for word in ("--model", model)]


def shown(path: Path) -> str:
    """As a visitor would type it: from the current folder where it lies inside."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    main()
