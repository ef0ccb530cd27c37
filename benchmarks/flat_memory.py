"""Memory while a large folder is indexed: it must not grow with the folder.

    python benchmarks/flat_memory.py [--images 20000] [--models color,dhash,network] [--out FILE]

"network" is a MobileNetV2 with random numbers, compiled as any network is. The pictures are drawn, 640 x 480 JPEGs, all
different. Writes the JSON and a plot beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import lookalike
import record
from lookalike.models import registry
from lookalike.models.drawn import drawn

SEED = 4
BASES = 40
EVERY = 0.25  # seconds between two looks at the memory


def main() -> None:
    options = arguments()
    if options.child:
        print(json.dumps(measure(**json.loads(options.child))))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LOOKALIKE_MODELS"] = str(Path(folder) / "models")
        photos = Path(folder) / "photos"
        print(f"drawing {options.images:,} pictures ...", flush=True)
        draw(photos, options.images)
        models = [network(Path(folder)) if name == "network" else name for name in options.models.split(",")]
        for name in models:  # what is compiled and tuned once must not count as the run's
            registry.load(registry.card(name))
        result = record.in_child(__file__, {"photos": str(photos), "models": models, "into": f"{folder}/c"})
    result = {"images": options.images, "models": models, **grown(result["samples"]), **result}
    path = record.write(__file__, options.out, SEED, result)
    plot(result, path.with_suffix(".png"))
    print(f"after the first thousand {result['mb_at_1000']:.0f} MB, at the end {result['mb_at_end']:.0f} MB")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--models", default="color,dhash,network")
    parser.add_argument("--out", type=Path, help="the JSON [benchmarks/results/flat_memory.json]")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def draw(folder: Path, count: int) -> None:
    """So many JPEGs, all different: shifted and mixed from a few drawn ones."""
    bases = drawn((480, 640), BASES, SEED)

    def write(i: int) -> None:
        rng = np.random.default_rng((SEED, i))
        first, second = (bases[rng.integers(BASES)] for _ in range(2))
        shifted = np.roll(second, (int(rng.integers(480)), int(rng.integers(640))), axis=(0, 1))
        path = folder / f"{i // 1000:02}" / f"{i:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((first >> 1) + (shifted >> 1)).save(path, quality=85)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, range(count)))


def network(folder: Path) -> str:
    """A MobileNetV2 with random numbers, as a file of torchvision's, under a name."""
    import torch

    from lookalike.models.backbones.convnets import MobileNetV2

    torch.manual_seed(SEED)
    path = folder / "mobilenet.pth"
    torch.save(MobileNetV2().state_dict(), path)
    registry.save_card(registry.like("mobilenet", str(path), "network"))
    return "network"


def measure(photos: str, models: list[str], into: str) -> dict[str, Any]:
    """Index; every quarter of a second, how many pictures are done and what memory is held (MB). In a child."""
    done, samples, ended = 0, [], threading.Event()

    def tell(what: str, count: int, total: int | None) -> None:
        nonlocal done
        done = count if what == "embedding" else 0

    def watch() -> None:
        while not ended.wait(EVERY):
            samples.append((done, *memory()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    report = lookalike.open(photos, into=into).add(models=models, progress=tell)
    seconds = time.perf_counter() - began
    ended.set()
    watcher.join()
    return {"seconds": round(seconds, 1), "images_per_s": round(report.added / seconds, 1), "samples": samples}


def memory() -> tuple[float, float]:
    """(resident, its own: without files that are merely mapped), in MB."""
    held = {}
    with open("/proc/self/status", encoding="ascii") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name in ("VmRSS", "RssAnon"):
                held[name] = int(value.split()[0]) / 1024
    return round(held["VmRSS"], 1), round(held["RssAnon"], 1)


def grown(samples: list[tuple[int, float, float]]) -> dict[str, float]:
    """The most that was held while the first thousand were done after the start, and while the last thousand were."""
    last = max(done for done, *_ in samples)
    first = max(rss for done, rss, _ in samples if done <= max(1000, last // 20))
    end = max(rss for done, rss, _ in samples if done >= last - 1000)
    return {"mb_at_1000": first, "mb_at_end": end, "grown_mb": round(end - first, 1)}


def plot(result: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    done, resident, own = zip(*((d, r, o) for d, r, o in result["samples"] if d), strict=True)
    figure, axes = pyplot.subplots(figsize=(8, 4), dpi=100)
    axes.plot(done, resident, color="#0072b2", label="resident")
    axes.plot(done, own, color="#d55e00", linestyle="--", label="its own (without mapped files)")
    axes.set(xlabel="pictures done", ylabel="MB", ylim=(0, 1.15 * max(resident)), xlim=(0, max(done)))
    axes.set_title(f"Memory while {result['images']:,} pictures are indexed ({', '.join(result['models'])})")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
