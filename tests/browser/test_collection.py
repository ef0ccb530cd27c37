"""The collection's page: folders and models are added while one looks on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import lookalike
from lookalike.models import tuning
from tests.browser.conftest import Page, expect

pytestmark = pytest.mark.usefixtures("browser")


def done(page: Page) -> Page:
    """Once what runs is over."""
    page.locator("#job:not([data-job])").wait_for()
    return page


@pytest.fixture
def others(photos: Path, tmp_path: Path) -> Path:
    """Another folder: two copies of photos, and a file that is damaged."""
    folder = tmp_path / "other photos"
    folder.mkdir()
    for name in ("coins.jpg", "cat small.png"):
        found = next(photos.rglob(name))
        shutil.copy(found, folder / f"copy of {name}")
    (folder / "broken.jpg").write_bytes(found.read_bytes()[:300])
    return folder


def test_it_tells_what_it_holds(open_page: Callable[..., Page]) -> None:
    page = open_page("/collection")
    assert page.locator(".counts div").first.inner_text().split() == ["images", "9"]
    assert page.get_by_role("row", name="phash").inner_text().split()[:3] == ["phash", "9", "64"]
    page.locator(".tiles a").first.click()
    page.wait_for_url("**/search?*image=*")


def test_a_folder_is_added_and_what_is_unreadable_told(open_page: Callable[..., Page], others: Path) -> None:
    page = open_page("/collection")
    page.get_by_label("Add a folder").fill(str(others))
    page.get_by_role("button", name="Add").first.click()
    done(page)
    assert "2 added" in page.locator("#job").inner_text()
    assert page.get_by_role("row", name="broken.jpg").inner_text().split("\t")[1]
    page.reload()
    assert "2 added" in page.locator("#job").inner_text()
    assert page.locator(".counts div").first.inner_text().split() == ["images", "11"]
    page.goto("/search")
    page.locator(".by").first.click()
    page.locator(".hit .by", has=page.get_by_alt_text("copy of coins.jpg")).first.wait_for()


def test_a_model_is_added(open_page: Callable[..., Page]) -> None:
    page = open_page("/collection")
    page.get_by_label("Add a model").select_option("dhash")
    page.locator("#add-model").get_by_role("button").click()
    done(page)
    assert page.get_by_role("row", name="dhash").inner_text().split()[1] == "9"


def test_progress_is_live_and_survives_a_reload(
    collection: lookalike.Collection, photos: Path, open_page: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "TRIAL_SECONDS", 0.0)
    folder = photos.parent / "many"
    folder.mkdir()
    source = next(photos.rglob("cat.jpg")).read_bytes()
    for i in range(800):  # each another content
        (folder / f"{i}.jpg").write_bytes(source + str(i).encode())
    page = open_page("/collection")
    page.get_by_label("Add a folder").fill(str(folder))
    page.get_by_role("button", name="Add").first.click()
    expect(page.locator("[data-told]")).to_contain_text("of 800")
    page.reload()
    expect(page.locator("[data-told]")).to_contain_text("of 800")
    page.get_by_label("Add a folder").fill(str(folder))
    assert page.get_by_role("button", name="Add").first.is_disabled()
    page.get_by_role("button", name="Stop").click()
    done(page)
    assert "Stopped" in page.locator("#job").inner_text()
    assert 9 <= collection.info()["images"] < 809


@pytest.mark.parametrize(("folder", "told"), [("/no/such/folder", "no such folder"), ("photos", "whole path")])
def test_a_folder_that_is_none(open_page: Callable[..., Page], folder: str, told: str) -> None:
    page = open_page("/collection")
    page.get_by_label("Add a folder").fill(folder)
    page.get_by_role("button", name="Add").first.click()
    assert told in page.get_by_role("alert").inner_text()


def test_from_nothing_without_a_script(
    collection: lookalike.Collection, photos: Path, open_page: Callable[..., Page]
) -> None:
    collection.close()
    shutil.rmtree(collection.directory)
    page = open_page("/search", java_script_enabled=False)
    page.get_by_role("link", name="Add a folder of pictures").click()
    page.get_by_label("Add a folder").fill(str(photos))
    page.get_by_label("To be searched by").select_option("color")
    page.get_by_role("button", name="Add").click()
    done(page)
    page.goto("/search")
    assert page.locator(".hit").count() == 9
