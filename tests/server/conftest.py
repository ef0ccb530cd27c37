"""A service over real photos: in the test's own process, or as a real server on a free port of this machine."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

import lookalike
from lookalike.models import registry
from lookalike.models.backbones import onnx
from lookalike.server import listening
from lookalike.server.app import create_app
from lookalike.server.settings import Settings
from lookalike.types import InputSpec
from tests.conftest import ROOT, write_photos

NETWORK = "vit_tiny_patch16_224.onnx"


@pytest.fixture(scope="session")
def indexed(photo_pixels: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight real photos, a smaller copy of the cat and a text file, with vectors of color, phash and sift,
    and of a network (vit-tiny) where one is at hand; and beside it the models' cards."""
    home = tmp_path_factory.mktemp("indexed")
    folder = write_photos(home, photo_pixels)
    (home / "models").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOOKALIKE_MODELS", str(home / "models"))
        models = ["color", "phash", "sift"]
        network = Path(os.environ.get("LOOKALIKE_SHARED") or ROOT.parent / "shared") / "models" / NETWORK
        if network.is_file():
            half = (0.5, 0.5, 0.5)
            spec = InputSpec((224, 224), "crop", resize=256, mean=half, std=half)
            registry.save_card(onnx.describe(str(network), name="vit-tiny", spec=spec))
            models.append("vit-tiny")
        lookalike.open(folder).add(models=models)
    return folder


@pytest.fixture
def photos(indexed: Path, tmp_path: Path) -> Path:
    """A copy of that folder for one test, with its collection."""
    shutil.copytree(indexed.parent / "models", os.environ["LOOKALIKE_MODELS"], dirs_exist_ok=True)
    return Path(shutil.copytree(indexed, tmp_path / "photos"))


@pytest.fixture
def collection(photos: Path) -> lookalike.Collection:
    return lookalike.open(photos)


@pytest.fixture
def settings(collection: lookalike.Collection, tmp_path: Path) -> Settings:
    """Of a service that anybody on this machine may ask."""
    return Settings(collections=(collection.directory,), uploads=tmp_path / "uploads")


@pytest.fixture
def served(settings: Settings) -> Iterator[TestClient]:
    """A client of the app, without a network in between; a redirect is an answer of its own."""
    with TestClient(create_app(settings), base_url="http://localhost", follow_redirects=False) as client:
        yield client


@pytest.fixture
def live(settings: Settings) -> Iterator[str]:
    """The address of a real server, which ends with the test."""
    with running(settings) as address:
        yield address


@contextmanager
def running(settings: Settings) -> Iterator[str]:
    """A real server on a free port of this machine, in a thread; its address."""
    settings = replace(settings, port=0)
    listener = listening.bind(settings)
    server = listening.server(create_app(settings), settings)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:  # the thread ends where it cannot start
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://localhost:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()
