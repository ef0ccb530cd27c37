"""Compiled networks: the same vectors as PyTorch's, made once, kept whole, and never trusted when they are not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lookalike
from lookalike import images
from lookalike.errors import ModelUnavailable
from lookalike.models import compiled, compiling, registry, tuning
from lookalike.models.backbones import huggingface, onnx
from lookalike.models.backbones.compiled import CompiledBackbone, CompiledWordsBackbone
from lookalike.types import InputSpec, ModelCard, Picture, TextBackbone
from tests.conftest import COMMAND, run_command
from tests.contract.test_huggingface import CASES, ROWS, Case, _card, _silence, folders, sights

__all__ = ["_silence", "folders", "sights"]  # fixtures

ONE_A_FAMILY = [case for case in CASES if case.folder is None]
WORDS = ["a cat", "two dogs on a beach", "x", "naïve café"]


@pytest.fixture
def pictures(sights: Sequence[Path]) -> list[Picture]:
    return [images.read(str(path)) for path in sights]


@pytest.mark.parametrize("case", ONE_A_FAMILY, ids=lambda case: case.row)
def test_same_vectors_as_pytorch(
    case: Case, folders: dict[str, Path], sights: list[Path], pictures: list[Picture]
) -> None:
    card = _card(case, folders[case.key])
    original = huggingface.load(card)
    found = compiling.compile_network(card, lambda: original, [str(path) for path in sights])
    assert found.record["cosine_least"] >= 0.9999
    made = CompiledBackbone(card, found)
    wanted = original.embed(pictures)
    np.testing.assert_allclose(made.embed(pictures), wanted, atol=2e-5)
    made.tune(workers=2, batch=3)
    np.testing.assert_allclose(made.embed(pictures), wanted, atol=2e-5)
    if card.texts:
        assert isinstance(original, TextBackbone)
        reader = CompiledWordsBackbone(card, found, lambda: pytest.fail("its words were compiled"))
        np.testing.assert_allclose(reader.embed_texts(WORDS), original.embed_texts(WORDS), atol=2e-5)
        long = ["many words " * 60]
        np.testing.assert_allclose(reader.embed_texts(long), original.embed_texts(long), atol=2e-5)


@pytest.fixture
def fresh(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> ModelCard:
    """A card that the registry compiles, as it does for users."""
    monkeypatch.setenv(registry.COMPILE, "yes")
    _forget(monkeypatch)
    return registry.card(str(folders["dinov2"]))


@pytest.fixture(scope="session")
def compiled_once(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOOKALIKE_MODELS", str(tmp_path_factory.mktemp("compiled_once")))
        registry.compile_now(registry.card(str(folders["dinov2"])))
        return registry.models_folder()


@pytest.fixture
def dinov2(fresh: ModelCard, compiled_once: Path) -> ModelCard:
    """One that was compiled in an earlier process."""
    shutil.copytree(compiled_once / "compiled", registry.models_folder() / "compiled")
    return fresh


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process."""
    monkeypatch.setattr(registry, "_loaded", {})


def _vectors(card: ModelCard, pictures: list[Picture]) -> np.ndarray:
    return np.asarray(registry.load(card).embed(pictures))


def test_compiled_at_the_first_use_and_not_again(
    fresh: ModelCard,
    pictures: list[Picture],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = registry.load(fresh)
    assert isinstance(first, CompiledBackbone)
    assert "compiling it for this machine, once" in caplog.text and "cosine to the original" in caplog.text
    caplog.clear()
    _forget(monkeypatch)
    monkeypatch.setattr(compiling, "compile_network", lambda *_: pytest.fail("it was compiled already"))
    np.testing.assert_array_equal(_vectors(fresh, pictures), first.embed(pictures))
    assert not caplog.records


def test_without_torch_what_was_compiled_still_runs(
    dinov2: ModelCard, sights: list[Path], pictures: list[Picture]
) -> None:
    wanted = _vectors(dinov2, pictures)
    code = (
        "import sys, json; sys.modules.update(dict.fromkeys(('torch', 'transformers', 'onnx', 'onnxscript')))\n"
        "from lookalike import images; from lookalike.models import registry\n"
        "card = registry.card(sys.argv[1]); assert registry.obstacle(card) is None\n"
        "backbone = registry.load(card)\n"
        "print(json.dumps(backbone.embed([images.read(path) for path in sys.argv[2:]]).tolist()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(dinov2.path), *map(str, sights)], capture_output=True, text=True, check=True
    )
    np.testing.assert_allclose(json.loads(done.stdout), wanted, atol=1e-6)


@pytest.mark.parametrize("damage", ["flipped", "short", "version", "record"])
def test_what_is_damaged_or_of_another_version_is_made_anew_with_a_note(
    dinov2: ModelCard,
    damage: str,
    pictures: list[Picture],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    wanted = _vectors(dinov2, pictures)
    folder = compiled.home(dinov2)
    weights = folder / "pictures.onnx.data"
    if damage == "flipped":
        whole = bytearray(weights.read_bytes())
        whole[len(whole) // 2] ^= 255
        weights.write_bytes(whole)
    elif damage == "short":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "version":
        record = json.loads((folder / compiled.RECORD).read_text())
        (folder / compiled.RECORD).write_text(json.dumps({**record, "format": record["format"] + 1}))
    else:
        (folder / compiled.RECORD).write_text("{")
    _forget(monkeypatch)
    caplog.clear()
    np.testing.assert_allclose(_vectors(dinov2, pictures), wanted, atol=1e-6)
    assert "it is made anew" in caplog.text
    assert compiled.trouble(dinov2) is None
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".part-")] == []


def test_without_room_it_runs_uncompiled_and_says_so(
    fresh: ModelCard,
    pictures: list[Picture],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("LOOKALIKE_MODELS", str(tmp_path / "models"))
    (tmp_path / "models" / "compiled").write_text("in the way")
    vectors = _vectors(fresh, pictures)
    assert vectors.shape == (len(pictures), fresh.dim)
    assert "runs uncompiled" in caplog.text and "cannot be kept in" in caplog.text


def test_a_full_disk_is_told_before_anything_is_written(
    fresh: ModelCard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = shutil.disk_usage("/")._replace(free=10 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert not isinstance(registry.load(fresh), CompiledBackbone)
    assert "no space left on device" in caplog.text
    assert not compiled.home(fresh).exists()
    with pytest.raises(ModelUnavailable, match="make room"):
        registry.compile_now(fresh)


def test_with_compiling_switched_off_nothing_is_compiled(fresh: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(registry.COMPILE, "no")
    assert not isinstance(registry.load(fresh), CompiledBackbone)
    assert not compiled.home(fresh).exists()


def test_a_network_that_strays_is_refused_once_and_not_kept(
    fresh: ModelCard, sights: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(compiling.LEAST_COSINE, "fp32", 1.1)
    with pytest.raises(ModelUnavailable, match="strays too far from the original: cosine"):
        registry.compile_now(fresh, photos=[str(path) for path in sights])
    assert [path.name for path in compiled.home(fresh).iterdir()] == [compiled.RECORD]
    monkeypatch.setattr(compiling, "compile_network", lambda *_: pytest.fail("that was found out before"))
    assert not isinstance(registry.load(fresh), CompiledBackbone)
    assert "runs uncompiled" in caplog.text and "strays too far" in caplog.text


def test_what_was_kept_goes_when_photos_show_that_it_strays(
    dinov2: ModelCard, sights: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compiled.find(dinov2)
    monkeypatch.setitem(compiling.LEAST_COSINE, "fp32", 1.1)
    with pytest.raises(ModelUnavailable, match="strays too far"):
        registry.compile_now(dinov2, photos=[str(path) for path in sights])
    assert compiled.find(dinov2) is None


@pytest.mark.parametrize(
    "record",
    [
        "[]",
        '{"format": 1, "files": {}}',
        '{"files": {"../../secret": {"size": 1, "sha256": ""}, "pictures.onnx": {"size": 1, "sha256": ""}}}',
    ],
)
def test_a_record_that_cannot_be_believed(dinov2: ModelCard, record: str) -> None:
    whole = json.loads((compiled.home(dinov2) / compiled.RECORD).read_text())
    told = json.loads(record)
    (compiled.home(dinov2) / compiled.RECORD).write_text(json.dumps({**whole, **told} if told else told))
    assert compiled.find(dinov2) is None
    assert compiled.trouble(dinov2) == "is damaged or of another version"
    assert run_command(COMMAND, "models", dinov2.name).code == 0


def test_damaged_and_without_torch_the_remedy_is_told(dinov2: ModelCard, photos: Path) -> None:
    (compiled.home(dinov2) / "pictures.onnx.data").write_bytes(b"")
    code = (
        "import importlib.util, sys; real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name in ('torch', 'transformers') else real(name, *a)\n"
        "from lookalike.cli import main; main()"
    )
    cat = next(path for path in photos.rglob("cat.*"))
    done = run_command(sys.executable, "-c", code, "compare", cat, cat, "--model", str(dinov2.path))
    assert done.code == 2
    assert done.err.endswith("pip install 'lookalike[torch]'\n")


def test_a_machine_that_cannot_run_what_was_compiled(
    dinov2: ModelCard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ModelUnavailable("no kernel for this processor")

    monkeypatch.setattr("lookalike.models.backbones.onnx.open_session", refuse)
    assert not isinstance(registry.load(dinov2), CompiledBackbone)
    assert "runs uncompiled, which is slower: no kernel for this processor" in caplog.text


def test_eight_bits_are_another_model_and_must_be_asked_for(dinov2: ModelCard, photos: Path) -> None:
    eight = registry.card(f"{dinov2.name}@int8")
    assert eight.fingerprint != dinov2.fingerprint
    assert compiled.home(eight) != compiled.home(dinov2)
    assert replace(compiled.in_fp32(eight), summary=dinov2.summary) == dinov2
    done = run_command(COMMAND, "index", str(photos), "--model", f"{dinov2.name}@int8")
    assert done.code == 2
    assert f"lookalike models compile {dinov2.name} --precision int8" in done.err
    assert not (photos / ".lookalike").exists()


def test_which_eight_bits_they_are_is_part_of_the_fingerprint(dinov2: ModelCard) -> None:
    registry.compile_now(registry.card(f"{dinov2.name}@int8"))
    first = registry.card(f"{dinov2.name}@int8")
    record = json.loads((compiled.home(first) / compiled.RECORD).read_text())
    record["files"]["pictures.onnx"]["sha256"] = "0" * 64
    (compiled.home(first) / compiled.RECORD).write_text(json.dumps(record))
    assert registry.card(f"{dinov2.name}@int8").fingerprint != first.fingerprint
    assert replace(compiled.in_fp32(first), summary=dinov2.summary) == dinov2


def test_tuning_is_remembered_for_this_machine_and_another_network_is_tried_anew() -> None:
    tried: list[int] = []

    def open_with(threads: int) -> tuning.Run:
        tried.append(threads)
        return lambda batch: None

    first = tuning.tuned("a", 2, open_with)
    assert tried == [1, 2]
    assert tuning.tuned("a", 2, open_with) == first
    assert tried == [1, 2]
    tuning.tuned("b", 2, open_with)
    tuning.tuned("a", 3, open_with)
    assert tried == [1, 2, 1, 2, 1, 3]
    cache = registry.models_folder() / tuning.CACHE
    for damaged in ("{ damaged", cache.read_text().replace('"batch": ', '"batch": -')):
        cache.write_text(damaged)
        del tried[:]
        assert tuning.tuned("a", 2, open_with).batch >= 1
        assert tried == [1, 2]


def test_rows_are_those_of_the_catalogue() -> None:
    assert {case.row for case in ONE_A_FAMILY} <= set(ROWS)


@pytest.fixture
def vit_tiny(shared: Path) -> None:
    """A really pretrained network, registered as a user would."""
    half = (0.5, 0.5, 0.5)
    spec = InputSpec((224, 224), "crop", resize=256, mean=half, std=half)
    file = shared / "models" / "vit_tiny_patch16_224.onnx"
    registry.save_card(onnx.describe(str(file), name="vit-tiny", spec=spec))


def test_eight_bits_end_to_end(vit_tiny: None, photos: Path, tmp_path: Path) -> None:
    done = run_command(
        COMMAND, "models", "compile", "vit-tiny", "--precision", "int8", "--photos", str(photos), "--json"
    )
    (facts,) = json.loads(done.out)
    assert facts["name"] == "vit-tiny@int8"
    assert facts["cosine_least"] >= 0.995
    assert facts["photos"] == 9
    assert 0.5 < facts["overlap"] <= 1
    into = tmp_path / "c"
    names = ["--model", "vit-tiny", "--model", "vit-tiny@int8"]
    assert run_command(COMMAND, "index", str(photos), "--into", str(into), *names).code == 0
    collection = lookalike.open(into)
    _, exact = collection.vectors("vit-tiny")
    _, eight = collection.vectors("vit-tiny@int8")
    cosines = (np.asarray(exact, dtype=np.float32) * np.asarray(eight, dtype=np.float32)).sum(axis=1)
    assert cosines.min() >= 0.995
    assert cosines.max() < 0.99999, "these are the same vectors"
    assert "int8, " in run_command(COMMAND, "models", "vit-tiny@int8").out
    again = run_command(COMMAND, "models", "compile", "vit-tiny", "--precision", "int8")
    assert "is compiled already" in again.out


def test_eight_bit_vectors_do_not_depend_on_what_else_is_in_the_batch(vit_tiny: None, pictures: list[Picture]) -> None:
    registry.compile_now(registry.card("vit-tiny@int8"))
    backbone = registry.load(registry.card("vit-tiny@int8"))
    together = backbone.embed(pictures)
    assert isinstance(backbone, CompiledBackbone)
    backbone.tune(workers=2)
    np.testing.assert_array_equal(backbone.embed(pictures[::-1])[::-1], together)
    np.testing.assert_array_equal(np.concatenate([backbone.embed([p]) for p in pictures]), together)


def test_a_network_of_convolutions_is_not_taken_in_eight_bits(shared: Path) -> None:
    spec = InputSpec((224, 224), "crop", resize=256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    file = shared / "models" / "squeezenet1_1.onnx"
    registry.save_card(onnx.describe(str(file), name="squeezenet", spec=spec))
    done = run_command(COMMAND, "models", "compile", "squeezenet", "--precision", "int8")
    assert done.code == 2
    assert "model 'squeezenet@int8': 8 bits do not pay" in done.err
    assert len(done.err.splitlines()) == 3, "a line for each network that is compiled, one on what is wrong"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_what_is_no_network_has_nothing_to_compile(precision: str) -> None:
    done = run_command(COMMAND, "models", "compile", "color", "--precision", precision)
    assert done.code == 2
    assert "has nothing to compile: only networks have" in done.err
