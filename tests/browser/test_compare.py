"""The compare page, as people use it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.conftest import Page, expect
from tests.browser.test_search import DROP, asked, encoded

pytestmark = pytest.mark.usefixtures("browser")


def explained(page: Page) -> Page:
    page.locator(".verdict").wait_for()
    return page


def test_two_pictures_are_brought_and_explained(
    open_page: Callable[..., Page], copy: Path, ids: dict[str, str]
) -> None:
    page = open_page("/compare")
    page.get_by_text("Bring two pictures").wait_for()
    page.evaluate(DROP, [".slot[data-side=b]", encoded(copy)])
    page.wait_for_url("**/compare?*b=*")
    page.set_input_files("#file-a", copy)
    page.wait_for_url("**/compare?*a=*")
    assert asked(page)["a"] == asked(page)["b"]
    page.goto(f"/compare?a={asked(page)['b'][0]}&b={ids['astronaut']}")
    expect(page.get_by_role("row", name="sift")).to_be_visible()  # the scores do not wait
    explained(page)
    expect(page.locator("#told")).to_be_hidden()
    assert float(page.locator(".share b").inner_text().strip("<>% ")) > 90
    assert "keypoints agree" in page.locator(".verdict").inner_text()
    for name in ("Both pictures, with a line", "What differs", "Heat map over the first", "Heat map over the second"):
        panel = page.get_by_alt_text(name).first
        panel.scroll_into_view_if_needed()
        expect(panel).not_to_have_js_property("naturalWidth", 0)


def test_unlike_pictures_have_nothing_in_common(open_page: Callable[..., Page], ids: dict[str, str]) -> None:
    page = explained(open_page(f"/compare?a={ids['coffee']}&b={ids['rocket']}"))
    assert page.locator(".share.likely").count() == 0
    over, slider = page.locator(".over"), page.get_by_role("slider")
    assert over.evaluate("over => getComputedStyle(over).getPropertyValue('--cut')") == "50%"
    slider.focus()
    page.keyboard.press("End")
    assert over.evaluate("over => getComputedStyle(over).getPropertyValue('--cut')") == "100%"
    page.keyboard.press("ArrowLeft")
    assert over.evaluate("over => getComputedStyle(over).getPropertyValue('--cut')") == "99%"
    page.get_by_role("link", name="Swap").click()
    page.wait_for_url(f"**/compare?*a={ids['rocket']}*")


def test_another_way_to_keypoints(open_page: Callable[..., Page], ids: dict[str, str]) -> None:
    page = open_page(f"/compare?a={ids['cat']}&b={ids['cat small']}")
    page.locator("[name=method]").select_option("orb")
    page.wait_for_url("**/compare?*method=orb*")
    explained(page)
    page.goto(f"/compare?a={ids['cat']}&b={ids['coins']}&method=none")
    assert "sift" in page.get_by_role("alert").inner_text()


def test_without_a_script(open_page: Callable[..., Page], copy: Path, ids: dict[str, str]) -> None:
    page = open_page(f"/compare?b={ids['astronaut']}", java_script_enabled=False)
    page.set_input_files("#file-a", copy)
    page.locator(".slot").first.get_by_role("button", name="Take it").click()
    explained(page)
    assert asked(page)["b"] == [ids["astronaut"]]
    assert page.get_by_alt_text("Both pictures, with a line").count() == 1


def test_a_picture_that_is_not_here_any_more(open_page: Callable[..., Page], ids: dict[str, str]) -> None:
    page = open_page(f"/compare?a={'0' * 64}&b={ids['cat']}")
    assert "no picture" in page.get_by_role("alert").inner_text()
