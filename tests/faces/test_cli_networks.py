"""Networks on the command line: folders, repositories in a cache, words, pools. Small checkpoints, really loaded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import lookalike
from lookalike.models import registry
from tests.conftest import Result
from tests.contract import test_huggingface as families

Cli = Callable[..., Result]
folders = families.folders


def cosines(result: Result) -> dict[str, float]:
    return {score["model"]: score["cosine"] for score in result.json["scores"]}


def test_a_folder_is_a_model_everywhere(photos: Path, folders: dict[str, Path], lookalike_cli: Cli) -> None:
    shutil.copytree(folders["dinov2"], photos.parent / "net")
    done = lookalike_cli("index", photos, "--model", "./net", "--model", "phash", "--json", cwd=photos.parent)
    assert (done.code, done.err) == (0, "")
    name = str(photos.parent / "net")
    assert done.json["models"] == [name, "phash"]
    again = lookalike_cli("index", photos, "--json", cwd=photos)
    assert (again.json["embedded"], again.json["models"]) == (0, [name, "phash"])
    search = ("search", photos / "cat small.png", "--collection", photos, "--json", "--model")
    found = lookalike_cli(*search, name)
    assert lookalike_cli(*search, "./net", cwd=photos.parent).json == found.json
    assert found.json[0]["hits"][0]["path"] == str(photos / "more" / "cat.jpg")
    pair = [photos / "cat small.png", photos / "more" / "cat.jpg"]
    compared = cosines(lookalike_cli("compare", *pair, "--model", "./net", "--json", cwd=photos.parent))
    assert compared[name] == pytest.approx(found.json[0]["hits"][0]["cosine"], abs=2e-3)


def test_a_pool_of_ones_own(photos: Path, folders: dict[str, Path], lookalike_cli: Cli) -> None:
    pair = [photos / "coffee.jpg", photos / "more" / "cat.jpg"]
    plain = cosines(lookalike_cli("compare", *pair, "--model", folders["dinov2"], "--json"))
    pooled = cosines(lookalike_cli("compare", *pair, "--model", folders["dinov2"], "--pool", "cls", "--json"))
    assert set(pooled) == {f"{folders['dinov2']}@cls"}
    assert plain[str(folders["dinov2"])] != pooled[f"{folders['dinov2']}@cls"]
    for wrong in (["--model", "sift", "--pool", "cls"], ["--pool", "cls"]):
        assert lookalike_cli("compare", *pair, *wrong).code == 2
    refused = lookalike_cli("compare", *pair, "--model", folders["dinov2"], "--pool", "features")
    assert (refused.code, "choose from" in refused.err) == (2, True)


def test_other_weights_are_another_revision(photos: Path, folders: dict[str, Path], lookalike_cli: Cli) -> None:
    net = photos.parent / "net"
    shutil.copytree(folders["dinov2"], net)
    lookalike_cli("index", photos, "--model", net)
    weights = net / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-3] ^= 0x10
    weights.write_bytes(changed)
    refused = lookalike_cli("search", photos / "coffee.jpg", "--collection", photos, "--model", net)
    assert refused.code == 2
    assert "another revision" in refused.err


def test_a_repository_in_the_hubs_cache(
    photos: Path, folders: dict[str, Path], tmp_path: Path, lookalike_cli: Cli
) -> None:
    pair = [photos / "coffee.jpg", photos / "more" / "cat.jpg"]
    absent = lookalike_cli("compare", *pair, "--model", "hf:acme/tiny", HF_HOME=str(tmp_path / "hf"))
    assert absent.code == 2
    assert absent.err.count("\n") == 1
    for remedy in ("lookalike models pull hf:acme/tiny", "--model ./folder", "sift"):
        assert remedy in absent.err
    repository = tmp_path / "hf" / "hub" / "models--acme--tiny"
    shutil.copytree(folders["dinov2"], repository / "snapshots" / "abc123")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc123")
    cached = cosines(lookalike_cli("compare", *pair, "--model", "hf:acme/tiny", "--json", HF_HOME=str(tmp_path / "hf")))
    beside = cosines(lookalike_cli("compare", *pair, "--model", folders["dinov2"], "--json"))
    assert cached["hf:acme/tiny"] == beside[str(folders["dinov2"])]


def test_a_checkpoint_is_registered_by_its_likeness(photos: Path, tmp_path: Path, lookalike_cli: Cli) -> None:
    import torch

    from lookalike.models.backbones.convnets import build

    network = build("ResNet-50", "features").to_empty(device="cpu")
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.ndim == 4:
                torch.nn.init.kaiming_normal_(tensor)
            else:
                tensor.fill_(name.endswith(("running_var", ".weight")))
    file = tmp_path / "mine.pth"
    torch.save({"state_dict": {f"module.encoder.{k}": v for k, v in network.state_dict().items()}}, file)
    added = lookalike_cli("models", "add", file, "--like", "simclr", "--name", "my-simclr")
    assert (added.code, added.err) == (0, "")
    assert "2048 dimensions" in added.out
    pair = [photos / "coffee.jpg", photos / "more" / "cat.jpg"]
    assert set(cosines(lookalike_cli("compare", *pair, "--model", "my-simclr", "--json"))) == {"my-simclr"}
    wrong = lookalike_cli("models", "add", file, "--like", "clip", "--name", "x")
    assert (wrong.code, "sscd" in wrong.err) == (2, True)
    direct = lookalike_cli("compare", *pair, "--model", file)
    assert (direct.code, direct.err.count("\n")) == (2, 1)


def test_words_find_what_their_vector_is_nearest_to(photos: Path, folders: dict[str, Path], lookalike_cli: Cli) -> None:
    net = str(folders["clip"])
    lookalike_cli("index", photos, "--model", net)
    collection = lookalike.open(photos)
    images, vectors = collection.vectors(net)
    (words,) = registry.load_for_texts(registry.card(net)).embed_texts(["a red bus at night"])
    best = images[int((vectors @ words).argmax())].path
    found = lookalike_cli("search", "--text", "a red bus at night", "--collection", photos, "--json")
    assert (found.code, found.err) == (0, "")
    assert found.json[0]["query"] == "a red bus at night"
    assert found.json[0]["hits"][0]["path"] == best
    page = photos.parent / "words.html"
    assert lookalike_cli("search", "--text", "a bus", "--collection", photos, "--html", page).code == 0
    assert ">a bus</h2>" in page.read_text()


def test_mixed_queries_are_weighted_sums(photos: Path, folders: dict[str, Path], lookalike_cli: Cli) -> None:
    net = str(folders["clip"])
    lookalike_cli("index", photos, "--model", net)
    cat = photos / "more" / "cat.jpg"
    found = lookalike_cli(
        *("search", "--text", "snow:0.7", "--image", f"{cat}:1.5", "--not", "people", "-k", "9"),
        *("--collection", photos, "--json"),
    ).json[0]
    assert found["query"] == f"snow:0.7 + {cat}:1.5 - people"
    images, vectors = lookalike.open(photos).vectors(net)
    snow, people = registry.load_for_texts(registry.card(net)).embed_texts(["snow", "people"])
    paths = [image.path for image in images]
    mix = 0.7 * snow + 1.5 * vectors[paths.index(str(cat))] - people
    expected = dict(zip(paths, vectors @ (mix / np.linalg.norm(mix)), strict=True))
    assert {hit["path"] for hit in found["hits"]} == set(paths) - {str(cat)}
    for hit in found["hits"]:
        assert hit["cosine"] == pytest.approx(float(expected[hit["path"]]), abs=2e-3)


def test_words_that_name_a_file_mean_the_image(photos: Path, lookalike_cli: Cli) -> None:
    lookalike_cli("index", photos, "--model", "phash")
    by_text = lookalike_cli("search", "--text", "coffee.jpg", "--json", "-k", "3", cwd=photos).json[0]["hits"]
    by_path = lookalike_cli("search", "coffee.jpg", "--json", "-k", "3", cwd=photos).json[0]["hits"]
    assert by_text == by_path


def test_models_that_cannot_read_say_which_can(photos: Path, lookalike_cli: Cli) -> None:
    lookalike_cli("index", photos, "--model", "phash")
    result = lookalike_cli("search", "--text", "a cat", "--collection", photos)
    assert result.code == 2
    assert "clip" in result.err
    for wrong in ([], ["coffee.jpg", "--text", "x"], ["--image", "coffee.jpg:0"], ["--image", "absent.jpg"]):
        assert lookalike_cli("search", *wrong, cwd=photos).code in (2, 3)


def test_a_network_without_its_weights_or_packages_names_the_remedy(photos: Path, lookalike_cli: Cli) -> None:
    result = lookalike_cli("index", photos, "--model", "dinov2")
    assert result.code == 2
    assert "lookalike models pull dinov2" in result.err
    assert not (photos / ".lookalike").exists()
    rows = {row["name"]: row for row in lookalike_cli("models", "--json").json}
    assert rows["dinov2"]["remedy"] == "lookalike models pull dinov2"
    assert rows["simclr"]["remedy"].startswith("cp CHECKPOINT ")
    assert lookalike_cli("models", "check", photos).code == 2
