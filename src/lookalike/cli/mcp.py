"""lookalike mcp"""

from __future__ import annotations

from pathlib import Path

import click

from lookalike.errors import UsageError
from lookalike.opening import nearest_collection
from lookalike.server.service import start
from lookalike.server.settings import Settings


@click.command()
@click.argument("collections", nargs=-1, metavar="[COLLECTION]...", type=click.Path(path_type=Path))
def command(collections: tuple[Path, ...]) -> None:
    """Let an assistant search and compare, by the Model Context Protocol, on standard input and output.

    The assistant starts it: name this command in its settings. Without COLLECTION it is the one of the folder where it
    is started, or of one above.

    \b
    lookalike mcp ~/photos
    """
    try:
        from lookalike.server.mcp import mcp_server
    except ImportError:
        raise UsageError("the Model Context Protocol needs an extra: pip install 'lookalike[mcp]'") from None
    service = start(Settings(collections=collections or (nearest_collection().directory,)))
    try:
        mcp_server(service).run()
    finally:
        service.close()
