"""The study: a folder of flags goes into a collection, and each model is asked for what is nearest to each flag."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from folder import Flag, flags_of
from measures import Finds, Found, Ways, behind, best_possible, both_ways, by_relation, figures, nine_tests
from missed import Missed, missed
from truth import Pair, read_countries, read_pairs, read_same

import lookalike
from lookalike.errors import UnreadableImage, UsageError


@dataclass(frozen=True)
class Study:
    """What was asked, and what each model found.

    flags:   of each country by its code; countries that share a drawing share a Flag
    pairs:   the rated ones whose flags are there; `absent` are the countries that others speak of
    ways:    the pairs that are rated "yes", there and back
    remarks: on what was passed over
    """

    files: int
    flags: Mapping[str, Flag]
    pairs: Sequence[Pair]
    absent: Sequence[str]
    ways: Ways
    models: Mapping[str, Finds]
    missed: Sequence[Missed]
    remarks: Sequence[str]
    seed: int

    @property
    def drawings(self) -> list[Flag]:
        return list(dict.fromkeys(self.flags.values()))

    def told(self) -> dict[str, Any]:
        """All figures, as plain data; the best model first."""
        models = {name: self._told_of(finds) for name, finds in self.models.items()}
        order = sorted(models, key=lambda name: (-models[name]["nine_tests_top3"], -models[name]["mrr"]))
        for name in order:
            models[name]["behind"] = behind(self.models[name], self.models[order[0]], self.ways, self.seed)
        return {
            "files": self.files,
            "drawings": len(self.drawings),
            "pairs": len(self.ways) // 2,
            "absent": list(self.absent),
            "seed": self.seed,
            "models": {name: models[name] for name in order},
            "best_possible": best_possible(self.ways, self.seed),
            "found_by_none": [each.told() for each in self.missed],
        }

    def _told_of(self, finds: Finds) -> dict[str, Any]:
        tests = nine_tests(finds, self.flags)
        return {
            "nine_tests_top3": sum(test["passed"] is True for test in tests),
            "nine_tests_asked": sum(test["passed"] is not None for test in tests),
            **figures(finds, self.ways, self.seed),
            "relations": by_relation(finds, self.pairs, self.flags),
            "nine_tests": tests,
        }


def studied(options: argparse.Namespace, into: Path) -> Study:
    """The whole study of `options.folder`, with the collection in the folder `into`. Raises LookalikeError."""
    countries = read_countries(options.names)
    pairs, same = read_pairs(options.pairs, countries), read_same(options.same, countries)
    with closing(lookalike.open(options.folder, into=into)) as collection:
        parts = parts_of(options.model)
        report = collection.add(models=parts, progress=show)
        if report.interrupted:
            raise KeyboardInterrupt
        images = [image for image in collection.vectors(parts[0])[0] if within(image.path, options.folder)]
        mentioned = [code for pair in pairs for code in (pair.a, pair.b)]
        flags, passed_over = flags_of(collection, images, countries, same, mentioned)
        drawings = list(dict.fromkeys(flags.values()))
        if len(drawings) < 2:
            raise UsageError(f"{options.folder}: one flag, which there is nothing to compare with: add others")
        here = [pair for pair in pairs if pair.a in flags and pair.b in flags]
        similar = [pair for pair in here if pair.similar == "yes"]
        if not (ways := both_ways(similar, flags)):
            raise UsageError(
                f"{options.pairs}: rates no two flags of {options.folder} as similar: are the names right?"
            )
        models = nearest(collection, drawings, options.model)
    absent = sorted({countries.name(code) for code in mentioned if code not in flags})
    return Study(
        files=len(images),
        flags=flags,
        pairs=here,
        absent=absent,
        ways=ways,
        models=models,
        missed=missed(similar, flags, models),
        remarks=[
            *(f"{path}: {reason}" for path, reason in report.unreadable),
            *passed_over,
            *([f"pairs left out for want of a file: those with {', '.join(absent)}"] if absent else []),
        ],
        seed=options.seed,
    )


def parts_of(names: Iterable[str]) -> list[str]:
    """The models that pictures are to be embedded by: "a+b" are two, which rank together."""
    return list(dict.fromkeys(part for name in names for part in ([name] if os.path.isdir(name) else name.split("+"))))


def within(path: str, folder: Path) -> bool:
    """A collection that was kept may have flags of other folders too."""
    return Path(path).is_relative_to(os.path.realpath(folder))


def nearest(collection: lookalike.Collection, flags: Sequence[Flag], models: Sequence[str]) -> Mapping[str, Finds]:
    """What each model finds for each of the flags, among all others."""
    codes = {flag.path: flag.code for flag in flags}
    everything = collection.info()["images"]
    found: dict[str, dict[str, Found]] = {model: {} for model in models}
    for done, answer in enumerate(collection.search_files(list(codes), models=models, k=everything), 1):
        if answer.reason:
            raise UnreadableImage(answer.reason, answer.query)
        for model, hits in zip(models, answer.columns, strict=True):
            cosines = {codes[hit.path]: hit.cosine for hit in hits if hit.path in codes}
            found[model][codes[answer.query]] = Found(cosines)
        show("asking", done, len(codes))
    return found


def show(what: str, done: int, total: int | None) -> None:
    """How far it is, for those who watch."""
    if sys.stderr.isatty():
        line = "" if done == total else f"{what}: {done}{f' of {total}' if total else ''}"
        print(f"\r{line}\033[K", end="", file=sys.stderr, flush=True)
