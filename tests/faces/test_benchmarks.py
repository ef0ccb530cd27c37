"""The benchmarks run, at sizes that say nothing about speed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

RECORDED = {"command", "date", "machine", "versions", "seed", "runs"}


def benchmark(script: str, out: Path, *options: str | Path) -> Any:
    command = [sys.executable, "-W", "error", f"benchmarks/{script}", "--out", out, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert str(out) in done.stdout
    record = json.loads(out.read_text())
    assert record.keys() >= RECORDED
    assert record["machine"]["cores"] > 0
    assert script in record["command"]
    return record


def test_exact_search(tmp_path: Path) -> None:
    record = benchmark("exact_search.py", tmp_path / "new" / "out.json", "--rows", "2000", "--queries", "3")
    assert [row["what"] for row in record["runs"]] == ["lookalike", "faiss-float32", "numpy-float32"]
    for row in record["runs"]:
        assert (row["rows"], row["recall"] > 0.99) == (2000, True)
        assert min(row["ms"], row["gb_per_s"], row["floor_gb_per_s"]) > 0


def test_index_photos(tmp_path: Path, photos: Path) -> None:
    record = benchmark("index_photos.py", tmp_path / "out.json", "--photos", photos, "--models", "phash,dhash")
    assert [row["models"] for row in record["runs"]] == [["phash"], ["dhash"], ["phash", "dhash"]]
    for row in record["runs"]:
        assert (row["images"], row["unreadable"]) == (9, 0)
        assert min(row["images_per_s"], row["cpu_ms"], row["rerun_seconds"], row["peak_mb"]) > 0
    assert record["together_cpu_s"] > 0
    assert not (photos / ".lookalike").exists()


def test_embedding(tmp_path: Path) -> None:
    """Uncompiled: making ONNX of a network takes half a minute, and other tests do."""
    if not (Path(sys.prefix) / "reference-torchvision").is_dir():
        pytest.skip("the articles' loop needs torchvision: './run test' puts it into .venv/reference-torchvision")
    record = benchmark(
        "embedding/compare.py",
        tmp_path / "out.json",
        *("--models", "mobilenet-v3", "--contenders", "loop,sentence-transformers,lookalike"),
        *("--small", "4", "--large", "0", "--repeats", "1", "--uncompiled"),
    )
    loop, other, ours = record["runs"]
    assert [row["what"] for row in record["runs"]] == ["loop", "sentence-transformers", "lookalike"]
    assert "skipped" in other
    for row in (loop, ours):
        assert (row["images"], row["pictures"]) == (4, "small")
        assert min(row[key] for key in ("images_per_s", "cpu_ms", "peak_mb", "start_seconds", "share_of_floor")) > 0
    assert loop["ratio"] == 1
    assert ours["cosine_least"] > 0.9999 > ours["alike"]
    # torchvision tells 0.217 billion pairs of a product and a sum.
    assert record["floor"]["models"]["mobilenet-v3"]["flop"] == pytest.approx(2 * 0.217e9, rel=0.03)
