"""The map, as people use it."""

from __future__ import annotations

import re
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import lookalike
from lookalike.mapping import Map, map_of
from lookalike.server.routes import map as route
from tests.browser.conftest import Page, accessible, at_both_ends, expect, fits

pytestmark = pytest.mark.usefixtures("browser")


@pytest.fixture
def map_page(open_page: Callable[..., Page]) -> Page:
    return ready(open_page("/map?model=color"))


def ready(page: Page) -> Page:
    page.locator("#map[data-ready]").wait_for()
    return page


def listed(page: Page) -> set[str]:
    """The ids of what is listed."""
    page.locator("#list a").first.wait_for()
    links = [link.get_attribute("href") for link in page.locator("#list a").all()]
    return {parse_qs(urlsplit(link).query)["image"][0] for link in links}


def heading(page: Page) -> str:
    return page.locator("#listed").inner_text()


def fewer(page: Page) -> None:
    """Waits until no more than some of the nine images are listed."""
    expect(page.locator("#listed")).to_have_text(re.compile("^(No|[1-8]) image"))


def lasso(page: Page, corners: list[tuple[float, float]]) -> None:
    """Draw a line through shares of the canvas."""
    box = page.locator("#plane").bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()


ROUND = [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99), (0.01, 0.02)]
LEFT_HALF = [(0.01, 0.01), (0.5, 0.01), (0.5, 0.99), (0.01, 0.99), (0.01, 0.02)]


def test_a_lasso_round_everything_lists_every_image(map_page: Page, collection: lookalike.Collection) -> None:
    map_page.get_by_role("button", name="Lasso").click()
    lasso(map_page, ROUND)
    assert listed(map_page) == {image.id for image in collection.listing()[1]}
    assert heading(map_page) == "9 images inside the line"


@pytest.mark.parametrize("view", ["Scatter", "Grid"])
def test_a_lasso_lists_what_lies_in_it(map_page: Page, live: str, view: str) -> None:
    map_page.get_by_role("button", name=view).click()
    map_page.get_by_role("button", name="Lasso").click()
    lasso(map_page, LEFT_HALF)
    points = list(struct.iter_unpack("<ffII", map_page.request.get("/v1/map?model=color").body()))
    ids = map_page.request.get("/v1/map/ids?model=color").body()
    columns = int(map_page.locator("#map").get_attribute("data-columns"))
    where = [x if view == "Scatter" else (cell % columns + 0.5) / columns for x, _, _, cell in points]
    assert 0 < sum(x < 0.5 for x in where) < len(where)
    assert listed(map_page) == {ids[32 * i : 32 * i + 32].hex() for i, x in enumerate(where) if x < 0.5}


def test_shift_draws_a_lasso_too(map_page: Page) -> None:
    map_page.keyboard.down("Shift")
    lasso(map_page, ROUND)
    map_page.keyboard.up("Shift")
    map_page.get_by_role("heading", name="9 images inside the line").wait_for()


def test_what_is_listed_leads_to_a_search(map_page: Page) -> None:
    map_page.get_by_role("button", name="Lasso").click()
    lasso(map_page, ROUND)
    image = next(iter(sorted(listed(map_page))))
    map_page.locator(f"#list a[href*='{image}']").click()
    map_page.wait_for_url(f"**/search?*image={image}*")


def test_keys_move_zoom_and_list(map_page: Page) -> None:
    map_page.locator("#plane").focus()
    map_page.keyboard.press("Enter")
    map_page.get_by_role("heading", name="9 images in view").wait_for()
    for _ in range(3):
        map_page.keyboard.press("+")
    for _ in range(9):
        map_page.keyboard.press("ArrowLeft")
    map_page.keyboard.press("Enter")
    fewer(map_page)
    map_page.keyboard.press("0")
    map_page.keyboard.press("Enter")
    map_page.get_by_role("heading", name="9 images in view").wait_for()
    map_page.keyboard.press("g")
    map_page.wait_for_url("**/map?*view=scatter*")


def test_a_group_lists_its_images(map_page: Page, collection: lookalike.Collection) -> None:
    map_page.get_by_role("button", name="more 4").click()
    inside = {image.id for image in collection.listing()[1] if Path(image.path).parent.name == "more"}
    assert listed(map_page) == inside
    assert heading(map_page) == "4 images in more"
    names = {link.get_attribute("alt") for link in map_page.locator("#list img").all()}
    assert names == {Path(image.path).name for image in collection.listing()[1] if image.id in inside}


def test_a_group_that_is_listed_stays_so_at_a_reload(map_page: Page) -> None:
    map_page.get_by_role("button", name="more 4").click()
    map_page.wait_for_url("**/map?*listed=more*")
    map_page.reload()
    map_page.get_by_role("heading", name="4 images in more").wait_for()
    map_page.get_by_role("button", name="List what is in view").click()
    map_page.get_by_role("heading", name="9 images in view").wait_for()
    assert "listed" not in map_page.url


def test_a_click_lists_the_image_there(map_page: Page) -> None:
    map_page.get_by_role("button", name="Grid").click()
    columns, rows = (int(map_page.locator("#map").get_attribute(f"data-{side}")) for side in ("columns", "rows"))
    box = map_page.locator("#plane").bounding_box()
    scale = min(box["width"] / (columns / rows), box["height"]) * 0.98
    x = box["x"] + box["width"] / 2 - scale * columns / rows / 2 + scale / rows / 2
    y = box["y"] + box["height"] / 2 - scale / 2 + scale / rows / 2
    map_page.mouse.click(x, y)
    map_page.get_by_role("heading", name="1 image here").wait_for()
    points = list(struct.iter_unpack("<ffII", map_page.request.get("/v1/map?model=color").body()))
    ids = map_page.request.get("/v1/map/ids?model=color").body()
    first = next(i for i, point in enumerate(points) if point[3] == 0)
    assert listed(map_page) == {ids[32 * first : 32 * first + 32].hex()}


def test_the_wheel_comes_closer_and_dragging_moves(map_page: Page) -> None:
    box = map_page.locator("#plane").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    map_page.mouse.move(x, y)
    for _ in range(3):
        map_page.mouse.wheel(0, -120)
    map_page.get_by_role("button", name="List what is in view").click()
    fewer(map_page)
    before = listed(map_page)
    map_page.mouse.move(x, y)
    map_page.mouse.down()
    map_page.mouse.move(x + box["width"] * 0.4, y, steps=5)
    map_page.mouse.up()
    map_page.get_by_role("button", name="List what is in view").click()
    assert listed(map_page) != before


def test_small_pictures_are_drawn_in_their_places(map_page: Page) -> None:
    colours = "c => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size"
    for _ in range(300):
        if (found := map_page.locator("#plane").evaluate(colours)) > 1000:  # dots have a handful
            break
        map_page.wait_for_timeout(50)
    assert found > 1000


def test_a_map_that_takes_longer_comes_by_itself(
    open_page: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    def later(*asked: Any, **options: Any) -> Map:
        assert gate.wait(timeout=30)
        return map_of(*asked, **options)

    monkeypatch.setattr(route, "map_of", later)
    page = open_page("/map?model=phash")
    page.get_by_role("heading", name="The map is being made").wait_for()
    accessible(page)
    gate.set()
    ready(page)


def test_labels_of_ones_own_colour_the_map(photos: Path, open_page: Callable[..., Page]) -> None:
    (photos / "labels.csv").write_text("path,label\nmore/cat.jpg,animal\ncat small.png,animal\n")
    page = ready(open_page("/map?model=color&by=label"))
    page.get_by_role("button", name="animal 2").click()
    assert heading(page) == "2 images in animal"


def test_without_a_script_it_is_a_grid_of_links(
    open_page: Callable[..., Page], collection: lookalike.Collection
) -> None:
    page = open_page("/map?model=color", java_script_enabled=False)
    links = page.locator("noscript a, main ul.tiles a").all()
    assert len(links) >= 9
    assert all("image=" in str(link.get_attribute("href")) for link in links)
    names = {link.locator("img").get_attribute("alt") for link in links}
    assert names == {Path(image.path).name for image in collection.listing()[1]}


def test_two_fingers_come_closer(open_page: Callable[..., Page]) -> None:
    page = ready(open_page("/map?model=color", width=390, height=844, has_touch=True, is_mobile=True))
    session = page.context.new_cdp_session(page)
    box = page.locator("#plane").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(kind: str, apart: float) -> None:
        points = [] if kind == "touchEnd" else [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 10)
    for apart in (20, 40, 60, 90, 120, 150):
        touch("touchMove", apart)
    touch("touchEnd", 0)
    page.get_by_role("button", name="List what is in view").click()
    fewer(page)


@at_both_ends
def test_it_fits_and_is_accessible(open_page: Callable[..., Page], width: int, scheme: str) -> None:
    page = ready(open_page("/map?model=color", width=width, color_scheme=scheme))
    page.get_by_role("button", name="List what is in view").click()
    page.locator("#list a").first.wait_for()
    fits(page)
    accessible(page)
