"""The ways from files to vectors that compare.py holds side by side: one process runs one of them, once.

    python contenders.py TASK

TASK is JSON: contender, model, weights, pictures, first (folders of JPEGs), scratch (a folder), vectors (a file to
write), torchvision (a folder with it), began (the time when the process was started). The last line printed is JSON.
A process imports what its contender needs and nothing else: starting is part of what is measured.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BATCH = 32
"""Of the DataLoader and of sentence-transformers, whose own default it is."""

Answer = dict[str, Any]


class Clock:
    """The seconds, and the CPU-seconds of this process and of the workers it waited for, between start and stop."""

    def start(self) -> None:
        self.cpu, self.wall = _cpu_seconds(), time.perf_counter()

    def stop(self) -> Answer:
        seconds = time.perf_counter() - self.wall
        return {"seconds": seconds, "cpu_seconds": _cpu_seconds() - self.cpu, "own_peak_kb": _peak_kb()}


def _cpu_seconds() -> float:
    return sum(os.times()[:4])


def _peak_kb() -> int:
    """The most memory that this process has had, its own alone: `getrusage` would tell that of its parent, too."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def main() -> None:
    task = json.loads(sys.argv[1])
    answer = CONTENDERS[task["contender"]](task)
    print(json.dumps(answer))


def files(folder: str) -> list[Path]:
    return sorted(Path(folder).iterdir())


# --- As in articles ---


def loop(task: dict[str, Any]) -> Answer:
    """One picture after the other."""
    prepare, embed = network(task)

    from PIL import Image

    def one(path: Path) -> Any:
        return embed(prepare(Image.open(path).convert("RGB")))

    return timed(task, lambda folder: [one(path) for path in files(folder)])


def timed(task: dict[str, Any], run: Callable[[str], list[Any]]) -> Answer:
    """One picture to be ready, then all of them by the clock; their vectors are saved."""
    import numpy as np

    run(task["first"])
    started, clock = time.time(), Clock()
    clock.start()
    vectors = run(task["pictures"])
    answer = clock.stop()
    np.save(task["vectors"], np.concatenate(vectors))
    return answer | {"start_seconds": started - task["began"]}


def dataloader(task: dict[str, Any]) -> Answer:
    """PyTorch's own way to keep processors busy: as many worker processes as cores decode and prepare batches."""
    prepare, embed = network(task)

    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    class Pictures(Dataset):  # type: ignore[type-arg]
        def __init__(self, folder: str) -> None:
            self.paths = files(folder)

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> Any:
            return prepare(Image.open(self.paths[index]).convert("RGB"))[0]

    def run(folder: str) -> list[Any]:
        pictures = Pictures(folder)
        # With few pictures in large batches a worker would wait for the other, and the network for both.
        size = max(1, min(BATCH, len(pictures) // (4 * workers)))
        return [embed(batch) for batch in DataLoader(pictures, batch_size=size, num_workers=workers)]

    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return timed(task, run)


def network(task: dict[str, Any]) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Functions from an image to (1, 3, height, width), and from a batch of those to (n, dim), as articles have it."""
    prepare, forward = (_of_torchvision if task["torchvision"] else _of_transformers)(task)

    import torch

    def embed(batch: Any) -> Any:
        with torch.no_grad():
            return forward(batch).numpy()

    return prepare, embed


def _of_transformers(task: dict[str, Any]) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    from transformers import AutoImageProcessor, AutoModel

    module = AutoModel.from_pretrained(task["weights"]).eval()
    processor = AutoImageProcessor.from_pretrained(task["weights"])

    def forward(batch: Any) -> Any:
        if task["model"] == "clip":
            found = module.get_image_features(pixel_values=batch)
            return getattr(found, "pooler_output", found)
        return module(pixel_values=batch).last_hidden_state.mean(dim=1)

    return lambda image: processor(images=image, return_tensors="pt")["pixel_values"], forward


def _of_torchvision(task: dict[str, Any]) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    import torch

    sys.path.append(task["torchvision"])
    # Beside a CPU build of torch its compiled operators are missing. These two names are all that its files ask for.
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision import models

    build, weights, head = {
        "resnet50": (models.resnet50, models.ResNet50_Weights, "fc"),
        "mobilenet-v3": (models.mobilenet_v3_large, models.MobileNet_V3_Large_Weights, "classifier"),
    }[task["model"]]
    module = build()
    module.load_state_dict(torch.load(task["weights"], weights_only=True))
    setattr(module, head, torch.nn.Identity())
    module.eval()
    transform = weights.IMAGENET1K_V1.transforms()
    return lambda image: transform(image)[None], lambda batch: module(batch)


def sentence_transformers(task: dict[str, Any]) -> Answer:
    """The library for texts, which takes pictures where the network reads both."""
    if task["model"] != "clip":
        return {"skipped": "sentence-transformers knows no way to this network's vectors"}

    from PIL import Image
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(task["weights"])

    def run(folder: str) -> list[Any]:
        paths = files(folder)
        parts = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
        return [model.encode([Image.open(path) for path in part], batch_size=BATCH) for part in parts]

    return timed(task, run)


# --- Lookalike ---


def ours(task: dict[str, Any]) -> Answer:
    """A new collection, as a user makes it: vectors are committed to the disk, thumbnails made."""
    import numpy as np

    import lookalike
    from lookalike.errors import LookalikeError

    clock, scratch = Clock(), Path(task["scratch"])

    def progress(what: str, done: int, total: int | None) -> None:
        if what == "embedding" and done == 0:
            clock.start()

    try:
        lookalike.open(task["first"], into=scratch / "first").add(models=[task["name"]])
        started = time.time()
        collection = lookalike.open(task["pictures"], into=scratch / "all")
        report = collection.add(models=[task["name"]], progress=progress)
    except LookalikeError as error:
        return {"skipped": str(error)}
    answer = clock.stop()
    images, vectors = collection.vectors(task["name"])
    np.save(task["vectors"], vectors[np.argsort([image.path for image in images])])
    return answer | {"seconds": report.embed_seconds, "start_seconds": started - task["began"]}


def compiling(task: dict[str, Any]) -> Answer:
    """What is done once a machine, and is part of no run: compiling, and finding the best batch."""
    from lookalike.errors import LookalikeError
    from lookalike.models import registry
    from lookalike.models.tuning import usable_cores
    from lookalike.types import Tunable

    try:
        card = registry.card(task["name"])
        found = registry.compile_now(card, photos=[str(path) for path in files(task["pictures"])])
        backbone = registry.load(registry.card(task["name"]))  # which names the 8-bit network by what it is now
    except LookalikeError as error:
        return {"skipped": str(error)}
    began = time.perf_counter()
    if isinstance(backbone, Tunable):
        backbone.tune(usable_cores())
    tuning = round(time.perf_counter() - began, 1)
    return {key: value for key, value in found.record.items() if key not in ("files", "format", "seconds")} | {
        "compile_seconds": found.record["seconds"],
        "tuning_seconds": tuning,
    }


CONTENDERS: dict[str, Callable[[dict[str, Any]], Answer]] = {
    "loop": loop,
    "dataloader": dataloader,
    "sentence-transformers": sentence_transformers,
    "lookalike": ours,
    "lookalike@int8": ours,
    "compiling": compiling,
}

if __name__ == "__main__":
    main()
