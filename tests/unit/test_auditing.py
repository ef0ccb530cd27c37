"""The audit: planted biases are found and measured, and where there is none, none is."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike.auditing import audit, groups, labels, words
from lookalike.auditing.groups import Grouping
from lookalike.auditing.labels import Column
from lookalike.auditing.likeness import Audited, Likeness
from lookalike.auditing.membership import Effect
from lookalike.auditing.pairs import surprises
from lookalike.auditing.variants import before, labelled
from lookalike.errors import NoCollection, UsageError
from lookalike.types import ImageRef, Vectors

SHARES = (0.4, 0.35, 0.25)


def quiet(what: str, done: int, total: int | None) -> None:
    """Nobody watches."""


def unit(rows: np.ndarray) -> Vectors:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def audited_of(model: Vectors, *visual: Vectors) -> Audited:
    rng = np.random.default_rng(0)
    found = [Likeness.of(f"m{i}", vectors, rng) for i, vectors in enumerate((model, *visual))]
    images = [ImageRef(str(i), f"/pictures/{i}.png", 1, 1) for i in range(len(model))]
    return Audited(images, [[image.path] for image in images], len(images), found[0], found[1:])


def judged(seed: int, offset: float = 0.0, confounded: float = 0.0, blurred: float = 0.0) -> Grouping:
    """A world of 90 images whose model may see groups by an offset, and whose groups may look different."""
    rng = np.random.default_rng(seed)
    group = rng.choice(len(SHARES), 90, p=SHARES)
    means = rng.normal(size=(len(SHARES), 24)) * confounded
    looks = unit(means[group] + rng.normal(size=(90, 24)))
    own = unit(rng.normal(size=(90, 40)))
    model = unit(np.hstack([0.6**0.5 * looks, 0.4**0.5 * own, offset * np.eye(len(SHARES))[group]]))
    seen = [unit(looks + blurred / 24**0.5 * rng.normal(size=looks.shape)) for _ in range(2)]
    column = Column("group", [f"group {number}" for number in group], ())
    (found,) = groups.judge(audited_of(model, *seen), [column], rng, quiet, rounds=199)
    return found


@pytest.mark.parametrize("confounded", [0.0, 0.6])
def test_a_planted_bias_is_found_and_its_size_recovered(confounded: float) -> None:
    offset = 0.2
    found = [judged(seed, offset, confounded) for seed in range(8)]
    assert {each.verdict for each in found} == {"beyond looks"}
    truth = offset**2 / (1 + offset**2)
    held = [each.effect is not None and each.effect.low <= truth <= each.effect.high for each in found]
    assert sum(held) >= 7
    assert np.mean([each.effect.value for each in found if each.effect]) == pytest.approx(truth, abs=0.003)


@pytest.mark.parametrize("confounded", [0.0, 0.6])
def test_where_there_is_no_bias_none_is_found(confounded: float) -> None:
    """Also where groups differ in looks: one may be found by luck, seldom two."""
    found = [judged(seed, 0.0, confounded) for seed in range(12)]
    assert sum(each.p_holm < 0.05 for each in found) <= 2
    assert sum(each.verdict == "beyond looks" for each in found) <= 1


def test_what_references_are_blind_to_is_held_against_what_they_show_themselves() -> None:
    found = [judged(seed, 0.0, confounded=0.6, blurred=0.4) for seed in range(6)]
    assert sum(each.p_holm < 0.05 for each in found) >= 4, "looks that no reference sees do explain groups"
    assert {each.verdict for each in found} <= {"none", "as looks"}


def test_a_bias_must_exceed_all_that_references_may_show() -> None:
    """A small effect, surely there, is no bias while a reference's own may be as large."""
    found = judged(0, 0.2)
    assert found.effect
    assert found.furthest
    low = found.effect.in_deviations[1]
    for high, verdict in ((low - 0.01, "beyond looks"), (low + 0.01, "as looks")):
        own = Effect(value=low - 0.05, low=low - 0.1, high=high, deviation=1.0, p=0.01)
        other = Effect(value=low - 0.04, low=low - 0.05, high=low - 0.03, deviation=1.0, p=0.01)
        held = replace(found, yardsticks=(("wide", own), ("narrow", other)))
        assert (held.verdict, held.furthest and held.furthest[0]) == (verdict, "wide")


@pytest.mark.parametrize(("labels_", "rows"), [("ab", 0), ("abc", 3)])
def test_two_groups_are_one_effect(labels_: str, rows: int) -> None:
    rng = np.random.default_rng(6)
    looks = unit(rng.normal(size=(60, 8)))
    column = Column("kind", list(rng.choice(list(labels_), size=60)), ())
    (found,) = groups.judge(audited_of(unit(rng.normal(size=(60, 8))), looks), [column], rng, quiet, rounds=99)
    assert len(found.groups) == len(found.to_json()["groups"]) == rows


def test_groups_that_go_with_looks_alone_cannot_be_told() -> None:
    rng = np.random.default_rng(1)
    group = np.repeat([0, 1, 2], 20)
    looks = unit(50 * np.eye(3)[group] + 0.1 * rng.normal(size=(60, 3)))
    column = Column("kind", [str(number) for number in group], ())
    (found,) = groups.judge(audited_of(looks, looks[:, ::-1].copy()), [column], rng, quiet, rounds=99)
    assert (found.verdict, found.effect, found.p_holm) == ("untold", None, 1.0)


def test_many_columns_are_one_family() -> None:
    rng = np.random.default_rng(2)
    looks = unit(rng.normal(size=(40, 8)))
    halves = [Column(f"c{i}", [str(x) for x in rng.integers(2, size=40)], ()) for i in range(3)]
    found = groups.judge(audited_of(looks, unit(looks + 0.1)), halves, rng, quiet, rounds=99)
    assert all(each.effect and each.p_holm >= each.effect.p for each in found)


def test_pairs_against_their_looks() -> None:
    rng = np.random.default_rng(3)
    looks = unit(rng.normal(size=(60, 16)))
    model = looks.copy()
    model[7] = unit((model[30] + 0.05 * rng.normal(size=16))[None])[0]  # two that look unlike
    looks[50] = looks[11]  # and two that look the same
    found = surprises(audited_of(model, looks), 3, rng, quiet)
    assert {int(each.id) for each in (found.joins[0].a, found.joins[0].b)} == {7, 30}
    assert {7, 11, 50} <= {int(image.id) for pair in found.parts for image in (pair.a, pair.b)}
    by_model, by_looks = found.joins[0].standings
    assert (by_model.rank, by_model.nearer_than > 0.99, by_looks.rank > 6) == (1, True, True)
    assert found.k == 6
    assert 0 < found.joined.low <= found.joined.value <= found.joined.high < 0.5


def test_a_model_that_is_its_own_reference_has_no_odd_pairs() -> None:
    looks = unit(np.random.default_rng(4).normal(size=(60, 16)))
    found = surprises(audited_of(looks, looks), 5, np.random.default_rng(0), quiet)
    assert (found.joins, found.parts, found.joined.value) == ((), (), 0.0)


# -- groups from a file -------------------------------------------------------------------------------------------


@pytest.fixture
def forty() -> Audited:
    return audited_of(unit(np.random.default_rng(5).normal(size=(40, 4))), unit(np.ones((40, 4))))


def table(rows: list[str], header: str = "file,region") -> str:
    return "\n".join([header, *rows]) + "\n"


def test_labels_by_path_its_end_or_name(forty: Audited, tmp_path: Path) -> None:
    names = ["/pictures/{}.png", "pictures/{}.png", "{}.png", "./{}.png"]
    rows = [f"{names[i % 4].format(i)},{'north' if i % 2 else 'south'}" for i in range(40)]
    file = tmp_path / "groups.csv"
    file.write_text("\ufeff" + table(rows), encoding="utf-8")
    (column,), notes = labels.read(str(file), forty, [])
    assert list(column.labels) == ["south", "north"] * 20
    assert (column.groups, column.notes, notes) == (["north", "south"], (), [])
    file.write_text(table(rows).replace(",", ";"))
    assert labels.read(str(file), forty, ["region"])[0][0].labels == column.labels


def test_what_is_left_out_is_counted(forty: Audited, tmp_path: Path) -> None:
    rows = [f"{i}.png,{'abcd'[i % 2] if i < 30 else 'rare' if i < 33 else ''},x" for i in range(38)]
    file = tmp_path / "groups.csv"
    file.write_text(table([*rows, "gone.png,a,x", "0.png,b,x"], "file,region,brand"))
    (column,), notes = labels.read(str(file), forty, [])
    assert sorted(notes) == sorted([
        f"{file}: rows that name no image of the collection (or none that all the models know): 1",
        f"{file}: rows left out, since the same image has other labels before: 1",
        f"{file}: images that are not in it: 2",
        f"{file}: column 'brand' is not tested: fewer than two groups of 5 images",
    ])  # fmt: skip
    assert column.notes == ("region: images without a label: 7", "region: groups of fewer than 5 images, left out: 1")
    assert column.groups == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "needs a first line with two names"),
        (b"file\n1.png\n", "needs a first line with two names"),
        (b"file,a,a\n", "has two columns 'a'"),
        (b"file,a\nnobody,1\n", "column 'file': it says 'nobody', the collection '/pictures/0.png'$"),
        (b"file,a\n", "names no image of the collection in its column 'file': it has no rows"),
        (b"file,a\n1.png,x\n2.png,x\n", "fewer than two groups of 5 images"),
        (b"\xff\xfe\x00", "no UTF-8 text"),
        (b'file,a\n"' + b"x" * 200_000, "no CSV file"),
    ],
)
def test_files_that_are_no_use(forty: Audited, tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "groups.csv"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=told) as error:
        labels.read(str(file), forty, [])
    assert str(error.value).startswith(str(file))
    assert "\n" not in str(error.value)


def test_a_column_that_is_not_there(forty: Audited, tmp_path: Path) -> None:
    file = tmp_path / "groups.csv"
    file.write_text("file,region\n")
    with pytest.raises(UsageError, match="no column 'brand': it has file, region"):
        labels.read(str(file), forty, ["brand"])
    with pytest.raises(UsageError, match="no such file"):
        labels.read(str(tmp_path / "none.csv"), forty, [])


# -- probes ---------------------------------------------------------------------------------------------------------


def test_labels_differ_in_what_they_bear_alone(photo_pixels: dict[str, np.ndarray]) -> None:
    plain = photo_pixels["cat"]
    blank, word = labelled(plain, None), labelled(plain, "apple")
    mixed = labelled(plain, "apple", scramble=3)
    assert np.array_equal(mixed, labelled(plain, "apple", scramble=3))
    assert not np.array_equal(mixed, word)
    ink = [int((each[:, :, 0] < 128).sum()) for each in (blank, mixed, word)]
    assert ink[2] > ink[0] * 1.01
    assert ink[1] == pytest.approx(ink[2], rel=0.02)
    assert np.array_equal(word[: plain.shape[0] // 2], plain[: plain.shape[0] // 2])
    tiny = labelled(np.zeros((3, 5, 3), dtype=np.uint8), "apple", scramble=1)
    assert tiny.shape == (3, 5, 3)


def test_the_middle_half_stands_before_another(photo_pixels: dict[str, np.ndarray]) -> None:
    black, white = np.zeros((200, 300, 3), dtype=np.uint8), np.full((50, 50, 3), 255, dtype=np.uint8)
    mix = before(black, white)
    assert mix.shape == black.shape
    assert mix.mean() / 255 == pytest.approx(0.5, abs=0.02)
    assert (mix[100, 150].tolist(), mix[0, 0].tolist()) == ([0, 0, 0], [255, 255, 255])
    assert before(black, None)[0, 0].tolist() == [127, 127, 127]


# -- all of it, on real pictures ------------------------------------------------------------------------------------

CELLS = 64


@pytest.fixture
def marked(tmp_path: Path, photo_pixels: dict[str, np.ndarray]) -> Path:
    """A collection of 72 parts of photos; one pixel of each says which of three secret groups it is in."""
    folder = tmp_path / "parts"
    folder.mkdir()
    rng = np.random.default_rng(6)
    rows = []
    for name, pixels in photo_pixels.items():
        for number in range(9):
            top, left = (int(rng.integers(side - CELLS)) for side in pixels.shape[:2])
            part = pixels[top : top + CELLS, left : left + CELLS].copy()
            group = int(rng.integers(3))
            part[0, 0] = (0, 0, group)
            Image.fromarray(part).save(folder / f"{name}-{number}.png")
            rows.append(f"{name}-{number}.png,{'abc'[group]},{int(rng.integers(2))}")
    (tmp_path / "groups.csv").write_text(table(rows, "file,secret,coin"))
    return folder


@pytest.fixture
def models() -> None:
    def coarse(pixels: np.ndarray) -> np.ndarray:
        cells = pixels[:, 4:].reshape(len(pixels), 6, 10, 8, 8, 3).mean(axis=(2, 4)) / 255
        return cells.reshape(len(pixels), -1) - cells.mean()

    @lookalike.model("biased", dim=147, size=(CELLS, CELLS))
    def biased(pixels: np.ndarray) -> np.ndarray:
        return np.hstack([unit(coarse(pixels)), 0.6 * np.eye(3)[np.minimum(pixels[:, 0, 0, 2], 2)]])

    @lookalike.model("plain", dim=144, size=(CELLS, CELLS))
    def plain(pixels: np.ndarray) -> np.ndarray:
        return coarse(pixels)


def test_a_bias_is_found_in_a_collection(marked: Path, models: None, tmp_path: Path) -> None:
    lookalike.open(marked).add(models=["biased", "plain", "color", "hog"])
    seen = []
    file = str(tmp_path / "groups.csv")
    found = audit(
        marked, "biased", ["color", "hog"], groups_file=file, probed=8, progress=lambda *step: seen.append(step)
    )
    assert found.groups is not None
    assert {each.column: each.verdict for each in found.groups} == {"secret": "beyond looks", "coin": "none"}
    secret = next(each for each in found.groups if each.column == "secret")
    assert secret.effect
    assert secret.effect.low <= 0.36 / 1.36 <= secret.effect.high
    assert secret.neighbours.model > secret.neighbours.looks + 0.2
    much = words.size(secret.effect)
    assert re.fullmatch(r"\+\d\.\d\d \[\+\d\.\d\d, \+\d\.\d\d\] deviations", much)
    assert f"A bias by secret, beyond looks: {much}." in words.headlines(found)
    assert [len(each.groups) for each in found.groups] == [3, 0], "two groups are parted by one effect"
    far = replace(secret, neighbours=replace(secret.neighbours, model=0.2, looks=0.3))
    for each, said in ((secret, False), (far, True)):
        for told_so in (words.grouping(found, each), words.headlines(replace(found, groups=(each,)))[0]):
            assert ("though not so that neighbours show it" in told_so) is said
    assert {what for what, _, _ in seen} == {"vectors", "neighbours", "groups", "probes"}
    told = found.to_json()
    assert told["groups"][0]["effect"]["p"] <= 1
    assert told["probes"]["images"] == 8
    assert [row["model"] for row in told["probes"]["context"]["models"]] == ["biased", "color", "hog"]
    again = audit(marked, "biased", ["color", "hog"], probed=0).to_json()
    assert (again["pairs"], again["groups"], again["probes"]) == (told["pairs"], None, None)
    alone = audit(marked, "biased", ["color"], groups_file=file, columns=["secret"], probed=0)
    assert alone.groups is not None
    assert words.grouping(alone, alone.groups[0]).endswith(
        "looks that it does not see may be the reason: name another."
    )
    next(marked.glob("*.png")).unlink()
    found.save_html(tmp_path / "audit.html")
    assert "A bias by secret, beyond looks: +" in (tmp_path / "audit.html").read_text()
    honest = audit(marked, "plain", ["color", "hog"], groups_file=file, probed=0).groups
    assert honest is not None
    assert "beyond looks" not in {each.verdict for each in honest}


def test_backgrounds_are_found(tmp_path: Path, marked: Path) -> None:
    @lookalike.model("border", dim=12, size=(32, 32))
    def border(pixels: np.ndarray) -> np.ndarray:
        corners = [pixels[:, y : y + 4, x : x + 4].mean(axis=(1, 2)) for y in (0, 28) for x in (0, 28)]
        return np.hstack(corners) - 127

    @lookalike.model("middle", dim=12, size=(32, 32))
    def middle(pixels: np.ndarray) -> np.ndarray:
        spots = [pixels[:, y : y + 4, x : x + 4].mean(axis=(1, 2)) for y in (12, 17) for x in (12, 17)]
        return np.hstack(spots) - 127

    lookalike.open(marked).add(models=["border", "middle"])
    by_border = audit(marked, "border", ["middle"], probed=30).probes
    by_middle = audit(marked, "middle", ["border"], probed=30).probes
    assert by_border is not None
    assert by_middle is not None
    assert by_border.context[0].taken_for_background.low > 0.8
    assert by_middle.context[0].taken_for_background.high < 0.2
    assert (by_middle.verdict(by_middle.context), by_middle.verdict(by_middle.typographic)) == ("none", "none")


def test_requests_that_make_no_sense(marked: Path, tmp_path: Path) -> None:
    with pytest.raises(NoCollection, match="nowhere: no such folder: name a collection"):
        audit(tmp_path / "nowhere", "color", ["hog"])
    with pytest.raises(NoCollection, match="lookalike index"):
        audit(marked, "color", ["hog"])
    lookalike.open(marked).add(models=["color"])
    with pytest.raises(UsageError, match="lookalike index FOLDER --model hog"):
        audit(marked, "color", ["hog"])
    with pytest.raises(UsageError, match="must be another model"):
        audit(marked, "color", ["color"])
    with pytest.raises(UsageError, match="--visual"):
        audit(marked, "color", [])
    with pytest.raises(UsageError, match="--groups"):
        audit(marked, "color", ["hog"], columns=["region"])
    with pytest.raises(UsageError, match="too few to probe"):
        audit(marked, "color", ["hog"], probed=3)


def test_a_small_collection(photos: Path) -> None:
    lookalike.open(photos).add(models=["color", "hog"])
    with pytest.raises(UsageError, match="an audit needs 12"):
        audit(photos, "color", ["hog"])
