"""From files to vectors: the articles' loop, a DataLoader, sentence-transformers and Lookalike, side by side.

    python benchmarks/embedding/compare.py [--models clip,...] [--contenders loop,...] [--small N] [--large M]
                                           [--repeats R] [--out FILE]

All get the same drawn JPEGs (small: 640x480, large: 12 megapixels) and the same random weights in the official
formats. Each run is a fresh process; contenders take turns, and each model's turns are repeated. Networks are
compiled before, once, as they are on a user's machine: `compiled` says how long that took, and how
long it took to find the best batch.

    images_per_s   without starting: from the first file to the last vector (Lookalike's lie on the disk by then)
    start_seconds  from the start of the process to the first vector
    cpu_ms         of all cores and worker processes, an image
    peak_mb        of the process and its workers
    ratio          images/s over those of the loop, in the same turn
    cosine_*       to the loop's vectors, picture by picture
    alike          mean cosine between different pictures by the loop: how much there is to lose
    share_of_floor of the images/s that all cores would reach if they did nothing but decode each file at a reduced
                   scale, resize it, and multiply float32 numbers at their peak; not told for 8 bits
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

from contenders import CONTENDERS  # noqa: E402
from material import PICTURES, TORCHVISION, draw_pictures, write_weights  # noqa: E402

import record  # noqa: E402
from lookalike.metrics import normalised  # noqa: E402

REFERENCE = "loop"
OURS = ("lookalike", "lookalike@int8")
ALL = tuple(name for name in CONTENDERS if name != "compiling")
REFERENCE_TORCHVISION = Path(sys.prefix) / "reference-torchvision"


@dataclass(frozen=True)
class Amount:
    """How much a model is given when nothing is said. From 64 pictures on Lookalike fits its batch to the machine."""

    small: int
    large: int
    repeats: int


AMOUNTS = {
    "clip": Amount(256, 72, 2),
    "dinov2-small": Amount(128, 64, 2),
    "dinov2": Amount(64, 64, 1),
    "resnet50": Amount(192, 64, 2),
    "mobilenet-v3": Amount(384, 96, 2),
}
COLUMNS = {
    "model": "",
    "pictures": "",
    "what": "",
    "images_per_s": "images/s",
    "ratio": "of the loop",
    "cpu_ms": "CPU-ms",
    "peak_mb": "peak MB",
    "start_seconds": "start, s",
    "cosine_least": "cosine, least",
    "cosine_mean": "mean",
    "share_of_floor": "of the floor",
    "skipped": "",
}


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        bench = Bench(options, Path(place))
        results = bench.run()
    print(record.table(results["runs"], COLUMNS))
    out = options.out or HERE.parent / "results" / "embedding.json"
    record.write(__file__, out, options.seed, results, ("torch", "transformers", "sentence-transformers"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--models", default=",".join(AMOUNTS), help="[%(default)s]")
    parser.add_argument("--contenders", default=",".join(ALL), help="[%(default)s]")
    parser.add_argument("--small", type=int, help="pictures of 640x480 [by model]")
    parser.add_argument("--large", type=int, help="pictures of 12 megapixels [by model]")
    parser.add_argument("--repeats", type=int, help="turns of each contender [by model]")
    parser.add_argument("--uncompiled", action="store_true", help="Lookalike runs PyTorch's networks as they are")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where pictures and weights lie meanwhile [the system's place]")
    parser.add_argument("--out", type=Path, help="the JSON [benchmarks/results/embedding.json]")
    options = parser.parse_args()
    options.models, options.contenders = options.models.split(","), options.contenders.split(",")
    for given, known in ((options.models, AMOUNTS), (options.contenders, ALL)):
        if unknown := set(given) - set(known):
            parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(known)}")
    return options


class Bench:
    """One run of the benchmark, in a folder of its own."""

    def __init__(self, options: argparse.Namespace, place: Path) -> None:
        self.options, self.place = options, place
        self.models = place / "models"
        self.models.mkdir()
        self.compiles = not options.uncompiled
        self.weights: dict[str, Path] = {}
        self.compiled: dict[str, dict[str, Any]] = {}

    def run(self) -> dict[str, Any]:
        drawn = {kind: self.draw(kind) for kind in PICTURES}
        told = {kind: facts(folder) for kind, folder in drawn.items() if any(folder.iterdir())}
        floor = self.floor({kind: str(drawn[kind]) for kind in told})
        rows: list[dict[str, Any]] = []
        for model in self.options.models:
            self.weights[model] = write_weights(model, self.models, self.options.seed)
            for contender in [name for name in self.options.contenders if name in OURS and self.compiles]:
                name = name_for(model, contender)
                photos = self.some("small", 32) or self.some("large", 32)
                self.compiled[name] = self.child("compiling", model, name, photos)
                say(f"{name}: {self.compiled[name].get('skipped') or 'compiled'}")
            for kind in told:
                rows += self.held_together(model, kind, floor)
        cores = record.machine()["cores"]
        return {"cores": cores, "pictures": told, "floor": floor, "compiled": self.compiled, "runs": rows}

    def amount(self, model: str, what: str) -> int:
        given = getattr(self.options, what)
        return getattr(AMOUNTS[model], what) if given is None else given

    def draw(self, kind: str) -> Path:
        count = max(self.amount(model, kind) for model in self.options.models)
        draw_pictures(kind, count, self.place / kind, self.options.seed, record.machine()["cores"])
        return self.place / kind

    def some(self, kind: str, count: int) -> str | None:
        """A folder with the first `count` pictures; None where there are none."""
        folder = self.place / f"{kind}-{count}"
        if not folder.exists():
            folder.mkdir()
            for path in sorted((self.place / kind).iterdir())[:count]:
                os.link(path, folder / path.name)
                path.read_bytes()  # from here on it is in the system's memory, for all alike
        return str(folder) if any(folder.iterdir()) else None

    def floor(self, pictures: dict[str, str]) -> dict[str, Any]:
        task = {"models": self.options.models, "pictures": pictures}
        one_core = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, HERE / "floor.py", json.dumps(task)]
        found: dict[str, Any] = last_line(watched(command, {**os.environ, **one_core})[0])
        for model in found["models"].values():
            least = model["flop"] / found["gflops"] / 1e9
            cores = record.machine()["cores"]
            model["images_per_s"] = {kind: cores / (each + least) for kind, each in model["decode_seconds"].items()}
        return rounded(found)

    def held_together(self, model: str, kind: str, floor: dict[str, Any]) -> list[dict[str, Any]]:
        """Every contender on one model and one kind of pictures: turn by turn, then a row for each."""
        pictures = self.some(kind, self.amount(model, kind))
        if pictures is None:
            return []
        turns: dict[str, list[dict[str, Any]]] = {name: [] for name in self.options.contenders}
        for _ in range(self.amount(model, "repeats")):
            for contender, done in turns.items():
                if not done or "skipped" not in done[0]:
                    done.append(self.turn(contender, model, pictures))
                    say(f"{model} {kind} {contender}: {done[-1].get('skipped') or done[-1]['images_per_s']}")
        best = floor["models"][model]["images_per_s"][kind]
        return [row(model, kind, contender, done, turns.get(REFERENCE, []), best) for contender, done in turns.items()]

    def turn(self, contender: str, model: str, pictures: str) -> dict[str, Any]:
        name = name_for(model, contender)
        if contender in OURS and "skipped" in self.compiled.get(name, {}):
            return self.compiled[name]
        return self.child(contender, model, name, pictures)

    def child(self, contender: str, model: str, name: str, pictures: str | None) -> dict[str, Any]:
        """What contenders.py answers, with its vectors and the memory that it took."""
        torchvision = model in TORCHVISION and contender not in (*OURS, "compiling")
        if torchvision and not REFERENCE_TORCHVISION.is_dir():
            return {"skipped": f"no torchvision at {REFERENCE_TORCHVISION}: './run bench' puts it there"}
        with tempfile.TemporaryDirectory(dir=self.place) as scratch:
            task = {
                "contender": contender,
                "model": model,
                "name": name,
                "weights": str(self.weights[model]),
                "pictures": pictures,
                "first": self.some("small", 1) or self.some("large", 1),
                "scratch": scratch,
                "vectors": f"{scratch}/vectors.npy",
                "torchvision": str(REFERENCE_TORCHVISION) if torchvision else None,
                "began": time.time(),
            }
            environment = {
                **os.environ,
                "LOOKALIKE_COMPILE": "yes" if self.compiles else "no",
                "LOOKALIKE_MODELS": str(self.models),
                "HF_HUB_OFFLINE": "1",
                "TQDM_DISABLE": "1",
                "TRANSFORMERS_VERBOSITY": "error",
            }
            text, peak_kb = watched([sys.executable, HERE / "contenders.py", json.dumps(task)], environment)
            answer = last_line(text)
            if "skipped" in answer or contender == "compiling":
                return answer
            vectors = normalised(np.load(task["vectors"]).astype(np.float32))
        return {
            "images": len(vectors),
            "images_per_s": round(len(vectors) / answer["seconds"], 2),
            "cpu_ms": answer["cpu_seconds"] * 1e3 / len(vectors),
            "peak_mb": max(peak_kb, answer["own_peak_kb"]) / 1024,
            "start_seconds": answer["start_seconds"],
            "vectors": vectors,
        }


def name_for(model: str, contender: str) -> str:
    return f"{model}@int8" if contender == "lookalike@int8" else model


def row(
    model: str, kind: str, what: str, turns: list[dict[str, Any]], loop: list[dict[str, Any]], floor: float
) -> dict[str, Any]:
    """The middle of a contender's turns."""
    found: dict[str, Any] = {"model": model, "pictures": kind, "what": what}
    if "skipped" in turns[0]:
        return found | {"skipped": turns[0]["skipped"]}
    middle = {
        key: statistics.median(turn[key] for turn in turns)
        for key in ("images_per_s", "cpu_ms", "peak_mb", "start_seconds")
    }
    found |= {"images": turns[0]["images"], "turns": [turn["images_per_s"] for turn in turns], **middle}
    if what != "lookalike@int8":
        found["share_of_floor"] = middle["images_per_s"] / floor
    if loop and "skipped" not in loop[0]:
        pairs = zip(turns, loop, strict=True)
        found["ratio"] = statistics.median(ours["images_per_s"] / theirs["images_per_s"] for ours, theirs in pairs)
        cosines = (turns[0]["vectors"] * loop[0]["vectors"]).sum(axis=1)
        found |= {"cosine_least": float(cosines.min()), "cosine_mean": float(cosines.mean())}
        found["alike"] = likeness(loop[0]["vectors"])
    return rounded(found)


def likeness(vectors: Any) -> float | None:
    """The mean cosine between different ones."""
    n = len(vectors)
    return float(((vectors @ vectors.T).sum() - n) / (n * (n - 1))) if n > 1 else None


def facts(folder: Path) -> dict[str, Any]:
    sizes = [path.stat().st_size for path in folder.iterdir()]
    return {
        "width_height": PICTURES[folder.name].size,
        "files": len(sizes),
        "mean_kb": round(sum(sizes) / len(sizes) / 1e3),
    }


def rounded(value: Any) -> Any:
    """Without digits that mean nothing; cosines near 1 keep theirs."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, float):
        return round(value, 6) if abs(value) < 1.5 else float(f"{value:.4g}")
    return value


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def last_line(text: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(text.splitlines()[-1])
    return answer


# --- Memory ---


def watched(command: list[Any], environment: dict[str, str]) -> tuple[str, int]:
    """Run a command: what it printed, and the most kilobytes that it and its children held together (0: not told).

    What processes share is counted once. Once a second is enough: what a process holds alone, it tells by itself.
    """
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    ended, peaks = threading.Event(), [0]

    def watch() -> None:
        while not ended.wait(1.0):
            peaks.append(sum(map(shared_kb, family(child.pid))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        text, _ = child.communicate()
    finally:
        ended.set()
        watcher.join()
    if child.returncode:
        raise SystemExit(f"compare.py: ended with {child.returncode}: {command[1]} {command[2]}")
    return text, max(peaks)


def family(process: int) -> list[int]:
    """A process and all below it."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return [process]
    return [process, *(each for child in children for each in family(child))]


def shared_kb(process: int) -> int:
    """Its memory, of what it shares with others its share; 0 where it has ended or the system does not tell."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    main()
