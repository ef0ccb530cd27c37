"""Pictures to be asked with: kept by the hash of their content, refused before they are decoded."""

from __future__ import annotations

import base64
import contextlib
import http.server
import io
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from PIL import Image
from starlette.testclient import TestClient

from lookalike.images import content_hash
from lookalike.server import fetching
from lookalike.server.app import create_app
from lookalike.server.fetching import fetch
from lookalike.server.pictures import picture_of
from lookalike.server.problems import Problem
from lookalike.server.service import KEEPING, Service, start
from lookalike.server.settings import Settings
from lookalike.server.uploads import Uploads
from lookalike.types import ImageRef


@pytest.fixture
def cat(photos: Path) -> bytes:
    return (photos / "more" / "cat.jpg").read_bytes()


def test_an_upload_is_known_by_its_content(served: TestClient, cat: bytes) -> None:
    with Image.open(io.BytesIO(cat)) as image:
        known = {"id": content_hash(cat), "width": image.width, "height": image.height}
    raw = served.post("/v1/uploads", content=cat)
    form = served.post("/v1/uploads", files={"picture": ("../../cat.jpg", cat)})
    assert (raw.status_code, raw.json()) == (form.status_code, form.json()) == (201, known)
    assert served.get(f"/images/{known['id']}").content == cat


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 422), (b"%!PS-Adobe-3.0", 422), (b"\xff\xd8\xff\xe0 no more", 422), (b"x" * 2**20, 422)]
)
def test_what_is_no_image_is_not_kept(served: TestClient, settings: Settings, body: bytes, status: int) -> None:
    answer = served.post("/v1/uploads", content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert not settings.uploads.exists()


def test_too_many_bytes_or_pixels(settings: Settings, cat: bytes) -> None:
    small = replace(settings, upload_bytes=len(cat) - 1, upload_pixels=10_000)
    with TestClient(create_app(small), base_url="http://localhost") as client:
        assert client.post("/v1/uploads", content=cat).status_code == 413
        assert client.post("/v1/uploads", files={"picture": cat}).status_code == 413
        black = io.BytesIO()
        Image.new("L", (101, 100)).save(black, "PNG")
        refused = client.post("/v1/uploads", content=black.getvalue())
        assert refused.status_code == 413
        assert "101 x 100" in refused.json()["detail"]
    assert not settings.uploads.exists()


def test_too_many_at_a_time_are_told_to_come_back(settings: Settings, cat: bytes) -> None:
    busy = replace(settings, bodies_bytes=len(cat) - 1)
    with TestClient(create_app(busy), base_url="http://localhost") as client:
        told = client.post("/v1/uploads", content=cat)
        assert (told.status_code, told.headers["retry-after"].isdecimal()) == (429, True)
        assert client.post("/v1/uploads", content=b"x" * 100).status_code == 422  # what was counted is let go again


def test_as_many_as_are_decoded_and_wait_and_no_more(
    settings: Settings, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    going, put = threading.Event(), Uploads.put

    def slow(self: Uploads, data: bytes) -> ImageRef:
        going.wait(20)
        return put(self, data)

    monkeypatch.setattr(Uploads, "put", slow)
    pictures = [path.read_bytes() for path in sorted(photos.glob("*.jpg"))[:4]]
    with (
        TestClient(create_app(replace(settings, queue=1)), base_url="http://localhost") as client,
        ThreadPoolExecutor(3) as clients,
    ):
        first = [clients.submit(client.post, "/v1/uploads", content=data) for data in pictures[:3]]
        keeping = client.app.state.service.keeping  # type: ignore[attr-defined]
        while keeping._inside < KEEPING + 1:
            time.sleep(0.01)
        told = client.post("/v1/uploads", content=pictures[3])
        assert (told.status_code, told.headers["retry-after"].isdecimal()) == (429, True)
        going.set()
        assert [each.result().status_code for each in first] == [201, 201, 201]


def test_the_form_of_the_page_leads_on_to_an_address(served: TestClient, cat: bytes) -> None:
    fields = {"collection": "photos", "model": ["color", "phash"], "image": "0" * 64, "text": "a & b"}
    answer = served.post("/search", data=fields, files={"picture": ("cat.jpg", cat)})
    assert answer.status_code == 303
    settings = "collection=photos&model=color&model=phash&text=a+%26+b"
    assert answer.headers["location"] == f"/search?{settings}&image={content_hash(cat)}"
    nothing = served.post("/search", data={"k": "5"}, files={"picture": ("", b"")})
    assert (nothing.status_code, nothing.headers["location"]) == (303, "/search?k=5")


def test_the_least_recently_used_goes_first(tmp_path: Path, photos: Path) -> None:
    one, two, three = (path.read_bytes() for path in sorted(photos.glob("*.jpg"))[:3])
    uploads = Uploads(tmp_path / "kept", len(one) + len(three) + len(two) - 1)
    kept = [uploads.put(data).id for data in (one, two)]
    for image_id, age in zip(kept, (1, 2), strict=True):
        path = tmp_path / "kept" / image_id
        os.utime(path, (age, age))
    assert uploads.get(kept[0]) == one
    uploads.put(three)
    assert uploads.get(kept[1]) is None
    assert uploads.get(kept[0]) == one


# -- pictures as requests name them ----------------------------------------------------------------------------------


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    service = start(replace(settings, remote=("127.0.0.1", "localhost")))
    yield service
    service.close()


def named(service: Service, value: str) -> bytes:
    return anyio.run(picture_of, service, value)


def test_by_what_it_holds_and_by_id(service: Service, cat: bytes) -> None:
    assert named(service, "data:image/jpeg;base64," + base64.b64encode(cat).decode()) == cat
    assert named(service, content_hash(cat)) == cat


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("data:image/png;base64,%%%", 422),
        ("data:image/png", 422),
        ("cat.jpg", 422),
        ("../../etc/passwd", 422),
        ("f" * 64, 404),
        ("file:///etc/passwd", 422),
        ("ftp://127.0.0.1/cat.jpg", 422),
        ("http://user@127.0.0.1/cat.jpg", 422),
        ("http://[::1/cat.jpg", 422),
        ("http://example.org/cat.jpg", 403),
        ("http://169.254.169.254/latest/meta-data", 403),
        ("http://127.0.0.1.example.org/cat.jpg", 403),
    ],
)
def test_what_cannot_be_named(service: Service, value: str, status: int) -> None:
    with pytest.raises(Problem) as problem:
        named(service, value)
    assert problem.value.status == status


@pytest.fixture
def elsewhere(cat: bytes) -> Iterator[int]:
    """The port of another server on this machine, which has a picture, a large file and a redirect."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = {"/cat.jpg": (200, cat), "/large": (200, b"x" * (33 << 20)), "/away": (302, b"")}.get(
                self.path, (404, b"")
            )
            self.send_response(status)
            self.send_header("Location", "/cat.jpg")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_by_url_from_a_host_that_is_trusted(service: Service, elsewhere: int, cat: bytes) -> None:
    here = f"http://127.0.0.1:{elsewhere}"
    assert named(service, f"{here}/cat.jpg") == cat
    for path, status in (("/large", 413), ("/away", 422), ("/nothing", 422)):
        with pytest.raises(Problem) as problem:
            named(service, here + path)
        assert problem.value.status == status


def test_a_name_that_leads_to_a_private_address(service: Service, elsewhere: int) -> None:
    with pytest.raises(Problem, match="not one of the public Internet") as problem:
        named(service, f"http://localhost:{elsewhere}/cat.jpg")
    assert problem.value.status == 403


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_host_that_trickles_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setattr(fetching, "SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def trickle() -> None:
            stream, _ = listener.accept()
            with stream, contextlib.suppress(ConnectionError):
                # The header of a TLS record that is to be long, or that of an answer.
                stream.sendall(b"\x16\x03\x03\x40\x00" if scheme == "https" else b"HTTP/1.1 200 OK\r\nX: ")
                while not over.wait(0.1):
                    stream.sendall(b"x")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            with pytest.raises(Problem, match="too slow"):
                fetch(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/", ("127.0.0.1",), 1000)
        finally:
            over.set()
            thread.join()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Problem, match="cannot be fetched"):
        fetch(f"http://127.0.0.1:{port}/", ("127.0.0.1",), 1000)
