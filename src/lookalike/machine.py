"""What a study was made on, and with: figures of speed depend on the one, copies and vectors on the other."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib import metadata
from typing import Any

from lookalike import __version__
from lookalike.models.tuning import processor, usable_cores

LIBRARIES = ("numpy", "pillow", "opencv-contrib-python-headless", "opencv-python-headless", "onnxruntime")
"""What pixels and vectors depend on, beside the models themselves."""


def machine() -> dict[str, Any]:
    """The processor, how many of its cores are ours, and the system."""
    return {"cpu": processor(), "cores": usable_cores(), "system": platform.platform(terse=True)}


def versions() -> dict[str, str]:
    """Of Python, of Lookalike, and of those LIBRARIES that are here."""
    found = {"python": platform.python_version(), "lookalike": __version__}
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
