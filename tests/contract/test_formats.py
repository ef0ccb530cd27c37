"""HEIC and JPEG XL, with their plug-ins and without: real files, the real command."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import COMMAND, ROOT, run_command

APART = ROOT / ".venv" / "formats"

ENCODE = """
import sys, pillow_heif, pillow_jxl
from PIL import Image
pillow_heif.register_heif_opener()
for source in sys.argv[1:]:
    image = Image.open(source)
    for suffix in (".heic", ".jxl"):
        image.save(source.removesuffix(".png") + suffix, quality=90)
"""


@pytest.fixture
def pictures(tmp_path: Path, photo_pixels: dict[str, np.ndarray]) -> Path:
    """A cat and a cup as HEIC and JPEG XL, and the cat as PNG."""
    if not APART.is_dir():
        pytest.skip(f"no plug-ins in {APART}: './run test' puts them there")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("cat", "coffee"):
        Image.fromarray(photo_pixels[name]).save(folder / f"{name}.png")
    sources = [folder / "cat.png", folder / "coffee.png"]
    subprocess.run([sys.executable, "-c", ENCODE, *sources], env={"PYTHONPATH": str(APART)}, check=True, timeout=60)
    (folder / "coffee.png").unlink()
    return folder


def test_with_plug_ins_they_are_images_like_any_other(pictures: Path) -> None:
    done = run_command(COMMAND, "index", pictures, "--model", "color", "--json", PYTHONPATH=str(APART))
    assert (done.code, done.json["added"], done.json["unreadable"]) == (0, 5, [])
    query = (pictures / "cat.png", "--collection", pictures, "--json", "-k", "4")
    hits = run_command(COMMAND, "search", *query, PYTHONPATH=str(APART)).json[0]["hits"]
    assert {Path(hit["path"]).name for hit in hits[:2]} == {"cat.heic", "cat.jxl"}
    assert hits[1]["cosine"] > 0.9 > hits[2]["cosine"]


def test_a_jpeg_xl_bomb_is_refused_by_its_header(pictures: Path) -> None:
    """Its plug-in decodes on opening: the size is read before that."""
    sides = (0 | 3 << 1 | (99_999 << 3) | (1 << 33)).to_bytes(12, "little")  # 100,000 x 100,000
    plain = b"\xff\x0a" + sides
    boxed = b"\0\0\0\x10jxlp\0\0\0\0" + plain[:4] + b"\0\0\0\x16jxlp\0\0\0\1" + plain[4:]
    (pictures / "bomb.jxl").write_bytes(plain)
    (pictures / "boxed.jxl").write_bytes(b"\0\0\0\x0cJXL \r\n\x87\n" + boxed)
    done = run_command(COMMAND, "index", pictures, "--model", "color", "--json", PYTHONPATH=str(APART))
    assert done.code == 3
    assert [(Path(file["path"]).name, file["reason"]) for file in done.json["unreadable"]] == [
        (name, "10000 megapixels: the limit is 200") for name in ("bomb.jxl", "boxed.jxl")
    ]


def test_without_plug_ins_they_are_told_with_the_remedy_and_read_once_these_are_there(pictures: Path) -> None:
    if importlib.util.find_spec("pillow_heif") or importlib.util.find_spec("pillow_jxl"):
        pytest.skip("the plug-ins are installed here")
    done = run_command(COMMAND, "index", pictures, "--model", "color", "--json")
    assert (done.code, done.json["added"]) == (3, 1)
    assert len(done.json["unreadable"]) == 4
    assert all("pip install 'lookalike[formats]'" in file["reason"] for file in done.json["unreadable"])
    later = run_command(COMMAND, "index", pictures, "--json", PYTHONPATH=str(APART))
    assert (later.code, later.json["added"], later.json["unchanged"]) == (0, 4, 1)
