"""lookalike index --keypoints, as a user meets it: told first, made once, whole whatever ends the run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike.store import FEATURES, FeatureStore, Reader
from tests.conftest import COMMAND, Result

MANY = 200

HALTING = """
import os
import time

import lookalike

seen = 0


@lookalike.model("halting", dim=3, size=(8, 8))
def halting(pixels):
    global seen
    seen += len(pixels)
    while seen > 120 and not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)
    return pixels.mean(axis=(1, 2)) + 1
"""
"""A model that waits after some pictures: a run with it cannot end before it is stopped."""


def kept(into: Path) -> dict[str, tuple[int, int]]:
    store = FeatureStore(into / FEATURES)
    found = {each.method: (each.keypoints, each.pictures) for each in store.summary()}
    store.close()
    return found


def test_the_cost_is_told_before_it_is_paid(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    first = lookalike_cli("index", photos, "--model", "phash", "--keypoints", "50", "--json")
    assert first.err == (
        "local features: sift, at most 50 a picture: about 6.9 KB each, 62 KB for these 9, 6.9 GB for a million\n"
    )
    assert (first.code, first.json["features"], first.json["embedded"], first.json["added"]) == (0, 9, 9, 9)
    again = lookalike_cli("index", photos, "--keypoints", "50")
    assert (again.code, again.err) == (0, "")
    assert "nothing to embed" in again.out
    Image.open(photos / "coffee.jpg").rotate(90, expand=True).save(photos / "turned.png")
    plain = lookalike_cli("index", photos)
    assert plain.err == ""
    assert "1 added" in plain.out
    assert "features of 1 picture;" in plain.out
    more = lookalike_cli("index", photos, "--keypoints", "100")
    assert "features of 10 pictures;" in more.out
    found = re.fullmatch(
        r"local features: sift, at most 100 a picture: about (\S+) KB each, .* for these 10, .*\n", more.err
    )
    assert found, more.err
    assert 12 < float(found[1]) <= 14, "as much more as there are more keypoints"

    told = lookalike_cli("info", photos, "--json").json
    assert told["keypoints"] == {"sift": 100}
    (row,) = told["features"]
    assert (row["method"], row["keypoints"], row["pictures"]) == ("sift", 100, 10)
    assert 10 * 5000 < row["bytes"] <= 10 * 13_719
    page = lookalike_cli("info", photos).out
    assert re.search(r"^sift +100 +10 +0\.1 MB$", page, re.MULTILINE)
    assert "100 keypoints of sift a picture" in page

    assert lookalike_cli("index", photos, "--keypoints", "0").code == 0
    assert kept(photos / ".lookalike") == {}
    assert "keypoints" not in lookalike_cli("info", photos).out


def test_other_methods_and_wrong_ones(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    assert lookalike_cli("index", photos, "--model", "phash", "--keypoints", "20", "--method", "orb").code == 0
    assert kept(photos / ".lookalike") == {"orb": (20, 9)}
    for wrong, words in (
        (("--keypoints", 20_001), "20000"),
        (("--keypoints", -1), "20000"),
        (("--keypoints", 5, "--method", "nonsense"), "'nonsense' is not one of"),
        (("--method", "orb"), "--method needs --keypoints"),
        (("--keypoints", 5, "--method", "xfeat"), "models add"),
    ):
        result = lookalike_cli("index", photos, *map(str, wrong))
        assert result.code == 2, wrong
        assert words in result.err, result.err
        assert "Traceback" not in result.err


def test_a_terminal_sees_the_cost_on_a_line_of_its_own(photos: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = [COMMAND, "index", photos, "--model", "phash", "--keypoints", "20"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                part = os.read(ours, 1000)
            except OSError:
                break
            if not part:
                break
            seen += part
    os.close(ours)
    assert process.returncode == 0
    lines = re.split(r"[\r\n]+", seen.decode())
    assert [line for line in lines if "local features" in line] == [
        "local features: sift, at most 20 a picture: about 2.8 KB each, 25 KB for these 9, 2.8 GB for a million"
    ]


# --- What ends a run ---


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(4)
    for n in range(MANY):
        pixels = np.kron(rng.integers(0, 256, (12, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{n:04}.jpg")
    return folder


def committed(into: Path) -> int:
    if not Reader.exists(into):
        return 0
    try:
        with Reader.open(into) as store:
            return store.counts()["images"]
    except lookalike.LookalikeError:
        return 0


def stopped(many: Path, into: Path, how: signal.Signals) -> Result:
    """A run that is sent a signal when something is committed, and not all."""
    gate, info = into.parent / "gate", into.parent / "plugins" / "halting-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: halting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lookalike.models]\nhalting = halting\n")
    (info.parent / "halting.py").write_text(HALTING)
    models = [word for name in ("phash", "halting") for word in ("--model", name)]
    process = subprocess.Popen(
        [COMMAND, "index", many, "--into", into, *models, "--keypoints", "100", "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(info.parent), "GATE": str(gate)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not committed(into) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()
    process.send_signal(how)
    gate.touch()
    output, errors = process.communicate(timeout=30)
    return Result(process.returncode, os.fsdecode(output), os.fsdecode(errors))


def assert_described(into: Path) -> None:
    """Whatever the catalogue names has its features: they come before the commit."""
    with Reader.open(into) as store:
        model = store.models()[0]
        images = [group[0] for group in store.images(model).values()]
        assert len(images) >= committed(into) > 0
        for image in images:
            assert store.features.get(image.id, "sift", 100) is not None


def test_kill_9_leaves_no_picture_without_features_and_the_next_run_goes_on(many: Path, tmp_path: Path) -> None:
    into = tmp_path / "c"
    result = stopped(many, into, signal.SIGKILL)
    assert result.code == -signal.SIGKILL, result
    part = committed(into)
    assert 0 < part < MANY
    assert_described(into)
    made = kept(into)["sift"][1]
    report = lookalike.open(many, into=into).add()
    assert (report.unchanged, report.added, report.features) == (part, MANY - part, MANY - made)
    assert kept(into) == {"sift": (100, MANY)}
    assert_described(into)


def test_ctrl_c_keeps_what_was_committed_and_no_features_beyond(many: Path, tmp_path: Path) -> None:
    into = tmp_path / "c"
    result = stopped(many, into, signal.SIGINT)
    assert result.code == 130, result
    assert "run it again to go on" in result.out
    assert result.err.count("\n") == 1, result.err
    part = committed(into)
    assert 0 < part < MANY
    assert kept(into) == {"sift": (100, part)}
    assert_described(into)
    assert lookalike.open(many, into=into).add().features == MANY - part


def test_a_full_disk_costs_features_and_nothing_that_was_committed(photos: Path, lookalike_cli) -> None:  # type: ignore[no-untyped-def]
    """A limit on file sizes stands for the full disk; features reach it first, being the largest."""
    lookalike_cli("index", photos, "--model", "phash")
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000));"
        "sys.argv = ['lookalike', 'index', sys.argv[1], '--keypoints', '1000', '--json'];"
        "from lookalike.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script, photos], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 2, done.stderr
    assert "features.sqlite: local features are left out of this run" in done.stderr
    assert lookalike_cli("info", photos, "--json").json["images"] == 9
    result = lookalike_cli("index", photos, "--json")
    assert result.json["unchanged"] == 9
    assert kept(photos / ".lookalike") == {"sift": (1000, 9)}


def test_a_collection_that_may_not_be_written_gives_its_features(photos: Path, lookalike_read_only) -> None:  # type: ignore[no-untyped-def]
    collection = lookalike.open(photos)
    collection.add(models=["phash"], keypoints=20)
    script = (
        "import sys, lookalike; c = lookalike.open(sys.argv[1]); images, _ = c.vectors('phash')\n"
        "print(sum(len(c.features(image, 'sift', n)) > 0 for image in images for n in (20, 40)))"
    )
    collection.close()
    before = (photos / ".lookalike" / FEATURES).read_bytes()
    result = subprocess.run(
        [
            *("unshare", "--mount", "bash", "-c"),
            'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" -c "$3" "$1"',
            *("bash", photos, sys.executable, script),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "18\n", "")
    assert (photos / ".lookalike" / FEATURES).read_bytes() == before


def test_memory_stays_the_same_however_large_features_are(tmp_path: Path) -> None:
    """Features are put away by the workers, and do not wait for their commit."""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells the peak of this process alone: elsewhere it counts that of its parent")
    (tmp_path / "p").mkdir()
    for n in range(150):
        Image.new("RGB", (32, 32), (n, 0, 0)).save(tmp_path / "p" / f"{n}.png")
    script = (
        "import sys, numpy as np, lookalike, lookalike.embedding as embedding, lookalike.indexing as indexing\n"
        "from lookalike.keypoints.features import Features\n"
        "def large(picture, method, limit):\n"
        "    n, column = 20000, np.zeros(20000, np.float32)\n"
        "    return Features(method, (32, 32), np.zeros((n, 2), np.float32), column, column, column,"
        " np.zeros((n, 128), np.uint8))\n"
        "embedding.extract = large\n"
        "report = lookalike.open(sys.argv[1]).add(models=['phash'], keypoints=20000, workers=2)\n"
        "assert report.features == 150\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "p"], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300_000, "all together they are 400 MB"
