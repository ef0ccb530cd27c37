"""lookalike search"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

import click
from click.core import ParameterSource

import lookalike
from lookalike.cli import FOUND, NOTHING, UNREADABLE
from lookalike.cli.asking import STDIN, Asked
from lookalike.cli.output import (
    columns_text,
    echo_json,
    echo_paths,
    echo_text,
    hits_json,
    in_ways,
    note,
    spared,
)
from lookalike.collection import Answer, Collection
from lookalike.fusion import WAYS, Fuse
from lookalike.images import MAX_BYTES
from lookalike.indexing import existing_folder
from lookalike.keypoints.methods import METHODS
from lookalike.models.aspects import ASPECTS
from lookalike.opening import nearest_collection
from lookalike.report import SearchSection, write
from lookalike.reranking import TOP
from lookalike.types import Hits, Only, Term
from lookalike.views import Views


class _Command(click.Command):
    """With `--verify` alone for `--verify=50`: a value of its own it takes only behind "=", and never a QUERY."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ended = args.index("--") if "--" in args else len(args)
        whole = [f"--verify={TOP}" if each == "--verify" else each for each in args[:ended]]
        return super().parse_args(ctx, whole + args[ended:])


def _date(_: click.Context, option: click.Parameter, text: str | None) -> str | None:
    """A year, a month, a day, or a day with a time."""
    if text is None or re.fullmatch(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d)?)?)?)?)?", text):
        return text
    raise click.BadParameter(f"{text!r} is no date: write 2024, 2024-05, 2024-05-17 or 2024-05-17T18:30", param=option)


@click.command(cls=_Command)
@click.argument("queries", nargs=-1, metavar="[QUERY]...", type=click.Path())
@click.option("--text", "texts", multiple=True, metavar="WORDS[:W]", help="Words, for models that read them.")
@click.option("--image", "pictures", multiple=True, metavar="FILE[:W]", help="An image, to be mixed with words.")
@click.option("--not", "without", multiple=True, metavar="WORDS[:W]", help="Words or an image to keep away from.")
@click.option("--pool", metavar="HOW", help="How the models pool tokens, instead of their own way: mean, cls, ...")
@click.option("--aspect", type=click.Choice(ASPECTS), help="How the models fit pictures in, instead of their own way.")
@click.option("--collection", metavar="DIR", type=click.Path(), help="[the one of this folder, or of one above]")
@click.option("--in", "folder", metavar="FOLDER", type=click.Path(), help="Find only what lies below FOLDER.")
@click.option(
    "--since", metavar="DATE", callback=_date, help="Find only what was taken on DATE or later: 2024-05, say."
)
@click.option("--until", metavar="DATE", callback=_date, help="Find only what was taken on DATE or before.")
@click.option("--least", metavar="PIXELS", type=click.IntRange(min=1), help="Of the longer side of what is found.")
@click.option("--most", metavar="PIXELS", type=click.IntRange(min=1), help="Of the longer side of what is found.")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Repeat for several [all of the collection's].")
@click.option(
    "--verify", type=click.IntRange(1, 1000), metavar="[=N]", help=f"Verify the first N [{TOP}] hits by keypoints."
)
@click.option("--method", type=click.Choice(list(METHODS)), default="sift", help="Whose keypoints verify [sift].")
@click.option("--mirror", is_flag=True, help="Look for the mirrored query, too.")
@click.option("--crops", is_flag=True, help="Look for parts of the query, too: of screenshots, collages.")
@click.option(
    "--fuse",
    type=click.Choice(WAYS),
    default="scores",
    help="How NAME+NAME are made one: by scores, or by ranks, where 1 is the first of all [scores].",
)
@click.option("-k", default=10, show_default=True, type=click.IntRange(min=1), help="Hits a query and model.")
@click.option("--json", "form", flag_value="json", help="One JSON array of all results.")
@click.option("--jsonl", "form", flag_value="jsonl", help="One JSON object a query and model.")
@click.option("--paths", "form", flag_value="paths", help="Only the paths of the hits, a line each.")
@click.option("-0", "form", flag_value="null", help="Only the paths, each ended by a null byte, for xargs -0.")
@click.option("--html", type=click.Path(), metavar="FILE", help="Write a page with the pictures, too.")
@click.option("--include-self", is_flag=True, help="Let an image of the collection find itself.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Queries worked on at a time [the cores].")
@click.pass_context
def command(
    ctx: click.Context,
    queries: tuple[str, ...],
    texts: tuple[str, ...],
    pictures: tuple[str, ...],
    without: tuple[str, ...],
    pool: str | None,
    aspect: str | None,
    collection: str | None,
    folder: str | None,
    since: str | None,
    until: str | None,
    least: int | None,
    most: int | None,
    models: tuple[str, ...],
    verify: int | None,
    method: str,
    mirror: bool,
    crops: bool,
    fuse: Fuse,
    k: int,
    form: str | None,
    html: str | None,
    include_self: bool,
    workers: int | None,
) -> None:
    """Find the images most like QUERY: an image file, a folder (each image in it is a query), or - for an image on
    standard input.

    With --text, --image and --not, which mix, there is one query: the sum of their vectors, each as often as its
    weight W says (1, if nothing). Words that are the name of a file mean that image.

    The score is (cosine + 1) / 2: 1 for the same picture, 0.5 for nothing in common. Names joined by + make one
    ranking. With --verify, what shares keypoints with the query in one geometric arrangement comes first.

    \b
    lookalike search cat.jpg
    lookalike search cat.jpg --model sift+phash --mirror --verify
    lookalike search cat.jpg --in holidays --since 2023 --until 2024-06
    lookalike search --text "a red bus at night" --model clip
    lookalike search --image b.jpg --text "snow:0.7" --not people --model clip
    lookalike search cat.jpg --model sift --model color -k 20 --html cats.html
    curl -s URL | lookalike search - --collection ~/photos --paths
    """
    terms = [_term(t) for t in texts] + [_term(p, is_image=True) for p in pictures] + [_term(w, -1) for w in without]
    if bool(terms) == bool(queries):
        raise click.UsageError("give a QUERY (an image, a folder or -), or words with --text, not both")
    where = lookalike.open(collection) if collection else nearest_collection()
    models = tuple(in_ways(models, pool, aspect))
    if not models:
        for problem in where.unusable():
            note(f"left out: {problem}")
    if terms and (verify or mirror or crops):
        raise click.UsageError(
            "--verify, --mirror and --crops look at the image of a QUERY: leave --text and --image out"
        )
    if not verify and ctx.get_parameter_source("method") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--method needs --verify: say that hits are to be verified by keypoints")
    if html:
        spared("--html", html, queries)
    views = Views(mirror=mirror, crops=crops, fuse=fuse)
    only = Only(existing_folder(folder) if folder else None, since, until, least, most)
    asked = Asked(where, models, k, include_self, workers, views, verify or 0, method, only)
    answers: list[Answer] = []
    columns: list[Hits] = []
    stdin = sys.stdin.buffer.read(MAX_BYTES + 1) if STDIN in queries else b""
    found = asked.terms(terms) if terms else asked.queries(queries, stdin)
    for answer in found:
        if answer.reason is not None:
            number = os.path.basename(answer.query)
            taken = verify and number.isdecimal() and not os.path.exists(answer.query)
            remedy = (
                f"to verify {number} hits write --verify={number}" if taken else "give an image file, a folder or -"
            )
            note(f"unreadable: {answer.query}: {answer.reason}: {remedy}")
        for hits in answer.columns:
            if form == "jsonl":
                echo_json(hits_json(hits))
        if form is None and answer.columns:
            _show(answer)
        columns += answer.columns
        answers.append(answer)
    if form == "json":
        echo_json([hits_json(hits) for hits in columns])
    elif form in ("paths", "null"):
        echo_paths([hit.path for hits in columns for hit in hits], b"\n" if form == "paths" else b"\0")
    if html:
        _write_page(html, where, answers, stdin, words=bool(terms))
    if any(answer.reason is not None for answer in answers):
        ctx.exit(UNREADABLE)
    ctx.exit(FOUND if any(len(hits) for hits in columns) else NOTHING)


def _term(text: str, sign: int = 1, is_image: bool = False) -> Term:
    """WORDS or FILE, with a weight behind a colon if there is one. The name of a file means the image."""
    weight = 1.0
    if not os.path.exists(text):
        head, colon, tail = text.rpartition(":")
        if colon and re.fullmatch(r"\d+(\.\d*)?|\.\d+", tail):
            text, weight = head, float(tail)
    if is_image or os.path.exists(text):
        return Term(image=os.path.abspath(text), weight=sign * weight)
    if not text.strip():
        raise click.UsageError("no words: give some with --text")
    return Term(text=text, weight=sign * weight)


def _show(answer: Answer) -> None:
    echo_text("standard input" if answer.query == STDIN else answer.query)
    if any(len(hits) for hits in answer.columns):
        for line in columns_text(answer.columns):
            echo_text(line)
    else:
        echo_text("  nothing found")
    echo_text()


def _write_page(html: str, where: Collection, answers: Sequence[Answer], stdin: bytes, words: bool) -> None:
    sections = [
        SearchSection(answer.query, answer.columns, stdin if answer.query == STDIN else None, words)
        for answer in answers
        if answer.columns
    ]
    if sections:
        write(html, sections, title="Images that look alike", kept=where.thumbnail)
        note(f"Report: {os.path.abspath(html)}")
