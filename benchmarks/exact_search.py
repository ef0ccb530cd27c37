"""How fast exact search is, held against how fast this machine can read memory at all.

    python benchmarks/exact_search.py [--rows 1000000] [--dim 512] [--queries 30] [--out FILE]

A file of synthetic float16 vectors is written as a collection writes it, mapped as a collection maps it, and
searched one query at a time on one core. Beside it, on fewer rows and in memory: NumPy and FAISS in float32.
Every measurement runs in a process of its own, after one query to warm up.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import faiss
import numpy as np
import numpy.typing as npt

import record
from lookalike.index.exact import ExactIndex
from lookalike.store import vectors as vector_file

Floats: TypeAlias = npt.NDArray[np.float32]

K = 10
BLOCK = 16_384
CLUSTERS = 1_000
SPREAD = 0.8
"""The noise about a cluster's centre, in lengths of the centre: neighbours are near, and not all alike."""

ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
COLUMNS = {
    "what": "",
    "rows": "rows",
    "ms": "ms a query",
    "cpu_ms": "CPU-ms",
    "gb_per_s": "GB/s",
    "floor_gb_per_s": "GB/s to read",
    "share_of_floor": "of it",
    "private_mb_before": "private MB before",
    "private_mb_after": "after",
    "recall": f"recall@{K}",
}


def main() -> None:
    options = arguments()
    if options.child:
        print(json.dumps(measure(**json.loads(options.child))))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "synthetic.f16"
        began = time.perf_counter()
        write_vectors(path, options.rows, options.dim, options.seed)
        print(f"{options.rows:,} x {options.dim} vectors written in {time.perf_counter() - began:.0f} s\n")
        few = min(options.compare_rows, options.rows)
        tasks = [("lookalike", options.rows), ("lookalike", few), ("faiss-float32", few), ("numpy-float32", few)]
        shared = {"path": str(path), "dim": options.dim, "queries": options.queries, "seed": options.seed}
        rows = [
            record.in_child(__file__, {"what": what, "rows": count, **shared}, **ONE_CORE)
            for what, count in dict.fromkeys(tasks)
        ]
    print(record.table(rows, COLUMNS))
    record.write(__file__, options.out, options.seed, {"k": K, "threads": 1, "dim": options.dim, "runs": rows})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--compare-rows", type=int, default=100_000, help="rows of the runs in float32, at most")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where the vectors lie meanwhile [the system's place]")
    parser.add_argument("--out", type=Path, help="the JSON [benchmarks/results/exact_search.json]")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def draw(rng: np.random.Generator, centres: Floats, count: int) -> Floats:
    """Unit vectors about the centres of clusters."""
    noise = rng.standard_normal((count, centres.shape[1]), dtype=np.float32) * np.float32(SPREAD)
    found = centres[rng.integers(0, len(centres), count)] + noise / np.sqrt(np.float32(centres.shape[1]))
    return unit(found)


def clusters(dim: int, seed: int) -> Floats:
    return unit(np.random.default_rng(seed).standard_normal((CLUSTERS, dim), dtype=np.float32))


def unit(x: Floats) -> Floats:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), dtype=np.float32)


def write_vectors(path: Path, rows: int, dim: int, seed: int) -> None:
    centres, rng = clusters(dim, seed), np.random.default_rng(seed + 1)
    for start in range(0, rows, BLOCK):
        vector_file.append(path, start, dim, draw(rng, centres, min(BLOCK, rows - start)).astype(np.float16))


def measure(what: str, rows: int, path: str, dim: int, queries: int, seed: int) -> dict[str, Any]:
    """One way to search the first `rows` vectors of the file; runs in a child."""
    asked = draw(np.random.default_rng(seed + 2), clusters(dim, seed), queries + 1)
    faiss.omp_set_num_threads(1)
    before = record.private_kb()
    halves = vector_file.read(Path(path), rows, dim)
    search, held = SEARCHERS[what](halves)
    search(asked[0])  # from here on the file is in the page cache, and whatever is lazy has been done
    times: list[tuple[float, float]] = []
    floors: list[float] = []
    found = []
    for query in asked[1:]:
        wall, cpu = time.perf_counter(), time.process_time()
        found.append(search(query))
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
        floors.append(seconds_to_read(held))  # in turns: whoever else is on the machine disturbs both alike
    after = record.private_kb()
    wall, cpu = np.median(times, axis=0)
    floor = float(np.median(floors))
    return {
        "what": what,
        "rows": rows,
        "ms": round(wall * 1e3, 3),
        "ms_best": round(min(times)[0] * 1e3, 3),
        "cpu_ms": round(cpu * 1e3, 3),
        "gb_per_s": round(held.nbytes / wall / 1e9, 2),
        "floor_gb_per_s": round(held.nbytes / floor / 1e9, 2),
        "share_of_floor": round(floor / wall, 3),
        "bytes_searched": held.nbytes,
        "private_mb_before": None if before is None else round(before / 1024, 1),
        "private_mb_after": None if after is None else round(after / 1024, 1),
        "recall": recall(halves, asked[1:], found),
    }


def seconds_to_read(values: npt.NDArray[Any]) -> float:
    """How long it takes to add up the same bytes as whole numbers: what reading alone costs."""
    words = values.reshape(-1).view(np.uint64)
    began = time.perf_counter()
    words.sum()
    return time.perf_counter() - began


def recall(halves: npt.NDArray[np.float16], asked: Floats, found: list[npt.NDArray[np.int64]]) -> float:
    """How many of the K best, by float32 arithmetic over all rows, were found."""
    cosines = np.concatenate(
        [asked @ halves[at : at + BLOCK].astype(np.float32).T for at in range(0, len(halves), BLOCK)], axis=1
    )
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :K]
    return float(np.mean([np.isin(truth, rows).mean() for truth, rows in zip(best, found, strict=True)]))


Search: TypeAlias = Callable[[Floats], npt.NDArray[np.int64]]


def ours(halves: npt.NDArray[np.float16]) -> tuple[Search, npt.NDArray[Any]]:
    index = ExactIndex(halves)
    return lambda query: index.search(query[None], K)[1][0], halves


def by_faiss(halves: npt.NDArray[np.float16]) -> tuple[Search, npt.NDArray[Any]]:
    index = faiss.IndexFlatIP(halves.shape[1])
    index.add(halves.astype(np.float32))
    held = faiss.rev_swig_ptr(index.get_xb(), halves.size)
    return lambda query: index.search(query[None], K)[1][0], held


def by_numpy(halves: npt.NDArray[np.float16]) -> tuple[Search, npt.NDArray[Any]]:
    held = halves.astype(np.float32)

    def search(query: Floats) -> npt.NDArray[np.int64]:
        cosines = held @ query
        best = np.argpartition(-cosines, min(K, len(cosines) - 1))[:K]
        return best[np.argsort(-cosines[best])]

    return search, held


SEARCHERS = {"lookalike": ours, "faiss-float32": by_faiss, "numpy-float32": by_numpy}

if __name__ == "__main__":
    main()
