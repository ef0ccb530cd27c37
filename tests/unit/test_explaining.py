"""Why two pictures match: what is drawn and said must be true of pictures whose relation is known."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import lookalike
from lookalike import draw, images
from lookalike.bench import copies
from lookalike.errors import NoCollection, StorageError, UnreadableImage, UsageError
from lookalike.explaining import explain, sheet, words
from lookalike.explaining.maps import maps
from lookalike.explaining.page import render
from lookalike.models import preprocess, registry
from lookalike.models.backbones.onnx import describe
from lookalike.models.backbones.patches import patches, seen
from lookalike.types import Evidence, InputSpec, Picture, Pixels

Photos = dict[str, np.ndarray]


def _picture(pixels: Pixels) -> Picture:
    return Picture(pixels, pixels.shape[1], pixels.shape[0], "PNG")


def _saved(folder: Path, name: str, pixels: Pixels) -> Path:
    Image.fromarray(pixels).save(folder / name)
    return folder / name


@pytest.fixture
def pair(tmp_path: Path, photo_pixels: Photos) -> tuple[Path, Path]:
    """A photo, and the same turned, smaller, with a white square upon it."""
    cat = photo_pixels["cat"]
    height, width = cat.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -12, 0.8)
    edited = np.asarray(cv2.warpAffine(cat, turn, (width, height)), dtype=np.uint8)
    edited[60:100, 140:190] = 255
    return _saved(tmp_path, "a.png", cat), _saved(tmp_path, "b.png", edited)


# -- words ---------------------------------------------------------------------------------------------------


def _evidence(transform: np.ndarray, kind: str = "similarity", mirrored: bool = False, inliers: int = 40) -> Evidence:
    rows = tuple(tuple(float(x) for x in row) for row in transform)
    return Evidence("sift", 50, inliers, kind, rows, mirrored)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("angle", "scale"), [(12, 0.8), (-45, 2.0), (180, 1.0), (0, 1.0)])
def test_words_are_read_off_the_transform(angle: float, scale: float, mirrored: bool) -> None:
    radians = np.deg2rad(angle)
    cos, sin = scale * np.cos(radians), scale * np.sin(radians)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
    turn[:2, 2] = np.array([150, 100]) - turn[:2, :2] @ (150, 100)  # about the middle
    flip = np.array([[-1.0, 0, 300], [0, 1, 0], [0, 0, 1]]) if mirrored else np.eye(3)
    line = words.told(_evidence(turn @ flip, mirrored=mirrored), (300, 200), (300, 200))
    assert line.startswith("40 of 50 matched keypoints agree on a similarity: ")
    way = "" if angle == 180 else " clockwise" if angle > 0 else " anticlockwise"
    assert (f"turned by {abs(angle)} degrees{way}," if angle else "not turned,") in line
    assert (f"{scale:g} times as large" if scale != 1 else "the same size") in line
    assert ("mirrored" in line) == mirrored
    assert "one way" not in line


def test_words_of_crops_squeezes_and_tilts() -> None:
    crop = words.told(_evidence(np.array([[1, 0, -100], [0, 1, 0], [0, 0, 1.0]])), (200, 100), (100, 100))
    assert "50% of the first is in the second" in crop
    assert "fills" not in crop
    pasted = words.told(_evidence(np.diag([0.5, 0.5, 1.0])), (200, 100), (200, 100))
    assert "it fills 25% of the second" in pasted
    squeezed = words.told(_evidence(np.diag([1.5, 1.0, 1.0]), "affine"), (200, 100), (300, 100))
    assert "agree on an affine transform" in squeezed
    assert "1.50 times as long one way as the other" in squeezed
    tilted = np.array([[1, 0, 0], [0, 1, 0], [0.002, 0, 1.0]])
    assert "seen at an angle" in words.told(_evidence(tilted, "homography"), (200, 100), (200, 100))


def test_words_where_nothing_is_certain() -> None:
    size = (100, 100)
    assert words.told(Evidence("sift", note="nothing to verify: why"), size, size) == "nothing to verify: why"
    assert words.told(Evidence("sift"), size, size).startswith("nothing in common: no keypoint")
    assert words.told(Evidence("sift", pairs=9), size, size).startswith("nothing in common: 9 keypoints look alike")
    few = _evidence(np.eye(3), inliers=words.SURE - 1)
    assert words.told(few, size, size).endswith("so few may agree by chance")
    assert not words.overlaid(few)


# -- pictures ------------------------------------------------------------------------------------------------


def test_the_ramp_grows_lighter_evenly() -> None:
    colours = draw.coloured(np.linspace(0, 1, 256)[None], 0, 1)
    light = cv2.cvtColor(colours.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)[0, :, 0]
    steps = np.diff(light[::15])
    assert steps.min() > 0.7 * steps.max() > 0
    assert (draw.coloured(np.array([[np.nan]]), 0, 1) == draw.GROUND).all()


@pytest.mark.parametrize("a", [(1, 1), (2000, 1), (1, 2000), (40, 30), (3000, 2000)])
@pytest.mark.parametrize("b", [(1, 1), (5000, 3), (300, 200)])
def test_any_two_shapes_are_drawn(a: tuple[int, int], b: tuple[int, int]) -> None:
    one, other = (_picture(np.full((h, w, 3), 90, dtype=np.uint8)) for w, h in (a, b))
    places = np.array([[0.5, 0.5]], dtype=np.float32)
    canvas = draw.draw_matches(one, other, places * a, places * b)
    assert canvas.shape[1] == draw.SIDE
    assert 4 <= canvas.shape[0] <= 2000
    orange = (canvas == draw.ORANGE).all(axis=2)
    assert orange.any()


def test_many_lines_are_thinned_evenly(photo_pixels: Photos) -> None:
    crowd = np.random.default_rng(0).uniform(0, 0.05, (900, 2))
    alone = np.array([[0.9, 0.9], [0.5, 0.1]])
    chosen = draw._spread(np.concatenate([crowd, alone]))
    assert len(chosen) == draw.LINES
    assert {900, 901} <= set(chosen)


def test_small_pictures_are_drawn_larger(photo_pixels: Photos) -> None:
    from lookalike.keypoints.methods import extract

    small = _picture(np.ascontiguousarray(photo_pixels["cat"][:90, :120]))
    drawn = draw.draw_keypoints(small, extract(small))
    assert max(drawn.shape) == draw.SMALLEST
    assert (drawn == draw.ORANGE).all(axis=2).any()


def test_what_was_edited_stands_out(pair: tuple[Path, Path]) -> None:
    found = explain(*pair, models=["phash"])
    assert words.overlaid(found.evidence)
    laid = draw.overlay(found.a.picture, found.b.picture, np.array(found.evidence.transform), 640)
    scale = 640 / found.b.size[0]
    top, bottom, left, right = (round(n * scale) for n in (60, 100, 140, 190))
    inside = laid.difference[top + 8 : bottom - 8, left + 8 : right - 8]
    assert np.median(inside) > 20
    beside = laid.difference.copy()
    beside[top - 10 : bottom + 10, left - 10 : right + 10] = np.nan
    assert np.nanquantile(beside, 0.99) < 8
    assert np.isnan(laid.difference[0, 0])  # where the turned copy is black, the photo does not reach
    assert (laid.blend[2, 2] == laid.base[2, 2]).all()


def test_brightness_is_no_edit(tmp_path: Path, photo_pixels: Photos) -> None:
    coffee = photo_pixels["coffee"]
    darker = (coffee * 0.55 + 20).astype(np.uint8)
    found = explain(_saved(tmp_path, "a.png", coffee), _saved(tmp_path, "b.png", darker), models=["phash"])
    laid = draw.overlay(found.a.picture, found.b.picture, np.array(found.evidence.transform), 640)
    assert np.nanquantile(laid.difference, 0.99) < 5


@pytest.mark.parametrize("operator", ["crop", "flip", "paste", "perspective", "aspect"])
def test_overlay_of_edited_copies_fits(operator: str, photo_pixels: Photos, tmp_path: Path) -> None:
    cat = photo_pixels["cat"]
    copy = copies.make(cat, operator, "medium", seed=2, others=[photo_pixels["coffee"]])
    paths = _saved(tmp_path, "a.png", cat), _saved(tmp_path, "b.png", copy.pixels)
    found = explain(*paths, models=["phash"], mirror=True)
    assert found.evidence.mirrored == (operator == "flip")
    laid = draw.overlay(found.a.picture, found.b.picture, np.array(found.evidence.transform), 640)
    assert np.nanmedian(laid.difference) < 5
    assert words.told(found.evidence, found.a.size, found.b.size).count("mirrored") == (operator == "flip")


# -- maps ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(200, 300), (300, 200), (224, 224), (50, 400)])
@pytest.mark.parametrize(
    "spec", [InputSpec((224, 224), resize=256), InputSpec((112, 224), "squash"), InputSpec((224, 224), "pad")]
)
def test_where_the_network_looks(shape: tuple[int, int], spec: InputSpec) -> None:
    """By a picture whose colours say where they are."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    where = np.stack([255 * (x + 0.5) / width, 255 * (y + 0.5) / height, 0 * x], axis=2).round().astype(np.uint8)
    fitted = preprocess.fit(_picture(where), spec).astype(float) / 255
    rows, cols = spec.size
    left, top, right, bottom = seen(_picture(where), spec)
    for row, col in ((rows // 2, cols // 2), (rows // 2 + 12, cols // 3), (rows // 2 - 9, 2 * cols // 3)):
        expected = left + (right - left) * (col + 0.5) / cols, top + (bottom - top) * (row + 0.5) / rows
        if all(0.02 < share < 0.98 for share in expected):
            assert fitted[row, col, :2] == pytest.approx(expected, abs=0.02)


def _tiny_vit(path: Path, special: int) -> np.ndarray:
    """A network of 4 x 4 patches of 16 pixels: projected, special tokens before them, normalised; their mean."""
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((8, 3, 16, 16)).astype(np.float32)
    constants = {
        "kernel": kernel,
        "flat": np.array([0, 8, -1]),
        "special": rng.standard_normal((1, special, 8)).astype(np.float32),
        "one": np.ones(8, dtype=np.float32),
        "axes": np.array([1]),
    }
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["map"], strides=[16, 16]),
        helper.make_node("Reshape", ["map", "flat"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["tokens"], perm=[0, 2, 1]),
        *([helper.make_node("Concat", ["special", "tokens"], ["all"], axis=1)] if special else []),
        helper.make_node("LayerNormalization", ["all" if special else "tokens", "one"], ["last"], axis=-1),
        helper.make_node("ReduceMean", ["last", "axes"], ["embedding"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, 8])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return kernel


@pytest.mark.parametrize("special", [0, 1, 5])
def test_patch_tokens_are_the_networks_own(special: int, tmp_path: Path, photo_pixels: Photos) -> None:
    kernel = _tiny_vit(tmp_path / "tiny.onnx", special)
    card = describe(str(tmp_path / "tiny.onnx"), name="tiny", spec=InputSpec((64, 64), "squash"))
    picture = _picture(photo_pixels["cat"])
    (found,) = patches(registry.load(card), [picture]) or []
    assert (found.tokens.shape, found.box) == ((4, 4, 8), (0, 0, 1, 1))
    x = preprocess.batch([picture], card.input)[0]
    for row, col in ((0, 0), (1, 3), (3, 2)):
        patch = x[:, 16 * row : 16 * row + 16, 16 * col : 16 * col + 16]
        token = np.einsum("dchw,chw->d", kernel, patch)
        token -= token.mean()
        assert found.tokens[row, col] == pytest.approx(token / np.linalg.norm(token), abs=1e-3)


def test_patches_find_their_place_again(shared: Path, photo_pixels: Photos) -> None:
    path = shared / "models" / "vit_tiny_patch16_224.onnx"
    half = (0.5, 0.5, 0.5)
    spec = InputSpec((224, 224), resize=256, mean=half, std=half)
    registry.save_card(describe(str(path), name="vit-tiny", spec=spec))
    card = registry.card("vit-tiny")
    cat = _picture(photo_pixels["cat"])
    same = maps(card, cat, cat)
    assert same.kind == "patches"
    assert same.a.values.shape == (14, 14)
    assert (same.a.values > 0.999).all()
    assert same.a.best is not None
    assert (same.a.best.ravel() == np.arange(196)).mean() > 0.98
    other = maps(card, cat, _picture(photo_pixels["hubble_deep_field"]))
    assert np.median(other.a.values) < 0.6
    # What is the mean of all patches, or the first token, is the embedding: these are the network's last tokens.
    (found,) = patches(registry.load(card), [cat]) or []
    nearest = found.tokens.reshape(196, -1) @ registry.load(card).embed([cat])[0]
    assert nearest.max() > 0.3


def test_hiding_what_counts_costs_most(photo_pixels: Photos) -> None:
    """Half of the one picture is the other: that half is what makes them alike."""
    cat, coffee = (np.asarray(Image.fromarray(photo_pixels[n]).resize((160, 160))) for n in ("cat", "coffee"))
    both = _picture(np.concatenate([cat, coffee], axis=1))
    found = maps(registry.card("sift"), both, _picture(cat))
    assert (found.kind, found.a.best) == ("occlusion", None)
    assert found.a.values.shape == (8, 8)
    left, right = found.a.values[:, :4].mean(), found.a.values[:, 4:].mean()
    assert left > 0.002 > right
    once, again = (maps(registry.card("color"), both, _picture(cat)) for _ in range(2))
    assert (once.a.values == again.a.values).all()


def test_models_without_patches_have_none(photo_pixels: Photos) -> None:
    assert patches(registry.load(registry.card("color")), [_picture(photo_pixels["cat"])]) is None


# -- the whole -----------------------------------------------------------------------------------------------


def test_what_is_usual_in_a_collection(photos: Path) -> None:
    collection = lookalike.open(photos)
    collection.add(models=["color", "hog"])
    small, cat = photos / "cat small.png", photos / "more" / "cat.jpg"
    found = explain(small, cat, models=["color", "phash"], collection=collection)
    assert set(found.standings) == {"color"}  # the collection has no vectors of phash
    standing = found.standings["color"]
    assert standing.usual.mean < found.comparison.scores[0].cosine
    assert standing.standard > 1.5
    assert 0.9 < standing.above <= 1
    assert 20 <= standing.pairs <= 45  # of nine or ten pictures
    unlike = explain(cat, photos / "coffee.jpg", models=["color"], collection=collection).standings["color"]
    assert unlike.above < standing.above
    tiny = photos.parent / "tiny.png"
    with Image.open(cat) as image:
        image.resize((48, 48)).save(tiny)
    assert {score.model for score in explain(tiny, tiny, collection=collection).comparison.scores} > {"hog", "phash"}
    with pytest.raises(NoCollection):
        explain(small, cat, models=["color"], collection=lookalike.open(photos / "more"))


def test_a_picture_is_written(pair: tuple[Path, Path], tmp_path: Path) -> None:
    found = explain(*pair, models=["color"])
    found.save(tmp_path / "why.png")
    with Image.open(tmp_path / "why.png") as written:
        assert written.size == sheet.render(found).size
        assert written.width == sheet.WIDTH
        pixels = np.asarray(written.convert("RGB"))
    assert all((pixels == colour).all(axis=2).any() for colour in draw.PALETTE[:3])
    with pytest.raises(UsageError, match=r"why\.gif: name a file that ends in \.png or \.html"):
        found.save(tmp_path / "why.gif")
    with pytest.raises(StorageError):
        found.save(tmp_path / "nowhere" / "why.html")


def test_names_are_drawn_in_letters_that_the_font_has() -> None:
    assert sheet._drawable("na\u00efve \u043a\u043e\u0442 cafe\u0301 \u00b1.png") == "naive ??? cafe \u00b1.png"


def test_a_page_runs_its_own_script_only(tmp_path: Path, photo_pixels: Photos) -> None:
    smuggler = "<script>alert(1)<!--.png"
    a, b = (_saved(tmp_path, name, photo_pixels["cat"]) for name in (smuggler, "b.png"))
    page = render(explain(a, b, models=["phash"]))
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 1
    own = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1] == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{own}'"
    assert html.escape(smuggler, quote=False) in page
    assert not re.search(r"https?://|\ssrc=\"(?!data:)|\son\w+=", page)
    (data,) = re.findall(r'<script type="application/json" id="parts">(.*?)</script>', page)
    (moved,) = json.loads(data)
    assert moved["name"] == "keypoints"
    assert np.array(moved["a"]["move"]).reshape(3, 3) == pytest.approx(np.eye(3), abs=1e-3)
    assert page.count("<h2>") == len(re.findall("</h2>", page)) == 5


FLAT = np.full((120, 160, 3), 120, dtype=np.uint8)


@pytest.mark.parametrize(
    ("pixels", "note"),
    [
        (FLAT, "nothing to verify: the second picture has no keypoints"),
        (FLAT[:1, :1], "nothing to verify: the second picture has no keypoints"),
        (np.tile(FLAT[:3], (1, 30, 1)), "nothing to verify: the second picture has no keypoints"),
    ],
)
def test_pictures_without_anything_to_verify(pixels: Pixels, note: str, tmp_path: Path, photo_pixels: Photos) -> None:
    cat, other = _saved(tmp_path, "cat.png", photo_pixels["cat"]), _saved(tmp_path, "flat.png", pixels)
    found = explain(cat, other, models=["color"])
    assert (found.evidence.note, found.evidence.inliers) == (note, 0)
    for name in ("why.png", "why.html"):
        found.save(tmp_path / name)
    page = (tmp_path / "why.html").read_text()
    assert f"{note[0].upper()}{note[1:]}." in page
    assert "laid over" not in page


def test_transparent_pictures_and_the_same_file_twice(tmp_path: Path, photo_pixels: Photos) -> None:
    image = Image.fromarray(photo_pixels["cat"]).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(tmp_path / "glass.png")
    found = explain(tmp_path / "glass.png", tmp_path / "glass.png", models=["color"])
    assert found.evidence.inliers == found.evidence.pairs > words.SURE
    told = words.told(found.evidence, found.a.size, found.b.size)
    assert told.endswith("agree on a similarity: not turned, the same size")
    laid = draw.overlay(found.a.picture, found.b.picture, np.array(found.evidence.transform), 320)
    assert np.nanmax(laid.difference) < 1


def test_unreadable_files_are_told_and_nothing_is_written(photos: Path) -> None:
    with pytest.raises(UnreadableImage, match=r"notes\.txt"):
        explain(photos / "coffee.jpg", photos / "notes.txt")


def test_a_reduced_decode_changes_no_place(tmp_path: Path, photo_pixels: Photos) -> None:
    """Large JPEGs are decoded smaller: points, transform and overlay are in the file's own pixels all the same."""
    cat = Image.fromarray(photo_pixels["cat"])
    cat.resize((cat.width * 12, cat.height * 12), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg", quality=90)
    cat.save(tmp_path / "small.png")
    found = explain(tmp_path / "large.jpg", tmp_path / "small.png", models=["phash"])
    assert found.a.picture.size != found.a.size == (cat.width * 12, cat.height * 12)
    assert "0.083 times as large" in words.told(found.evidence, found.a.size, found.b.size)
    laid = draw.overlay(found.a.picture, found.b.picture, np.array(found.evidence.transform), 640)
    assert np.nanmedian(laid.difference) < 5
    assert images.read(replace(found.a.picture)).size == found.a.picture.size
