"""The search page, as people use it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

import lookalike
from tests.browser.conftest import Page, expect

pytestmark = pytest.mark.usefixtures("browser")

DROP = """([selector, encoded]) => {
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
  const target = document.querySelector(selector);
  for (const kind of ["dragenter", "dragover", "drop"])
    target.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""

COPY = """async (encoded) => {
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  await navigator.clipboard.write([new ClipboardItem({ "image/png": new Blob([bytes], { type: "image/png" }) })]);
}"""


def asked(page: Page) -> dict[str, list[str]]:
    """The query in the page's address."""
    return parse_qs(urlsplit(page.url).query)


def names(page: Page, column: str) -> list[str]:
    """The hits of a model, as the page names them."""
    section = page.locator("section", has=page.get_by_role("heading", name=column))
    return [image.get_attribute("alt") for image in section.locator(".by img").all()]


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def test_a_dropped_picture_is_searched_for(page: Page, copy: Path) -> None:
    page.evaluate(DROP, ["body", encoded(copy)])
    page.wait_for_url("**/search?*image=*")
    assert names(page, "sift")[0] == "astronaut.jpg"


def test_a_pasted_picture_is_searched_for(open_page: Callable[..., Page], copy: Path) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    page.evaluate(COPY, encoded(copy))
    page.keyboard.press("Control+v")
    page.wait_for_url("**/search?*image=*")
    assert names(page, "sift")[0] == "astronaut.jpg"


def test_a_chosen_picture_is_searched_for_and_what_is_none_is_refused(page: Page, copy: Path, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_text("not a picture")
    page.set_input_files("#file", tmp_path / "no.png")
    page.locator("#told.bad").wait_for()
    assert page.locator("#told").inner_text()
    page.set_input_files("#file", copy)
    page.wait_for_url("**/search?*image=*")
    assert names(page, "sift")[0] == "astronaut.jpg"


def test_the_camera_takes_a_picture(page: Page) -> None:
    page.get_by_role("button", name="Camera").click()
    page.locator("#view").evaluate("view => view.videoWidth || new Promise((seen) => { view.onplaying = seen; })")
    page.get_by_role("button", name="Take the picture").click()
    page.wait_for_url("**/search?*image=*")
    expect(page.locator(".crop img")).not_to_have_js_property("naturalWidth", 0)


def test_where_there_is_no_camera_nothing_is_said_of_it(page: Page) -> None:
    page.add_init_script("navigator.mediaDevices.enumerateDevices = async () => []")
    page.reload(wait_until="networkidle")
    assert page.locator("#camera").is_hidden()


def test_a_hit_is_searched_by_and_dragged_to_be(page: Page, ids: dict[str, str]) -> None:
    page.locator(".by", has=page.get_by_alt_text("cat.jpg")).click()
    page.wait_for_url(f"**/search?*image={ids['cat']}*")
    assert names(page, "sift")[0] == "cat small.png"
    page.locator(".by", has=page.get_by_alt_text("rocket.jpg")).first.drag_to(page.locator("#upload"))
    page.wait_for_url(f"**/search?*image={ids['rocket']}*")


def test_words_find_pictures_by_the_models_that_read_them(words: str, page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("blue")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?*text=blue*")
    assert len(names(page, words)) == 9
    assert page.locator(".columns > section").count() == 1
    page.goto(f"/search?text=blue&model=sift&model={words}")
    assert names(page, "sift") == []
    assert "words" in page.locator("section", has=page.get_by_role("heading", name="sift")).inner_text()


def test_where_no_model_reads_words_the_field_says_so(page: Page) -> None:
    assert page.locator("#words").is_disabled()
    page.get_by_text("No model of this collection reads words").wait_for()


def test_the_address_holds_everything(open_page: Callable[..., Page], ids: dict[str, str]) -> None:
    address = f"/search?image={ids['coins']}&model=sift&model=color&k=50&crop=0.1,0.1,0.6,0.5&folder=more&collapse=1"
    page = open_page(address)
    before = names(page, "color")
    assert set(before) == {"cat.jpg", "rocket.jpg", "camera.jpg", "immunohistochemistry.jpg"}
    assert page.locator(".frame").get_attribute("width") == "0.6"
    assert page.get_by_label("In the folder").input_value() == "more"
    assert [box.is_checked() for box in page.locator("#ask [name=model]").all()][:3] == [True, False, True]
    page.reload()
    assert names(page, "color") == before
    page.locator(".by").first.click()
    page.wait_for_load_state()
    assert asked(page)["folder"] == ["more"]
    assert asked(page)["image"] != [ids["coins"]]
    page.go_back()
    assert asked(page)["image"] == [ids["coins"]]
    assert names(page, "color") == before


def test_settings_of_the_form_make_the_address(open_page: Callable[..., Page], ids: dict[str, str]) -> None:
    page = open_page(f"/search?image={ids['cat']}")
    page.get_by_role("checkbox", name="phash").uncheck()
    page.get_by_label("Pixels at least").fill("300")
    page.get_by_label("Taken since").fill("2001-02-03")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**/search?*least=300*")
    found = asked(page)
    assert found["least"] == ["300"]
    assert found["since"] == ["2001-02-03"]
    assert "phash" not in found["model"]
    assert "until" not in found
    assert "cat small.png" not in names(page, "color")


def test_a_part_is_drawn_and_searched_for(page: Page, copy: Path) -> None:
    page.set_input_files("#file", copy)
    page.wait_for_url("**/search?*image=*")
    area = page.locator("#crop").bounding_box()
    page.mouse.move(area["x"] + 0.25 * area["width"], area["y"] + 0.1 * area["height"])
    page.mouse.down()
    page.mouse.move(area["x"] + 0.5 * area["width"], area["y"] + 0.4 * area["height"], steps=4)
    page.mouse.move(area["x"] + 0.75 * area["width"], area["y"] + 0.6 * area["height"], steps=4)
    page.mouse.up()
    page.wait_for_url("**/search?*crop=*")
    left, top, width, height = map(float, asked(page)["crop"][0].split(","))
    assert (left, top, width, height) == pytest.approx((0.25, 0.1, 0.5, 0.5), abs=0.02)
    assert names(page, "sift")[0] == "astronaut.jpg"
    page.get_by_role("link", name="Whole picture").click()
    page.wait_for_load_state()
    assert "crop" not in asked(page)


def test_a_part_is_chosen_by_the_keys(open_page: Callable[..., Page], ids: dict[str, str]) -> None:
    page = open_page(f"/search?image={ids['astronaut']}")
    page.locator("#crop").focus()
    for key in ("ArrowRight", "ArrowLeft", "ArrowLeft", "Shift+ArrowDown"):
        page.keyboard.press(key)
    assert "52 %" in page.locator("#crop-told").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?*crop=*")
    assert list(map(float, asked(page)["crop"][0].split(","))) == pytest.approx([0.21, 0.25, 0.5, 0.52])
    page.locator("#crop").focus()
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda address: "crop" not in address)


def test_columns_stand_side_by_side_and_on_a_phone_one_under_the_other(
    open_page: Callable[..., Page], ids: dict[str, str]
) -> None:
    address = f"/search?image={ids['cat']}&model=sift&model=color"
    for width, beside in ((1400, True), (360, False)):
        page = open_page(address, width=width)
        first, second = (column.bounding_box() for column in page.locator(".columns > section").all())
        assert (first["y"] == second["y"]) == beside
        assert (first["x"] == second["x"]) != beside


def test_chances_come_after_the_hits(open_page: Callable[..., Page], ids: dict[str, str]) -> None:
    page = open_page(f"/search?image={ids['cat']}&model=color&verify=1")
    page.locator("#results .chance").first.wait_for()
    assert page.locator("#told").is_hidden()
    hits = page.locator(".hit")
    assert hits.count() == 8
    assert names(page, "color")[0] == "cat small.png"
    assert page.locator(".chance.likely").count() == 1


def test_the_verify_switch_acts_at_once(open_page: Callable[..., Page], ids: dict[str, str]) -> None:
    page = open_page(f"/search?image={ids['cat']}&model=color")
    assert page.locator(".chance").count() == 0
    page.get_by_label("Verify hits").check()
    page.wait_for_url("**/search?*verify=1*")
    page.locator(".chance").first.wait_for()


def test_near_duplicates_are_collapsed(page: Page, photos: Path) -> None:
    page.set_input_files("#file", photos / "more" / "cat.jpg")
    page.wait_for_url("**/search?*image=*")
    page.get_by_label("Collapse").check()
    page.wait_for_url("**/search?*collapse=1*")
    assert names(page, "color")[0] == "cat.jpg"
    assert "cat small.png" not in names(page, "color")
    assert page.locator(".hit").first.locator(".more").inner_text() == "+1"


def test_by_keyboard_alone(page: Page, ids: dict[str, str]) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowDown")
    first = page.locator(".by").first
    assert first.evaluate("link => link === document.activeElement")
    page.keyboard.press("ArrowRight")
    assert page.locator(".by").nth(1).evaluate("link => link === document.activeElement")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?*image=*")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    assert "Compare" in page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")  # past the first list: the next list is one stop
    assert page.evaluate("document.activeElement.closest('section').querySelector('h2').id") == "column-2"
    page.keyboard.press("Escape")
    page.wait_for_url(lambda address: "image" not in address)


def test_without_a_script(open_page: Callable[..., Page], words: str, copy: Path, ids: dict[str, str]) -> None:
    page = open_page(java_script_enabled=False)
    page.set_input_files("#file", copy)
    page.get_by_role("button", name="Search by it").click()
    assert names(page, "sift")[0] == "astronaut.jpg"
    page.get_by_role("searchbox", name="words").fill("red")
    page.get_by_role("button", name="Search", exact=True).click()
    assert asked(page)["text"] == ["red"]
    assert len(names(page, words)) == 9
    page.goto(f"/search?image={ids['cat']}&model=color&verify=1")
    page.locator(".chance").first.wait_for()
    assert page.locator(".chance.likely").count() == 1


def test_only_thumbnails_in_sight_are_fetched(
    collection: lookalike.Collection, photos: Path, open_page: Callable[..., Page]
) -> None:
    generator = np.random.default_rng(0)
    (photos / "noise").mkdir()
    for i in range(250):
        pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48)).save(photos / "noise" / f"{i}.jpg")
    collection.add(models=["color"])
    first = collection.listing()[1][0].id
    page = open_page()
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url) if "/thumbnails/" in request.url else None)
    page.goto(f"/search?image={first}&model=color&k=1000", wait_until="networkidle")
    assert page.locator(".hit").count() == 258
    assert 0 < len(fetched) < 150
    last = page.locator(".hit img").last
    last.scroll_into_view_if_needed()
    expect(last).not_to_have_js_property("naturalWidth", 0)


def test_hostile_names_are_text(
    collection: lookalike.Collection, photos: Path, open_page: Callable[..., Page], ids: dict[str, str]
) -> None:
    name = "<img src=x onerror=document.title=1>.jpg"
    (photos / "cat small.png").rename(photos / name)
    collection.add()
    page = open_page(f"/search?image={ids['cat']}&model=color")
    assert name in names(page, "color")
    assert page.title() != "1"


def test_what_cannot_be_answered_is_said(open_page: Callable[..., Page]) -> None:
    page = open_page(f"/search?image={'0' * 64}")
    assert "upload" in page.get_by_role("alert").inner_text()
    for wrong in ("k=x", "k=0", "crop=1,2", "since=soon", "image=abc"):
        page.goto(f"/search?text=a&{wrong}")
        assert wrong.partition("=")[0] in page.get_by_role("alert").inner_text()
