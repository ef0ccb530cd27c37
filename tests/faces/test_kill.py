"""A run of `lookalike index` that is killed, or ended with Ctrl-C, loses only the batch in hand."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike.store import Reader
from tests.conftest import COMMAND, Result

MANY = 1500

HALTING = """
import os
import time

import lookalike

seen = 0


@lookalike.model("halting", dim=3, size=(8, 8))
def halting(pixels):
    global seen
    seen += len(pixels)
    while seen > 1000 and not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)
    return pixels.mean(axis=(1, 2)) + 1
"""
"""A model that waits after a thousand pictures: a run with it cannot end before it is stopped."""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(3)
    for n in range(MANY):
        pixels = np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((20, 20, 1))).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{n:04}.jpg")
    return folder


StartAndStop = Callable[[Path, signal.Signals, int], Result]


def committed(directory: Path) -> int:
    if not Reader.exists(directory):
        return 0
    try:
        with Reader.open(directory) as store:
            return store.counts()["images"]
    except lookalike.LookalikeError:
        return 0  # so early that the schema is not there yet


@pytest.fixture
def start_and_stop(many: Path, tmp_path: Path) -> StartAndStop:
    """Start an index run and send a signal as soon as so many images are committed."""
    info = tmp_path / "plugins" / "halting-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: halting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lookalike.models]\nhalting = halting\n")
    (info.parent / "halting.py").write_text(HALTING)
    gate = tmp_path / "gate"
    environment = {**os.environ, "PYTHONPATH": str(info.parent), "GATE": str(gate)}

    def run(into: Path, how: signal.Signals, after: int) -> Result:
        models = [word for name in ("phash", "hog", "halting") for word in ("--model", name)]
        command = [COMMAND, "index", many, "--into", into, *models, "--workers", "1"]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            # Where the suite runs in the background of a shell, Ctrl-C is ignored, and by all that it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        deadline = time.monotonic() + 60
        while committed(into) < after and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert process.poll() is None, process.communicate()
        process.send_signal(how)
        gate.touch()
        output, errors = process.communicate(timeout=30)
        return Result(process.returncode, os.fsdecode(output), os.fsdecode(errors))

    return run


def assert_whole(folder: Path, into: Path, reference: Path) -> None:
    """The collection has every image, and the vectors of a run that was never disturbed."""
    collection, undisturbed = lookalike.open(into), lookalike.open(reference)
    for model in ("phash", "hog"):
        images, vectors = collection.vectors(model)
        expected_images, expected = undisturbed.vectors(model)
        found = dict(zip([image.path for image in images], vectors, strict=True))
        assert len(found) == MANY
        assert all(collection.thumbnail(image.id) for image in images)
        for image, vector in zip(expected_images, expected, strict=True):
            np.testing.assert_array_equal(found[image.path], vector)


@pytest.fixture(scope="module")
def reference(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("reference") / "c"
    lookalike.open(many, into=into).add(models=["phash", "hog"])
    return into


@pytest.mark.parametrize("after", [1, 200, 600])
def test_kill_9_at_any_moment_and_the_next_run_goes_on(
    many: Path, reference: Path, tmp_path: Path, start_and_stop: StartAndStop, after: int
) -> None:
    into = tmp_path / "c"
    assert start_and_stop(into, signal.SIGKILL, after).code == -signal.SIGKILL
    kept = committed(into)
    assert after <= kept < MANY
    report = lookalike.open(many, into=into).add()
    assert (report.unchanged, report.added) == (kept, MANY - kept)
    assert_whole(many, into, reference)


def test_ctrl_c_keeps_what_was_committed_says_so_and_the_next_run_goes_on(
    many: Path, reference: Path, tmp_path: Path, start_and_stop: StartAndStop
) -> None:
    into = tmp_path / "c"
    result = start_and_stop(into, signal.SIGINT, 100)
    assert result.code == 130
    assert "run it again to go on" in result.out
    assert result.err == ""
    kept = committed(into)
    assert f"{kept} added" in result.out
    assert 100 <= kept < MANY
    assert lookalike.open(many, into=into).add().added == MANY - kept
    assert_whole(many, into, reference)
