"""A real browser on a real server: Chromium as the system has it, driven by Playwright."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect, sync_playwright

import lookalike
from tests.server import colour_words
from tests.server.conftest import collection, indexed, live, photos, settings

__all__ = ["Page", "collection", "expect", "indexed", "live", "photos", "settings"]

expect.set_options(timeout=15_000)

at_both_ends = pytest.mark.parametrize(
    ("width", "scheme"), [(360, "light"), (3840, "dark")], ids=["a light phone", "as wide as 4K, dark"]
)
"""Of what a page must fit."""

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    # A camera that shows a drawing, and a user who allows it.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser here: install one of {', '.join(NAMES)}")
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser, live: str) -> Iterator[Callable[..., Page]]:
    """Opens a page on the server, with options of a Playwright context: (address, width=, height=, ...).

    A test in which any page asks anybody but the server, or breaks its own rules, fails.
    """
    strangers: list[str] = []
    faults: list[str] = []
    contexts = []

    def refuse(route: Route) -> None:
        strangers.append(route.request.url)
        route.abort()

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:  # the page itself tells of those
            faults.append(message.text)

    def open_(address: str = "/search", width: int = 1400, height: int = 900, **options: Any) -> Page:
        context = browser.new_context(
            base_url=live, viewport={"width": width, "height": height}, reduced_motion="reduce", **options
        )
        contexts.append(context)
        context.set_default_timeout(15_000)
        context.route(re.compile(f"^(?!{re.escape(live)}/)"), refuse)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", heard)
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert strangers == []
    assert faults == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """The search page, before anything was asked."""
    return open_page()


@pytest.fixture
def words(collection: lookalike.Collection) -> str:
    """The name of a model of the collection that reads words."""
    name = colour_words.register()
    collection.add(models=[name])
    return name


@pytest.fixture
def copy(photo_pixels: dict[str, np.ndarray], tmp_path: Path) -> Path:
    """A part of the photo of the astronaut, smaller, as a PNG that the collection does not hold."""
    image = Image.fromarray(photo_pixels["astronaut"])
    width, height = image.size
    path = tmp_path / "part.png"
    image.crop((width // 8, 0, width, height * 7 // 8)).resize((220, 240)).save(path)
    return path


@pytest.fixture
def ids(collection: lookalike.Collection) -> dict[str, str]:
    """The ids of the collection's images, by name without suffix."""
    return {Path(image.path).stem: image.id for image in collection.listing()[1]}


def accessible(page: Page) -> None:
    """Holds the page to axe: nothing critical, nothing serious."""
    found = Axe().run(page).response["violations"]
    bad = {
        each["id"]: [node["html"] for node in each["nodes"]]
        for each in found
        if each["impact"] in ("critical", "serious")
    }
    assert bad == {}


def fits(page: Page) -> None:
    """Holds the page to its width: nobody must scroll sideways."""
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
