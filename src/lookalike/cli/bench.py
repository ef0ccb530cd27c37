"""lookalike bench"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from lookalike.bench.dataset_run import DatasetRun, thinned
from lookalike.bench.datasets import READERS, Dataset, Files, hdf5, read, write_descriptors, write_predictions
from lookalike.bench.entries import Entry
from lookalike.bench.folder_run import ORIGINALS, bench
from lookalike.bench.pictures import picture_of
from lookalike.cli import INTERRUPTED
from lookalike.cli.output import echo_json, echo_text, note, progress
from lookalike.errors import UsageError
from lookalike.formats import is_image_name
from lookalike.models import registry
from lookalike.store import PRIVATE
from lookalike.writing import write_text

ENDINGS = (".json", ".md", ".html")


@click.command()
@click.argument("folder", type=click.Path(), required=False)
@click.option("--model", "models", multiple=True, metavar="ENTRY", help="Repeat for several [all without a download].")
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0), help="Of whatever is drawn by lot.")
@click.option(
    "--originals", default=ORIGINALS, show_default=True, type=click.IntRange(5), metavar="N", help="Images to copy."
)
@click.option("--dataset", type=click.Choice(list(READERS)), help="A published one, instead of FOLDER.")
@click.option("--root", type=click.Path(), metavar="DIR", help="Where the files of the data set are.")
@click.option("--distractors", type=click.IntRange(0), metavar="N", help="Others in the gallery, at most [all].")
@click.option("--predictions-in", type=click.Path(), metavar="CSV", help="Judge these, too (disc21).")
@click.option(
    "--descriptors-in", multiple=True, type=click.Path(), metavar="HDF5", help="Judge these, too; repeat for parts."
)
@click.option("--predictions", type=click.Path(), metavar="CSV", help="Write those of the one ENTRY (disc21).")
@click.option("--descriptors", type=click.Path(), metavar="HDF5", help="Write those of the one ENTRY (disc21).")
@click.option("--into", type=click.Path(), metavar="DIR", help="Where the work is kept [FOLDER/.lookalike/bench].")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Files worked on at a time [the cores].")
@click.option("--out", "outs", multiple=True, type=click.Path(), metavar="FILE", help="A report: .html, .md or .json.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    folder: str | None,
    models: tuple[str, ...],
    seed: int,
    originals: int,
    dataset: str | None,
    root: str | None,
    distractors: int | None,
    predictions_in: str | None,
    descriptors_in: tuple[str, ...],
    predictions: str | None,
    descriptors: str | None,
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

    With --dataset, by the files and the measures of a published data set: DISC21 (disc21, disc21-final; disc21-article:
    accuracy alone, against as many images as there are), labelled (a folder of images for each class), COCO, Copydays,
    the revisited Oxford and Paris.

    \b
    lookalike bench ~/photos --model sift --model phash --out report.html
    lookalike bench ~/photos --model clip --model dinov2 --model 'clip+sift' --model 'sift|mirror|verify:50'
    lookalike bench ~/photos --model 'clip|whiten:256'
    lookalike bench --dataset disc21-article --root ~/disc21 --distractors 150000 --model clip --model dinov2
    lookalike bench --dataset disc21 --root ~/disc21 --predictions-in theirs.csv
    lookalike bench --dataset disc21 --root ~/disc21 --descriptors-in queries.hdf5 --descriptors-in references.hdf5
    """
    for out in outs:
        if Path(out).suffix.lower() not in ENDINGS:
            raise UsageError(f"--out {out}: name a file that ends in {', '.join(ENDINGS)}")
    for path in (*outs, predictions, descriptors):
        if path is not None:
            _writable(path)
    files = {
        "--predictions-in": predictions_in,
        "--descriptors-in": next(iter(descriptors_in), None),
        "--predictions": predictions,
        "--descriptors": descriptors,
    }
    named = {option: path for option, path in files.items() if path is not None}
    special = ["--root"] * (root is not None) + ["--distractors"] * (distractors is not None) + list(named)
    data = _dataset(folder, dataset, root, special)
    if data is None or root is None:
        place, entries = folder or "", models or registry.downloadless()
    elif not data.queries:
        note(f"{dataset}: {data.warnings[0]}: edited copies of it are asked for")
        place, entries = _gallery_folder(data, root), models or registry.downloadless()
        into, data = into or os.path.join(root, PRIVATE, f"bench-{dataset}"), None
    else:
        place, entries = root, models or (() if predictions_in or descriptors_in else registry.downloadless())
        _refuse(data, entries, named)
    try:
        with progress(unit="") as tell:
            if data is None:
                report = bench(
                    place, entries, seed=seed, originals=originals, into=into, workers=workers, progress=tell
                )
            else:
                part = "gallery"
                if distractors is not None:
                    data, part = thinned(data, distractors, seed), f"gallery-{distractors}-{seed}"
                run = DatasetRun(
                    data, place, entries, seed=seed, into=into, gallery=part, workers=workers, progress=tell
                )
                report = run.report(predictions_in, descriptors_in)
                if descriptors is not None:
                    write_descriptors(descriptors, *run.descriptors())
    except KeyboardInterrupt:
        note("interrupted: what was done is kept, run it again to go on")
        ctx.exit(INTERRUPTED)
    for warning in report.warnings:
        note(f"{dataset or place}: {warning}")
    if predictions is not None:
        (rankings,) = (result.rankings for result in report.results if result.model == entries[0])
        left_out = write_predictions(predictions, rankings)
        note(f"Predictions: {os.path.abspath(predictions)}" + (f" ({left_out:,} left out)" if left_out else ""))
    if descriptors is not None:
        note(f"Descriptors: {os.path.abspath(descriptors)}")
    for out in outs:
        ending = Path(out).suffix.lower()
        if ending == ".html":
            text = report.to_html(picture_of(report.dataset))
        else:
            text = report.to_markdown() if ending == ".md" else json.dumps(report.to_json(), indent=1)
        write_text(out, text)
        note(f"Report: {os.path.abspath(out)}")
    if as_json:
        echo_json(report.to_json())
    else:
        for line in report.to_markdown().splitlines():
            echo_text(line)


def _writable(path: str) -> None:
    """Raises UsageError for what cannot, or must not, be written: before hours of work."""
    if not Path(path).absolute().parent.is_dir():
        raise UsageError(f"{path}: cannot be written: no such folder: name a file in one that exists")
    if Path(path).is_dir():
        raise UsageError(f"{path}: cannot be written: that is a folder: name a file")
    if is_image_name(path):
        raise UsageError(f"{path}: that is a picture's name: name another file")


def _dataset(folder: str | None, dataset: str | None, root: str | None, special: Sequence[str]) -> Dataset | None:
    """The data set that is meant, if it is one; `special` are the options given that go with one alone."""
    if dataset is None:
        if special:
            raise UsageError(f"{special[0]} goes with --dataset")
        if folder is None:
            raise UsageError("name a FOLDER of images, or a data set: --dataset NAME --root DIR")
        return None
    if folder is not None:
        raise UsageError("name a FOLDER or a --dataset, not both")
    if root is None:
        raise UsageError(f"--dataset {dataset} needs --root: the folder with its files")
    data = read(dataset, root)
    if not data.queries and (unfit := [option for option in special if option != "--root"]):
        raise UsageError(f"{unfit[0]}: {dataset} has no queries there: {data.warnings[0]}")
    return data


def _gallery_folder(data: Dataset, root: str) -> str:
    return str(data.gallery.folder) if isinstance(data.gallery, Files) else root


def _refuse(data: Dataset, entries: Sequence[str], files: Mapping[str, str]) -> None:
    """Raises UsageError for what this data set does not have; `files` by their options."""
    for option, path in files.items():
        if not data.protocol.startswith("disc21"):
            raise UsageError(f"{option}: such files are of DISC21, not of {data.name}")
        if not option.endswith("-in") and len(set(entries)) != 1:
            raise UsageError(f"{option} {path}: name one --model, whose they are")
        if option.startswith("--descriptors"):
            hdf5()
    if "--descriptors" in files and len(Entry.parse(entries[0]).models) > 1:
        raise UsageError(f"--descriptors {files['--descriptors']}: they are one model's: name a single one")
