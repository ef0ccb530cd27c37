"""lookalike search"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence

import click

import lookalike
from lookalike.cli import FOUND, NOTHING, UNREADABLE
from lookalike.cli.output import columns_text, echo_json, echo_paths, echo_text, hits_json, note, pooled
from lookalike.collection import Answer, Collection
from lookalike.errors import NoImages, UnreadableImage
from lookalike.images import MAX_BYTES
from lookalike.models import registry
from lookalike.opening import nearest_collection
from lookalike.report import SearchSection, write
from lookalike.scan import scan
from lookalike.types import Hits, Term

STDIN = "-"


@click.command()
@click.argument("queries", nargs=-1, metavar="[QUERY]...", type=click.Path())
@click.option("--text", "texts", multiple=True, metavar="WORDS[:W]", help="Words, for models that read them.")
@click.option("--image", "pictures", multiple=True, metavar="FILE[:W]", help="An image, to be mixed with words.")
@click.option("--not", "without", multiple=True, metavar="WORDS[:W]", help="Words or an image to keep away from.")
@click.option("--pool", metavar="HOW", help="How the models pool tokens, instead of their own way: mean, cls, ...")
@click.option("--collection", metavar="DIR", type=click.Path(), help="[the one of this folder, or of one above]")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Repeat for several [all of the collection's].")
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
    collection: str | None,
    models: tuple[str, ...],
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

    The score is (cosine + 1) / 2: 1 for the same picture, 0.5 for nothing in common.

    \b
    lookalike search cat.jpg
    lookalike search --text "a red bus at night" --model clip
    lookalike search --image b.jpg --text "snow:0.7" --not people --model clip
    lookalike search cat.jpg --model sift --model color -k 20 --html cats.html
    curl -s URL | lookalike search - --collection ~/photos --paths
    """
    terms = [_term(t) for t in texts] + [_term(p, is_image=True) for p in pictures] + [_term(w, -1) for w in without]
    if bool(terms) == bool(queries):
        raise click.UsageError("give a QUERY (an image, a folder or -), or words with --text, not both")
    where = lookalike.open(collection) if collection else nearest_collection()
    models = tuple(pooled(models, pool))
    if not models:
        for problem in where.unusable():
            note(f"left out: {problem}")
    answers: list[Answer] = []
    columns: list[Hits] = []
    stdin = sys.stdin.buffer.read(MAX_BYTES + 1) if STDIN in queries else b""
    if terms:
        found = _search_terms(where, terms, models, k, include_self)
    else:
        found = _answers(where, queries, stdin, models, k, include_self, workers)
    for answer in found:
        if answer.reason is not None:
            note(f"unreadable: {answer.query}: {answer.reason}: give an image file, a folder or -")
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


def _answers(
    where: Collection,
    queries: Sequence[str],
    stdin: bytes,
    models: Sequence[str],
    k: int,
    include_self: bool,
    workers: int | None,
) -> Iterator[Answer]:
    """In the order of the queries, files in one go, so that several are embedded at a time."""
    files: list[str] = []
    for query in queries:
        if query == STDIN:
            yield from where.search_files(files, models=models, k=k, include_self=include_self, workers=workers)
            files = []
            yield _search_bytes(where, stdin, models, k)
        elif os.path.isdir(query):
            found = scan(os.path.abspath(query))
            if not found.images:
                raise NoImages(f"{query}: no images in this folder ({found.ignored} other files): name another")
            files += [file.path for file in found.images]
        else:
            files.append(os.path.abspath(query))
    yield from where.search_files(files, models=models, k=k, include_self=include_self, workers=workers)


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


def _search_terms(
    where: Collection, terms: Sequence[Term], models: Sequence[str], k: int, include_self: bool
) -> Iterator[Answer]:
    names = _names(where, models)
    if not models and any(term.text is not None for term in terms):
        names = [name for name in names if registry.card(name).texts] or names
    columns = [where.search_terms(terms, model=name, k=k, include_self=include_self) for name in names]
    yield Answer(columns[0].query, tuple(columns))


def _names(where: Collection, models: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(models)) or where.usable()


def _search_bytes(where: Collection, data: bytes, models: Sequence[str], k: int) -> Answer:
    try:
        return Answer(STDIN, tuple(where.search(data, model=name, k=k) for name in _names(where, models)))
    except UnreadableImage as error:
        return Answer(STDIN, reason=error.reason)


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
