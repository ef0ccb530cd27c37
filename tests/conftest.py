"""What every test may use: real photos, and the shared test material where it is at hand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
COMMAND = str(Path(sys.executable).with_name("lookalike"))


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
    monkeypatch.setenv("LOOKALIKE_COMPILE", "no")  # but where a test is about compiling: it takes seconds


NETWORKS = {"xfeat": "xfeat.onnx", "alike": "alike_n.onnx", "lighterglue": "lighterglue_L3.onnx"}


@pytest.fixture
def add_network(shared: Path) -> Callable[[str], None]:
    """Registers a real network of local features by name, from the shared test material."""
    from lookalike.keypoints import networks

    def add(name: str) -> None:
        networks.add(name, str(shared / "models" / NETWORKS[name]))

    return add


PHOTOS = ("astronaut", "cat", "coffee", "rocket", "coins", "camera", "hubble_deep_field", "immunohistochemistry")


@pytest.fixture(scope="session")
def photo_pixels() -> dict[str, np.ndarray]:
    """Real photos that scikit-image ships, by name, at most 320 pixels long: (h, w, 3) uint8."""
    data = pytest.importorskip("skimage.data")
    found = {}
    for name in PHOTOS:
        image = Image.fromarray(getattr(data, name)()).convert("RGB")
        image.thumbnail((320, 320))
        found[name] = np.asarray(image)
    return found


@pytest.fixture
def photos(tmp_path: Path, photo_pixels: dict[str, np.ndarray]) -> Path:
    """A folder of eight real photos in two folders, a smaller copy of the cat, and a text file."""
    return write_photos(tmp_path, photo_pixels)


def write_photos(home: Path, photo_pixels: dict[str, np.ndarray]) -> Path:
    folder = home / "photos"
    (folder / "more").mkdir(parents=True)
    for i, (name, pixels) in enumerate(photo_pixels.items()):
        Image.fromarray(pixels).save(folder / ("more" if i % 2 else "") / f"{name}.jpg", quality=92)
    cat = Image.fromarray(photo_pixels["cat"])
    cat.resize((cat.width * 2 // 3, cat.height * 2 // 3)).save(folder / "cat small.png")
    (folder / "notes.txt").write_text("not an image")
    return folder


@dataclass
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run_command(*arguments: str | Path, cwd: Path | None = None, stdin: bytes = b"", **environment: str) -> Result:
    """Run a command with warnings as errors, for two minutes at most."""
    done = subprocess.run(
        [os.fspath(argument) for argument in arguments],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        env={**os.environ, "PYTHONWARNINGS": "error", **environment},
        timeout=120,
    )
    return Result(done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr))


@pytest.fixture
def lookalike_cli() -> Callable[..., Result]:
    """Run the real command in a process of its own."""
    return partial(run_command, COMMAND)


@pytest.fixture
def lookalike_read_only() -> Callable[..., Result]:
    """Run the real command while a folder is mounted read-only: (folder, arguments ...)."""
    if shutil.which("unshare") is None or run_command("unshare", "--mount", "true").code:
        pytest.skip("no folder can be mounted read-only here: that takes root and Linux's unshare")

    def run(folder: Path, *arguments: str | Path) -> Result:
        script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
        return run_command("unshare", "--mount", "bash", "-c", script, "bash", folder, COMMAND, *arguments)

    return run
