"""What holds for every page: sizes, colours, and what axe has to say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import Page, accessible, at_both_ends, expect, fits

pytestmark = pytest.mark.usefixtures("browser")


def pages(ids: dict[str, str]) -> dict[str, str]:
    """Addresses by what is to be seen there once the page has come to rest."""
    return {
        "/search": ".hit",
        f"/search?image={ids['cat']}&verify=1&crop=0.1,0.1,0.8,0.8": ".chance",
        f"/search?image={ids['cat']}&since=2099-01-01": ".empty",
        "/search?k=x&text=a": "[role=alert]",
        "/compare": ".empty",
        f"/compare?a={ids['cat']}&b={ids['cat small']}": ".verdict",
        "/collection": ".tiles",
        "/nothing-here": "h1",
        "/docs": ".card",
    }


@at_both_ends
def test_axe_finds_nothing_serious_and_nothing_sticks_out(
    open_page: Callable[..., Page], ids: dict[str, str], width: int, scheme: str
) -> None:
    page = open_page(width=width, color_scheme=scheme)
    for address, seen in pages(ids).items():
        page.goto(address)
        page.locator(seen).first.wait_for()
        accessible(page)
        fits(page)


def test_the_colours_are_chosen_once(open_page: Callable[..., Page]) -> None:
    page = open_page(color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Light or dark").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.goto("/compare")
    assert page.evaluate(ground) == dark
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate(ground) == light


def test_the_colours_are_chosen_where_nothing_may_be_kept(open_page: Callable[..., Page]) -> None:
    page = open_page(color_scheme="light")
    page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('forbidden') }})")
    page.reload()
    page.get_by_role("button", name="Light or dark").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_every_page_is_linked(page: Page) -> None:
    links = page.get_by_role("navigation", name="Pages").get_by_role("link")
    assert links.all_inner_texts() == ["Search", "Compare", "Map", "Benchmarks", "Collection", "Vote"]
    for address in [link.get_attribute("href") for link in links.all()]:
        page.goto(address)
        current = page.get_by_role("navigation", name="Pages").locator("[aria-current=page]")
        expect(current).to_have_text(address[1:].partition("?")[0].capitalize())
