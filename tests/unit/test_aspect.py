"""NAME@squash, NAME@pad, NAME@crop: one network that sees pictures in several ways, each a model of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike import images
from lookalike.errors import UnknownModel, UsageError
from lookalike.models import compiled, custom, registry
from lookalike.models.aspects import ASPECTS
from lookalike.models.backbones import onnx
from lookalike.models.check import check
from lookalike.types import InputSpec, Picture
from tests.conftest import Result

Cli = Callable[..., Result]

HALF = (0.5, 0.5, 0.5)
WHOLE = ("squash", "pad")


@pytest.fixture
def vit(shared: Path) -> str:
    """A real network that crops, registered."""
    spec = InputSpec((224, 224), resize=256, mean=HALF, std=HALF)
    path = shared / "models" / "vit_tiny_patch16_224.onnx"
    registry.save_card(onnx.describe(str(path), name="vit-tiny", spec=spec))
    return "vit-tiny"


@pytest.fixture
def flag() -> Picture:
    """One whose ends a crop loses."""
    image = Image.new("RGB", (300, 100), "white")
    image.paste("#009a44", (0, 0, 80, 100))
    image.paste("#f77f00", (220, 0, 300, 100))
    return images.read(image)


def test_each_way_is_a_model_of_its_own() -> None:
    cards = [registry.card(name) for name in ("layout", *(f"layout@{aspect}" for aspect in ASPECTS))]
    assert len({card.fingerprint for card in cards}) == len(cards)
    assert [card.name for card in cards[1:]] == ["layout@squash", "layout@pad", "layout@crop"]


@pytest.mark.parametrize("name", ["layout@pad", "color@crop", "hog@pad", "phash@pad"])
def test_descriptors_hold_the_contract_in_another_way(name: str) -> None:
    assert check(registry.load(registry.card(name))) == []


def test_a_network_sees_what_it_is_said_to(vit: str, flag: Picture) -> None:
    whole, middle = flag.image, flag.image.crop((100, 0, 200, 100))
    x = np.asarray(whole)
    edge = np.concatenate([x[0], x[-1], x[:, 0], x[:, -1]]).mean(axis=0).astype(int)
    framed = Image.new("RGB", (300, 300), tuple(edge.tolist()))
    framed.paste(whole, (0, 100))

    def embed(name: str, image: Image.Image) -> np.ndarray:
        return registry.load(registry.card(name)).embed([images.read(image)])[0]

    squashed = embed(f"{vit}@squash", whole)
    np.testing.assert_array_equal(squashed, embed(f"{vit}@squash", whole.resize((224, 224), Image.Resampling.BICUBIC)))
    np.testing.assert_array_equal(embed(f"{vit}@crop", whole), embed(vit, whole))
    assert embed(vit, whole) @ embed(vit, middle) > 0.999
    assert squashed @ embed(f"{vit}@squash", middle) < 0.9
    assert embed(f"{vit}@pad", whole) @ embed(f"{vit}@squash", framed) > 0.99


def test_a_function_of_ones_own_sees_it_too(flag: Picture) -> None:
    seen: list[np.ndarray] = []

    @custom.register("mean-of-rows", dim=3, size=(8, 8))
    def mean_of_rows(pixels: np.ndarray) -> np.ndarray:
        seen.append(pixels)
        return pixels.mean(axis=(1, 2))

    for aspect in ("squash", "crop"):
        registry.load(registry.card(f"mean-of-rows@{aspect}")).embed([flag])
    whole, middle = seen
    assert whole[0, 0, 0] == pytest.approx([0, 154, 68], abs=2)
    assert (middle == 255).all()


def test_the_order_of_the_ways_makes_no_difference(vit: str) -> None:
    one, other = registry.card(f"{vit}@int8@pad"), registry.card(f"{vit}@pad@int8")
    assert one == other
    assert one.name == f"{vit}@pad@int8"


@pytest.mark.parametrize("ending", ["", "@int8"])
def test_the_compiled_network_is_shared(vit: str, ending: str) -> None:
    own = compiled.home(registry.card(f"{vit}{ending}"))
    for aspect in ASPECTS:
        assert compiled.home(registry.card(f"{vit}@{aspect}{ending}")) == own
    assert compiled.home(registry.card(f"{vit}@int8")) != compiled.home(registry.card(vit))


def test_what_was_compiled_is_run_for_every_way(vit: str, flag: Picture) -> None:
    before = registry.load(registry.card(f"{vit}@squash")).embed([flag])
    registry.compile_now(registry.card(f"{vit}@pad"))
    assert len(list((registry.models_folder() / "compiled").glob("*-*"))) == 1
    now = registry.load(registry.card(f"{vit}@squash"))
    assert isinstance(now, onnx.OnnxBackbone)
    assert now._takes_pixels  # the compiled one does
    np.testing.assert_allclose(now.embed([flag]), before, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sift@pad", "'sift' takes pictures in their own shape: leave --aspect pad out for it"),
        ("layout@pad@crop", "choose one of squash, pad, crop"),
        ("layout@pad@pad", "choose one of squash, pad, crop"),
        ("layout@stretch", "has nothing to pool in another way: leave @stretch out, or choose one of @squash, @pad"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        registry.card(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_model_is_told_by_its_own_name() -> None:
    with pytest.raises(UnknownModel, match="no model is called 'layuot': did you mean layout"):
        registry.card("layuot@pad")


def test_a_collection_holds_several_ways(photos: Path) -> None:
    collection = lookalike.open(photos)
    collection.add(models=["layout", "layout@pad"])
    cat = photos / "cat small.png"
    for model in ("layout", "layout@pad", "layout+layout@pad"):
        assert Path(collection.search(str(cat), model=model, k=1)[0].path).name == "cat.jpg"
    assert not np.allclose(collection.vectors("layout")[1], collection.vectors("layout@pad")[1])


def test_on_the_command_line(photos: Path, lookalike_cli: Cli) -> None:
    options = "--aspect", "crop", "--json"
    assert lookalike_cli("index", photos, "--model", "layout", "--model", "color", *options).json["models"] == [
        "layout@crop",
        "color@crop",
    ]
    cat = photos / "cat small.png"
    found = lookalike_cli("search", cat, "--collection", photos, "--model", "layout+color", *options).json
    (both,) = found if isinstance(found, list) else [found]
    assert both["model"] == "layout@crop+color@crop"
    scores = lookalike_cli("compare", cat, photos / "coffee.jpg", "--model", "hog", *options).json["scores"]
    assert [score["model"] for score in scores] == ["hog@crop"]
    for wrong in (["--model", "sift", "--aspect", "pad"], ["--aspect", "pad"]):
        refused = lookalike_cli("compare", cat, cat, *wrong)
        assert refused.code == 2
        assert "Traceback" not in refused.err


def test_a_network_of_pytorchs_in_every_way_and_pool(tmp_path: Path, flag: Picture) -> None:
    transformers = pytest.importorskip("transformers")
    small = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=64, patch_size=16
    )
    transformers.ViTModel(small).save_pretrained(tmp_path / "vit")
    name = str(tmp_path / "vit")
    assert registry.card(f"{name}@crop@mean").name == f"{name}@mean@crop"
    middle = images.read(flag.image.crop((100, 0, 200, 100)))
    cropped, squashed, framed = (registry.load(registry.card(f"{name}@mean@{aspect}")) for aspect in ("crop", *WHOLE))
    assert cropped.embed([flag])[0] @ cropped.embed([middle])[0] > 0.999
    vectors = [model.embed([flag])[0] for model in (cropped, squashed, framed)]
    assert not any(np.allclose(one, other) for one, other in itertools.combinations(vectors, 2))
