"""lookalike info"""

from __future__ import annotations

import click

import lookalike
from lookalike.cli.output import echo_json, echo_text, table
from lookalike.opening import nearest_collection


@click.command()
@click.argument("collection", required=False, type=click.Path())
@click.option("--collection", "named", metavar="DIR", type=click.Path(), help="The same, as other commands name it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(collection: str | None, named: str | None, as_json: bool) -> None:
    """Tell what a collection holds [the one of this folder, or of one above]."""
    place = named or collection
    where = lookalike.open(place) if place else nearest_collection()
    info = where.info()
    if as_json:
        echo_json(info)
        return
    echo_text(f"collection  {info['collection']}")
    for folder in info["folders"]:
        echo_text(f"folder      {folder}")
    echo_text(
        f"images      {info['images']} files, {info['pictures']} different pictures, {info['unreadable']} unreadable"
    )
    echo_text()
    rows = [(m["name"], str(m["dim"]), str(m["pictures"]), f"{m['bytes'] / 1e6:.1f} MB") for m in info["models"]]
    for line in table([("model", "dim", "pictures", "vectors"), *rows]):
        echo_text(line)
    if info["features"]:
        echo_text()
        rows = [
            (f["method"], f"{f['keypoints']:,}", str(f["pictures"]), f"{f['bytes'] / 1e6:.1f} MB")
            for f in info["features"]
        ]
        for line in table([("local features", "at most", "pictures", "bytes"), *rows]):
            echo_text(line)
    for method, limit in info["keypoints"].items():
        echo_text(f"kept up to date by 'lookalike index': {limit:,} keypoints of {method} a picture")
    for problem in where.unusable():
        echo_text(f"unusable: {problem}")
    for file in info["unreadable_files"]:
        echo_text(f"unreadable: {file['path']}: {file['reason']}")
