"""The flags study run as it is run, but in this process, on a folder of made-up flags."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT, Result
from tests.examples.drawn_flags import draw_flags

FLAGS = ROOT / "examples" / "flags"


def module(name: str) -> ModuleType:
    """One of the example's files, which import each other as scripts do: by their folder."""
    sys.path.insert(0, str(FLAGS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FLAGS))


Study = Callable[..., Result]


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Study:
    """(folder, options ...)"""

    def run(folder: Path, *options: str | Path) -> Result:
        own = ("--pairs", folder.parent / "pairs.csv", "--names", folder.parent / "names.csv")
        monkeypatch.setattr(sys, "argv", ["study.py", *map(str, (folder, *own, *options))])
        code = module("study").main()
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def flags(tmp_path: Path) -> Path:
    draw_flags(tmp_path / "flags")
    return tmp_path / "flags"
