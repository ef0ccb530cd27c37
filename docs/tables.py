"""What a script recorded in benchmarks/results/, as tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "benchmarks" / "results"


def results(name: str) -> dict[str, Any] | None:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def table(rows: list[dict[str, Any]], columns: dict[str, str]) -> str:
    cells = [[cell(row[key]) for key in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(columns.values()), ["---"] * len(columns), *cells])


def cell(value: object) -> str:
    if isinstance(value, float) and value < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}" if isinstance(value, (int, float)) else str(value)


def provenance(record: dict[str, Any]) -> str:
    machine = record["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items() if version)
    units = f" ({', '.join(machine['vector_units'])})" if machine.get("vector_units") else ""
    return (
        f"`{record['command']}`, {record['date'][:10]}, seed {record['seed']}; {machine['cpu']}{units},"
        f" {machine['cores']} cores, load before {machine['load_before'][0]}; {versions}."
    )


def percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"
