"""Assistants: the SDK's own client starts the real command, and searches and compares."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, ImageContent, TextContent
from PIL import Image

from tests.conftest import COMMAND


@asynccontextmanager
async def assistant(photos: Path, home: Path) -> AsyncIterator[Client]:
    environment = {**os.environ, "PYTHONWARNINGS": "error", "XDG_CACHE_HOME": str(home / "cache")}
    async with Client(StdioServerParameters(command=COMMAND, args=["mcp", str(photos)], env=environment)) as client:
        yield client


def text(result: CallToolResult) -> Any:
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text if result.is_error else json.loads(first.text)


def pictures(result: CallToolResult) -> list[Image.Image]:
    data = [base64.b64decode(each.data) for each in result.content if isinstance(each, ImageContent)]
    return [Image.open(io.BytesIO(each)) for each in data]


def test_search_and_compare(photos: Path, tmp_path: Path) -> None:
    cat, small = str(photos / "more" / "cat.jpg"), str(photos / "cat small.png")

    async def talk() -> None:
        async with assistant(photos, tmp_path) as client:
            tools = (await client.list_tools()).tools
            assert {tool.name for tool in tools} == {"collections", "search", "compare"}
            assert all(tool.description for tool in tools)

            (told,) = text(await client.call_tool("collections"))
            assert (told["name"], told["images"]) == ("photos", 9)
            assert {"color", "phash", "sift"} <= set(told["models"])

            found = await client.call_tool("search", {"image": cat, "models": ["phash", "sift"], "k": 3})
            by_phash, by_sift = text(found)
            assert (by_phash["model"], by_sift["model"]) == ("phash", "sift")
            assert {hit["path"] for hit in by_phash["hits"][:2]} == {cat, small}
            assert by_phash["hits"][0]["score"] > 0.95
            assert len(by_phash["hits"]) == 3
            assert all(max(image.size) <= 256 and image.format == "WEBP" for image in pictures(found))
            assert 3 <= len(pictures(found)) <= 6

            by_id = await client.call_tool("search", {"image": by_phash["hits"][0]["id"], "models": ["phash"], "k": 3})
            assert text(by_id) == [by_phash]

            both = await client.call_tool("compare", {"a": cat, "b": small, "models": ["phash", "color"]})
            assert min(text(both)["scores"].values()) > 0.9
            assert set(text(both)["scores"]) == {"phash", "color"}
            assert text(both)["chance"] > 0.9
            assert (text(both)["a"], text(both)["b"]) == (cat, small)
            assert len(pictures(both)) == 2

            for arguments, why in (
                ({}, "empty query"),
                ({"image": str(photos / "notes.txt")}, "no image"),
                ({"image": str(photos / "gone.jpg")}, "no such file"),
                ({"image": cat, "models": ["nonsense"]}, "nonsense"),
                ({"image": cat, "k": 1000}, "50"),
                ({"text": "x" * 10_000}, "1000"),
                ({"image": cat, "collection": "nonsense"}, "no collection is called"),
            ):
                refused = await client.call_tool("search", arguments)
                assert refused.is_error
                assert why in text(refused)
                assert "Traceback" not in text(refused)
                assert len(text(refused).splitlines()) == 1
            again = await client.call_tool("search", {"image": cat, "models": ["phash"], "k": 3})
            assert text(again) == [by_phash]

    anyio.run(talk)


def test_an_upload_can_be_asked_with(photos: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "turned.png"
    with Image.open(photos / "astronaut.jpg") as image:
        image.resize((200, 200)).save(elsewhere)

    async def talk() -> None:
        async with assistant(photos, tmp_path) as client:
            found = await client.call_tool("search", {"image": str(elsewhere), "models": ["sift"], "verify": True})
            (column,) = text(found)
            assert column["hits"][0]["path"] == str(photos / "astronaut.jpg")
            assert column["hits"][0]["chance"] > 0.9

    anyio.run(talk)


def test_without_the_extra_one_line_says_so(photos: Path) -> None:
    script = (
        "import sys; sys.modules['mcp'] = None; sys.argv = ['lookalike', 'mcp', sys.argv[1]]\n"
        "from lookalike.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script, photos], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "pip install 'lookalike[mcp]'" in done.stderr


def test_without_a_collection_one_line_says_so(lookalike_cli: Any, tmp_path: Path) -> None:
    done = lookalike_cli("mcp", cwd=tmp_path)
    assert done.code == 2
    assert "no collection here or above" in done.err
