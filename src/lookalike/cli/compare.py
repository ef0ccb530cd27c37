"""lookalike compare"""

from __future__ import annotations

import os

import click

import lookalike
from lookalike.cli.output import echo_json, echo_text, note, pooled, scores_json, table


@click.command()
@click.argument("a", type=click.Path())
@click.argument("b", type=click.Path())
@click.option("--model", "models", multiple=True, metavar="NAME", help="Repeat for several [all without a download].")
@click.option("--pool", metavar="HOW", help="How the models pool tokens, instead of their own way: mean, cls, ...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", type=click.Path(), metavar="FILE", help="Write a page with both pictures, too.")
def command(a: str, b: str, models: tuple[str, ...], pool: str | None, as_json: bool, html: str | None) -> None:
    """Tell how alike the images A and B are.

    The score is (cosine + 1) / 2: 1 for the same picture, 0.5 for nothing in common.

    \b
    lookalike compare a.jpg b.jpg
    lookalike compare a.jpg b.jpg --model sift --html why.html
    """
    result = lookalike.compare(os.path.abspath(a), os.path.abspath(b), models=pooled(models, pool))
    if as_json:
        echo_json({"a": result.a, "b": result.b, "scores": scores_json(result.scores)})
    else:
        rows = [(s.model, f"{s.cosine:+.4f}", f"{s.score:.4f}") for s in result.scores]
        for line in table([("model", "cosine", "score"), *rows]):
            echo_text(line)
    if html:
        result.save(html)
        note(f"Report: {os.path.abspath(html)}")
