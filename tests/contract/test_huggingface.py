"""Hugging Face networks: small ones of every real architecture give the numbers of the articles' own code."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike import images
from lookalike.errors import LookalikeError, ModelUnavailable, UsageError
from lookalike.models import preprocess
from lookalike.models.backbones import huggingface
from lookalike.models.catalog.huggingface import CARDS
from lookalike.models.check import check
from lookalike.types import ModelCard, Picture, TextBackbone, Vectors
from tests.conftest import ROOT

torch = pytest.importorskip("torch")
tf = pytest.importorskip("transformers")

from lookalike.models.backbones import checkpoints, huggingface_networks, torch_runtime  # noqa: E402 - they need torch
from lookalike.models.backbones.huggingface_networks import quiet  # noqa: E402

ROWS = {card.name: card for card in CARDS}
TEXTS = ["a red bus at night", "Two cats asleep on a sofa, seen from above", "snow"]

# --- The official files, as published ---

HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
RESCALED = {"do_normalize": True, "do_rescale": True, "do_resize": True, "rescale_factor": 0.00392156862745098}
SQUARE = {"height": 224, "width": 224}

OFFICIAL: dict[str, dict[str, Any]] = {
    "clip": {"crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True,
             "feature_extractor_type": "CLIPFeatureExtractor", **CLIP, "resample": 3, "size": 224},
    "siglip": {"do_convert_rgb": None, **RESCALED, **HALF, "image_processor_type": "SiglipImageProcessor",
               "processor_class": "SiglipProcessor", "resample": 2, "size": SQUARE},
    "dinov2": {"crop_size": SQUARE, "do_center_crop": True, "do_convert_rgb": True, **RESCALED, **IMAGENET,
               "image_processor_type": "BitImageProcessor", "resample": 3, "size": {"shortest_edge": 256}},
    "dinov3_vit": {"crop_size": None, "data_format": "channels_first", "default_to_square": True,
                   "do_center_crop": None, "do_convert_rgb": None, **RESCALED, **IMAGENET,
                   "image_processor_type": "DINOv3ViTImageProcessorFast", "resample": 2, "size": SQUARE},
    "vit": {"do_normalize": True, "do_resize": True, **HALF, "resample": 2, "size": 224},
    "beit": {"crop_size": 224, "do_center_crop": False, "do_normalize": True, "do_resize": True,
             "feature_extractor_type": "BeitFeatureExtractor", **HALF, "resample": 2, "size": 224},
    "efficientnet": {"crop_size": {"height": 289, "width": 289}, "do_center_crop": False, **RESCALED,
                     "image_mean": IMAGENET["image_mean"], "image_std": [0.47853944, 0.4732864, 0.47434163],
                     "image_processor_type": "EfficientNetImageProcessor", "include_top": True,
                     "rescale_offset": False, "resample": 0, "size": {"height": 600, "width": 600}},
    "blip-2": {"do_convert_rgb": True, **RESCALED, **CLIP, "image_processor_type": "BlipImageProcessor",
               "processor_class": "Blip2Processor", "resample": 3, "size": SQUARE},
}  # fmt: skip

# --- The families: how a small checkpoint is built, and the articles' code for it ---

SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}
WORDS = {**SMALL, "vocab_size": 600, "bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513}


def _clip() -> Any:
    vision = {**SMALL, "image_size": 224, "patch_size": 32}
    return tf.CLIPModel(tf.CLIPConfig(vision_config=vision, text_config=WORDS, projection_dim=48))


def _siglip() -> Any:
    vision = {**SMALL, "image_size": 224, "patch_size": 16}
    words = {**SMALL, "vocab_size": 600, "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}
    return tf.SiglipModel(tf.SiglipConfig(vision_config=vision, text_config=words))


def _dinov2() -> Any:
    # The published ones were trained at 518 pixels and are fed 224: their positions are interpolated.
    small = {key: value for key, value in SMALL.items() if key != "intermediate_size"}
    return tf.Dinov2Model(tf.Dinov2Config(**small, image_size=518, patch_size=14))


def _beit() -> Any:
    config = tf.BeitConfig(**SMALL, use_relative_position_bias=True, use_mean_pooling=True, layer_scale_init_value=0.1)
    return tf.BeitForImageClassification(config)


def _efficientnet() -> Any:
    config = tf.EfficientNetConfig(width_coefficient=0.3, depth_coefficient=0.3, hidden_dim=384, depthwise_padding=[])
    return tf.EfficientNetForImageClassification(config)


def _blip2() -> Any:
    config = tf.Blip2Config(
        vision_config={**SMALL, "image_size": 224, "patch_size": 14},
        qformer_config={**SMALL, "hidden_size": 48, "encoder_hidden_size": 64, "vocab_size": 100},
        text_config={"model_type": "opt", "vocab_size": 3000, "hidden_size": 64, "ffn_dim": 64, "num_hidden_layers": 2,
                     "num_attention_heads": 2, "word_embed_proj_dim": 64},
        num_query_tokens=8,
    )  # fmt: skip
    return tf.Blip2ForConditionalGeneration(config)


@dataclass(frozen=True)
class Case:
    """A row, a small checkpoint in its format, and the articles' code: (network, pixels) -> (n, dim) of any length."""

    row: str
    build: Callable[[], Any]
    code: Callable[[str, Any], Any]
    folder: str | None = None

    @property
    def key(self) -> str:
        return self.folder or self.row


CASES = [
    Case("clip", _clip, lambda at, x: tf.CLIPModel.from_pretrained(at).get_image_features(x).pooler_output),
    Case("siglip2", _siglip, lambda at, x: tf.AutoModel.from_pretrained(at).get_image_features(x).pooler_output),
    Case("dinov2", _dinov2, lambda at, x: tf.Dinov2Model.from_pretrained(at)(x).last_hidden_state.mean(dim=1)),
    Case("dinov2-cls", _dinov2, lambda at, x: tf.AutoModel.from_pretrained(at)(x).last_hidden_state[:, 0], "dinov2"),
    Case(
        "dinov3",
        lambda: tf.DINOv3ViTModel(tf.DINOv3ViTConfig(**SMALL, num_register_tokens=4)),
        lambda at, x: tf.AutoModel.from_pretrained(at)(pixel_values=x).pooler_output,
    ),
    Case(
        "vit",
        lambda: tf.ViTModel(tf.ViTConfig(**SMALL)),
        lambda at, x: tf.ViTModel.from_pretrained(at)(x).last_hidden_state.mean(dim=1),
    ),
    Case("vit-large", lambda: None, lambda at, x: tf.ViTModel.from_pretrained(at)(x).last_hidden_state[:, 0], "vit"),
    Case(
        "vit-huge",
        lambda: tf.ViTModel(tf.ViTConfig(**SMALL, patch_size=14)),
        lambda at, x: tf.ViTModel.from_pretrained(at)(x).last_hidden_state[:, 0],
    ),
    Case("beit", _beit, lambda at, x: tf.BeitModel.from_pretrained(at)(x).last_hidden_state[:, 1:].mean(dim=1)),
    Case(
        "efficientnet",
        _efficientnet,
        lambda at, x: tf.EfficientNetModel.from_pretrained(at)(x).last_hidden_state.mean(dim=[2, 3]),
    ),
    Case("blip2", _blip2, lambda at, x: tf.Blip2Model.from_pretrained(at).get_qformer_features(x)[:, 0, :]),
]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a network call")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    """The articles' code is as talkative as transformers is; ours is held to silence in a test of its own."""
    with quiet():
        yield


def _spread_out(network: Any) -> Any:
    """Weights so large that different pictures get different vectors, which fresh ones hardly do."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in network.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if p.ndim > 1:
                p.copy_(noise * (1.5 / (p[0].numel() ** 0.5) if "embed" not in name else 0.5))
            elif p.ndim == 1:
                p.copy_(noise * 0.2 + (1 if name.endswith("weight") else 0))
    return network.eval()


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One small checkpoint a family, by the name of its row, as published: settings, weights, processor, words."""
    root = tmp_path_factory.mktemp("networks")
    made: dict[str, Path] = {}
    with quiet():
        for case in CASES:
            if case.key in made:
                continue
            folder = root / case.key
            parts = {"max_shard_size": "200KB"} if case.row == "blip2" else {}
            _spread_out(case.build()).save_pretrained(folder, **parts)
            architecture = ROWS[case.row].options["architecture"]
            (folder / "preprocessor_config.json").write_text(json.dumps(OFFICIAL[architecture]))
            made[case.key] = folder
        _clip_words().save_pretrained(made["clip"])
        _siglip_words().save_pretrained(made["siglip2"])
    return made


def _clip_words() -> Any:
    """CLIP's tokenizer over bytes, without merges."""
    letters = [chr(c) for c in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + i) for i in range(256 - len(letters))]
    vocabulary = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return tf.CLIPTokenizer(vocab={word: i for i, word in enumerate(vocabulary)}, merges=[])


def _siglip_words() -> Any:
    """Gemma's tokenizer, which SigLIP 2 uses, over bytes and a few letters."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁"]
    vocabulary = special + [f"<0x{i:02X}>" for i in range(256)] + [chr(c) for c in range(97, 123)]
    return tf.GemmaTokenizer(vocab={word: i for i, word in enumerate(vocabulary)}, merges=[])


@pytest.fixture(scope="session")
def sights(photo_pixels: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of real photos: some that scikit-image ships, and JPEGs of the shared material where it is at hand."""
    folder = tmp_path_factory.mktemp("sights")
    paths = []
    for name in ("astronaut", "cat", "coffee", "rocket"):
        paths.append(folder / f"{name}.png")
        Image.fromarray(photo_pixels[name]).save(paths[-1])
    shared = Path(os.environ.get("LOOKALIKE_SHARED") or ROOT.parent / "shared") / "data/photos/images"
    for kind in ("coco_examples128", "bsds500", "flowers", "daynight"):
        paths += sorted((shared / kind).rglob("*.jpg"))[:2]
    return paths


def _both(sights: Sequence[Path]) -> tuple[list[Picture], list[Image.Image]]:
    """What we decode, and what the articles' code decodes."""
    return [images.read(str(path)) for path in sights], [Image.open(path).convert("RGB") for path in sights]


def _reference_pixels(folder: Path, architecture: str, photos: Sequence[Image.Image]) -> Any:
    """(n, 3, h, w) from the official processor; where it exists with torchvision only, from what that computes."""
    if architecture == "dinov3_vit":
        mean, std = (torch.tensor(IMAGENET[key]).reshape(3, 1, 1) for key in ("image_mean", "image_std"))
        scaled = [torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None] / 255 for photo in photos]
        resized = [torch.nn.functional.interpolate(x, (224, 224), mode="bilinear", antialias=True) for x in scaled]
        return (torch.cat(resized) - mean) / std
    if architecture == "vit":  # the official file leaves its class to the architecture
        processor = tf.ViTImageProcessorPil.from_pretrained(folder)
    else:
        processor = tf.AutoImageProcessor.from_pretrained(folder, backend="pil")
    assert processor.backend == "pil"
    return processor(images=list(photos), return_tensors="pt")["pixel_values"]


def _card(case: Case, folder: Path) -> ModelCard:
    """The row, with the length that the small network has."""
    dim = huggingface.describe(str(folder), name="small").dim
    return replace(ROWS[case.row], path=str(folder), dim=dim)


def _lengths_one(rows: Any) -> Vectors:
    found = rows.numpy().astype(np.float64)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.row)
def test_same_numbers_as_the_articles_code(
    case: Case, folders: dict[str, Path], sights: list[Path], record_property: Callable[[str, object], None]
) -> None:
    folder = folders[case.key]
    card = _card(case, folder)
    pictures, photos = _both(sights)
    theirs = _reference_pixels(folder, card.options["architecture"], photos)
    ours = preprocess.batch(pictures, card.input)
    assert card.input.std is not None
    levels = np.abs(ours - theirs.numpy()) * np.reshape(card.input.std, (1, 3, 1, 1))
    exact = card.options["architecture"] != "dinov3_vit"  # whose processor resizes floats, not bytes
    assert levels.max() <= (1e-6 if exact else 1 / 255 + 1e-5)

    backbone = huggingface.load(card)
    mine = backbone.embed(pictures).astype(np.float64)
    with torch.no_grad():
        wanted = _lengths_one(case.code(str(folder), theirs))
    cosines = (mine * wanted).sum(axis=1)
    record_property("worst cosine", float(cosines.min()))
    print(f"\n{case.row}: worst cosine {cosines.min():.8f}, worst pixel {levels.max() * 255:.4f} levels")
    assert cosines.min() >= (1 - 1e-6 if exact else 0.9999)

    # The comparison means something: pictures differ by far more than we differ from the reference.
    between = 1 - (wanted @ wanted.T)[~np.eye(len(wanted), dtype=bool)]
    print(f"   pictures differ by {between.min():.4f} to {between.max():.4f}, ours by {1 - cosines.min():.1e}")
    assert np.median(between) > 30 * (1 - cosines.min())
    assert np.median(between) > 1e-3
    assert check(backbone) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.row)
def test_row_says_what_the_official_file_says(case: Case, folders: dict[str, Path]) -> None:
    row, own = ROWS[case.row], huggingface.describe(str(folders[case.key]), name="own", pool=None)
    assert own.input == row.input
    assert own.options["architecture"] == row.options["architecture"]
    assert own.texts == row.texts
    if case.folder is None and case.row != "vit-huge":
        assert own.options == row.options  # a folder is pooled as its architecture is in the catalogue


def test_every_row_is_tested() -> None:
    tested = {(ROWS[c.row].options["architecture"], ROWS[c.row].options["pool"]) for c in CASES}
    assert tested == {(card.options["architecture"], card.options["pool"]) for card in CARDS}
    others = {"efficientnet-b0": "efficientnet", "clip-l": "clip", "dinov2-small": "dinov2", "dinov3-b": "dinov3"}
    for name, like in others.items():
        assert replace(ROWS[name].input, size=(0, 0)) == replace(ROWS[like].input, size=(0, 0))


@pytest.mark.parametrize(
    ("name", "pools"), [("vit", ["cls", "patches", "pooler"]), ("clip", ["pooler", "cls", "mean"])]
)
def test_another_pool_gives_other_numbers(
    name: str, pools: list[str], folders: dict[str, Path], sights: list[Path]
) -> None:
    pictures = [images.read(str(path)) for path in sights[:2]]
    found = []
    for pool in (None, *pools):
        card = huggingface.describe(str(folders[name]), name="own", pool=pool)
        found.append(huggingface.load(card).embed(pictures))
        assert found[-1].shape == (2, card.dim)
    for i, a in enumerate(found):
        for b in found[i + 1 :]:
            # Of 197 tokens one more or less moves the mean little, and still far more than we are off the reference.
            assert a.shape != b.shape or (a * b).sum(axis=1).max() < 1 - 5e-6


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.row)
def test_half_precision(
    case: Case, folders: dict[str, Path], sights: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on GPUs, where all of the network runs so."""
    pictures = [images.read(str(path)) for path in sights[:2]]
    card = _card(case, folders[case.key])
    full: Any = huggingface.load(card)
    whole, words = full.embed(pictures), full.embed_texts(TEXTS) if card.texts else None
    for module in (torch_runtime, huggingface_networks):
        monkeypatch.setattr(module, "dtype", lambda: torch.float16)
    half: Any = huggingface.load(card)
    assert {p.dtype for p in half.module.parameters()} == {torch.float16}
    assert (half.embed(pictures) * whole).sum(axis=1).min() > 0.999
    if card.texts:
        assert (half.embed_texts(TEXTS) * words).sum(axis=1).min() > 0.999


def test_checkpoint_in_half_precision(folders: dict[str, Path], tmp_path: Path, sights: list[Path]) -> None:
    """On a CPU it is computed in full."""
    pictures = [images.read(str(path)) for path in sights[:2]]
    network = tf.ViTModel.from_pretrained(folders["vit"])
    network.half().save_pretrained(tmp_path)
    backbone: Any = huggingface.load(huggingface.describe(str(tmp_path), name="half"))
    assert {p.dtype for p in backbone.module.parameters()} == {torch.float32}
    whole = huggingface.load(huggingface.describe(str(folders["vit"]), name="own"))
    assert (backbone.embed(pictures) * whole.embed(pictures)).sum(axis=1).min() > 0.9999


# --- Words ---


@pytest.mark.parametrize("name", ["clip", "siglip2"])
def test_same_numbers_for_words(name: str, folders: dict[str, Path]) -> None:
    folder = folders[name]
    case = next(case for case in CASES if case.row == name)
    backbone = huggingface.load(_card(case, folder))
    assert isinstance(backbone, TextBackbone)
    words = tf.AutoTokenizer.from_pretrained(folder)
    padding = {"padding": "max_length", "max_length": 64} if name == "siglip2" else {"padding": True}
    with torch.no_grad():
        inputs = words(TEXTS, return_tensors="pt", **padding)
        wanted = _lengths_one(tf.AutoModel.from_pretrained(folder).get_text_features(**inputs).pooler_output)
    mine = backbone.embed_texts(TEXTS)
    assert (mine * wanted).sum(axis=1).min() >= 0.9999
    assert (wanted @ wanted.T)[0, 1:].max() < 0.999
    np.testing.assert_allclose(backbone.embed_texts(TEXTS[:1]), mine[:1], atol=1e-5)
    assert backbone.embed_texts(["long " * 500]).shape == (1, backbone.card.dim)
    assert backbone.embed_texts([]).shape == (0, backbone.card.dim)


def test_clip_without_a_tokenizer_still_sees(folders: dict[str, Path], tmp_path: Path, sights: list[Path]) -> None:
    folder = _copy(folders["clip"], tmp_path)
    for path in folder.glob("*token*"):
        path.unlink()
    backbone = huggingface.load(huggingface.describe(str(folder), name="mute"))
    assert isinstance(backbone, TextBackbone)
    assert backbone.embed([images.read(str(sights[0]))]).shape == (1, 48)
    with pytest.raises(ModelUnavailable, match=r"no tokenizer: copy tokenizer\.json"):
        backbone.embed_texts(["snow"])
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ModelUnavailable, match=r"the tokenizer in .* cannot be used"):
        backbone.embed_texts(["snow"])


def test_only_the_tower_that_sees_is_in_memory(folders: dict[str, Path]) -> None:
    backbone: Any = huggingface.load(huggingface.describe(str(folders["clip"]), name="own"))
    assert not any("text" in name for name, _ in backbone.module.named_parameters())


# --- Files of every kind ---


def test_language_model_of_blip2_may_be_missing(
    folders: dict[str, Path], tmp_path: Path, sights: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    pictures = [images.read(str(path)) for path in sights[:2]]
    whole = huggingface.load(huggingface.describe(str(folders["blip2"]), name="own")).embed(pictures)
    folder = _copy(folders["blip2"], tmp_path)
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    needed = {file for key, file in index.items() if not key.startswith(("language_model.", "language_projection."))}
    words = set(index.values()) - needed
    assert words
    with caplog.at_level(logging.INFO, "lookalike"):
        huggingface.load(huggingface.describe(str(folder), name="own"))
    assert "GB on disk" in caplog.text
    for file in words:
        (folder / file).unlink()
    card = huggingface.describe(str(folder), name="own")
    np.testing.assert_array_equal(huggingface.load(card).embed(pictures), whole)
    (folder / needed.pop()).unlink()
    _refused(lambda: huggingface.load(replace(card, revision="1")), r"this part of the weights is missing: download")


@pytest.mark.parametrize("parts", [1, 2])
def test_pickled_tensors(parts: int, folders: dict[str, Path], tmp_path: Path, sights: list[Path]) -> None:
    pictures = [images.read(str(path)) for path in sights[:2]]
    wanted = huggingface.load(huggingface.describe(str(folders["vit"]), name="own")).embed(pictures)
    folder = _copy(folders["vit"], tmp_path)
    tensors = checkpoints.read(str(folder))
    (folder / "model.safetensors").unlink()
    if parts == 1:
        torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    else:
        where = {name: f"pytorch_model-0000{i % 2 + 1}-of-00002.bin" for i, name in enumerate(tensors)}
        for file in set(where.values()):
            torch.save({name: tensors[name] for name in tensors if where[name] == file}, folder / file)
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": where}))
    found = huggingface.load(huggingface.describe(str(folder), name="own")).embed(pictures)
    np.testing.assert_array_equal(found, wanted)


def test_classifier_without_pooler(folders: dict[str, Path], tmp_path: Path) -> None:
    network = tf.ViTForImageClassification(tf.ViTConfig(**SMALL))
    network.save_pretrained(tmp_path)
    backbone = huggingface.load(huggingface.describe(str(tmp_path), name="own"))
    assert check(backbone) == []
    _refused(
        lambda: huggingface.load(huggingface.describe(str(tmp_path), name="o", pool="pooler")), "no pooler: choose"
    )


CONVOLUTIONS: dict[str, Callable[[], Any]] = {
    "resnet": lambda: tf.ResNetModel(tf.ResNetConfig(embedding_size=16, hidden_sizes=[16, 32, 48, 64], depths=[1] * 4)),
    "convnext": lambda: tf.ConvNextModel(tf.ConvNextConfig(hidden_sizes=[16, 24, 32, 48], depths=[1] * 4)),
    "mobilenet_v2": lambda: tf.MobileNetV2Model(tf.MobileNetV2Config(depth_multiplier=0.35)),
    "swin": lambda: tf.SwinModel(tf.SwinConfig(embed_dim=16, depths=[1, 1], num_heads=[2, 2])),
    "poolformer": lambda: tf.PoolFormerModel(tf.PoolFormerConfig(hidden_sizes=[8, 16, 24, 32], depths=[1] * 4)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_any_other_vision_model(name: str, tmp_path: Path, sights: list[Path]) -> None:
    """By its pooler_output, or the mean where it has none, with the processor that it was saved with."""
    network = _spread_out(CONVOLUTIONS[name]())
    network.save_pretrained(tmp_path)
    kind = {"resnet": "ConvNext", "convnext": "ConvNext", "mobilenet_v2": "MobileNetV2"}.get(name, "ViT")
    size = {"size": {"shortest_edge": 224}} if kind == "ConvNext" else {}
    processor = getattr(tf, f"{kind}ImageProcessorPil")(**size)
    processor.save_pretrained(tmp_path)
    card = huggingface.describe(str(tmp_path), name="own")
    backbone = huggingface.load(card)
    pictures, photos = _both(sights[:5])
    x = processor(images=photos, return_tensors="pt")["pixel_values"]
    assert np.abs(preprocess.batch(pictures, card.input) - x.numpy()).max() <= 1 / 255 / 0.2
    with torch.no_grad():
        out = network(x)
    pooled = out.get("pooler_output")
    wanted = _lengths_one(pooled.flatten(1) if pooled is not None else out.last_hidden_state.mean(dim=(2, 3)))
    assert (backbone.embed(pictures) * wanted).sum(axis=1).min() >= 0.9999
    assert card.dim == wanted.shape[1]


# --- The card of a folder ---


def test_describing_a_folder_needs_no_torch(folders: dict[str, Path]) -> None:
    code = (
        "import sys; from lookalike.models.backbones.huggingface import describe\n"
        f"card = describe({str(folders['clip'])!r}, name='own'); print(card.dim, card.texts)\n"
        "assert not {'torch', 'transformers', 'safetensors'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("48 True\n", "")


def test_nothing_of_transformers_reaches_the_terminal(folders: dict[str, Path]) -> None:
    code = f"""
import numpy as np
from lookalike import images
from lookalike.models.backbones.huggingface import describe, load
for folder in {[str(folders[name]) for name in ("clip", "blip2", "beit")]!r}:
    model = load(describe(folder, name="own"))
    print(len(model.embed([images.read(np.zeros((30, 40, 3), np.uint8))])))
    if model.card.texts:
        model.embed_texts(["snow"])
"""
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    assert (done.stdout, done.stderr) == ("1\n1\n1\n", "")


def test_processor_in_the_newer_nested_file(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = _copy(folders["clip"], tmp_path)
    (folder / "preprocessor_config.json").unlink()
    own = tf.CLIPImageProcessorPil(size={"shortest_edge": 200}, crop_size={"height": 192, "width": 192})
    tf.CLIPProcessor(own, _clip_words()).save_pretrained(folder)
    assert "image_processor" in json.loads((folder / "processor_config.json").read_text())
    found = huggingface.describe(str(folder), name="own").input
    assert (found.size, found.resize, found.fit) == ((192, 192), 200, "crop")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.row)
def test_sensible_processor_where_there_is_none(case: Case, folders: dict[str, Path], tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "model.safetensors.index.json"):
        if (folders[case.key] / name).is_file():
            shutil.copy(folders[case.key] / name, tmp_path)
    for path in folders[case.key].glob("model-*"):
        shutil.copy(path, tmp_path)
    found, official = huggingface.describe(str(tmp_path), name="own").input, ROWS[case.row].input
    near = "resample" if case.row in ("beit", "siglip2") else ""  # their classes' own filter is the finer one
    assert replace(found, **({near: official.resample} if near else {})) == official


def test_revision_and_licence(folders: dict[str, Path], tmp_path: Path, sights: list[Path]) -> None:
    folder = _copy(folders["vit"], tmp_path)
    (folder / "README.md").write_text("---\ntags:\n- vision\nlicense: apache-2.0\n---\n# Vision\n")
    card = huggingface.describe(str(folder), name="own")
    assert card.license == "apache-2.0"
    assert huggingface.describe(str(folders["vit"]), name="own").revision == card.revision
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    os.utime(weights, ns=(1, 1))
    assert huggingface.describe(str(folder), name="own").fingerprint != card.fingerprint
    _refused(lambda: huggingface.load(card), "has changed since it was added")


# --- What is refused ---


def _refused(call: Callable[[], object], message: str, kind: type[LookalikeError] = ModelUnavailable) -> None:
    """One line, with a remedy."""
    with pytest.raises(kind, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert ":" in str(caught.value)


def _copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_folder_that_is_no_model(folders: dict[str, Path], tmp_path: Path) -> None:
    _refused(lambda: huggingface.describe(str(tmp_path / "none"), name="x"), "no such folder")
    _refused(lambda: huggingface.describe(str(tmp_path), name="x"), r"no config\.json there: copy the whole folder")
    config = tmp_path / "config.json"
    config.write_text('{"model_type": "vit"')
    _refused(lambda: huggingface.describe(str(tmp_path), name="x"), "cannot be read as JSON .* download it again")
    config.write_text("[]")
    _refused(lambda: huggingface.describe(str(tmp_path), name="x"), "holds no settings")
    config.write_text("{}")
    _refused(lambda: huggingface.describe(str(tmp_path), name="x"), "names no model_type")
    config.write_text('{"model_type": "vit", "hidden_size": "wide"}')
    _refused(lambda: huggingface.describe(str(tmp_path), name="x"), r"config\.json makes no sense")
    config.write_text('{"model_type": "bert", "hidden_size": 64}')
    _refused(lambda: huggingface.describe(str(tmp_path), name="x"), "bert network does not take pictures")
    config.write_text('{"model_type": "siglip2", "vision_config": {}}')
    _refused(lambda: huggingface.describe(str(tmp_path), name="x"), "of any shape")
    config.write_text('{"model_type": "vit"}')
    _refused(lambda: huggingface.describe(str(tmp_path), name="x"), "no weights there: copy model.safetensors")
    (tmp_path / "tf_model.h5").touch()
    _refused(lambda: huggingface.describe(str(tmp_path), name="x"), "tf_model.h5 is of another framework")
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../elsewhere.safetensors"}}')
    _refused(lambda: huggingface.describe(str(tmp_path), name="x"), "not an index of weights")
    _refused(lambda: huggingface.load(ROWS["clip"]), "'lookalike models pull clip'")


def test_timm_folder_without_timm(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    if "timm" in sys.modules or shutil.which("timm"):
        pytest.skip("timm is installed")
    config = {"architecture": "resnet50", "num_features": 2048, "pretrained_cfg": {"input_size": [3, 224, 224]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    _refused(lambda: huggingface.describe(str(tmp_path), name="x"), "pip install timm")


def test_folder_of_another_architecture_or_size(folders: dict[str, Path]) -> None:
    wrong = replace(ROWS["clip"], path=str(folders["dinov2"]))
    _refused(lambda: huggingface.load(wrong), r"holds a dinov2 network, not a clip.* \(hf:openai/.* --model")
    small = replace(ROWS["dinov2"], path=str(folders["dinov2"]))
    _refused(lambda: huggingface.load(small), "holds a dinov2 network of 64 dimensions, not a dinov2 network of 768")


def test_weights_that_do_not_fit(folders: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    folder = _copy(folders["vit"], tmp_path)
    path = folder / "model.safetensors"
    tensors = checkpoints.read(str(folder))
    card = replace(huggingface.describe(str(folder), name="own"), revision="1")
    lost = {name: tensor for name, tensor in tensors.items() if not name.startswith("encoder.layer.1.")}
    assert len(lost) < len(tensors)
    save_file(lost, path, {"format": "pt"})
    _refused(lambda: huggingface.load(card), "do not fit config.json: 16 tensors are missing")
    save_file({name: tensor[..., :-1].clone() for name, tensor in tensors.items()}, path, {"format": "pt"})
    _refused(lambda: huggingface.load(card), "do not fit config.json")
    save_file({"something": torch.zeros(3)}, path, {"format": "pt"})
    _refused(lambda: huggingface.load(card), "do not fit config.json")


def test_damaged_weights(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = _copy(folders["clip"], tmp_path)
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    card = replace(huggingface.describe(str(folder), name="own"), revision="1")
    for part in (whole[: len(whole) // 2], whole[:5], b"", b"not weights " * 100):
        path.write_bytes(part)
        _refused(lambda: huggingface.load(card), "cut short, damaged, .* download it again")


class _Shell:
    """Unpickled carelessly, it would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_pickle_that_is_more_than_tensors(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = _copy(folders["vit"], tmp_path)
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    torch.save({"a": _Shell(tmp_path / "pwned")}, path)
    card = replace(huggingface.describe(str(folder), name="own"), revision="1")
    _refused(lambda: huggingface.load(card), "runs no code from files: .* best as model.safetensors")
    assert not (tmp_path / "pwned").exists()
    torch.save({"epoch": 3}, path)
    _refused(lambda: huggingface.load(card), "not a plain list of tensors")
    for junk in (b"", b"junk" * 100):
        path.write_bytes(junk)
        _refused(lambda: huggingface.load(card), "cut short, damaged")


def test_pool_that_the_network_has_not(folders: dict[str, Path]) -> None:
    folder = str(folders["siglip2"])
    message = "siglip network has no pool 'cls': choose from features, mean"
    _refused(lambda: huggingface.describe(folder, name="x", pool="cls"), message, UsageError)
    _refused(lambda: huggingface.describe(folder, name="x", pool="sum"), "no pool 'sum'", UsageError)


@pytest.mark.parametrize(
    "change", [{"resample": 9}, {"size": {"longest_edge": 500}}, {"image_mean": [0.5]}, {"size": "large"}]
)
def test_processor_that_cannot_be_followed(change: dict[str, Any], folders: dict[str, Path], tmp_path: Path) -> None:
    folder = _copy(folders["siglip2"], tmp_path)
    (folder / "preprocessor_config.json").write_text(json.dumps(OFFICIAL["siglip"] | change))
    _refused(lambda: huggingface.describe(str(folder), name="x"), r"preprocessor_config\.json", UsageError)


# --- Full size ---


@pytest.mark.parametrize(
    ("row", "build", "parameters"),
    [
        ("clip", lambda: tf.CLIPVisionModelWithProjection(tf.CLIPVisionConfig()), 87_849_216),
        ("dinov2", lambda: tf.Dinov2Model(tf.Dinov2Config(image_size=518, patch_size=14)), 86_580_480),
    ],
)
def test_full_size(
    row: str,
    build: Callable[[], Any],
    parameters: int,
    tmp_path: Path,
    sights: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tensors are handed over in memory: everything but the reading of a file of 350 MB is real."""
    network = build()
    tensors = network.state_dict()
    config = network.config.to_dict()
    if row == "clip":
        config = tf.CLIPConfig(vision_config=config).to_dict()
    (tmp_path / "config.json").write_text(json.dumps(config, default=str))
    monkeypatch.setattr(checkpoints, "read", lambda folder, parts=(): tensors)
    before = _resident()
    backbone: Any = huggingface.load(replace(ROWS[row], path=str(tmp_path)))
    assert sum(p.numel() for p in backbone.module.parameters()) == parameters
    out = backbone.embed([images.read(str(sights[0]))])
    assert out.shape == (1, ROWS[row].dim)
    held = sum(p.nbytes for p in backbone.module.parameters())
    print(f"\n{row}: {parameters / 1e6:.1f} M parameters, {held / 1e6:.0f} MB, resident +{_resident() - before:.0f} MB")


def _resident() -> float:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return 0.0
