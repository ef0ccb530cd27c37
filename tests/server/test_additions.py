"""Pictures added to a collection from afar, listed, and taken out again; and never a user's own."""

from __future__ import annotations

from pathlib import Path

import filelock
import pytest
from PIL import Image
from starlette.testclient import TestClient

import lookalike
from lookalike.images import content_hash
from lookalike.server import additions
from lookalike.server.additions import FOLDER
from lookalike.server.app import create_app
from lookalike.server.settings import Settings


@pytest.fixture
def turned(photos: Path, tmp_path: Path) -> bytes:
    """A picture that the collection does not hold."""
    with Image.open(photos / "astronaut.jpg") as photo:
        photo.rotate(90).save(tmp_path / "turned.jpg")
    return (tmp_path / "turned.jpg").read_bytes()


def test_images_are_listed_by_path_in_parts(served: TestClient) -> None:
    whole = served.get("/v1/images").json()
    assert whole["total"] == len(whole["images"]) == 9
    paths = [image["path"] for image in whole["images"]]
    assert paths == sorted(paths)
    assert "more/cat.jpg" in paths
    part = served.get("/v1/images", params={"start": 3, "count": 2}).json()
    assert (part["total"], part["images"]) == (9, whole["images"][3:5])
    assert served.get(whole["images"][0]["thumbnail"]).headers["content-type"] == "image/webp"
    below = served.get("/v1/images", params={"folder": "more"}).json()
    assert {image["path"].split("/")[0] for image in below["images"]} == {"more"}
    assert served.get("/v1/images", params={"least": 100_000}).json() == {"total": 0, "images": []}


@pytest.mark.parametrize("day", ["2020-01-02", "20200102", "2020-W01-4", "2020-01-02T03", "20200102T030405"])
def test_days_in_every_way_of_iso_8601(served: TestClient, day: str) -> None:
    assert served.get("/v1/images", params={"since": day}).json()["total"] == 9
    assert served.get("/v1/images", params={"until": day}).json()["total"] == 0


@pytest.mark.parametrize(
    ("params", "status"),
    [({"count": 0}, 422), ({"start": -1}, 422), ({"since": "soon"}, 422),
     ({"since": "2020-01-02T03:04+05:00"}, 422), ({"most": "x"}, 422), ({"nonsense": 1}, 422),
     ({"collection": "nonsense"}, 404)],
)  # fmt: skip
def test_what_cannot_be_listed(served: TestClient, params: dict[str, object], status: int) -> None:
    assert served.get("/v1/images", params=params).status_code == status  # type: ignore[arg-type]


def test_a_picture_is_added_found_and_taken_out(served: TestClient, photos: Path, turned: bytes) -> None:
    image_id, before = content_hash(turned), served.get("/v1/images").json()
    added = served.post("/v1/images", files={"picture": ("../../x.png", turned)})
    assert (added.status_code, added.json()["id"]) == (201, image_id)
    assert (photos / FOLDER / f"{image_id}.jpg").read_bytes() == turned
    now = served.get("/v1/images").json()
    assert now["total"] == 10
    assert [image for image in now["images"] if image["id"] != image_id] == before["images"]
    assert added.json() in now["images"]
    found = served.post("/v1/search", json={"query": {"image": image_id}, "models": ["phash"], "k": 1}).json()
    assert found["rankings"][0]["hits"][0]["id"] == image_id

    assert served.post("/v1/images", content=turned).status_code == 200
    assert lookalike.open(photos).add().unchanged == 10  # as 'lookalike index' does

    assert served.delete(f"/v1/images/{image_id}").status_code == 204
    assert served.get("/v1/images").json()["total"] == 9
    assert not any((photos / FOLDER).iterdir())
    assert served.delete(f"/v1/images/{image_id}").status_code == 404


def test_a_users_own_files_stay(served: TestClient, photos: Path) -> None:
    image_id = content_hash((photos / "astronaut.jpg").read_bytes())
    assert served.delete(f"/v1/images/{image_id}").status_code == 403
    assert (photos / "astronaut.jpg").exists()
    assert served.delete("/v1/images/..%2f..%2fastronaut.jpg").status_code in (404, 422)
    assert served.get("/v1/images").json()["total"] == 9


def test_while_another_process_writes_nothing_changes(served: TestClient, photos: Path, turned: bytes) -> None:
    image_id = content_hash(turned)
    with filelock.FileLock(photos / ".lookalike" / "writer.lock"):
        busy = served.post("/v1/images", content=turned)
        assert busy.status_code == 503
        assert int(busy.headers["retry-after"]) > 0
    assert not any((photos / FOLDER).iterdir())
    assert served.post("/v1/images", content=turned).status_code == 201
    with filelock.FileLock(photos / ".lookalike" / "writer.lock"):
        assert served.delete(f"/v1/images/{image_id}").status_code == 503
    assert (photos / FOLDER / f"{image_id}.jpg").exists()
    assert served.get("/v1/images").json()["total"] == 10
    assert served.delete(f"/v1/images/{image_id}").status_code == 204


def test_who_comes_meanwhile_has_nothing_decoded(
    served: TestClient, turned: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(additions.images, "read", read)
    with additions._writing:
        assert served.post("/v1/images", content=turned).status_code == 503


def test_what_is_no_image_is_not_added(served: TestClient, photos: Path) -> None:
    assert served.post("/v1/images", content=b"no image").status_code == 422
    assert served.post("/v1/images", content=b"\xff\xd8\xff\xe0" + b"x" * 1000).status_code == 422
    assert served.post("/v1/images", content=b"").status_code == 422
    assert served.post("/v1/images", content=(photos / "coffee.jpg").read_bytes()[:-9000]).status_code == 422
    assert not (photos / FOLDER).exists() or not any((photos / FOLDER).iterdir())
    assert served.get("/v1/images").json()["total"] == 9


def test_the_first_picture_of_a_folder_without_a_collection(tmp_path: Path, turned: bytes) -> None:
    (tmp_path / "new").mkdir()
    settings = Settings(collections=(tmp_path / "new",), uploads=tmp_path / "kept")
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        assert client.get("/v1/images").json() == {"total": 0, "images": []}
        assert client.post("/v1/images", content=turned).status_code == 201
        assert client.get("/v1/images").json()["total"] == 1
        assert client.delete(f"/v1/images/{content_hash(turned)}").status_code == 204
        assert client.get("/v1/images").json()["total"] == 0
