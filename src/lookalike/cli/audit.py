"""lookalike audit"""

from __future__ import annotations

import os

import click

from lookalike.auditing import Audit, audit, words
from lookalike.auditing.probes import IMAGES
from lookalike.cli.output import echo_json, echo_text, note, progress, shortened, spared, table
from lookalike.errors import UsageError


@click.command()
@click.argument("collection", type=click.Path())
@click.option("--model", required=True, metavar="NAME", help="The model that is audited.")
@click.option("--visual", multiple=True, required=True, metavar="NAME", help="One that sees looks alone; repeatable.")
@click.option("--groups", type=click.Path(), metavar="FILE", help="CSV: an image's path or name, then its labels.")
@click.option("--column", "columns", multiple=True, metavar="NAME", help="A column of labels; repeatable [all].")
@click.option(
    "--probes", default=IMAGES, show_default=True, type=click.IntRange(0, 1000), metavar="N", help="Pictures to probe."
)
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0), help="Of whatever is drawn by lot.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
@click.option("--html", type=click.Path(), metavar="FILE", help="Write a page with the pictures, too.")
def command(
    collection: str,
    model: str,
    visual: tuple[str, ...],
    groups: str | None,
    columns: tuple[str, ...],
    probes: int,
    seed: int,
    as_json: bool,
    html: str | None,
) -> None:
    """Find out what a model of COLLECTION goes by beside looks.

    Which pairs it joins or parts against their looks; with --groups, whether groups of images (regions, languages,
    brands) explain its neighbours beyond what they look like; and, by pictures made for it, whether it goes by words
    that are written on them, or by backgrounds. Looks are what the --visual models see: the more, the surer; a network
    that was taught something else is a good one.

    All models must be in the collection.

    \b
    lookalike audit flags --model clip --visual layout --visual sift --groups regions.csv --html audit.html
    """
    spared("--html", html, ())
    if html and not os.path.isdir(os.path.dirname(os.path.abspath(html))):  # before minutes of work
        raise UsageError(f"--html {html}: no such folder: name a file in one that exists")
    with progress(unit="") as tell:
        found = audit(
            collection, model, visual, groups_file=groups, columns=columns, probed=probes, seed=seed, progress=tell
        )
    for line in found.notes:
        note(line)
    if as_json:
        echo_json(found.to_json())
    else:
        _tell(found)
    if html:
        found.save_html(html)
        note(f"Report: {os.path.abspath(html)}")


def _tell(found: Audit) -> None:
    for title, pairs in ((words.joined(found), found.pairs.joins), (words.parted(found), found.pairs.parts)):
        echo_text(title)
        names = shortened([image.path for pair in pairs for image in (pair.a, pair.b)])
        rows = [["", "", *(f"rank by {name}" for name in (found.model, *found.visual))]] if pairs else []
        rows += [[names[p.a.path], names[p.b.path], *(f"{each.rank:,}" for each in p.standings)] for p in pairs]
        _table(rows)
    for column in found.groups or ():
        echo_text(words.grouping(found, column))
        _table(words.effects(found, column))
    if found.probes:
        echo_text(words.typographic(found, found.probes))
        rows = [["", "blank label", "strokes", "word", "word less strokes", "captured by the word"]]
        rows += [
            [
                r.model,
                *(words.span(each) for each in (r.blank, r.strokes, r.word, r.effect)),
                words.shares(r.captured_by_word),
            ]
            for r in found.probes.typographic
        ]
        _table(rows)
        echo_text(words.context(found, found.probes))
        rows = [["", "on grey", "before another", "the difference", "taken for what is behind"]]
        rows += [
            [
                r.model,
                *(words.span(each) for each in (r.missing, r.other, r.effect)),
                words.shares(r.taken_for_background),
            ]
            for r in found.probes.context
        ]
        _table(rows)


def _table(rows: list[list[str]]) -> None:
    for line in table(rows) if rows else ():
        echo_text(f"  {line}")
    echo_text()
