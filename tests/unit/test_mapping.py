"""Maps: likeness becomes nearness, no two pictures share a cell, and nothing is made twice."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike.errors import ModelUnavailable, UsageError
from lookalike.mapping import Map, grouping, has_labels, kept_map, map_of, state_of
from lookalike.mapping.grid import snapped
from lookalike.mapping.groups import COLOURS, OTHERS, clusters
from lookalike.mapping.layout import Floats, components, laid_out
from lookalike.store import MAPS

RNG = np.random.default_rng(5)


def blobs(each: int = 60, count: int = 3, dim: int = 64) -> Floats:
    """Unit vectors round a few directions, group by group."""
    centres = RNG.standard_normal((count, dim))
    rows = np.repeat(centres, each, axis=0) + 0.2 * RNG.standard_normal((each * count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


# -- from vectors to points ------------------------------------------------------------------------------------------


def test_points_lie_in_the_square_and_groups_lie_together() -> None:
    points = laid_out(components(blobs()))
    assert points.shape == (180, 2)
    assert points.dtype == np.float32
    assert 0 <= points.min() < points.max() <= 1
    middles = points.reshape(3, 60, 2).mean(axis=1)
    inside = points.reshape(3, 60, 2).std(axis=1).max()
    apart = min(np.linalg.norm(middles[i] - middles[j]) for i, j in [(0, 1), (0, 2), (1, 2)])
    assert apart > 3 * inside


def test_components_are_those_of_the_singular_value_decomposition() -> None:
    vectors = blobs()
    found = components(vectors)
    left, sizes, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    expected = (left * sizes)[:, :48]
    assert found.shape == (180, 48)
    np.testing.assert_allclose(np.abs(found[:, :5]), np.abs(expected[:, :5]), atol=1e-4)


def test_half_precision_that_lies_on_the_disk_gives_nearly_the_same_points(tmp_path: Path) -> None:
    vectors = blobs()
    vectors.astype(np.float16).tofile(tmp_path / "vectors")
    halves = np.memmap(tmp_path / "vectors", dtype=np.float16, mode="r", shape=vectors.shape)
    np.testing.assert_allclose(laid_out(components(halves)), laid_out(components(vectors)), atol=0.01)


def test_a_few_odd_ones_do_not_squeeze_the_rest() -> None:
    plane = RNG.standard_normal((1000, 2)).astype(np.float32)
    plane[:3] = 1e6
    points = laid_out(plane)
    assert points[3:].std(axis=0).min() > 0.1
    assert points.max() <= 1


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_few_images_are_no_trouble(count: int) -> None:
    parts = components(blobs()[:count])
    points = laid_out(parts)
    assert points.shape == (count, 2)
    assert np.isfinite(points).all()
    assert len(clusters(parts)) == count
    assert len(set(snapped(points)[0].tolist())) == count


def test_images_that_are_all_alike_are_no_trouble() -> None:
    parts = components(np.ones((20, 8), dtype=np.float32))
    assert np.isfinite(laid_out(parts)).all()
    assert set(clusters(parts).tolist()) == {0}


def test_a_model_of_one_dimension_makes_a_line() -> None:
    points = laid_out(components(np.linspace(0, 1, 30, dtype=np.float32)[:, None]))
    assert len(set(points[:, 0].tolist())) == 30
    assert set(points[:, 1].tolist()) == {0.5}


def test_a_method_that_needs_an_extra_says_so(collection: lookalike.Collection) -> None:
    if importlib.util.find_spec("pacmap"):
        pytest.skip("pacmap is installed here")
    with pytest.raises(ModelUnavailable, match=r"lookalike\[map\]"):
        map_of(collection, "color", "pacmap")


def test_pacmap_keeps_groups_together() -> None:
    pytest.importorskip("pacmap", reason="an extra: pip install 'lookalike[map]'")
    parts = components(blobs())
    points = laid_out(parts, "pacmap", seed=1)
    np.testing.assert_array_equal(points, laid_out(parts, "pacmap", seed=1))
    middles = points.reshape(3, 60, 2).mean(axis=1)
    nearest = np.linalg.norm(points[:, None] - middles, axis=2).argmin(axis=1)
    assert (nearest == np.repeat([0, 1, 2], 60)).mean() > 0.95


# -- from points to cells --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100, 1234])
def test_every_point_has_a_cell_of_its_own(count: int) -> None:
    cells, order, columns, rows = snapped(RNG.random((count, 2)))
    assert len(set(cells.tolist())) == count
    assert cells.max() < columns * rows < count + columns
    assert sorted(order.tolist()) == list(range(count))


def test_neighbours_stay_near() -> None:
    points = RNG.random((5000, 2))
    cells, order, columns, rows = snapped(points)
    places = np.stack([cells % columns / columns, cells // columns / rows], axis=1)
    assert np.abs(places - points).mean() < 0.03
    steps = np.linalg.norm(np.diff(places[order], axis=0), axis=1)
    assert np.median(steps) < 3 / columns, "and so do those that follow each other"


def test_points_on_one_spot_get_cells_side_by_side() -> None:
    cells, _, columns, _ = snapped(np.full((50, 2), 0.5))
    assert len(set(cells.tolist())) == 50
    assert cells.max() < 60 + columns


# -- groups ----------------------------------------------------------------------------------------------------------


def test_clusters_are_found_the_largest_first() -> None:
    rows = np.concatenate([blobs(10, 1), blobs(50, 1), blobs(30, 1)])
    numbers = clusters(components(rows), count=3)
    assert [set(part.tolist()) for part in (numbers[:10], numbers[10:60], numbers[60:])] == [{2}, {0}, {1}]
    np.testing.assert_array_equal(numbers, clusters(components(rows), count=3))


@pytest.fixture
def collection(photos: Path) -> lookalike.Collection:
    found = lookalike.open(photos)
    found.add(models=["color", "phash"])
    return found


def by(collection: lookalike.Collection, way: str) -> dict[str, str]:
    """The name of each picture's group, by the name of its file."""
    found = map_of(collection, "color")
    groups = grouping(collection, found.ids, found.groups, way)  # type: ignore[arg-type]
    assert sum(groups.sizes) == len(found)
    name = {image.id: Path(image.path).stem for image in collection.listing()[1]}
    return {name[id_]: groups.names[number] for id_, number in zip(found.ids, groups.numbers.tolist(), strict=True)}


def test_folders(collection: lookalike.Collection) -> None:
    found = by(collection, "folder")
    assert (found["cat"], found["astronaut"]) == ("more", "photos")


def test_of_many_folders_the_smallest_are_one(collection: lookalike.Collection, photos: Path) -> None:
    for i in range(COLOURS + 5):
        (photos / f"folder {i}").mkdir()
        for j in range(2 if i < 3 else 1):
            Image.fromarray(RNG.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(photos / f"folder {i}" / f"{j}.png")
    collection.add()
    found = map_of(collection, "color")
    groups = grouping(collection, found.ids, found.groups, "folder")
    assert len(groups.names) == COLOURS
    assert groups.names[-1] == OTHERS
    assert {"folder 0", "folder 1", "folder 2", "more"} <= set(groups.names)


def test_labels_come_from_a_table(collection: lookalike.Collection, photos: Path) -> None:
    assert not has_labels(collection)
    with pytest.raises(UsageError, match=r"labels\.csv"):
        by(collection, "label")
    (photos / "labels.csv").write_text("label,path\nanimal,more/cat.jpg\nanimal,cat small.png\nfood,coffee.jpg\n")
    assert has_labels(collection)
    found = by(collection, "label")
    assert (found["cat"], found["cat small"], found["coffee"], found["coins"]) == ("animal", "animal", "food", OTHERS)


@pytest.mark.parametrize("text", [b"a,b\n1,2\n", b"\xff\xfe\x00", b"path\nred.png\n"])
def test_a_table_of_labels_that_is_none_is_told(collection: lookalike.Collection, photos: Path, text: bytes) -> None:
    (photos / "labels.csv").write_bytes(text)
    with pytest.raises(UsageError, match="labels"):
        by(collection, "label")


# -- kept ------------------------------------------------------------------------------------------------------------


def same(a: Map, b: Map) -> bool:
    arrays = [(a.points, b.points), (a.cells, b.cells), (a.groups, b.groups)]
    return (a.ids, a.columns, a.rows, a.state) == (b.ids, b.columns, b.rows, b.state) and all(
        np.array_equal(one, other) for one, other in arrays
    )


def test_a_map_holds_every_picture_once(collection: lookalike.Collection, photos: Path) -> None:
    (photos / "same.jpg").write_bytes((photos / "astronaut.jpg").read_bytes())
    collection.add()
    found = map_of(collection, "color")
    assert sorted(found.ids) == sorted({image.id for image in collection.listing()[1]})


def test_a_map_is_kept_and_is_part_of_the_collection(collection: lookalike.Collection) -> None:
    assert kept_map(collection, "color") is None
    made = map_of(collection, "color")
    kept = kept_map(collection, "color")
    assert kept is not None
    assert same(made, kept)
    assert made.state == state_of(collection, "color")
    assert kept_map(collection, "phash") is None
    assert kept_map(collection, "color", seed=1) is None
    assert collection.add().unreadable == []


def test_a_change_of_the_collection_makes_a_new_map(collection: lookalike.Collection, photos: Path) -> None:
    before = map_of(collection, "color")
    (photos / "coffee.jpg").unlink()
    collection.add()
    assert kept_map(collection, "color") is None
    fewer = map_of(collection, "color")
    assert (len(fewer), fewer.state != before.state) == (len(before) - 1, True)
    Image.new("RGB", (40, 40), "red").save(photos / "red.png")
    collection.add()
    assert kept_map(collection, "color") is None
    assert len(map_of(collection, "color")) == len(before)


def test_maps_of_models_that_have_gone_are_removed(collection: lookalike.Collection) -> None:
    map_of(collection, "phash")
    collection.remove_model("phash")
    map_of(collection, "color")
    assert [path.name.split("-")[0] for path in (collection.directory / MAPS).iterdir()] == ["color"]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 nothing", b"\x80\x04."])
def test_a_damaged_map_is_made_again(collection: lookalike.Collection, damage: bytes) -> None:
    made = map_of(collection, "color")
    (place,) = (collection.directory / MAPS).iterdir()
    place.write_bytes(damage)
    assert kept_map(collection, "color") is None
    assert same(map_of(collection, "color"), made)
    assert kept_map(collection, "color") is not None


def test_a_map_with_objects_in_it_is_not_opened(collection: lookalike.Collection) -> None:
    map_of(collection, "color")
    (place,) = (collection.directory / MAPS).iterdir()
    np.savez(place, ids=np.array([{}], dtype=object), allow_pickle=True)
    assert kept_map(collection, "color") is None


def test_where_nothing_can_be_kept_there_is_a_map_all_the_same(collection: lookalike.Collection) -> None:
    (collection.directory / MAPS).write_text("in the way")
    assert len(map_of(collection, "color")) == 9


def test_a_map_tells_how_far_it_is(collection: lookalike.Collection) -> None:
    told: list[tuple[str, int, int | None]] = []
    map_of(collection, "color", progress=lambda *step: told.append(step))
    assert [done for _, done, _ in told] == list(range(4))


def test_a_model_that_is_not_there_is_told(collection: lookalike.Collection) -> None:
    with pytest.raises(UsageError, match="sift"):
        map_of(collection, "sift")
