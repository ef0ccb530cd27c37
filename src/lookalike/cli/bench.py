"""lookalike bench"""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from lookalike.bench.pictures import picture_of
from lookalike.bench.run import ORIGINALS, bench, copies_of
from lookalike.cli import INTERRUPTED
from lookalike.cli.output import echo_json, echo_text, note, progress
from lookalike.errors import UsageError
from lookalike.models import registry
from lookalike.writing import write_whole

ENDINGS = (".json", ".md", ".html")


@click.command()
@click.argument("folder", type=click.Path())
@click.option("--model", "models", multiple=True, metavar="ENTRY", help="Repeat for several [all without a download].")
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0), help="Of the copies.")
@click.option(
    "--originals", default=ORIGINALS, show_default=True, type=click.IntRange(5), metavar="N", help="Images to copy."
)
@click.option("--into", type=click.Path(), metavar="DIR", help="Where the work is kept [FOLDER/.lookalike/bench].")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Files worked on at a time [the cores].")
@click.option("--out", "outs", multiple=True, type=click.Path(), metavar="FILE", help="A report: .html, .md or .json.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    folder: str,
    models: tuple[str, ...],
    seed: int,
    originals: int,
    into: str | None,
    workers: int | None,
    outs: tuple[str, ...],
    as_json: bool,
) -> None:
    """Find out which model finds edited copies of the images of FOLDER best, and how fast.

    Images are cropped, turned, mirrored, blurred, written on, pasted into others ... in three grades, and each model is
    asked for their originals. An ENTRY is a model, several joined by +, or either with steps behind it: whitened to so
    many dimensions, asked with the mirrored query or parts of it, verified by keypoints.

    What was done is kept: an interrupted run goes on, and another entry costs no more than itself.

    \b
    lookalike bench ~/photos --model sift --model phash --out report.html
    lookalike bench ~/photos --model clip --model dinov2 --model 'clip+sift' --model 'sift|mirror|verify:50'
    lookalike bench ~/photos --model 'clip|whiten:256'
    """
    for out in outs:
        if Path(out).suffix.lower() not in ENDINGS:
            raise UsageError(f"--out {out}: name a file that ends in {', '.join(ENDINGS)}")
    try:
        with progress(unit="") as tell:
            report = bench(
                folder,
                models or registry.downloadless(),
                seed=seed,
                originals=originals,
                into=into,
                workers=workers,
                progress=tell,
            )
    except KeyboardInterrupt:
        note("interrupted: what was done is kept, run it again to go on")
        ctx.exit(INTERRUPTED)
    if as_json:
        echo_json(report.to_json())
    else:
        echo_text(report.to_markdown())
    for out in outs:
        ending = Path(out).suffix.lower()
        if ending == ".html":
            text = report.to_html(picture_of(report, copies_of(report, into)))
        else:
            text = report.to_markdown() if ending == ".md" else json.dumps(report.to_json(), indent=1)
        write_whole(out, lambda part, text=text: Path(part).write_text(text, encoding="utf-8"))  # type: ignore[misc]
        note(f"Report: {os.path.abspath(out)}")
