"""The map as programs get it, and its page while it is being made."""

from __future__ import annotations

import importlib.util
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import lookalike
from lookalike.mapping import map_of


def test_points_ids_and_groups(served: TestClient, collection: lookalike.Collection) -> None:
    found = map_of(collection, "color")
    answer = served.get("/v1/map", params={"model": "color"})
    assert answer.headers["content-type"] == "application/octet-stream"
    sides = int(answer.headers["lookalike-columns"]), int(answer.headers["lookalike-rows"])
    assert sides == (found.columns, found.rows)
    rows = np.array(list(struct.iter_unpack("<ffII", answer.content)))
    np.testing.assert_array_equal(rows[:, :2].astype(np.float32), found.points)
    assert sorted(rows[:, 2].tolist()) == [0] * 5 + [1] * 4, "five above, four in the folder"
    np.testing.assert_array_equal(rows[:, 3], found.cells)
    ids = served.get("/v1/map/ids", params={"model": "color"}).content
    assert [ids[i : i + 32].hex() for i in range(0, len(ids), 32)] == list(found.ids)
    some = served.get("/v1/map/ids", params={"model": "color", "start": 2, "count": 3}).content
    assert some == ids[64:160]
    assert served.get("/v1/map/ids", params={"start": 10**9}).content == b""


def test_images_are_named_by_their_numbers(served: TestClient, collection: lookalike.Collection) -> None:
    found = map_of(collection, "color")
    names = {image.id: Path(image.path).name for image in collection.listing()[1]}
    asked = {"model": "color", "number": [3, 0, 9, -1]}
    assert served.get("/map/names", params=asked).json() == [names[found.ids[3]], names[found.ids[0]], "", ""]
    assert served.get("/map/names", params=asked | {"number": [0] * 241}).status_code == 422


def test_a_tile_shows_the_images_in_the_order_of_the_points(
    served: TestClient, collection: lookalike.Collection
) -> None:
    found = map_of(collection, "color")
    answer = served.get("/v1/map/tiles/0", params={"model": "color"})
    tile = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), dtype=float)
    assert tile.shape == (512, 512, 3)
    for i, image_id in enumerate(found.ids):
        own = tile[i // 8 * 64 : i // 8 * 64 + 64, i % 8 * 64 : i % 8 * 64 + 64]
        small = Image.open(io.BytesIO(served.get(f"/thumbnails/{image_id}").content)).convert("RGB")
        side = min(small.size)
        left, top = (small.width - side) // 2, (small.height - side) // 2
        expected = np.asarray(small.crop((left, top, left + side, top + side)).resize((64, 64)), dtype=float)
        assert np.abs(own - expected).mean() < 12
    assert served.get("/v1/map/tiles/1", params={"model": "color"}).status_code == 404
    assert served.get("/v1/map/tiles/-1", params={"model": "color"}).status_code == 404


def test_what_is_asked_for_by_its_state_may_be_kept_for_good(
    served: TestClient, collection: lookalike.Collection
) -> None:
    state = map_of(collection, "color").state
    for place in ("/v1/map/ids", "/v1/map/tiles/0"):
        known = served.get(place, params={"model": "color", "state": state})
        assert "immutable" in known.headers["cache-control"]
        assert served.get(place, params={"model": "color"}).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"model": "hog"}, 422),
        ({"model": "nonsense"}, 404),
        ({"collection": "nonsense"}, 404),
        ({"method": "nonsense"}, 422),
        ({"by": "label"}, 422),
    ],
)
def test_what_is_not_there_is_said(served: TestClient, asked: dict[str, str], status: int) -> None:
    answer = served.get("/v1/map", params=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_a_map_that_cannot_be_made_says_why(served: TestClient) -> None:
    if importlib.util.find_spec("pacmap"):
        pytest.skip("pacmap is installed here")
    assert "lookalike[map]" in served.get("/v1/map", params={"method": "pacmap"}).json()["detail"]
    page = served.get("/map", params={"method": "pacmap"})
    assert page.status_code == 200
    assert "The map could not be made" in page.text
    assert "lookalike[map]" in page.text
