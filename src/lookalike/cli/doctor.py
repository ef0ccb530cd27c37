"""lookalike doctor"""

from __future__ import annotations

import os
import platform
import socket
import sqlite3
import sys
from importlib import metadata
from urllib.parse import urlsplit

import click

from lookalike import __version__
from lookalike.cli.output import echo_json, echo_text, table
from lookalike.models import compiled, registry
from lookalike.models.tuning import usable_cores
from lookalike.models.weights import models_folder

PACKAGES = (
    "numpy",
    "pillow",
    "opencv-contrib-python-headless",
    "faiss-cpu",
    "onnxruntime",
    "pillow-heif",
    "pillow-jxl-plugin",
    "pyarrow",
    "torch",
    "transformers",
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--offline", is_flag=True, help="Do not ask whether the model hub can be reached.")
def command(as_json: bool, offline: bool) -> None:
    """Tell what this machine can run, for bug reports.

    Asks the model hub for a connection, unless --offline or HF_HUB_OFFLINE is set; nothing is sent.
    """
    facts = {
        "lookalike": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": usable_cores(),
        "device": _device(),
        "sqlite": sqlite3.sqlite_version,
        **{name: _version(name) for name in PACKAGES},
        "models folder": str(models_folder()),
        "compiled networks": "{} ({:.0f} MB)".format(*_compiled()),
        "hub": _hub(offline),
        "file names": sys.getfilesystemencoding(),
    }
    obstacles = {
        card.name: problem and problem.command
        for card in registry.cards().values()
        for problem in [registry.obstacle(card)]
    }
    if as_json:
        echo_json({**facts, "models": obstacles})
        return
    for line in table([(name, str(value)) for name, value in facts.items()]):
        echo_text(line)
    echo_text()
    for line in table([(name, problem or "runs") for name, problem in obstacles.items()]):
        echo_text(line)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _compiled() -> tuple[int, float]:
    count, size = compiled.usage()
    return count, size / 1e6


def _device() -> str:
    import onnxruntime

    gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    return "cpu (a CUDA build of onnxruntime is installed, and not used)" if gpu else "cpu"


def _hub(offline: bool) -> str:
    hub = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    if offline or os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return "not asked (offline)"
    try:
        with socket.create_connection((hub.hostname or "", hub.port or 443), timeout=3):
            return f"{hub.hostname} can be reached"
    except OSError as error:
        return f"{hub.hostname} cannot be reached ({error}): models that need a download must be copied here"
