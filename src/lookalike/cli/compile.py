"""lookalike models compile"""

from __future__ import annotations

import click

from lookalike.cli.output import echo_json, echo_text
from lookalike.errors import NoImages


@click.command("compile")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "int8"]),
    default="fp32",
    show_default=True,
    help="int8: faster and smaller, and near, not equal: a model of its own, NAME@int8.",
)
@click.option(
    "--photos", type=click.Path(), metavar="FOLDER", help="Check it on photos from there, too; makes it anew."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compile_(names: tuple[str, ...], precision: str, photos: str | None, as_json: bool) -> None:
    """Compile networks for this machine: faster on a CPU, and PyTorch need not start any more.

    A network is compiled by itself when it is first used; in 8 bits only here. It is held against the original on
    drawn pictures, and on photos of yours: what strays too far is refused (cosine below 0.9999; in 8 bits, 0.995).

    \b
    lookalike models compile clip --precision int8 --photos ~/photos
    lookalike index ~/photos --model clip@int8
    """
    from lookalike.indexing import existing_folder
    from lookalike.models import compiled, compiling, registry
    from lookalike.scan import scan

    paths = [file.path for file in scan(existing_folder(photos)).images] if photos else []
    if photos and not paths:
        raise NoImages(f"{photos}: no images in this folder: name one that has some")
    told: list[dict[str, object]] = []
    for name in names:
        card = registry.card(name)
        if precision == compiled.INT8 and compiled.precision(card) != compiled.INT8:
            card = compiled.in_int8(card)
        found = None if paths else compiling.ready(card)
        fresh = found is None
        if found is None:
            found = registry.compile_now(card, photos=paths)
            card = registry.card(card.name)  # which network of 8 bits it is, is known now
        told.append({"name": card.name, "path": str(found.folder), "fresh": fresh, **found.record})
        if not as_json:
            echo_text(f"{card.name}: {'compiled' if fresh else 'is compiled already'}: {compiled.summary(found)}")
    if as_json:
        echo_json(told)
