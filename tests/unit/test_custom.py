"""Models that users write."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import lookalike
from lookalike.models import custom, registry
from lookalike.models.check import check
from tests.conftest import run_command


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    before = dict(custom._models)
    yield
    custom._models.clear()
    custom._models.update(before)
    registry._loaded.clear()


def test_a_function_is_a_model(photos: Path) -> None:
    @lookalike.model("mean-colour", dim=3, size=(8, 8), license="MIT")
    def mean_colour(pixels: np.ndarray) -> np.ndarray:
        """The mean colour."""
        return np.asarray(pixels.mean(axis=(1, 2)) + 1)

    card = registry.card("mean-colour")
    assert (card.dim, card.summary, card.license) == (3, "The mean colour.", "MIT")
    collection = lookalike.open(photos)
    collection.add(models=["mean-colour", "phash"])
    assert collection.search(photos / "cat small.png", model="mean-colour", k=1)[0].path.endswith("cat.jpg")


def test_a_function_may_be_written_anew_and_takes_no_name_that_is_taken(photos: Path) -> None:
    pair = photos / "coffee.jpg", photos / "cat small.png"
    lookalike.model("mine", dim=1, size=(4, 4))(lambda x: x.mean(axis=(1, 2, 3))[:, None] + 1)
    assert lookalike.compare(*pair, models=["mine"]).scores[0].cosine == pytest.approx(1)
    lookalike.model("mine", dim=1, size=(4, 4))(lambda x: np.where(x.mean(axis=(1, 2, 3)) > 100, 1, -1)[:, None])
    assert lookalike.compare(*pair, models=["mine"]).scores[0].cosine == pytest.approx(-1)
    for taken in ("sift", "bad/na me"):
        with pytest.raises(lookalike.LookalikeError, match="cannot be the name"):
            lookalike.model(taken, dim=1, size=(4, 4))
    lookalike.model("nan", dim=1, size=(4, 4))(lambda x: x.mean(axis=(1, 2, 3))[:, None] * np.nan)
    with pytest.raises(lookalike.LookalikeError, match="not finite"):
        lookalike.open(photos).add(models=["nan"])


def test_the_contract_names_what_is_broken() -> None:
    def problems(embed: custom.Embed, dim: int = 3) -> str:
        registry._loaded.clear()
        lookalike.model("mine", dim=dim, size=(8, 8))(embed)
        return " ".join(check(registry.load(registry.card("mine"))))

    rng = np.random.default_rng()
    assert problems(lambda x: x.mean(axis=(1, 2)) + 1) == ""
    assert "not (7, 4)" in problems(lambda x: x.mean(axis=(1, 2)), dim=4)
    assert "not finite" in problems(lambda x: x.mean(axis=(1, 2)) * np.nan)
    assert "length is not 1" in problems(lambda x: x.mean(axis=(1, 2)) * 0)
    assert "the second time" in problems(lambda x: rng.random((len(x), 3)))
    assert "in a batch" in problems(lambda x: x.mean(axis=(1, 2)) - x.mean() / 2)
    assert "same vector" in problems(lambda x: np.ones((len(x), 3)))


def test_a_package_brings_its_models_to_the_command_line(tmp_path: Path) -> None:
    """A real distribution on the path, as pip would install it, and one that is broken beside it."""
    for name, code in {"good": "import lookalike\n@lookalike.model('grey', dim=1, size=(4, 4))\n"
                               "def grey(x):\n    'Grey.'\n    return x.mean(axis=(1, 2, 3))[:, None] + 1\n",
                       "bad": "raise RuntimeError('of its own')\n"}.items():  # fmt: skip
        (tmp_path / f"{name}_models.py").write_text(code)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[lookalike.models]\n{name} = {name}_models\n")
    command = str(Path(sys.executable).with_name("lookalike"))
    result = run_command(command, "models", PYTHONPATH=str(tmp_path))
    assert result.code == 0
    assert "grey" in result.out
    done = subprocess.run([command, "models", "grey"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
