"""lookalike import"""

from __future__ import annotations

import click

from lookalike.cli import FOUND, UNREADABLE
from lookalike.cli.output import echo_text, note, progress
from lookalike.collection import Collection
from lookalike.exchange import read_faiss


@click.command("import")
@click.option("--faiss", required=True, type=click.Path(), metavar="FILE.index", help="The index.")
@click.option("--paths", required=True, type=click.Path(), metavar="FILE.json", help="A JSON list of image paths.")
@click.option("--model", required=True, metavar="NAME", help="What made the vectors.")
@click.option("--into", required=True, type=click.Path(), metavar="DIR", help="The collection.")
@click.pass_context
def command(ctx: click.Context, faiss: str, paths: str, model: str, into: str) -> None:
    """Make a collection, or add to one, from a FAISS index and the paths of its images, in the same order.

    Where NAME is a model of this machine, a few images are embedded to see whether the vectors are its own; then
    any image can be searched with. Otherwise images of the collection can.

    \b
    lookalike import --faiss clip.index --paths paths.json --model my-clip --into ~/imported
    """
    with progress() as tell:
        taken, left_out, any_query = read_faiss(faiss, paths, model, Collection(into), tell)
    for path in left_out:
        note(f"left out: {path}: missing or unreadable")
    queries = "any image can be a query" if any_query else "queries must be images of the collection"
    echo_text(f"{taken} vectors of {model} imported into {into}, {len(left_out)} left out; {queries}")
    ctx.exit(UNREADABLE if left_out else FOUND)
