"""Networks of local features: added, found again, refused; and how numbers are read from them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lookalike import images
from lookalike.errors import ModelUnavailable, UsageError
from lookalike.keypoints import networks
from lookalike.keypoints.features import SIGNED, Features, encoding, signed
from lookalike.keypoints.geometry import verify
from lookalike.keypoints.matching import match
from lookalike.keypoints.methods import METHODS, extract, remedy, revision
from lookalike.keypoints.sampling import bicubic, bilinear
from lookalike.places import models_folder
from tests.unit.keypoint_files import GRID, write

Photos = dict[str, np.ndarray]
Add = Callable[[str], None]


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)


NEEDY = [name for name, method in METHODS.items() if method.networks]


@pytest.mark.parametrize("method", NEEDY)
def test_a_network_that_is_not_here_is_told_with_the_remedy(photo_pixels: Photos, method: str) -> None:
    with pytest.raises(ModelUnavailable) as error:
        extract(images.read(photo_pixels["cat"]), method)
    assert f"{remedy(method)}'" in str(error.value)
    assert "https://" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_what_is_no_such_network_is_refused(tmp_path: Path, name: str) -> None:
    other = write("disk" if name == "lightglue" else "lightglue", tmp_path / "other.onnx")
    whole = other.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.onnx").write_text("no network at all")
    (tmp_path / "empty.onnx").touch()
    for file in ("other.onnx", "cut.onnx", "text.onnx", "empty.onnx", "missing.onnx", "."):
        with pytest.raises(UsageError) as error:
            networks.add(name, str(tmp_path / file))
        assert str(error.value).startswith(str(tmp_path))
        assert "\n" not in str(error.value)
    assert not (models_folder() / "keypoints").exists()


def test_an_unknown_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose from xfeat, "):
        networks.add("magic", str(tmp_path))


def test_a_file_is_held_to_its_hash(tmp_path: Path) -> None:
    file = write("lightglue", tmp_path / "matcher.onnx")
    networks.add("lightglue", str(file))
    path, digest = networks.find("lightglue")
    assert (path, len(digest)) == (str(file), 64)
    whole = file.read_bytes()
    file.write_bytes(whole + b"x")
    with pytest.raises(ModelUnavailable, match="has changed since it was added"):
        networks.find("lightglue")
    file.write_bytes(whole)
    os.utime(file, ns=(1, 1))
    assert networks.find("lightglue") == (path, digest)
    file.unlink()
    with pytest.raises(ModelUnavailable, match="no such file"):
        networks.find("lightglue")
    assert networks.remove("lightglue")
    assert not networks.remove("lightglue")
    with pytest.raises(ModelUnavailable, match="is not on this machine"):
        networks.find("lightglue")


@pytest.mark.parametrize("record", ["", "[]", '{"path": 3, "sha256": 4}', '{"path": "/x"}'])
def test_a_damaged_record_is_none(record: str) -> None:
    (models_folder() / "keypoints").mkdir()
    (models_folder() / "keypoints" / "xfeat.json").write_text(record)
    with pytest.raises(ModelUnavailable, match="is not on this machine"):
        networks.find("xfeat")


@pytest.mark.parametrize("method", ["aliked", "disk"])
def test_opencvs_own_networks(tmp_path: Path, method: str) -> None:
    networks.add(method, str(write(method, tmp_path / f"{method}.onnx")))
    assert remedy(method) is None
    picture = images.read(noise())
    found = extract(picture, method, 100)
    assert (len(found), found.descriptors.shape) == (100, (100, 128))
    assert (np.diff(found.strengths) <= 0).all()
    assert (found.points > 0).all() and (found.points < found.size).all()
    whole = extract(picture, method)
    assert len(whole) == GRID**2
    cell = np.array(found.size) / GRID
    np.testing.assert_allclose(np.unique(whole.points[:, 0]), (np.arange(GRID) + 0.5) * cell[0], atol=0.5)
    itself = match(whole, whole)
    assert len(itself) > 0.9 * len(whole)
    np.testing.assert_array_equal(itself[:, 0], itself[:, 1])
    assert len(extract(images.read(np.full((99, 99, 3), 7, dtype=np.uint8)), method)) == 0


def test_opencvs_own_matcher(tmp_path: Path) -> None:
    for name in ("aliked", "lightglue"):
        networks.add(name, str(write(name, tmp_path / f"{name}.onnx")))
    picture = images.read(noise())
    found = extract(picture, "lightglue")
    pairs = match(found, found)
    np.testing.assert_array_equal(pairs[:, 0], pairs[:, 1])
    assert len(pairs) == len(found)
    flat = extract(images.read(np.full((99, 99, 3), 7, dtype=np.uint8)), "lightglue")
    assert match(found, flat).shape == match(flat, found).shape == (0, 2)
    with pytest.raises(ValueError, match="cannot be matched"):
        match(found, extract(picture, "aliked"))


def test_lighterglue_matches_more_surely(add_network: Add, photo_pixels: Photos) -> None:
    for name in ("xfeat", "lighterglue"):
        add_network(name)
    a, b = (images.read(photo_pixels["astronaut"][rows]) for rows in (slice(0, 260), slice(60, None)))
    found = verify(extract(a, "lighterglue"), extract(b, "lighterglue"))
    assert found.count > 200
    assert found.count > 0.9 * len(found.pairs)
    assert found.transform is not None
    np.testing.assert_allclose(found.transform[:2, 2], (0, -60), atol=2)


@pytest.mark.parametrize("method", ["xfeat", "alike"])
def test_threads_share_a_network(add_network: Add, photo_pixels: Photos, method: str) -> None:
    add_network(method)
    pictures = [images.read(pixels) for pixels in photo_pixels.values()]
    alone = [extract(picture, method, 200) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda picture: extract(picture, method, 200), pictures))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.points, other.points)
        np.testing.assert_array_equal(one.descriptors, other.descriptors)


def test_another_file_is_another_revision(tmp_path: Path) -> None:
    assert revision("sift") == revision("sift")
    with pytest.raises(ModelUnavailable):
        revision("disk")
    file = write("disk", tmp_path / "disk.onnx")
    networks.add("disk", str(file))
    first = revision("disk")
    file.write_bytes(file.read_bytes() + b"\x72\x00")  # an empty piece of metadata
    networks.add("disk", str(file))
    assert revision("disk") != first


def test_bytes_keep_directions() -> None:
    rows = np.random.default_rng(1).standard_normal((500, 64)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    zeros = np.zeros(500, dtype=np.float32)
    for method in SIGNED:
        kept = Features(method, (9, 9), np.zeros((500, 2), np.float32), zeros, zeros, zeros, signed(rows))
        assert (kept.directions() * rows).sum(axis=1).min() > 0.9999
    assert (signed(np.zeros((1, 4), dtype=np.float32)) == 128).all()
    assert signed(np.zeros((0, 4), dtype=np.float32)).shape == (0, 4)
    assert {encoding(method)[:4] for method in METHODS} == {"bits", "numb"}


def test_grids_are_read_between_their_cells() -> None:
    y, x = np.mgrid[:6, :8].astype(np.float32)
    grid = np.stack([x, 2 * y, np.ones_like(x)])
    points = np.array([(3.25, 2.5), (2, 2), (0, 0), (-4, 99)], dtype=np.float32)
    for read, near in ((bilinear, 1e-5), (bicubic, 0.05)):  # the networks' cubic kernel bends even a plane
        found = read(grid, points)
        np.testing.assert_allclose(found[0], (3.25, 5, 1), atol=near)
        np.testing.assert_allclose(found[1], (2, 4, 1), atol=1e-5)
        np.testing.assert_allclose(found[2:], [(0, 0, 1), (0, 10, 1)], atol=1e-5)
        assert read(grid, np.zeros((0, 2), dtype=np.float32)).shape == (0, 3)


def test_surf_names_what_it_needs(photo_pixels: Photos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mahotas.features.surf", None)
    with pytest.raises(ModelUnavailable, match=r"pip install 'lookalike\[surf\]'"):
        extract(images.read(photo_pixels["cat"]), "surf")


def test_records_hold_path_and_hash_alone(tmp_path: Path) -> None:
    file = write("lightglue", tmp_path / "matcher.onnx")
    record = networks.add("lightglue", str(file))
    assert set(json.loads(record.read_text())) == {"path", "sha256"}
    assert record.parent.parent == models_folder()
