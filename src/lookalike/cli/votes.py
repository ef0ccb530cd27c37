"""lookalike votes"""

from __future__ import annotations

import click

import lookalike
from lookalike.cli import FOUND, NOTHING
from lookalike.cli.output import echo_json, echo_text, note, table
from lookalike.errors import NoCollection
from lookalike.opening import nearest_collection
from lookalike.stats import Interval
from lookalike.voting import Tally, tally


@click.command()
@click.argument("collection", required=False, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, collection: str | None, as_json: bool) -> None:
    """Sum up the votes on a collection's models [the collection of this folder, or of one above].

    \b
    lookalike serve PHOTOS           vote on its page "Vote"
    lookalike votes PHOTOS           what came of it
    """
    where = lookalike.open(collection) if collection else nearest_collection()
    if not where.exists:
        raise NoCollection(f"{where.directory}: nothing is indexed here yet: run 'lookalike index FOLDER'")
    found = tally(where)
    if found.damaged:
        note(f"{where.directory}: lines of the votes that cannot be read: {found.damaged:,}")
    if found.outdated:
        note(f"{where.directory}: votes on models or revisions that are not there any more: {found.outdated:,}")
    if as_json:
        echo_json(found.to_json())
    elif found.votes:
        _show(found)
    else:
        note(f"{where.directory}: no votes yet: run 'lookalike serve' and vote on its page \"Vote\"")
    ctx.exit(FOUND if found.votes else NOTHING)


def _show(found: Tally) -> None:
    echo_text(f"{found.votes:,} votes on {found.queries:,} images ({found.skipped:,} skipped)")
    echo_text()
    rows = [["model", "votes", "won"], *([one.model, str(one.votes), _told(one.share)] for one in found.standings)]
    if any(one.strength for one in found.standings):
        strengths = [_told(one.strength, "{:+.2f}") if one.strength else "" for one in found.standings]
        rows = [[*row, cell] for row, cell in zip(rows, ["strength", *strengths], strict=True)]
    for line in table(rows):
        echo_text(line)
    echo_text()
    for duel in found.duels:
        echo_text(duel.verdict)


def _told(figure: Interval, form: str = "{:.0%}") -> str:
    return f"{form.format(figure.value)} [{form.format(figure.low)}, {form.format(figure.high)}]"
