"""Blind votes: what is asked, what is kept, and what may be said of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike.errors import StorageError, UsageError
from lookalike.voting import Ballot, Vote, draw, keep_vote, kept_votes, tally
from lookalike.voting.ballots import disagreement
from lookalike.voting.tally import _duels, _standings
from tests.conftest import Result


@pytest.fixture
def collection(photos: Path) -> lookalike.Collection:
    found = lookalike.open(photos)
    found.add(models=["color", "phash", "dhash"])
    return found


def vote(collection: lookalike.Collection, query: int, a: str, b: str, answer: str, voter: str | None = None) -> None:
    prints = {entry.name: entry.fingerprint for entry in collection.entries() if entry.name in (a, b)}
    keep_vote(collection.directory, Vote(f"{query:064x}", a, b, answer, voter, prints, "ballot"))  # type: ignore[arg-type]


# -- what is asked ---------------------------------------------------------------------------------------------------


def test_a_ballot_shows_what_both_models_find_for_an_image_of_the_collection(collection: lookalike.Collection) -> None:
    ballots = draw(collection, ["color", "phash"], shown=4)
    assert ballots
    for ballot in ballots:
        assert {ballot.left.model, ballot.right.model} == {"color", "phash"}
        for hits in (ballot.left, ballot.right):
            alone = collection.search(ballot.query.path, model=hits.model, k=4)
            assert [hit.path for hit in hits] == [hit.path for hit in alone]
            assert ballot.query.path not in [hit.path for hit in hits]


def test_files_of_the_querys_bytes_are_no_results(collection: lookalike.Collection, photos: Path) -> None:
    (photos / "same.jpg").write_bytes((photos / "astronaut.jpg").read_bytes())
    collection.add()
    for ballot in draw(collection, ["color", "phash"]):
        assert ballot.query.id not in [hit.image.id for hit in (*ballot.left, *ballot.right)]


def test_a_seed_gives_the_same_ballots_and_another_gives_others(collection: lookalike.Collection) -> None:
    once, again, other = (draw(collection, ["color", "phash"], seed=seed) for seed in (1, 1, 2))
    assert [ballot.id for ballot in once] == [ballot.id for ballot in again]
    assert [ballot.id for ballot in once] != [ballot.id for ballot in other]


def test_sides_are_drawn_by_lot(collection: lookalike.Collection) -> None:
    sides = [ballot.left.model for seed in range(12) for ballot in draw(collection, ["color", "phash"], seed=seed)]
    assert 0.4 < sides.count("color") / len(sides) < 0.6


def test_where_the_models_differ_more_is_asked_sooner_as_a_rule(collection: lookalike.Collection) -> None:
    drawn = [[ballot.disagreement for ballot in draw(collection, ["color", "dhash"], seed=seed)] for seed in range(12)]
    half = len(drawn[0]) // 2
    assert np.mean([np.mean(one[:half]) for one in drawn]) > np.mean([np.mean(one[half:]) for one in drawn])


def test_every_pair_of_several_models_is_asked_about_in_turn(collection: lookalike.Collection) -> None:
    ballots = draw(collection, ["color", "phash", "color+dhash"])
    pairs = [frozenset((ballot.left.model, ballot.right.model)) for ballot in ballots]
    assert len(set(pairs[:3])) == 3
    assert all(set(ballot.fingerprints) <= {"color", "phash", "dhash"} for ballot in ballots)


def test_lists_that_are_the_same_are_not_asked_about(collection: lookalike.Collection) -> None:
    assert draw(collection, ["color", "color+color"]) == []


def test_disagreement(collection: lookalike.Collection) -> None:
    hits = collection.search(np.zeros((9, 9, 3), np.uint8), model="color", k=8)
    first, second = (lookalike.Hits("-", "color", part) for part in (hits[:4], hits[4:]))
    assert disagreement(hits, hits) == 0
    assert disagreement(first, second) == 1
    swapped = lookalike.Hits("-", "color", (hits[1], hits[0]))
    assert disagreement(lookalike.Hits("-", "color", hits[:2]), swapped) == pytest.approx(0.5)


def test_a_vote_needs_two_models(collection: lookalike.Collection) -> None:
    with pytest.raises(UsageError, match="two models"):
        draw(collection, ["color", "color"])


# -- what is kept ----------------------------------------------------------------------------------------------------


def ballot(collection: lookalike.Collection) -> Ballot:
    return draw(collection, ["color", "phash"])[0]


def test_a_vote_is_kept_as_a_line_and_is_part_of_the_collection(collection: lookalike.Collection) -> None:
    one = ballot(collection).vote("left", "Ada")
    keep_vote(collection.directory, one)
    keep_vote(collection.directory, ballot(collection).vote("skip"))
    votes, damaged = kept_votes(collection.directory)
    assert (votes[0], votes[1].answer, votes[1].voter, damaged) == (one, "skip", None, 0)
    line = json.loads((collection.directory / "votes.jsonl").read_text().splitlines()[0])
    assert line["time"].endswith("+00:00")
    assert set(line["fingerprints"]) == {"color", "phash"}
    before = collection.info()["images"]
    Image.new("RGB", (50, 50)).save(collection.directory.parent / "new.png")
    assert collection.add().unreadable == []
    assert collection.info()["images"] == before + 1


def test_a_line_that_a_crash_cut_short_spoils_no_other(collection: lookalike.Collection) -> None:
    one = ballot(collection).vote("tie")
    keep_vote(collection.directory, one)
    place = collection.directory / "votes.jsonl"
    with place.open("ab") as file:
        file.write(b'{"time": "2026-')
    keep_vote(collection.directory, one)
    assert kept_votes(collection.directory) == ([one, one], 1)


@pytest.mark.parametrize("line", [b"[]", b"7", b"{}", b"\xff", b'{"query": 1}', b"[" * 100_000, b"null"])
def test_lines_that_are_no_votes_are_counted_and_left_out(collection: lookalike.Collection, line: bytes) -> None:
    (collection.directory / "votes.jsonl").write_bytes(line + b"\n")
    assert kept_votes(collection.directory) == ([], 1)
    assert tally(collection).damaged == 1


def test_an_answer_that_is_none_is_no_vote(collection: lookalike.Collection) -> None:
    vote(collection, 1, "color", "phash", "both")
    assert kept_votes(collection.directory) == ([], 1)


def test_votes_of_several_threads_are_all_kept(collection: lookalike.Collection) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: vote(collection, i, "color", "phash", "left"), range(80)))
    votes, damaged = kept_votes(collection.directory)
    assert ({one.query for one in votes}, damaged) == ({f"{i:064x}" for i in range(80)}, 0)


def test_a_vote_that_cannot_be_kept_is_told(collection: lookalike.Collection) -> None:
    (collection.directory / "votes.jsonl").mkdir()
    with pytest.raises(StorageError, match=r"votes\.jsonl"):
        keep_vote(collection.directory, ballot(collection).vote("left"))
    with pytest.raises(StorageError, match=r"votes\.jsonl"):
        tally(collection)


# -- what may be said of it ------------------------------------------------------------------------------------------


def test_no_votes_no_figures(collection: lookalike.Collection) -> None:
    found = tally(collection)
    assert (found.votes, found.standings, found.duels) == (0, (), ())


def test_ties_are_half_a_win_and_skips_do_not_count(collection: lookalike.Collection) -> None:
    for query, answer in enumerate(["left", "left", "tie", "right", "skip"]):
        vote(collection, query, "color", "phash", answer)
    found = tally(collection)
    assert (found.votes, found.queries, found.skipped) == (4, 4, 1)
    shares = {one.model: one.share.value for one in found.standings}
    assert shares == {"color": 0.625, "phash": 0.375}
    (duel,) = found.duels
    assert (duel.a, duel.ties, duel.share.value) == ("color", 1, 0.625)


def test_the_side_does_not_matter(collection: lookalike.Collection) -> None:
    for query in range(8):
        vote(collection, query, *(("color", "phash", "left") if query % 2 else ("phash", "color", "right")))
    (duel,) = tally(collection).duels
    assert (duel.better, duel.share.value, duel.p) == ("color", 1.0, pytest.approx(2 / 2**8))


@pytest.mark.parametrize(("votes", "told"), [(5, None), (6, "color")])
def test_five_votes_are_too_few_however_they_fall(collection: lookalike.Collection, votes: int, told: str) -> None:
    for query in range(votes):
        vote(collection, query, "color", "phash", "left")
    (duel,) = tally(collection).duels
    assert duel.better == told
    assert ("no difference" in duel.verdict) is (told is None)
    assert duel.share.low < 1, "what has not been seen is not known"


def test_many_votes_on_one_image_are_one(collection: lookalike.Collection) -> None:
    for voter in range(50):
        vote(collection, 1, "color", "phash", "left", f"voter {voter}")
    found = tally(collection)
    assert (found.votes, found.queries) == (50, 1)
    assert found.duels[0].better is None
    assert found.standings[0].share.low < 0.1


def test_who_votes_again_changes_the_vote(collection: lookalike.Collection) -> None:
    vote(collection, 1, "color", "phash", "left", "Ada")
    vote(collection, 1, "phash", "color", "left", "Ada")
    vote(collection, 1, "color", "phash", "left", "Bob")
    assert tally(collection).votes == 2
    assert tally(collection).standings[0].share.value == 0.5


def test_votes_on_another_revision_do_not_count(collection: lookalike.Collection) -> None:
    vote(collection, 1, "color", "phash", "left")
    old = Vote("0" * 64, "color", "phash", "left", None, {"color": "other", "phash": "other"}, "ballot")
    keep_vote(collection.directory, old)
    found = tally(collection)
    assert (found.votes, found.outdated) == (1, 1)
    collection.remove_model("phash")
    assert (tally(collection).votes, tally(collection).outdated) == (0, 2)


def test_strengths_are_recovered_within_their_intervals() -> None:
    true, covered = {"a": 1.5, "b": 0.0, "c": -1.5}, []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        votes = []
        for query in range(150):
            a, b = rng.permutation(list(true))[:2].tolist()
            won = rng.random() < 1 / (1 + np.exp(true[b] - true[a]))
            votes.append(Vote(str(query), a, b, "left" if won else "right", None, {}, ""))
        standings = _standings(votes, seed=0)
        assert [one.model for one in standings] == ["a", "b", "c"]
        covered += [one.strength and one.strength.low <= true[one.model] <= one.strength.high for one in standings]
    assert np.mean(covered) > 0.85


def test_models_that_never_met_have_no_common_strength() -> None:
    votes = [Vote("1", "a", "b", "left", None, {}, ""), Vote("2", "c", "d", "left", None, {}, "")]
    assert [one.strength for one in _standings(votes, seed=0)] == [None] * 4
    joined = _standings([*votes, Vote("3", "b", "c", "left", None, {}, "")], seed=0)
    assert [one.model for one in joined] == ["a", "b", "c", "d"]
    assert None not in [one.strength for one in joined]


def test_luck_is_seldom_called_a_difference(collection: lookalike.Collection) -> None:
    rng, wrong = np.random.default_rng(3), 0
    for _ in range(200):
        votes = [
            Vote(str(i), "a", "b", answer, None, {}, "")
            for i, answer in enumerate(rng.choice(["left", "right", "tie"], 40, p=[0.4, 0.4, 0.2]))
        ]
        wrong += _duels(votes, seed=0)[0].better is not None
    assert wrong <= 0.05 * 200 + 5


# -- on the command line ---------------------------------------------------------------------------------------------


def test_the_command_sums_up(collection: lookalike.Collection, lookalike_cli: Callable[..., Result]) -> None:
    place = collection.directory.parent
    nothing = lookalike_cli("votes", place)
    assert (nothing.code, nothing.out) == (1, "")
    assert "no votes yet" in nothing.err
    for query in range(10):
        vote(collection, query, "color", "phash", "left" if query else "tie")
    told = lookalike_cli("votes", place)
    assert told.code == 0
    assert "color is better than phash: 95% of 10 votes" in told.out
    data = lookalike_cli("votes", place, "--json").json
    assert data["duels"][0]["better"] == "color"
    assert data["standings"][0]["share"]["value"] == pytest.approx(0.95)


def test_the_command_needs_a_collection(tmp_path: Path, lookalike_cli: Callable[..., Result]) -> None:
    told = lookalike_cli("votes", tmp_path)
    assert told.code == 2
    assert "lookalike index" in told.err
