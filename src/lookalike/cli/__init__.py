"""The command line: a table of commands. A command's own module is loaded when it is called, and no sooner."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import logging
import os
import sys
from typing import NoReturn

import click

FOUND, NOTHING, USAGE, UNREADABLE, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes: found; nothing found; a request that cannot be met; some inputs were unreadable; Ctrl-C."""

COMMANDS = {
    "index": "Embed the images of a folder, or bring its collection up to date.",
    "search": "Find the images most like one image, or like each image of a folder.",
    "compare": "Tell how alike two images are, by every model.",
    "keypoints": "Find, draw and list the keypoints of an image.",
    "bench": "Find out which model is best for your own images, or for a published data set.",
    "audit": "Find out what a model goes by beside looks: groups, words, backgrounds.",
    "models": "List the models, tell all about one, or add a network of your own.",
    "votes": "Tell which model is better by the votes of those who compared lists blindly.",
    "serve": "Serve collections as a web page and a REST service.",
    "mcp": "Let assistants search and compare, by the Model Context Protocol.",
    "info": "Tell what a collection holds.",
    "export": "Write a model's vectors as FAISS, NumPy or Parquet files.",
    "import": "Make a collection from a FAISS index and its list of paths.",
    "doctor": "Tell what this machine can run, for bug reports.",
}


class Commands(click.Group):
    """Knows its commands by name and one line of help; imports `lookalike.cli.NAME` when NAME is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"lookalike.cli.{'import_' if cmd_name == 'import' else cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from lookalike import __version__

        click.echo(f"lookalike {__version__}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show it.")
def group() -> None:
    """Find images that look alike.

    \b
    lookalike index PHOTOS           embed a folder
    lookalike search IMAGE           find what looks like IMAGE
    lookalike compare A B            how alike two images are

    Exit codes: 0 found, 1 nothing found, 2 a request that cannot be met, 3 some inputs were unreadable,
    130 interrupted.
    """


def main() -> NoReturn:
    """The entry point: every error ends as one line on standard error and an exit code."""
    _hush_c_libraries()
    _tell_logs()
    try:
        code = group.main(standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = USAGE
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): say nothing, and keep Python from trying once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FOUND
    except OSError as error:
        _say(f"the output cannot be written: {error.strerror or error}")
        code = USAGE
        sys.stdout = None  # Python would try to flush it once more
    except Exception as error:  # noqa: BLE001 - the last door: nobody gets a bare traceback
        code = _explain(error)
    sys.exit(code if isinstance(code, int) else FOUND)


def _hush_c_libraries() -> None:
    """Codecs such as libtiff write remarks of their own on standard error: let only Python write there."""
    if os.environ.get("LOOKALIKE_DEBUG"):
        return
    with contextlib.suppress(OSError):  # standard error may be closed
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        faulthandler.enable(sys.stderr)  # a crash in a library must not go unseen


def _tell_logs() -> None:
    """What the library logs goes to standard error: warnings always, the rest to people at a terminal."""
    if sys.stderr is not None:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("lookalike: %(message)s"))
        log = logging.getLogger("lookalike")
        log.addHandler(handler)
        log.setLevel(logging.INFO if sys.stderr.isatty() else logging.WARNING)


def _explain(error: Exception) -> int:
    from lookalike.errors import LookalikeError, NoImages, UnreadableImage

    if os.environ.get("LOOKALIKE_DEBUG"):
        raise error
    if isinstance(error, LookalikeError):
        _say(str(error))
        return UNREADABLE if isinstance(error, UnreadableImage) else NOTHING if isinstance(error, NoImages) else USAGE
    _say(
        f"an error of Lookalike's own: {type(error).__name__}: {error}."
        " Please report it with the output of 'lookalike doctor' (LOOKALIKE_DEBUG=1 shows where it happened)"
    )
    return USAGE


def _say(message: str) -> None:
    """One line, in which names cannot move the cursor, nor hide what they are."""
    line = " ".join(message.split("\n"))
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    click.echo(f"lookalike: {shown}", err=True)
