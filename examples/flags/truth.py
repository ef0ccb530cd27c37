"""What people say of flags: the article's nine tests, rated pairs, and which flags are the same drawing."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from names import Countries, stem

from lookalike.errors import UsageError

NINE_TESTS = (
    {"TD": "Chad", "RO": "Romania"},
    {"SN": "Senegal", "ML": "Mali"},
    {"ID": "Indonesia", "MC": "Monaco"},
    {"AU": "Australia", "NZ": "New Zealand"},
    {"IE": "Ireland", "CI": "Ivory Coast"},
    {"NO": "Norway", "IS": "Iceland"},
    {"VE": "Venezuela", "EC": "Ecuador", "CO": "Colombia"},
    {"LU": "Luxembourg", "NL": "Netherlands"},
    {"SI": "Slovenia", "RU": "Russia", "SK": "Slovakia"},
)
"""Flags that an encyclopaedia lists as similar: four the article looks at, and five it leaves to its readers."""

RATINGS = ("yes", "partly", "no")


@dataclass(frozen=True)
class Pair:
    """Two countries by their codes, how their flags are related, and what people say: similar "yes", "partly", "no"."""

    a: str
    b: str
    relation: str
    similar: str
    note: str


def read_countries(path: Path | None) -> Countries:
    """The countries of the nine tests, and of a CSV file: iso2, name; iso3 and common_name if it has them."""
    countries = Countries()
    for test in NINE_TESTS:
        for code, name in test.items():
            countries.add(code, name)
    countries.add("CI", "Ivory Coast", "Côte d'Ivoire")
    for row in read_rows(path, "iso2", "name"):
        countries.add(row["iso2"], *filter(None, (row.get("common_name"), row["name"], row.get("iso3"))))
    return countries


def read_pairs(path: Path, countries: Countries) -> list[Pair]:
    """The pairs of a CSV file: relation, expect_similar, perhaps a note, and of each side a name, an iso2 or a file."""
    found = []
    for row in read_rows(path, "relation", "expect_similar"):
        a, b = (_side(row, side, path, countries) for side in "ab")
        if (similar := row["expect_similar"].strip().lower()) not in RATINGS:
            raise UsageError(f"{path}: expect_similar {row['expect_similar']!r}: one of {', '.join(RATINGS)} is wanted")
        found.append(Pair(a, b, row["relation"], similar, row.get("note", "")))
    return found


def _side(row: dict[str, str], side: str, path: Path, countries: Countries) -> str:
    names = [name for name in (row.get(f"name_{side}"), stem(row.get(f"file_{side}", ""))) if name]
    code = row.get(f"iso2_{side}") or (countries.code(names[0]) if names else "")
    if not code:
        raise UsageError(f"{path}: a pair without iso2_{side}, name_{side} and file_{side}: one of them must be there")
    return countries.add(code, *names)


def read_same(path: Path | None, countries: Countries) -> list[list[str]]:
    """Groups of countries whose flags are one drawing: the iso2_members of a CSV file, with blanks between."""
    return [[countries.code(each) for each in row["iso2_members"].split()] for row in read_rows(path, "iso2_members")]


def read_rows(path: Path | None, *needed: str) -> list[dict[str, str]]:
    """The rows of a CSV file; none, where there is no file. Raises UsageError, which says what is wrong with it."""
    if path is None:
        return []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file, restval="")
            rows, columns = list(table), table.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or "it is no CSV file in UTF-8"
        raise UsageError(f"{path}: cannot be read: {why}") from error
    if missing := [column for column in needed if column not in columns]:
        raise UsageError(f"{path}: no column {' and no '.join(missing)}: its first line must name its columns")
    return rows
