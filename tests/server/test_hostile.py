"""Hostile clients against a real server: each is refused with the right status, and the server still answers."""

from __future__ import annotations

import contextlib
import io
import json
import select
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from PIL import Image

from lookalike.images import content_hash
from lookalike.server import listening
from lookalike.server.settings import Settings
from tests.server.conftest import running
from tests.server.test_serve import serving

PATIENCE = 1.0


@pytest.fixture
def hard(settings: Settings) -> Iterator[str]:
    """A server of little patience; whatever was done to it, it answers at the end."""
    with running(replace(settings, patience=PATIENCE, slowest=20 << 20)) as address:
        yield address
        assert httpx2.get(f"{address}/healthz", timeout=20).json() == {"status": "ok"}


@contextlib.contextmanager
def connected(address: str) -> Iterator[socket.socket]:
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as client:
        yield client


def answer(client: socket.socket) -> bytes:
    """All that the server sends until it hangs up."""
    data = bytearray()
    with contextlib.suppress(ConnectionError):
        while chunk := client.recv(65536):
            data += chunk
    return bytes(data)


def head(address: str, line: str, *headers: str) -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", f"Host: {urlsplit(address).netloc}", *headers, "", ""]).encode()


TRAVERSALS = (
    "/../../../../etc/passwd",
    "/static/../../pages.py",
    "/static/%2e%2e/%2e%2e/pages.py",
    "/static/..%2f..%2fpages.py",
    "/static//etc/passwd",
    "/images/../../../../etc/passwd",
    "/images/..%2f..%2f..%2fetc%2fpasswd",
    "/thumbnails/%00",
    "/images/" + "A" * 64,
)


def test_traversal(hard: str) -> None:
    for path in TRAVERSALS:
        with connected(hard) as client:  # a client library would tidy the path up
            client.sendall(head(hard, f"GET {path}", "Connection: close"))
            told = answer(client)
        assert told.split(b" ")[1] in (b"404", b"422"), path
        assert b"root:" not in told
        assert b"import" not in told


def test_a_wrong_host_and_a_cross_site_post(hard: str) -> None:
    assert httpx2.get(f"{hard}/search", headers={"Host": "evil.example"}).status_code == 421
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert httpx2.post(f"{hard}/v1/uploads", content=b"x", headers=evil).status_code == 403
    assert httpx2.post(f"{hard}/search", data={"k": "5"}, headers=evil).status_code == 403


def test_a_wrong_token(settings: Settings) -> None:
    with running(replace(settings, token="right")) as address:  # noqa: S106
        wrong = {"Authorization": "Bearer wrong"}
        assert httpx2.get(f"{address}/search", headers=wrong).status_code == 401
        assert httpx2.post(f"{address}/v1/uploads", content=b"x" * 2**20, headers=wrong).status_code == 401
        assert httpx2.get(f"{address}/metrics", headers={"Authorization": "Bearer right"}).status_code == 200


def test_a_gigabyte_takes_no_memory(photos: Path) -> None:
    def gigabyte() -> Iterator[bytes]:
        chunk = b"\xff" * 2**20
        for _ in range(1024):
            yield chunk

    with serving(photos, home=photos) as (process, address):

        def peak() -> int:
            """MiB that the process ever held."""
            status = Path(f"/proc/{process.pid}/status").read_text()
            return int(status.partition("VmHWM:")[2].split()[0]) >> 10

        httpx2.get(f"{address}search")
        if not Path("/proc").is_dir():
            pytest.skip("the memory of another process cannot be read here")
        before = peak()
        told = httpx2.post(f"{address}v1/uploads", content=gigabyte(), timeout=60)
        assert told.status_code == 413
        claimed = {"Content-Length": str(2**30)}
        assert httpx2.post(f"{address}v1/uploads", content=gigabyte(), headers=claimed, timeout=60).status_code == 413
        assert httpx2.get(f"{address}healthz").status_code == 200
        assert peak() - before < 300


def bomb(width: int, height: int) -> bytes:
    """A PNG of one colour: some kilobytes that would decode to hundreds of megabytes."""
    packer = zlib.compressobj(1)
    row = bytes(1 + width // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_a_decompression_bomb(hard: str) -> None:
    data = bomb(12_000, 12_000)
    assert len(data) < 2**18
    told = httpx2.post(f"{hard}/v1/uploads", content=data, timeout=20)
    assert told.status_code == 413
    assert "12000 x 12000" in told.json()["detail"]


def test_a_head_that_never_ends(hard: str) -> None:
    with connected(hard) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 15 and not readable(client):
                client.sendall(b"X: y\r\n")
                time.sleep(PATIENCE / 10)
        told = answer(client)
    start, _, body = told.partition(b"\r\n\r\n")
    assert start.startswith(b"HTTP/1.1 408")
    assert json.loads(body)["status"] == 408


def test_nothing_is_sent(hard: str) -> None:
    with connected(hard) as client:
        assert answer(client) == b""


def test_a_second_head_that_never_ends(hard: str) -> None:
    with connected(hard) as client:
        client.sendall(head(hard, "GET /healthz"))
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET / HTTP/1.1\r\n")
        assert b"HTTP/1.1 408" in answer(client)


def test_a_body_that_trickles(hard: str) -> None:
    with connected(hard) as client:
        client.sendall(head(hard, "POST /v1/uploads", "Content-Length: 1000000"))
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 15 and not readable(client):
                client.sendall(b"x")
                time.sleep(PATIENCE / 10)
        assert answer(client).startswith(b"HTTP/1.1 408")


def readable(client: socket.socket) -> bool:
    return bool(select.select([client], [], [], 0)[0])


def test_a_slow_upload_that_moves_on_is_let_finish(settings: Settings, photos: Path) -> None:
    data = (photos / "more" / "cat.jpg").read_bytes()
    with running(replace(settings, patience=PATIENCE, slowest=4096)) as address, connected(address) as client:
        client.sendall(head(address, "POST /v1/uploads", f"Content-Length: {len(data)}", "Connection: close"))
        for at in range(0, len(data), 4096):
            client.sendall(data[at : at + 4096])
            time.sleep(2 * PATIENCE * 4096 / len(data))
        assert content_hash(data).encode() in answer(client)


def test_nobody_reads_the_answer(hard: str) -> None:
    noise = io.BytesIO()
    Image.effect_noise((3000, 2000), 100).save(noise, "PNG", compress_level=0)
    image_id = httpx2.post(f"{hard}/v1/uploads", content=noise.getvalue(), timeout=20).json()["id"]
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("localhost", urlsplit(hard).port))
        client.sendall(head(hard, f"GET /images/{image_id}"))
        time.sleep(2.5 * PATIENCE)
        assert len(answer(client)) < len(noise.getvalue())


def test_ten_thousand_characters(hard: str) -> None:
    text = "x" * 10_000
    assert httpx2.get(f"{hard}/search", params={"text": text}).status_code == 414
    assert httpx2.post(f"{hard}/v1/search", json={"text": text}).status_code == 422
    assert httpx2.get(f"{hard}/{text}").status_code == 414
    assert httpx2.get(f"{hard}/healthz", headers={"X": 2 * text}).status_code == 431
    with connected(hard) as client:
        client.sendall(b"GET /" + 20_000 * b"x")
        assert answer(client).startswith(b"HTTP/1.1 400")


NO_HTTP = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    b"GET /\r\n\r\n",
    b"\0" * 1000,
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
)


def test_what_is_no_http(hard: str) -> None:
    for data in NO_HTTP:
        with connected(hard) as client:
            client.sendall(data)
            told = answer(client)
        assert not told or told.split(b" ")[1] in (b"400", b"421"), data


def test_a_smuggled_request(hard: str) -> None:
    with connected(hard) as client:
        inner = head(hard, "GET /metrics")
        client.sendall(
            head(hard, "POST /v1/uploads", "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + inner
        )
        assert b"lookalike_requests" not in answer(client)


def test_many_that_wait_do_not_lock_others_out(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "CONNECTIONS", 50)
    with running(settings) as address, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(address)) for _ in range(100)]
        for client in clients:
            with contextlib.suppress(ConnectionError):
                client.sendall(b"POST /v1/uploads HTTP/1.1\r\n")
        assert httpx2.get(f"{address}/healthz").status_code == 200
        assert answer(clients[0])[:12] in (b"", b"HTTP/1.1 408")  # it waited longest, and may have been heard
        assert not readable(clients[-1])


def test_too_many_at_a_time_are_told_to_come_back(settings: Settings) -> None:
    with running(replace(settings, requests=1)) as address, connected(address) as client:
        client.sendall(head(address, "POST /v1/uploads", "Content-Length: 100"))
        while (refused := httpx2.get(f"{address}/healthz")).status_code == 200:
            pass  # it has not come in yet
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
        assert int(refused.headers["retry-after"]) > 0
        client.close()
        while httpx2.get(f"{address}/healthz").status_code == 503:
            pass
