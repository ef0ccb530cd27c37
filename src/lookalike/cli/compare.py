"""lookalike compare"""

from __future__ import annotations

import os
from contextlib import suppress

import click

import lookalike
from lookalike.cli.output import (
    echo_json,
    echo_text,
    evidence_json,
    in_ways,
    note,
    scores_json,
    spared,
    table,
)
from lookalike.collection import Collection
from lookalike.comparison import Comparison
from lookalike.errors import NoCollection
from lookalike.explaining import Explanation, explain, standing
from lookalike.explaining.explanation import ending
from lookalike.explaining.panels import chance, verdict
from lookalike.keypoints.methods import METHODS
from lookalike.models.aspects import ASPECTS
from lookalike.opening import nearest_collection


@click.command()
@click.argument("a", type=click.Path())
@click.argument("b", type=click.Path())
@click.option("--model", "models", multiple=True, metavar="NAME", help="Repeat for several [all without a download].")
@click.option("--pool", metavar="HOW", help="How the models pool tokens, instead of their own way: mean, cls, ...")
@click.option("--aspect", type=click.Choice(ASPECTS), help="How the models fit pictures in, instead of their own way.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", type=click.Path(), metavar="FILE", help="Write a page with both pictures, too.")
@click.option("--why", type=click.Path(), metavar="FILE", help="Write a picture (.png) or page (.html) that says why.")
@click.option("--method", type=click.Choice(list(METHODS)), help="With --why: whose keypoints are matched [sift].")
@click.option("--mirror", is_flag=True, help="With --why: match the mirrored A, too.")
@click.option(
    "--collection",
    metavar="DIR",
    type=click.Path(),
    help="With --why: whose pictures tell what is usual [the one that holds A or B].",
)
def command(
    a: str,
    b: str,
    models: tuple[str, ...],
    pool: str | None,
    aspect: str | None,
    as_json: bool,
    html: str | None,
    why: str | None,
    method: str | None,
    mirror: bool,
    collection: str | None,
) -> None:
    """Tell how alike the images A and B are, and why.

    The score is (cosine + 1) / 2: 1 for the same picture, 0.5 for nothing in common. With --why: which keypoints
    agree on how A was moved, turned and scaled to B, what differs then, which parts count for which model, and what
    scores are usual for pictures that have nothing to do with each other.

    \b
    lookalike compare a.jpg b.jpg
    lookalike compare a.jpg b.jpg --model sift --html both.html
    lookalike compare a.jpg b.jpg --mirror --why why.html
    """
    paths = os.path.abspath(a), os.path.abspath(b)
    names = in_ways(models, pool, aspect)
    for option, file in (("--html", html), ("--why", why)):
        spared(option, file, paths)
    if why is None:
        for option, given in (("--method", method), ("--mirror", mirror), ("--collection", collection)):
            if given:
                raise click.UsageError(f"{option} needs --why FILE")
        result, explanation = lookalike.compare(*paths, models=names), None
    else:
        ending(why)  # said before all the work
        where = lookalike.open(collection) if collection else _holding(paths)
        explanation = explain(*paths, models=names, method=method or "sift", collection=where, mirror=mirror)
        result = explanation.comparison
    _tell(result, explanation, as_json)
    if html:
        result.save(html)
        note(f"Report: {os.path.abspath(html)}")
    if why and explanation:
        explanation.save(why)
        note(f"Why: {os.path.abspath(why)}")


def _holding(paths: tuple[str, str]) -> Collection | None:
    """The collection that holds one of the files, if there is one."""
    for path in paths:
        with suppress(NoCollection):
            found = nearest_collection(os.path.dirname(path))
            if standing.holds(found, path):
                return found
    return None


def _tell(result: Comparison, explanation: Explanation | None, as_json: bool) -> None:
    known = explanation.standings if explanation else {}
    if as_json:
        scores, further = scores_json(result.scores), {}
        if explanation:
            scores = [{**score, "usual": standing.as_plain(known, score["model"])} for score in scores]
            further = {"evidence": evidence_json(explanation.evidence)}
        echo_json({"a": result.a, "b": result.b, "scores": scores, **further})
        return
    rows = [["model", "cosine", "score", *(["usual", "higher than"] if known else [])]]
    for score in result.scores:
        row = [score.model, f"{score.cosine:+.4f}", f"{score.score:.4f}"]
        if own := known.get(score.model):
            row += [f"{own.usual.mean:+.4f} ± {own.usual.deviation:.4f}", standing.told(own)]
        rows.append(row + [""] * (len(rows[0]) - len(row)))
    for line in table(rows):
        echo_text(line)
    if explanation:
        echo_text(verdict(explanation))
        if likely := chance(explanation):
            echo_text(likely)
