"""lookalike index"""

from __future__ import annotations

import sys

import click

import lookalike
from lookalike.cli import FOUND, INTERRUPTED, UNREADABLE
from lookalike.cli.output import echo_json, echo_text, in_ways, note, progress
from lookalike.indexing import AddReport, FeatureCost
from lookalike.keypoints.methods import METHODS
from lookalike.models.aspects import ASPECTS
from lookalike.store import MOST_KEYPOINTS


@click.command()
@click.argument("folder", type=click.Path())
@click.option("--into", type=click.Path(), metavar="DIR", help="Where the collection lies [FOLDER/.lookalike].")
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="A model; repeat for several [the collection's]."
)
@click.option("--pool", metavar="HOW", help="How the models pool tokens, instead of their own way: mean, cls, ...")
@click.option("--aspect", type=click.Choice(ASPECTS), help="How the models fit pictures in, instead of their own way.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Names or paths below FOLDER to leave out.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Files worked on at a time [the cores].")
@click.option("--batch", type=click.IntRange(1, 64), metavar="N", help="Pictures a network takes at a time [measured].")
@click.option(
    "--keypoints",
    type=click.IntRange(0, MOST_KEYPOINTS),
    metavar="N",
    help="Keep N local features a picture, for 'search --verify' [as before; 0: none any more].",
)
@click.option("--method", type=click.Choice(list(METHODS)), help="How --keypoints finds them [sift].")
@click.option("--no-thumbnails", is_flag=True, help="Keep no small pictures for reports in the collection.")
@click.option("--allow-empty", is_flag=True, help="Forget a folder's images even if none is left.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON; embed_seconds: without starting up.")
@click.pass_context
def command(
    ctx: click.Context,
    folder: str,
    into: str | None,
    models: tuple[str, ...],
    pool: str | None,
    aspect: str | None,
    exclude: tuple[str, ...],
    workers: int | None,
    batch: int | None,
    keypoints: int | None,
    method: str | None,
    no_thumbnails: bool,
    allow_empty: bool,
    as_json: bool,
) -> None:
    """Embed the images of FOLDER, or bring its collection up to date.

    Only what is new or changed is embedded; what has gone below FOLDER is forgotten. Ctrl-C keeps what was done,
    and the next run goes on. A collection may hold several folders (index each with the same --into).

    \b
    lookalike index ~/photos
    lookalike index ~/photos --model sift --model color --exclude '*.gif'
    lookalike index ~/photos --keypoints 500
    lookalike index /mnt/nas/photos --into ~/nas-photos
    """
    if method is not None and keypoints is None:
        raise click.UsageError("--method needs --keypoints: say how many local features to keep of a picture")
    collection = lookalike.open(folder, into=into)
    with progress() as tell:
        report = collection.add(
            folder,
            models=in_ways(models, pool, aspect),
            exclude=exclude,
            workers=workers,
            batch=batch,
            thumbnails=not no_thumbnails,
            allow_empty=allow_empty,
            keypoints=keypoints,
            method=method,
            announce=_announce,
            progress=tell,
        )
    for name in report.replaced:
        note(f"{name}: another revision than before: all of its vectors were dropped and are made anew")
    for path, reason in sorted(report.unreadable):
        note(f"unreadable: {path}: {reason}")
    if as_json:
        echo_json(_as_json(report))
    else:
        echo_text(_as_text(report))
    ctx.exit(INTERRUPTED if report.interrupted else UNREADABLE if report.unreadable else FOUND)


def _announce(cost: FeatureCost) -> None:
    """On standard error, between bars."""
    from tqdm import tqdm

    tqdm.write(
        f"local features: {cost.method}, at most {cost.keypoints:,} a picture: about {_size(cost.bytes)} each,"
        f" {_size(cost.bytes * cost.pictures)} for these {cost.pictures:,}, {_size(cost.bytes * 10**6)} for a million",
        file=sys.stderr,
    )


def _size(count: float) -> str:
    """Two digits that say how much it is."""
    units = ["TB", "GB", "MB", "KB"]
    count /= 1000
    while count >= 999.5 and len(units) > 1:
        count /= 1000
        units.pop()
    return f"{count:.1f} {units[-1]}" if count < 9.95 else f"{count:.0f} {units[-1]}"


def _as_json(report: AddReport) -> dict[str, object]:
    return {
        "added": report.added,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "ignored": report.ignored,
        "unreadable": [{"path": path, "reason": reason} for path, reason in sorted(report.unreadable)],
        "models": report.models,
        "embedded": report.embedded,
        "features": report.features,
        "interrupted": report.interrupted,
        "seconds": round(report.seconds, 3),
        "embed_seconds": round(report.embed_seconds, 3),
    }


def _as_text(report: AddReport) -> str:
    counts = ", ".join(
        f"{count} {name}"
        for name, count in [
            ("added", report.added),
            ("changed", report.changed),
            ("unchanged", report.unchanged),
            ("removed", report.removed),
            ("ignored", report.ignored),
            ("unreadable", len(report.unreadable)),
        ]
    )
    if report.interrupted:
        what = "interrupted: what was done is kept, run it again to go on"
    elif not report.embedded and not report.features:
        what = "nothing to embed, all is up to date"
    else:
        pictures = f"{report.features} picture{'s' * (report.features != 1)}"
        what = f"{report.embedded} vectors" + (f", features of {pictures}" if report.features else "")
    return f"{counts} ({', '.join(report.models)}: {what}; {report.seconds:.1f} s)"
