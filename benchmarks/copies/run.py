"""`lookalike bench` on the shared photos: models without a download, real networks, fused and verified entries.

    python benchmarks/copies/run.py [--photos FOLDER] [--seeds 7,8] [--originals N] [--out FOLDER] [--overhead]

Each seed makes other copies of other originals. `agreement.json` says whether the seeds agree: wherever one claims that
a model is better than another, the other must not claim the contrary, and should have them in the same order. Results
are the reports without pictures, file names and single answers.

With --overhead, three models alone, from nothing: what part of the time is the harness's own, which is to find
near-duplicates, to make the copies, and to work out and write the report.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

import record  # noqa: E402
from lookalike.bench.folder_run import bench  # noqa: E402
from lookalike.bench.pictures import picture_of  # noqa: E402
from lookalike.bench.results import BenchReport  # noqa: E402
from lookalike.cli.output import progress  # noqa: E402
from lookalike.models import registry  # noqa: E402
from networks import NETWORKS, register  # noqa: E402

TOGETHER = (
    "mobilenetv2|whiten:512",
    "sift|whiten:256",
    "vit-tiny+sift",
    "vit-tiny+sift+color",
    "sift|verify:50",
    "sift|mirror|verify:50",
    "vit-tiny+sift|verify:50",
    "vit-tiny+sift|mirror|verify:50",
)
THREE = ("sift", "vit-tiny", "phash")
MODELS_OWN = ("embedding", "ranking")
"""What of a run's seconds are the entries': all the rest is the harness's."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--photos", type=Path, default=record.SHARED / "data" / "photos" / "images")
    parser.add_argument("--seeds", default="7,8")
    parser.add_argument("--originals", type=int, default=200)
    parser.add_argument("--out", type=Path, default=HERE.parent / "results", help="[%(default)s]")
    parser.add_argument("--overhead", action="store_true", help="how much of the time the harness itself takes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LOOKALIKE_MODELS"] = str(Path(folder) / "models")
        networks = [name for name in NETWORKS if register(name)]
        if options.overhead:
            entries = [name for name in THREE if known(name, networks)]
            found = overhead(options, entries, int(options.seeds.split(",")[0]), Path(folder))
            record.write(__file__, options.out / "copies_overhead.json", found.pop("seed"), found)
            return
        entries = [*registry.downloadless(), *networks, *(each for each in TOGETHER if known(each, networks))]
        reports = {seed: run(options, entries, int(seed), Path(folder)) for seed in options.seeds.split(",")}
    for seed, report in reports.items():
        print(report.to_markdown().split("\n## ")[0], flush=True)
        told = report.to_json()
        for key in ("queries", "answers", "values", "pool", "folder", "machine", "versions", "seed"):
            del told[key]
        for pair in told["pairs"]:
            del pair["queries"]
        record.write(__file__, options.out / f"copies_{seed}.json", int(seed), told)
    found = agreement(list(reports.values()))
    record.write(__file__, options.out / "copies_agreement.json", None, found)
    print(json.dumps(found, indent=1))


def known(entry: str, networks: list[str]) -> bool:
    names = entry.partition("|")[0].split("+")
    return all(name in networks or name not in NETWORKS for name in names)


def run(options: argparse.Namespace, entries: list[str], seed: int, folder: Path) -> BenchReport:
    with progress(unit="") as tell:
        return bench(
            options.photos,
            entries,
            seed=seed,
            originals=options.originals,
            into=folder / "bench",
            progress=tell,
        )


def overhead(options: argparse.Namespace, entries: list[str], seed: int, folder: Path) -> dict[str, Any]:
    """Seconds by what they were spent on, from an empty place to the last report."""
    times = [time.monotonic()]
    report = run(options, entries, seed, folder)
    times.append(time.monotonic())
    report.to_json()
    times.append(time.monotonic())
    markdown, page = report.to_markdown(), report.to_html(picture_of(report.dataset))
    times.append(time.monotonic())
    print(markdown.split("\n## ")[0], flush=True)
    seconds: dict[str, float] = {
        **report.facts["seconds"],
        "metrics": times[2] - times[1],
        "report": times[3] - times[2],
    }
    total = times[3] - times[0]
    return {
        "seed": seed,
        "entries": entries,
        "images": report.facts["images"],
        "queries": report.facts["queries"],
        "page_bytes": len(page.encode()),
        "seconds": {what: round(spent, 2) for what, spent in seconds.items()},
        "total_seconds": round(total, 1),
        "own_share": round(1 - sum(seconds[what] for what in MODELS_OWN) / total, 4),
    }


def agreement(reports: list[BenchReport]) -> dict[str, Any]:
    """Of the differences that a seed calls significant: how many the others call so too, merely share, or deny."""
    claims = [{(pair.a, pair.b) for pair in report.pairs() if pair.significant} for report in reports]
    orders = [{(pair.a, pair.b) for pair in report.pairs()} for report in reports]  # a is no worse than b
    pairs = list(itertools.permutations(range(len(reports)), 2))
    return {
        "seeds": [report.seed for report in reports],
        "claims": [len(each) for each in claims],
        "claimed_by_both": sum(len(claims[i] & claims[j]) for i, j in pairs) // 2,
        "in_another_order_elsewhere": sorted({(a, b) for i, j in pairs for a, b in claims[i] if (b, a) in orders[j]}),
        "claimed_the_other_way": sorted({(a, b) for i, j in pairs for a, b in claims[i] if (b, a) in claims[j]}),
    }


if __name__ == "__main__":
    main()
