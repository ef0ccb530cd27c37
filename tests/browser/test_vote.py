"""The page of blind votes, as people use it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import lookalike
from lookalike.voting import kept_votes
from tests.browser.conftest import Page, accessible, at_both_ends, expect, fits

pytestmark = pytest.mark.usefixtures("browser")

AT = "/vote?model=color&model=phash"


@pytest.fixture
def vote(open_page: Callable[..., Page]) -> Page:
    return open_page(AT)


def told(page: Page) -> str:
    return page.locator("#progress").inner_text()


def answered(page: Page, count: int) -> None:
    """Waits until so many are."""
    expect(page.locator("#progress")).to_contain_text(re.compile(rf"^{count} of"))


def question(page: Page) -> str:
    return page.locator("#ballot input[name=ballot]").input_value()


def test_two_unnamed_lists_are_shown_beside_the_query(vote: Page, collection: lookalike.Collection) -> None:
    assert vote.locator(".query img").count() == 1
    assert vote.locator(".list").count() == 2
    for side in vote.locator(".list").all():
        assert side.locator("img").count() == 6
        assert not {"color", "phash", *(model.name for model in collection.entries())} & set(side.inner_text().split())
    whole = vote.locator("#ballot img").evaluate_all("all => all.map(each => getComputedStyle(each).objectFit)")
    assert set(whole) == {"contain"}
    left, right = vote.locator(".list").all()
    boxes = left.bounding_box(), right.bounding_box()
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] < boxes[1]["x"]


def test_keys_answer(vote: Page, collection: lookalike.Collection) -> None:
    expected = []
    for key, answer in {"ArrowLeft": "left", "ArrowRight": "right", "ArrowDown": "tie", "s": "skip"}.items():
        expected.append((answer, question(vote), None))
        vote.keyboard.press(key)
        answered(vote, len(expected))
        assert question(vote) != expected[-1][1]
    votes, damaged = kept_votes(collection.directory)
    assert ([(one.answer, one.ballot, one.voter) for one in votes], damaged) == (expected, 0)


def test_keys_in_a_field_are_letters(vote: Page, collection: lookalike.Collection) -> None:
    vote.get_by_label("Your name, if several vote").press_sequentially("sss")
    assert vote.get_by_label("Your name, if several vote").input_value() == "sss"
    assert kept_votes(collection.directory) == ([], 0)


def test_buttons_answer_to_the_end_and_the_results_come(vote: Page, collection: lookalike.Collection) -> None:
    total = int(told(vote).split(" of ")[1].split()[0])
    assert "sway" in vote.locator("#results").inner_text()
    for i in range(total):
        vote.get_by_role("button", name="Left" if i % 2 else "Right").click()
        if i < total - 1:
            answered(vote, i + 1)
    vote.get_by_role("heading", name="All is answered").wait_for()
    rows = vote.locator("#results tbody th").all_inner_texts()
    assert sorted(rows) == ["color", "phash"]
    assert len(kept_votes(collection.directory)[0]) == total
    accessible(vote)


def test_a_reload_and_another_day_go_on_where_it_was(vote: Page, open_page: Callable[..., Page]) -> None:
    vote.keyboard.press("ArrowLeft")
    answered(vote, 1)
    now = question(vote)
    vote.reload()
    assert question(vote) == now
    assert question(open_page(AT)) == now


def test_each_voter_votes_alone(vote: Page, open_page: Callable[..., Page], collection: lookalike.Collection) -> None:
    ada = open_page(AT + "&voter=Ada")
    ada.keyboard.press("ArrowLeft")
    answered(ada, 1)
    vote.reload()
    assert told(vote).startswith("0 of")
    assert [one.voter for one in kept_votes(collection.directory)[0]] == ["Ada"]


def test_the_results_come_when_they_are_asked_for(vote: Page) -> None:
    vote.keyboard.press("ArrowLeft")
    answered(vote, 1)
    vote.get_by_role("link", name="Show them now").click()
    vote.wait_for_url("**/vote?*show=1*")
    assert "no difference between" in vote.locator("#results").inner_text()
    assert "6 images at the least" in vote.locator("#results").inner_text()


def test_without_a_script(open_page: Callable[..., Page], collection: lookalike.Collection) -> None:
    page = open_page(AT, java_script_enabled=False)
    page.get_by_role("button", name="Alike").click()
    assert told(page).startswith("1 of")
    assert [one.answer for one in kept_votes(collection.directory)[0]] == ["tie"]


def test_a_ballot_that_is_out_of_date_is_not_counted(vote: Page, collection: lookalike.Collection) -> None:
    vote.evaluate("document.querySelector('input[name=ballot]').value = '0'.repeat(16)")
    vote.keyboard.press("ArrowLeft")
    vote.get_by_text("the collection has changed").wait_for()
    assert kept_votes(collection.directory) == ([], 0)


def test_one_model_is_too_few(open_page: Callable[..., Page]) -> None:
    page = open_page("/vote?model=color")
    page.get_by_role("heading", name="Two models are needed").wait_for()
    page.get_by_label("phash").check()
    page.get_by_role("button", name="Compare these").click()
    page.locator("#ballot").wait_for()


@at_both_ends
def test_it_fits_and_is_accessible(open_page: Callable[..., Page], width: int, scheme: str) -> None:
    page = open_page(AT, width=width, color_scheme=scheme)
    fits(page)
    accessible(page)


def test_it_fits_the_narrowest_of_phones(open_page: Callable[..., Page]) -> None:
    fits(open_page(AT, width=320))
