"""The benchmark of the service runs, at a size that says nothing about speed; what it promises holds at any."""

from __future__ import annotations

from pathlib import Path

from tests.faces.test_benchmarks import benchmark


def test_ten_times_too_much_makes_nothing_fail(tmp_path: Path) -> None:
    settings = ("--images", "30", "--seconds", "2", "--clients", "16")
    record = benchmark("serving/load.py", tmp_path / "out.json", *settings)
    (load,) = record["runs"]
    assert load["alive"] and load["answers_afterwards"]
    assert load["asked"]["failed"] == {}
    assert load["asked"]["accepted"] > 0
    assert load["meanwhile_ms"]["refused or failed"]["visits"] == 0
    assert load["meanwhile_ms"]["page"]["visits"] > 0
    assert set(record["pages"]) == {
        f"{what} {model}" for what in ("stored", "uploaded") for model in record["models"]
    } | {"chromium"}
