"""What the benchmarks share: children to measure in, and a record of what was run, where and when."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lookalike.models.tuning import processor, usable_cores

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("LOOKALIKE_SHARED", HERE.parent.parent / "shared"))
PACKAGES = ("lookalike", "numpy", "faiss-cpu", "onnxruntime", "opencv-contrib-python-headless", "pillow")
VECTOR_UNITS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "asimd", "asimddp")
"""What of a processor decides how fast it is in 8 bits."""

LOAD = os.getloadavg() if hasattr(os, "getloadavg") else ()
"""How busy the machine was before we came."""


def in_child(script: str, task: dict[str, Any], **environment: str) -> dict[str, Any]:
    """What `script --child TASK` says: memory and warm-up of one measurement must not touch the next."""
    command = [sys.executable, script, "--child", json.dumps(task)]
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def write(
    script: str, out: Path | None, seed: int | None, results: dict[str, Any], packages: tuple[str, ...] = ()
) -> Path:
    """Write the results, with all that it takes to read them right or to repeat them, as JSON.

    `packages` are those whose versions matter beside our own dependencies.
    """
    path = out or HERE / "results" / f"{Path(script).stem}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "command": shlex.join(["python", f"benchmarks/{Path(script).resolve().relative_to(HERE)}", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": {"python": platform.python_version(), **_versions(PACKAGES + packages)},
        "seed": seed,
        **results,
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten: {path}")
    return path


def machine() -> dict[str, Any]:
    """The processor, how many cores we may use, the memory, and how busy they are with other things."""
    return {
        "cpu": processor(),
        "vector_units": [each for each in VECTOR_UNITS if each in (_line_of("/proc/cpuinfo", "flags") or "").split()],
        "cores": usable_cores(),
        "memory": _line_of("/proc/meminfo", "MemTotal"),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": [round(load, 2) for load in LOAD],
    }


def private_kb() -> int | None:
    """Memory that is this process's alone and not a copy of a file, in kB; None where the system does not tell."""
    line = _line_of("/proc/self/smaps_rollup", "Private_Dirty")
    return int(line.split()[0]) if line else None


def table(rows: list[dict[str, Any]], columns: dict[str, str]) -> str:
    """Rows under headings: {key: heading}."""
    cells = [list(columns.values()), *([_cell(row.get(key)) for key in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float) and abs(value) < 100:
        return f"{value:.3g}"
    return value if isinstance(value, str) else f"{value:,.0f}"


def _line_of(file: str, key: str) -> str | None:
    try:
        with open(file, encoding="utf-8", errors="replace") as lines:
            return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), None)
    except OSError:
        return None


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
