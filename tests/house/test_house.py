"""The rules of the house: what may import what, how large files are, what the door loads."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import COMMAND, ROOT

SOURCES = sorted((ROOT / "src").rglob("*.py"))
HEAVY = {"fastapi", "numpy", "PIL", "cv2", "faiss", "onnxruntime", "torch", "jinja2", "sqlite3", "tqdm", "platformdirs"}


@pytest.mark.parametrize("command", [["ruff", "format", "--check"], ["ruff", "check"], ["mypy"], ["lint-imports"]])
def test_style_types_and_floors(command: list[str]) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name(command[0]), *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['lookalike', '--help']\n"
        "from lookalike.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('LOADED', *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    listing, _, loaded = done.stdout.partition("LOADED")
    assert "index" in listing
    assert HEAVY & set(loaded.split()) == set()


def test_import_lookalike_loads_nothing_heavy() -> None:
    script = "import sys, lookalike; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert HEAVY & set(done.stdout.split()) == set()


def test_no_file_is_too_long_to_read() -> None:
    long = {path.name: count for path in SOURCES if (count := len(path.read_text().splitlines())) > 400}
    assert long == {}


def test_heavy_libraries_are_imported_only_where_they_are_wrapped() -> None:
    allowed = {
        "faiss": {"exact.py", "exchange.py"},
        "onnxruntime": {"onnx.py", "onnx_graphs.py", "quantising.py", "doctor.py", "patches.py"},
        "onnx": {"onnx_graphs.py", "quantising.py", "patches.py"},
        "cv2": {
            "calibration.py",
            *("hashes.py", "color.py", "hog.py", "layout.py", "vlad.py"),
            *("opencv.py", "matching.py", "geometry.py", "draw.py", "operators.py"),
            *("pixels.py", "xfeat.py", "alike.py", "opencv_networks.py"),
        },
        "mahotas": {"surf.py"},
        "h5py": {"descriptors.py"},
        "sqlite3": {"reader.py", "writer.py", "trouble.py", "doctor.py"},
        "jinja2": {"report.py"},
        "fastapi": {path.name for path in SOURCES if "server" in path.parts},
        "torch": {path.name for path in SOURCES if path.parent.name == "backbones"},
        "transformers": {"huggingface_networks.py"},
        "huggingface_hub": {"download.py", "transfer.py"},
        "mcp": {"mcp.py"},
        "prometheus_client": {"monitoring.py"},
        "uvicorn": {"listening.py"},
        "urllib.request": {"transfer.py", "download.py"},
        "socket": {"doctor.py", "transfer.py", "download.py", "listening.py", "fetching.py"},
    }
    for library, files in allowed.items():
        using = {path.name for path in SOURCES if imports(path, library)}
        assert using <= files, library


def imports(path: Path, library: str) -> bool:
    text = path.read_text()
    return re.search(rf'^\s*(import|from) {library}\b|import_module\("{library}\b', text, re.MULTILINE) is not None


def test_no_public_function_bears_its_modules_name() -> None:
    """`lookalike.compare` must give the function: a module of that name would shadow it."""
    import lookalike

    modules = {path.stem for path in (ROOT / "src" / "lookalike").glob("*")}
    assert modules & set(lookalike.__all__) == set()


def test_every_public_name_opens() -> None:
    import lookalike

    assert all(getattr(lookalike, name) is not None for name in lookalike.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = lookalike.nonsense  # type: ignore[attr-defined]


def test_version_is_told() -> None:
    import lookalike

    done = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"lookalike {lookalike.__version__}\n"
