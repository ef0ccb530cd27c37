"""Where weights are looked for, when they are all there, and what they hash to."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from lookalike.errors import UsageError
from lookalike.models import weights
from lookalike.types import InputSpec, ModelCard

CARD = ModelCard(
    name="tiny",
    kind="network",
    dim=8,
    input=InputSpec((224, 224)),
    summary="",
    source="a paper",
    revision="1",
    license="MIT",
    loader="x:y",
    weights="hf:acme/tiny",
)


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def fill(folder: Path, *names: str, config: str = "{}") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config)
    for name in names or ("model.safetensors",):
        (folder / name).write_bytes(b"weights")
    return folder


def file(place: Path, data: bytes = b"weights") -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place


@pytest.mark.parametrize("name", ["tiny", "acme/tiny", "acme--tiny", "models--acme--tiny/snapshots/123abc"])
def test_folders_in_the_models_folder(name: str) -> None:
    assert weights.find(CARD) is None
    place = fill(weights.models_folder() / name)
    assert weights.find(CARD) == str(place)


@pytest.mark.parametrize("ending", [".safetensors", ".pth", ".pth.tar", ".pt", ".onnx"])
def test_files_in_the_models_folder(ending: str) -> None:
    place = file(weights.models_folder() / f"tiny{ending}")
    assert weights.find(CARD) == str(place)
    assert weights.find(replace(CARD, weights="file")) == str(place)
    assert weights.find(replace(CARD, weights=None)) is None


def test_the_cards_own_path_comes_first(tmp_path: Path) -> None:
    fill(weights.models_folder() / "tiny")
    own = fill(tmp_path / "mine")
    assert weights.find(replace(CARD, path=str(own))) == str(own)
    assert weights.find(replace(CARD, path=str(tmp_path / "gone"))) == str(weights.models_folder() / "tiny")


@pytest.mark.parametrize(
    ("variable", "cache"), [("HF_HUB_CACHE", "x"), ("HF_HOME", "x/hub"), ("XDG_CACHE_HOME", "x/huggingface/hub")]
)
def test_the_cache_of_huggingface(variable: str, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv(variable, str(tmp_path / "x"))
    repository = tmp_path / cache / "models--acme--tiny"
    older, newer = fill(repository / "snapshots" / "aaa"), fill(repository / "snapshots" / "bbb")
    os.utime(older, (1, 1))
    assert weights.find(CARD) == str(newer)
    file(repository / "refs" / "main", b"aaa")
    assert weights.find(CARD) == str(older)
    (older / "model.safetensors").unlink()
    assert weights.find(CARD) == str(newer), "a snapshot that is not whole was taken"


def test_links_to_blobs_are_followed(tmp_path: Path) -> None:
    repository = tmp_path / "hf" / "hub" / "models--acme--tiny"
    snapshot = fill(repository / "snapshots" / "aaa")
    blob = repository / "blobs" / "123"
    blob.parent.mkdir()
    (snapshot / "model.safetensors").replace(blob)
    (snapshot / "model.safetensors").symlink_to("../../blobs/123")
    assert weights.find(CARD) == str(snapshot)
    before = weights.identity(str(snapshot))
    blob.write_bytes(b"other weights")
    assert weights.identity(str(snapshot)) != before
    blob.unlink()
    assert weights.find(CARD) is None


def test_checkpoints_of_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = replace(CARD, weights="https://download.pytorch.org/models/resnet50-0676ba61.pth?download=1")
    place = file(tmp_path / "cache" / "torch" / "hub" / "checkpoints" / "resnet50-0676ba61.pth")
    assert weights.find(card) == str(place)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "elsewhere"))
    assert weights.find(card) is None
    place = file(weights.models_folder() / "resnet50-0676ba61.pth")
    assert weights.find(card) == str(place)


def test_half_a_folder_is_none(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a")
    assert weights.complete(folder)
    (folder / "config.json").unlink()
    assert not weights.complete(folder)
    assert not weights.complete(fill(tmp_path / "b", "tf_model.h5", "flax_model.msgpack"))
    assert not weights.complete(tmp_path / "nowhere")
    assert weights.complete(fill(tmp_path / "c", "pytorch_model.bin"))


@pytest.mark.parametrize("stem", ["model{}.safetensors", "pytorch_model{}.bin"])
def test_all_shards_must_be_there(tmp_path: Path, stem: str) -> None:
    one, two = stem.format("-00001-of-00002"), stem.format("-00002-of-00002")
    folder = fill(tmp_path / "a", one)
    assert not weights.complete(folder), "a shard without its index"
    index = folder / f"{stem.format('')}.index.json"
    index.write_text(json.dumps({"weight_map": {"vision_model.a": one, "language_model.b": two}}))
    assert not weights.complete(folder)
    (folder / "config.json").write_text('{"model_type": "blip-2"}')
    assert weights.complete(folder), "the language model of BLIP-2 is not used"
    (folder / "config.json").write_text("{}")
    (folder / two).write_bytes(b"weights")
    assert weights.complete(folder)
    index.write_text("damaged")
    assert not weights.complete(folder)


def test_a_name_that_once_stood_for_other_weights(tmp_path: Path) -> None:
    fill(weights.models_folder() / "tiny")
    locks = {"sources": {"hf:acme/former": {"path": "tiny", "commit": "a" * 40, "files": {}}}}
    (weights.models_folder() / weights.LOCKS).write_text(json.dumps(locks))
    assert weights.find(CARD) is None
    assert weights.find(replace(CARD, name="whatever", weights="hf:acme/former")) == str(
        weights.models_folder() / "tiny"
    )


def test_a_damaged_lock_file_is_not_dropped_in_silence() -> None:
    place = file(weights.models_folder() / weights.LOCKS, b"{")
    with pytest.raises(UsageError, match=r"models\.lock: not readable"):
        weights.locks()
    place.write_text('{"sources": {"hf:acme/tiny": {"path": "tiny"}}}')
    with pytest.raises(UsageError, match=r"models\.lock: not readable"):
        weights.locks()
    assert weights.find(CARD) is None


def test_names_that_would_leave_the_folder() -> None:
    assert weights.home(replace(CARD, name="hf:acme/tiny")) == "acme--tiny"
    assert weights.home(replace(CARD, name="../up")) == "acme--tiny"
    assert weights.home(replace(CARD, weights="https://example.org/%2e%2e%2fup")) == "up"
    for url in ("https://example.org", "https://example.org/..", "https://example.org/.hidden"):
        with pytest.raises(UsageError, match="names no file"):
            weights.home(replace(CARD, weights=url))


def test_identity_of_a_file_is_its_hash(tmp_path: Path) -> None:
    place = file(tmp_path / "x.pth", b"some weights")
    assert weights.identity(str(place)) == hashlib.sha256(b"some weights").hexdigest()


def test_identity_changes_with_what_is_read_alone(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a")
    first = weights.identity(str(folder))
    (folder / "README.md").write_text("hello")
    (folder / "pytorch_model.bin").write_bytes(b"a format that is not used")
    assert weights.identity(str(folder)) == first
    assert weights.identity(str(fill(tmp_path / "copy"))) == first
    for unread in ("preprocessor_config.json", "tokenizer.json"):  # a row has its own preprocessing
        (folder / unread).write_text("{}")
    assert weights.identity(str(folder)) == first
    second = weights.identity(str(folder), texts=True)
    (folder / "model.safetensors").write_bytes(b"finetuned")
    assert len({first, second, weights.identity(str(folder))}) == 3


def test_hashes_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = file(tmp_path / "x.pth")
    digest = weights.sha256(place)
    hashed = []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *arguments: hashed.append(1) or real(*arguments))
    assert weights.sha256(place) == digest
    assert hashed == []
    place.write_bytes(b"Weights")
    os.utime(place, ns=(1, 1))
    assert weights.sha256(place) != digest
    assert hashed == [1]
    (weights.models_folder() / weights.HASHES).write_text("damaged")
    weights.sha256(place)
    assert hashed == [1, 1]


def test_hashes_of_files_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    one, two = file(tmp_path / "1.pth"), file(tmp_path / "2.pth")
    weights.sha256(one)
    one.unlink()
    weights.sha256(two)
    assert list(json.loads((weights.models_folder() / weights.HASHES).read_text())) == [str(two)]


def test_a_models_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_MODELS", str(file(tmp_path / "a file") / "models"))
    place = file(tmp_path / "x.pth")
    assert weights.sha256(place) == weights.sha256(place)
    assert weights.find(CARD) is None


def test_what_to_do_about_missing_weights() -> None:
    message = weights.missing_message(CARD)
    assert "\n" not in message
    for part in ("models pull tiny", str(weights.models_folder() / "tiny"), "--model ./folder", "sift", "acme/tiny"):
        assert part in message
    message = weights.missing_message(replace(CARD, weights="file"))
    assert f"{weights.models_folder() / 'tiny'}.pth" in message
    assert "pull" not in message
