"""What the documents show is what happens: pages are up to date, and their code is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("quickstart", "python", "add-a-model"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def desk(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the documents speak of: photos, holidays, query.jpg, a.jpg, b.jpg."""
    place = photos.parent
    shutil.copytree(photos / "more", place / "holidays")
    for name, source in {"query": "more/cat", "a": "coffee", "b": "astronaut"}.items():
        shutil.copy(photos / f"{source}.jpg", place / f"{name}.jpg")
    monkeypatch.chdir(place)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return place


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shell_code_runs(page: Path, desk: Path) -> None:
    found = blocks(page, "bash")
    assert found or blocks(page, "python")
    for block in found:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", block], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_code_runs(page: Path, desk: Path) -> None:
    code = "\n".join(blocks(page, "python"))
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_generated_pages_are_up_to_date() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import generate
    finally:
        sys.path.pop(0)
    for page, write in generate.PAGES.items():
        assert (ROOT / "docs" / page).read_text(encoding="utf-8") == write(), f"docs/{page}: run ./run docs"


def test_links_between_documents_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not link.startswith(("http://", "https://")):
                assert (page.parent / link).exists(), f"{page.name}: {link}"
