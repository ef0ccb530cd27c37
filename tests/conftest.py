"""What every test may use: real photos, and the shared test material where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of test material (photos, flags, networks) that no user's clone has."""
    folder = Path(os.environ.get("LOOKALIKE_SHARED") or ROOT.parent / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared test material at {folder}: set LOOKALIKE_SHARED to its folder")
    return folder


@pytest.fixture(autouse=True)
def _own_models(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the models that this machine's user has registered."""
    monkeypatch.setenv("LOOKALIKE_MODELS", str(tmp_path_factory.mktemp("models")))
