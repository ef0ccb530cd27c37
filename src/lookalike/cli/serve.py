"""lookalike serve"""

from __future__ import annotations

import os
import threading
import webbrowser
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import click

from lookalike.cli import INTERRUPTED
from lookalike.cli.output import echo_text, note
from lookalike.errors import NoCollection
from lookalike.opening import nearest_collection
from lookalike.server import listening
from lookalike.server.app import create_app
from lookalike.server.settings import LOOPBACK, Settings
from lookalike.server.warming import warm

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - named only to be told apart


@click.command()
@click.argument("collections", nargs=-1, metavar="[COLLECTION]...", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8642, show_default=True, type=click.IntRange(0, 65535), help="0: any that is free.")
@click.option(
    "--token", metavar="T", envvar="LOOKALIKE_TOKEN", help="What clients must show [$LOOKALIKE_TOKEN, or nothing]."
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="Another name that it is asked under.")
@click.option(
    "--allow-remote", "remote", multiple=True, metavar="HOST", help="A host whose images may be fetched by URL."
)
def command(
    collections: tuple[Path, ...],
    host: str,
    port: int,
    token: str | None,
    opens: bool,
    hosts: tuple[str, ...],
    remote: tuple[str, ...],
) -> None:
    """Serve collections as a web page and a REST service [the collection of this folder, or of one above].

    Nobody but this machine can reach it, unless --host says so: then a --token is needed. Ctrl-C ends it.

    \b
    lookalike serve
    lookalike serve ~/photos ~/scans --open
    LOOKALIKE_TOKEN=$(openssl rand -hex 16) lookalike serve --host 0.0.0.0 --allow-host photos.lan
    """
    if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token and token):
        raise click.UsageError("--token: use letters, digits and signs of ASCII")
    names = (*LOOPBACK, *hosts) if host in EVERYWHERE else (*LOOPBACK, host, *hosts)
    settings = Settings(
        collections=collections or _nearest(), host=host, port=port, token=token or None, hosts=names, remote=remote
    )
    with listening.bind(settings) as listener:
        settings = replace(settings, port=listener.getsockname()[1])
        app = create_app(settings)
        with suppress(KeyboardInterrupt):
            threading.Thread(target=warm, args=(app.state.service,), name="warm", daemon=True).start()
            address = _address(settings)
            echo_text(f"Lookalike: {address} (Ctrl-C ends it)")
            if host in EVERYWHERE and not hosts:
                note("other machines reach it only under names that --allow-host NAME gives: none was given")
            if opens and not webbrowser.open(address):
                note("no browser could be opened here: open the address by hand")
            listening.server(app, settings).run([listener])
        # Threads may be deep in a library, which loads a model or embeds: it would abort if Python ended under it. (No
        # KeyboardInterrupt comes where a shell had Ctrl-C ignored, as it does for what it runs in the background.)
        note("lookalike: interrupted")
        os._exit(INTERRUPTED)


def _nearest() -> tuple[Path, ...]:
    try:
        return (nearest_collection().directory,)
    except NoCollection as error:
        note(str(error))
        return ()


def _address(settings: Settings) -> str:
    """Where a visitor of this machine finds the page; whoever has the address comes in."""
    name = LOOPBACK[0] if settings.host in EVERYWHERE else settings.host
    page = f"http://{f'[{name}]' if ':' in name else name}:{settings.port}/"
    return f"{page}?{urlencode({'token': settings.token})}" if settings.token else page
