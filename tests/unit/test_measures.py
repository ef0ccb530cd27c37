"""The measures, against what can be worked out by hand."""

from __future__ import annotations

import math

import pytest

from tests.unit.plain_measures import measure, place

TRUTHS = {"q1": "a", "q2": "b", "q3": "c", "none": None}


def test_all_found() -> None:
    found = measure({"q1": [("a", 0.9)], "q2": [("b", 0.8)], "q3": [("c", 0.7)], "none": [("a", 0.1)]}, TRUTHS)
    assert (found.accuracy_at_1, found.top_3, found.micro_ap, found.recall_at_p90) == (1, 1, 1, 1)


def test_by_hand() -> None:
    rankings = {"q1": [("a", 0.9), ("b", 0.2)], "q2": [("x", 0.8), ("b", 0.6)], "none": [("y", 0.7)]}
    found = measure(rankings, TRUTHS)
    assert found.accuracy_at_1 == pytest.approx(1 / 3)
    assert found.top_3 == pytest.approx(2 / 3)
    # By score: a right, x wrong, y wrong, b right, b wrong. Precision 1 at recall 1/3, 2/4 at 2/3.
    assert found.micro_ap == pytest.approx(1 / 3 * 1 + 1 / 3 * 0.5)
    assert found.recall_at_p90 == pytest.approx(1 / 3)


def test_ties_are_broken_against_the_method() -> None:
    tied = measure({"q1": [("a", 0.5), ("x", 0.5)]}, {"q1": "a"})
    assert tied.accuracy_at_1 == 0
    assert tied.top_3 == 1
    assert tied.micro_ap == pytest.approx(0.5)
    assert place([("a", 0.5), ("x", 0.5), ("y", 0.5)], "a") == 3


def test_a_query_without_a_truth_can_only_do_harm() -> None:
    right = {"q1": [("a", 0.5)]}
    quiet = measure(right, {"q1": "a", "none": None})
    loud = measure({**right, "none": [("a", 0.9)]}, {"q1": "a", "none": None})
    assert quiet.micro_ap == 1
    assert loud.micro_ap == pytest.approx(0.5)
    assert loud.accuracy_at_1 == quiet.accuracy_at_1 == 1
    assert loud.recall_at_p90 == 0


def test_nothing_found_and_nothing_to_find() -> None:
    found = measure({}, {"q1": "a"})
    assert (found.accuracy_at_1, found.top_3, found.micro_ap, found.recall_at_p90) == (0, 0, 0, 0)
    assert math.isnan(measure({"none": [("a", 1.0)]}, {"none": None}).micro_ap)
    assert place([("a", 1.0)], "b") == math.inf
