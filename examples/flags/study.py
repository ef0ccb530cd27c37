"""Which flags look alike, by which model? The whole study in one command, on any folder of flags.

python examples/flags/study.py FOLDER --pairs pairs.csv [--same identical_groups.csv] [--names flags.csv]
                               [--model NAME]... [--json] [--html FILE] [--into DIR] [--seed N]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from asking import studied
from page import write_page

from lookalike import LookalikeError
from lookalike.errors import UsageError

MODELS = ["layout", "layout+hog", "hog", "color", "sift"]


def main() -> int:
    options = arguments()
    try:
        if options.html and options.html.suffix != ".html":
            raise UsageError(f"{options.html}: the page goes into a file that ends in .html: name one")
        with tempfile.TemporaryDirectory() as scratch:
            study = studied(options, options.into or Path(scratch) / "collection")
        told = study.told()
        if options.html:
            write_page(options.html, study, told)
    except LookalikeError as error:
        say([f"study.py: {error}"], sys.stderr)
        return 2
    except KeyboardInterrupt:
        say(["study.py: interrupted"], sys.stderr)
        return 130
    say([f"study.py: {remark}" for remark in study.remarks], sys.stderr)
    say([json.dumps(told)] if options.json else lines(told), sys.stdout)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="one picture a country, called by its code or name")
    parser.add_argument("--pairs", type=Path, required=True, help="CSV: relation, expect_similar (yes, partly, no) and"
                        " of both sides a name_a, iso2_a or file_a, and the same with b")  # fmt: skip
    parser.add_argument("--same", type=Path, help="CSV: iso2_members, countries whose flags are the same drawing")
    parser.add_argument("--names", type=Path, help="CSV: iso2, name and perhaps iso3 and common_name")
    parser.add_argument("--model", action="append", help="of 'lookalike models', or several that rank together:"
                        f" vit-tiny+color. May be given several times [{', '.join(MODELS)}]")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--html", type=Path, help="write the study as a page")
    parser.add_argument("--into", type=Path, help="keep the collection in this folder, for the next time")
    parser.add_argument("--seed", type=int, default=7, help="of the intervals [%(default)s]")
    options = parser.parse_args()
    if options.seed < 0:
        parser.error("argument --seed: must be 0 or more")
    options.model = list(dict.fromkeys(options.model or MODELS))
    return options


def say(told: Iterable[str], file: TextIO) -> None:
    """Lines for a terminal: a stranger's file may be called by what would move its cursor."""
    for line in told:
        print("".join(c if c.isprintable() else "\ufffd" for c in line), file=file)


def lines(told: dict[str, Any]) -> list[str]:
    """The figures for people to read."""
    wide = max(map(len, [*told["models"], "best possible"]))
    found = [
        f"{told['files']} files, {told['drawings']} drawings, pairs that people call similar: {told['pairs']}",
        "",
        f"{'model':{wide}}  nine tests  recall@1  recall@3  95 %          recall@5  MRR",
    ]
    for name, row in [*told["models"].items(), ("best possible", told["best_possible"])]:
        tests = f"{row['nine_tests_top3']} of {row['nine_tests_asked']}" if "nine_tests_top3" in row else ""
        low, high = row["intervals"]["recall@3"]
        found.append(
            f"{name:{wide}}  {tests:10}  {row['recall@1']:<8.3f}  {row['recall@3']:<8.3f}  {low:.3f} to {high:.3f}"
            f"  {row['recall@5']:<8.3f}  {row['mrr']:.3f}"
        )
    if told["found_by_none"]:
        found += ["", "Among the first three of no model, either way:"]
    for each in told["found_by_none"]:
        found += [
            f"  {' and '.join(each['names'])} ({each['relation']}{': ' if each['note'] else ''}{each['note']}):"
            f" rank {each['best_rank']} by {each['best_model']}. {each['reason']}"
        ]
    return found


if __name__ == "__main__":
    sys.exit(main())
