"""Pictures by the hash of their content, never by path."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from pathlib import Path

import anyio
import httpx2
from PIL import Image
from starlette.testclient import TestClient

from lookalike.images import content_hash
from lookalike.server.app import create_app
from lookalike.server.service import KEEPING
from lookalike.server.settings import Settings


def test_a_picture_is_the_files_own_bytes_and_lasts(served: TestClient, photos: Path) -> None:
    data = (photos / "astronaut.jpg").read_bytes()
    got = served.get(f"/images/{content_hash(data)}")
    assert (got.status_code, got.content, got.headers["content-type"]) == (200, data, "image/jpeg")
    assert "immutable" in got.headers["cache-control"]
    again = served.get(f"/images/{content_hash(data)}", headers={"If-None-Match": got.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_format_that_browsers_do_not_show_comes_as_webp(served: TestClient, photos: Path, settings: Settings) -> None:
    tiff = io.BytesIO()
    with Image.open(photos / "astronaut.jpg") as photo:
        photo.save(tiff, "TIFF")
    image_id = content_hash(tiff.getvalue())
    settings.uploads.mkdir()
    (settings.uploads / image_id).write_bytes(tiff.getvalue())
    got = served.get(f"/images/{image_id}")
    assert got.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(got.content)).size == photo.size


def test_whole_files_wait_in_a_bounded_queue_that_is_in_nobodys_way(settings: Settings, photos: Path) -> None:
    data, go_on = (photos / "astronaut.jpg").read_bytes(), threading.Event()
    app = create_app(replace(settings, queue=1))
    with TestClient(app, base_url="http://localhost") as client:
        upload = client.post("/v1/uploads", content=data + b"\0").json()["id"]
        assert client.portal is not None
        for _ in range(KEEPING + 1):
            client.portal.start_task_soon(app.state.service.keeping.run, go_on.wait, 30)
        client.portal.call(anyio.sleep, 0)
        refused = client.get(f"/thumbnails/{upload}")
        assert refused.status_code == 429 and int(refused.headers["Retry-After"]) >= 1
        assert client.get(f"/thumbnails/{content_hash(data)}").status_code == 200
        assert client.get("/static/style.css").status_code == 200
        go_on.set()


def test_thumbnails_are_small(served: TestClient, photos: Path) -> None:
    got = served.get(f"/thumbnails/{content_hash((photos / 'astronaut.jpg').read_bytes())}")
    image = Image.open(io.BytesIO(got.content))
    assert (image.format, max(image.size) <= 320) == ("WEBP", True)
    assert len(got.content) < 30_000


def test_what_is_not_there_and_what_has_changed_is_not_found(served: TestClient, photos: Path) -> None:
    image_id = content_hash((photos / "astronaut.jpg").read_bytes())
    (photos / "astronaut.jpg").write_bytes((photos / "coffee.jpg").read_bytes() + b"\0")
    assert served.get(f"/images/{image_id}").status_code == 404
    assert served.get(f"/images/{'0' * 64}").status_code == 404
    assert served.get(f"/thumbnails/{'0' * 64}").status_code == 404


def test_a_real_server_answers(live: str, photos: Path) -> None:
    data = (photos / "astronaut.jpg").read_bytes()
    assert httpx2.get(f"{live}/images/{content_hash(data)}").content == data
