"""Where the time of an index run goes: decoding, preprocessing, inference, and Python around them.

    python benchmarks/python_share.py [--photos FOLDER] [--models phash,vit-tiny] [--out FILE]

py-spy looks at every thread a few hundred times a second, from outside. A look counts as decoding (reading
and hashing included), preprocessing, inference or committing by the innermost of our files in the stack; all the rest
is Python outside of them. Threads that wait are not counted. Where the shared test material is at hand
($LOOKALIKE_SHARED), its photos and its ViT-Tiny take part.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import record
from lookalike.models import registry
from networks import register

KINDS = {
    "images.py": "read, hash, decode",
    "formats.py": "read, hash, decode",
    "preprocess.py": "preprocess",
    "/backbones/": "inference",
    "thumbnails.py": "thumbnails",
    "/store/": "commit",
}
RATE = 400


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--photos", type=Path, default=record.SHARED / "data" / "photos" / "images")
    parser.add_argument("--models", default="phash,sift,vit-tiny")
    parser.add_argument("--out", type=Path, help="the JSON [benchmarks/results/python_share.json]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LOOKALIKE_MODELS"] = str(Path(folder) / "models")
        register("vit-tiny")
        models = [model for model in options.models.split(",") if registry.knows(model)]
        rows = [row(model, profile(options.photos, model, Path(folder))) for model in models]
    print(record.table(rows, {key: key for key in rows[0]}))
    record.write(__file__, options.out, None, {"rate": RATE, "rows": rows})


def profile(photos: Path, model: str, folder: Path) -> Counter[str]:
    """How often each kind of work was seen."""
    stacks = folder / f"{model}.txt"
    lookalike, spy = (str(Path(sys.executable).with_name(name)) for name in ("lookalike", "py-spy"))
    index = [sys.executable, lookalike, "index", str(photos), "--into", str(folder / model), "--model", model]
    command = [spy, "record", "--format", "raw", "--rate", str(RATE), "--full-filenames", "-o", str(stacks), "--"]
    done = subprocess.run([*command, *index], capture_output=True, text=True, check=False)
    if not stacks.is_file():
        sys.exit(f"py-spy failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}")
    seen: Counter[str] = Counter()
    for line in stacks.read_text(encoding="utf-8", errors="replace").splitlines():
        stack, _, count = line.rpartition(" ")
        if "wait (" in stack.split(";")[-1]:  # for the workers: py-spy takes some of that for work
            continue
        if "embed_files" in stack or "_embed_batch" in stack or "commit" in stack:  # not the start and the end
            seen[kind(stack)] += int(count)
    return seen


def kind(stack: str) -> str:
    for frame in reversed(stack.split(";")):
        if "/lookalike/" in frame:
            return next((name for sign, name in KINDS.items() if sign in frame), "other Python")
    return "other Python"


def row(model: str, seen: Counter[str]) -> dict[str, object]:
    total = sum(seen.values())
    names = (*dict.fromkeys(KINDS.values()), "other Python")
    return {"model": model, "looks": total, **{name: round(seen[name] / total, 4) for name in names}}


if __name__ == "__main__":
    main()
