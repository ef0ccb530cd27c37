"""lookalike export"""

from __future__ import annotations

from typing import Literal

import click

import lookalike
from lookalike.cli.output import echo_text
from lookalike.errors import UsageError
from lookalike.exchange import write_faiss, write_npy, write_parquet
from lookalike.opening import nearest_collection


@click.command()
@click.option("--collection", metavar="DIR", type=click.Path(), help="[the one of this folder, or of one above]")
@click.option("--model", metavar="NAME", help="[the collection's first]")
@click.option("--faiss", type=click.Path(), metavar="FILE.index", help="A flat FAISS index, with FILE.paths.json.")
@click.option("--metric", type=click.Choice(["ip", "l2"]), default="ip", show_default=True, help="Of the FAISS index.")
@click.option("--npy", type=click.Path(), metavar="FILE.npy", help="A NumPy array, with FILE.paths.json.")
@click.option("--parquet", type=click.Path(), metavar="FILE.parquet", help="A table: path, vector, metadata.")
def command(
    collection: str | None,
    model: str | None,
    faiss: str | None,
    metric: Literal["ip", "l2"],
    npy: str | None,
    parquet: str | None,
) -> None:
    """Write a model's unit vectors, one row an image file.

    \b
    lookalike export --collection ~/photos --model sift --faiss sift.index
    lookalike export --model sift --npy sift.npy --parquet sift.parquet
    """
    if not (faiss or npy or parquet):
        raise click.UsageError("say what to write: --faiss FILE.index, --npy FILE.npy or --parquet FILE.parquet")
    where = lookalike.open(collection) if collection else nearest_collection()
    if not where.models:
        raise UsageError(f"{where.directory}: nothing is indexed here yet: run 'lookalike index FOLDER'")
    name = model or where.models[0]
    if faiss:
        echo_text(f"{write_faiss(where, name, faiss, metric)} vectors of {name}: {faiss}")
    if npy:
        echo_text(f"{write_npy(where, name, npy)} vectors of {name}: {npy}")
    if parquet:
        echo_text(f"{write_parquet(where, name, parquet)} vectors of {name}: {parquet}")
