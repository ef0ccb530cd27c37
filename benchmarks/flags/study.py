"""The flags study on the shared flags: models that need no download, real networks by aspect, and fusions.

    python benchmarks/flags/study.py [--flags FOLDER] [--models A,B+C,...] [--seed N] [--out FILE]

It is the command of examples/flags/study.py, as anybody runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

import record  # noqa: E402
from lookalike.models import registry  # noqa: E402
from networks import NETWORKS, register  # noqa: E402

STUDY = HERE.parent.parent / "examples" / "flags" / "study.py"
TOGETHER = (
    "layout+hog",
    "layout+squeezenet",
    "layout+squeezenet@squash",
    "layout+vit-tiny@squash",
    "layout+hog+squeezenet@squash",
    "color+hog",
    "vit-tiny@squash+squeezenet@squash",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--flags", type=Path, default=record.SHARED / "data" / "flags", help="[../shared/data/flags]")
    parser.add_argument("--models", type=lambda text: text.split(","), help="[all that need no download and are here]")
    parser.add_argument("--seed", type=int, default=7, help="of the intervals [%(default)s]")
    parser.add_argument("--out", type=Path, default=HERE.parent / "results" / "flags.json", help="[%(default)s]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LOOKALIKE_MODELS"] = folder
        networks = [name for name in NETWORKS if register(name)]
        fitted = [f"{name}@{aspect}" for name in networks for aspect in ("squash", "pad")]
        models = options.models or [*registry.downloadless(), *networks, *fitted, *TOGETHER]
        told = studied(options, models)
    for row in told["models"].values():
        row["nine_tests"] = {", ".join(test["countries"]): test["passed"] for test in row["nine_tests"]}
    record.write(__file__, options.out, options.seed, told)
    print(record.table([{"model": name, **row} for name, row in told["models"].items()], COLUMNS))


COLUMNS = {
    "model": "model",
    "nine_tests_top3": "of nine",
    "recall@1": "recall@1",
    "recall@3": "recall@3",
    "recall@5": "recall@5",
    "mrr": "MRR",
}


def studied(options: argparse.Namespace, models: list[str]) -> dict[str, Any]:
    """What the study prints as JSON."""
    lists = {"--pairs": "pairs.csv", "--same": "identical_groups.csv", "--names": "flags.csv"}
    command = [sys.executable, str(STUDY), str(options.flags), "--json", "--seed", str(options.seed)]
    command += [part for option, name in lists.items() for part in (option, str(options.flags / name))]
    command += [part for name in models for part in ("--model", name)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


if __name__ == "__main__":
    main()
