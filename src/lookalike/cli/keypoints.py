"""lookalike keypoints"""

from __future__ import annotations

import csv
import importlib
import os
from functools import partial

import click

from lookalike import images
from lookalike.cli.output import echo_json, echo_text, note, spared
from lookalike.errors import UsageError
from lookalike.keypoints.features import LIMIT, Features, encoding
from lookalike.keypoints.methods import METHODS, READ_SIDE, extract
from lookalike.writing import write_whole


@click.command()
@click.argument("image", type=click.Path())
@click.option("--method", type=click.Choice(list(METHODS)), default="sift", show_default=True)
@click.option("--keypoints", "limit", type=click.IntRange(1, 20_000), default=LIMIT, show_default=True, metavar="N")
@click.option("--rich", is_flag=True, help="Draw each as large as what it describes, with its direction.")
@click.option("--out", type=click.Path(), metavar="FILE", help="Write the picture with its keypoints (.png or .jpg).")
@click.option("--table", type=click.Path(), metavar="FILE", help="Write keypoints and descriptors (.csv or .parquet).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(image: str, method: str, limit: int, rich: bool, out: str | None, table: str | None, as_json: bool) -> None:
    """Find the keypoints of IMAGE: places that look the same when it is cropped, turned, scaled.

    --table lists them, with their descriptors as bytes: numbers of 0 to 255 for sift (the square roots of its shares)
    and hog; bits, eight a byte, for orb and akaze; numbers plus 128 for all others. 'lookalike models' tells which
    methods run here.

    \b
    lookalike keypoints cat.jpg --rich --out keypoints.png
    lookalike keypoints cat.jpg --method orb --table keypoints.csv
    """
    for option, path, endings in (("--out", out, (".png", ".jpg", ".jpeg")), ("--table", table, (".csv", ".parquet"))):
        if path and os.path.splitext(path)[1].lower() not in endings:
            raise UsageError(f"{option} {path}: name a file that ends in {' or '.join(endings)}")
        spared(option, path, [image])
    picture = images.read(image, side=READ_SIDE)
    found = extract(picture, method, limit)
    if out:
        from PIL import Image

        from lookalike.draw import draw_keypoints

        drawn = Image.fromarray(draw_keypoints(picture, found, rich=rich))
        write_whole(out, drawn.save)
        note(f"Picture: {os.path.abspath(out)}")
    if table:
        write_whole(table, partial(_write_csv if table.lower().endswith(".csv") else _write_parquet, found))
        note(f"Table: {os.path.abspath(table)}")
    width, height = found.size
    if as_json:
        echo_json({"image": image, "method": method, "keypoints": len(found), "width": width, "height": height})
    else:
        echo_text(f"{image}: {len(found)} keypoint{'s' * (len(found) != 1)} ({method}; {width} x {height} pixels)")


COLUMNS = ("x", "y", "diameter", "angle", "strength")


def _numbers(found: Features) -> list[list[float]]:
    """The columns, rounded to what is known of them."""
    columns = (found.points[:, 0], found.points[:, 1], found.diameters, found.angles, found.strengths)
    places = (2, 2, 2, 2, 6)
    return [[round(float(v), digits) for v in column] for digits, column in zip(places, columns, strict=True)]


def _write_csv(found: Features, path: str) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([*COLUMNS, *(f"d{i}" for i in range(found.descriptors.shape[1]))])
        for i, numbers in enumerate(zip(*_numbers(found), strict=True)):
            rows.writerow([*numbers, *found.descriptors[i].tolist()])


def _write_parquet(found: Features, path: str) -> None:
    try:
        pa = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError("Parquet needs pyarrow: pip install 'lookalike[parquet]'") from error
    data = dict(zip(COLUMNS, _numbers(found), strict=True))
    descriptors = pa.FixedSizeListArray.from_arrays(pa.array(found.descriptors.reshape(-1)), found.descriptors.shape[1])
    metadata = {"method": found.method, "descriptor": encoding(found.method)}
    parquet.write_table(pa.table({**data, "descriptor": descriptors}, metadata=metadata), path)
