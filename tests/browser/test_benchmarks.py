"""The page of benchmarks, as people use it: one is run, followed, stopped, gone on with, and read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import Page, accessible, at_both_ends, expect, fits

pytestmark = pytest.mark.usefixtures("browser")

REPORT = """<!doctype html><meta http-equiv="Content-Security-Policy" content="script-src 'unsafe-inline'">
<p id="told">quiet</p><script>
const told = document.getElementById("told");
try { localStorage.setItem("theme", "dark"); told.textContent = "stored"; } catch { told.textContent = "sealed"; }
fetch("/v1/models").then(() => { told.textContent = "fetched"; }).catch(() => { told.textContent += " off"; });
</script>"""


@pytest.fixture
def enough(photos: Path, photo_pixels: dict[str, np.ndarray]) -> Path:
    """The folder of photos, with enough of them for a benchmark: quarters of each."""
    for name, pixels in photo_pixels.items():
        height, width = (side // 2 for side in pixels.shape[:2])
        for i, (y, x) in enumerate([(0, 0), (0, width), (height, 0), (height, width)]):
            Image.fromarray(pixels[y : y + height, x : x + width]).save(photos / f"{name} {i}.png")
    return photos


@pytest.fixture
def benchmarks(enough: Path, open_page: Callable[..., Page]) -> Page:
    return open_page("/benchmarks")


def begin(page: Page, *models: str, originals: int = 5) -> None:
    for box in page.locator("input[name=model]").all():
        box.set_checked(box.get_attribute("value") in models)
    page.get_by_label("Images that copies are made of").fill(str(originals))
    page.get_by_role("button", name="Begin").click()


def test_one_is_begun_followed_and_read(benchmarks: Page, enough: Path) -> None:
    benchmarks.get_by_text("None yet.").wait_for()
    benchmarks.get_by_label("Others, one a line").fill("color+phash|mirror")
    begin(benchmarks, "color")
    benchmarks.locator(".reports li").wait_for(timeout=60_000)
    assert sorted(benchmarks.locator(".reports dt").all_inner_texts()) == ["color", "color+phash|mirror"]
    report = benchmarks.frame_locator("iframe[title='The report']")
    benchmarks.locator("iframe").scroll_into_view_if_needed()
    assert report.locator("h1").inner_text()
    assert report.locator("table").count()
    (name,) = {path.stem for path in (enough / ".lookalike" / "bench" / "reports").iterdir()}
    assert f"report={name}" in benchmarks.url
    accessible(benchmarks)
    fits(benchmarks)
    benchmarks.reload()
    assert benchmarks.locator(".reports li").count() == 1
    answer = benchmarks.request.get(f"/benchmarks/report?name={name}")
    assert "sandbox" in answer.headers["content-security-policy"]


def test_what_cannot_be_done_is_said(open_page: Callable[..., Page]) -> None:
    page = open_page("/benchmarks")
    begin(page, "color")
    told = page.locator(".note.bad")
    told.wait_for(timeout=60_000)
    assert "different images" in told.inner_text()


def test_an_entry_that_is_none_is_refused(benchmarks: Page) -> None:
    benchmarks.get_by_label("Others, one a line").fill("color|mirror\ncolor|dance")
    begin(benchmarks, "phash")
    benchmarks.get_by_text("'color|dance': 'dance' is no step").wait_for()
    assert benchmarks.get_by_label("Others, one a line").input_value() == "color|mirror\ncolor|dance\n"
    assert benchmarks.locator("input[name=model]:checked").all()[0].get_attribute("value") == "phash"
    accessible(benchmarks)


def test_one_is_stopped_and_gone_on_with_without_a_script(enough: Path, open_page: Callable[..., Page]) -> None:
    page = open_page("/benchmarks", java_script_enabled=False)
    begin(page, "color", "sift")
    page.get_by_role("button", name="Stop").click()
    expected = page.get_by_text("it goes on from there").or_(page.locator(".reports li"))
    for _ in range(100):
        if expected.count():
            break
        page.wait_for_timeout(200)
        page.reload()
    begin(page, "color")
    for _ in range(300):
        if page.locator(".reports dt").count():
            break
        page.wait_for_timeout(200)
        page.reload()
    assert "color" in page.locator(".reports dt").all_inner_texts()


def test_a_report_that_somebody_else_put_there_reaches_nothing(photos: Path, browser: Any, live: str) -> None:
    place = photos / ".lookalike" / "bench" / "reports"
    place.mkdir(parents=True)
    (place / "planted.html").write_text(REPORT)
    page = browser.new_page()
    page.goto(f"{live}/benchmarks/report?name=planted")
    expect(page.locator("#told")).to_have_text("sealed off")
    page.context.close()


@pytest.mark.parametrize("name", ["..%2F..%2Fcatalogue", "none", "%2Fetc%2Fpasswd"])
def test_nothing_but_reports_is_shown(open_page: Callable[..., Page], name: str) -> None:
    assert open_page("/search").request.get(f"/benchmarks/report?name={name}").status == 404


@at_both_ends
def test_it_fits_and_is_accessible(open_page: Callable[..., Page], width: int, scheme: str) -> None:
    page = open_page("/benchmarks", width=width, color_scheme=scheme)
    fits(page)
    accessible(page)
