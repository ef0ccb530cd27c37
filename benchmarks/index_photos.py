"""How fast folders are indexed: each model alone, then all of them in one pass.

    python benchmarks/index_photos.py [--photos FOLDER] [--models sift,phash,...] [--networks FOLDER] [--out FILE]

Each run is a fresh process with a fresh collection. The files are read once before the first, so that every run
finds them in the system's cache; loading a model is told apart from indexing. The four networks of the shared
test material take part where it is at hand ($LOOKALIKE_SHARED).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lookalike
import record
from lookalike.errors import LookalikeError
from lookalike.models import registry
from lookalike.models.tuning import usable_cores
from lookalike.scan import scan
from networks import NETWORKS, register

OURS = ("sift", "phash", "color", "dhash", "hog", "orb")

COLUMNS = {
    "what": "",
    "images": "images",
    "images_per_s": "images/s",
    "cpu_ms": "CPU-ms an image",
    "seconds": "seconds",
    "load_seconds": "loading, s",
    "rerun_seconds": "unchanged re-run, s",
    "peak_mb": "peak MB",
    "skipped": "",
}


def main() -> None:
    options = arguments()
    if options.child:
        print(json.dumps(measure(**json.loads(options.child))))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LOOKALIKE_MODELS"] = str(Path(folder) / "models")
        names = [name for name in (options.models or "").split(",") if name] or [*OURS, *NETWORKS]
        names = [name for name in names if name not in NETWORKS or register(name, options.networks)]
        files = warm_up(options.photos)
        print(f"{files:,} images, {options.workers} workers")
        runs = [run(options, [name], Path(folder) / name) for name in names]
        working = [row["models"][0] for row in runs if "skipped" not in row]
        if len(working) > 1:
            runs.append(run(options, working, Path(folder) / "together"))
    print(record.table(runs, COLUMNS))
    savings = saved(runs)
    if savings:
        print("\none pass for all: {together_cpu_s:g} CPU-s; each alone: {alone_cpu_s:g}".format(**savings))
    record.write(__file__, options.out, None, {"workers": options.workers, "runs": runs, **savings})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--photos", type=Path, default=record.SHARED / "data" / "photos" / "images")
    parser.add_argument("--models", help=f"[{','.join((*OURS, *NETWORKS))}]")
    parser.add_argument("--networks", type=Path, default=record.SHARED / "models", help="where the ONNX files are")
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--out", type=Path, help="the JSON [benchmarks/results/index_photos.json]")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.child and not options.photos.is_dir():
        parser.error(f"{options.photos}: no such folder: name one with --photos")
    return options


def warm_up(photos: Path) -> int:
    """Read every image once; how many there are."""
    files = scan(str(photos), exclude=(".lookalike",)).images
    for file in files:
        Path(file.path).read_bytes()
    return len(files)


def run(options: argparse.Namespace, models: list[str], into: Path) -> dict[str, Any]:
    """Index with `models` in a child, and say how it went so far."""
    task = {"photos": str(options.photos.resolve()), "models": models, "into": str(into), "workers": options.workers}
    row = record.in_child(__file__, task)
    told = row.get("skipped") or f"{row['images_per_s']:.3g} images/s"
    print(f"{row['what']}: {told}", file=sys.stderr, flush=True)
    return row


def measure(photos: str, models: list[str], into: str, workers: int) -> dict[str, Any]:
    """Index into a new collection, then once more with nothing to do; runs in a child."""
    row: dict[str, Any] = {"what": models[0] if len(models) == 1 else "all together", "models": models}
    began = time.perf_counter()
    try:
        for name in models:
            registry.load(registry.card(name))
    except LookalikeError as error:
        return {**row, "skipped": str(error)}
    loaded = time.perf_counter()
    cpu = cpu_seconds()
    collection = lookalike.open(photos, into=into)
    report = collection.add(models=models, workers=workers)
    done, cpu = time.perf_counter(), cpu_seconds() - cpu
    again = collection.add(models=models, workers=workers)
    rerun = time.perf_counter() - done
    if again.embedded or report.embedded == 0:
        raise AssertionError(f"embedded {report.embedded}, and then {again.embedded} once more")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes, but on macOS bytes
    images = report.added
    return {
        **row,
        "images": images,
        "unreadable": len(report.unreadable),
        "seconds": round(done - loaded, 3),
        "images_per_s": round(images / (done - loaded), 2),
        "cpu_seconds": round(cpu, 3),
        "cpu_ms": round(cpu * 1e3 / images, 3),
        "load_seconds": round(loaded - began, 3),
        "rerun_seconds": round(rerun, 3),
        "peak_mb": round(peak / (2**20 if sys.platform == "darwin" else 1024), 1),
    }


def cpu_seconds() -> float:
    """User and system time of all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def saved(runs: list[dict[str, Any]]) -> dict[str, float]:
    """What one pass for all models costs, and what a pass for each costs: the difference is reading and decoding."""
    whole = [row for row in runs if "skipped" not in row]
    if not whole or len(whole[-1]["models"]) < 2:
        return {}
    *alone, together = whole
    return {
        "alone_s": round(sum(row["seconds"] for row in alone), 3),
        "together_s": together["seconds"],
        "alone_cpu_s": round(sum(row["cpu_seconds"] for row in alone), 3),
        "together_cpu_s": together["cpu_seconds"],
    }


if __name__ == "__main__":
    main()
