"""`lookalike serve` as a real process: it says where it is, answers, and ends when it is told to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from lookalike.errors import UsageError
from lookalike.images import content_hash
from lookalike.server import listening
from lookalike.server.settings import Settings
from tests.conftest import COMMAND, Result


@contextmanager
def serving(*arguments: str | Path, home: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The real command on a free port, in `home`, and the address that it prints; it ends with the block."""
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env={**os.environ, "PYTHONWARNINGS": "error", "XDG_CACHE_HOME": str(home / "cache"), **environment},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            pytest.fail(process.communicate(timeout=60)[1])
        yield process, line.split()[1]
    finally:
        process.kill()
        process.communicate(timeout=60)


def ended(process: subprocess.Popen[str], how: int) -> Result:
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    return Result(process.returncode, out, err)


def test_it_serves_the_nearest_collection_until_ctrl_c(photos: Path) -> None:
    data = (photos / "astronaut.jpg").read_bytes()
    with serving(home=photos / "more") as (process, address):
        assert address.startswith("http://127.0.0.1:")
        assert httpx2.get(address + "search").status_code == 200
        assert httpx2.get(f"{address}images/{content_hash(data)}").content == data
        uploaded = httpx2.post(f"{address}v1/uploads", content=data)
        assert uploaded.status_code == 201
        assert (photos / "more" / "cache" / "lookalike" / "uploads" / uploaded.json()["id"]).read_bytes() == data
        assert httpx2.get(address + "healthz", headers={"Host": "evil.example"}).status_code == 421
        form = {"Content-Type": "multipart/form-data; boundary=b"}
        damaged = httpx2.post(f"{address}v1/uploads", content=b"--x\r\n", headers=form)
        assert damaged.status_code in (400, 422)  # and nothing is logged
        done = ended(process, signal.SIGINT)
    assert (done.code, done.out, done.err) == (130, "", "lookalike: interrupted\n")


def test_ctrl_c_does_not_wait_for_those_who_dawdle(photos: Path) -> None:
    with serving(photos, home=photos) as (process, address):
        parts = urlsplit(address)
        with socket.create_connection((parts.hostname or "", parts.port or 0)) as client:
            client.sendall(f"POST /v1/uploads HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 9\r\n\r\n".encode())
            assert httpx2.get(address + "healthz").status_code == 200
            done = ended(process, signal.SIGINT)
    assert (done.code, done.out, done.err) == (130, "", "lookalike: interrupted\n")


def test_several_collections_and_none(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with serving(photos, tmp_path / "empty", home=tmp_path) as (process, address):
        assert "empty" in httpx2.get(address + "search").text
        assert ended(process, signal.SIGTERM).code == -signal.SIGTERM
    with serving(home=tmp_path / "empty") as (process, address):
        page = httpx2.get(address + "search")
        assert page.status_code == 200
        assert "lookalike serve" in page.text
        assert "no collection here or above" in ended(process, signal.SIGINT).err


def test_with_a_token_the_printed_address_lets_a_visitor_in(photos: Path) -> None:
    with serving(photos, home=photos, LOOKALIKE_TOKEN="a&b") as (_, address):  # noqa: S106
        with httpx2.Client(follow_redirects=True) as visitor:
            assert visitor.get(address).status_code == 200
            assert "token" not in str(visitor.get(address).url)
        bare = address.partition("?")[0]
        assert httpx2.get(bare + "metrics").status_code == 401
        assert httpx2.get(bare + "metrics", headers={"Authorization": "Bearer a&b"}).status_code == 200


def test_other_machines_need_a_name_to_ask_under(photos: Path) -> None:
    everywhere = ("--host", "0.0.0.0", "--token", "abc")  # noqa: S104
    with serving(photos, *everywhere, home=photos) as (process, address):
        assert address.startswith("http://127.0.0.1:")
        assert httpx2.get(address).status_code == 303
        assert "--allow-host NAME" in ended(process, signal.SIGINT).err
    with serving(photos, *everywhere, "--allow-host", "photos.lan", home=photos) as (process, address):
        assert httpx2.get(address, headers={"Host": "photos.lan"}).status_code == 303
        assert ended(process, signal.SIGINT).err == "lookalike: interrupted\n"


def test_what_cannot_be_served_is_told_in_one_line(photos: Path, lookalike_cli: Callable[..., Result]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = lookalike_cli("serve", photos, "--port", str(port))
    assert (done.code, done.out) == (2, "")
    assert done.err == f"lookalike: port {port} is taken: name another with --port, or 0 for any that is free\n"
    done = lookalike_cli("serve", photos, "--token", "a b\n")
    assert done.code == 2
    assert "--token" in done.err


@pytest.mark.parametrize(
    ("host", "token", "why"),
    [
        ("0.0.0.0", None, "say with --token"),  # noqa: S104
        ("::", "", "say with --token"),
        ("no.such.host.invalid", "abc", "no address of this machine"),
        ("192.0.2.1", "abc", "cannot listen there"),
    ],
)
def test_where_it_does_not_listen(host: str, token: str | None, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        listening.bind(Settings(host=host, port=0, token=token))


def test_others_may_reach_it_where_there_is_a_token() -> None:
    with listening.bind(Settings(host="0.0.0.0", port=0, token="abc")) as listener:  # noqa: S104, S106
        assert listener.getsockname()[1] > 0
        assert listener.proto == socket.IPPROTO_TCP  # or each answer takes 40 ms: see `bind`
