"""A benchmark's reports: safe, whole, and no more certain than the figures."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lookalike.bench import plots, report
from lookalike.bench.datasets import Dataset, Edits, Query
from lookalike.bench.results import BenchReport, EntryResult
from lookalike.stats import Bootstrap, Interval
from tests.unit.plain_measures import measure, place
from tests.unit.test_report import Page

OPERATORS = ("crop", "blur", "text", "flip", "paste")
GRADES = ("mild", "medium", "hard")
GALLERY = [f"{'holiday/' if i % 2 else ''}{i}.jpg" for i in range(80)]


def asked(originals: int = 40, negatives: int = 6) -> list[Query]:
    """Three queries an original."""
    queries = [
        query(f"{i:03d}-{g}", OPERATORS[(i + g) % 5], grade, 7 * i + g, GALLERY[i])
        for i in range(originals)
        for g, grade in enumerate(GRADES)
    ]
    return queries + [query(f"none-{i}", "crop", "mild", i, f"absent {i}.jpg", None) for i in range(negatives)]


def query(id_: str, operator: str, grade: str, seed: int, original: str, truth: str | None = "") -> Query:
    """A copy, of an original that is to be found unless `truth` is None."""
    truths = frozenset([original] if truth is not None else [])
    return Query(id_, Path(f"{id_}.jpg"), truths, original=original, edits=Edits(operator, grade, seed))


def entry(
    model: str,
    skill: float,
    speed: float | None = 10.0,
    *,
    queries: Sequence[Query] | None = None,
    seed: int = 0,
    cost: float = 1.5,
) -> EntryResult:
    """Finds a match first with a chance of `skill`; two entries with the same seed differ only by their skill."""
    rng = np.random.default_rng(seed)
    rankings = {}
    for query in queries or asked():
        luck = rng.random()
        names = [str(name) for name in rng.permutation(GALLERY)[:8] if name != query.truth][:6]
        scores = np.sort(rng.uniform(0.1, 0.6, len(names)))[::-1].tolist()
        ranking = list(zip(names, scores, strict=True))
        if query.truth and luck < skill:
            ranking.insert(0, (query.truth, 0.6 + 0.4 * (skill - luck)))
        rankings[query.id] = ranking
    return EntryResult(model, rankings, speed, 512, cost)


def dataset(queries: Sequence[Query], name: str = "copies", strangers: Sequence[str] = ()) -> Dataset:
    gallery = {each: Path(each) for each in [*GALLERY, *strangers]}
    return Dataset(name, "copies", gallery, queries, 50)


def benchmark(*entries: EntryResult, queries: Sequence[Query] | None = None, seed: int = 1) -> BenchReport:
    return BenchReport(
        dataset(queries or asked(), strangers=["other.jpg", "a.jpg"]),
        "photos",
        entries,
        {"processor": "a processor", "threads": 2, "gpu": None},
        {"lookalike": "0.1.0"},
        seed,
        {"images": 2688, "left_out": ["a.gif", "b.gif"]},
    )


@pytest.fixture(scope="module")
def five() -> BenchReport:
    return benchmark(
        entry("sift", 0.66, 20),
        entry("vit_tiny", 0.70, 24, seed=1),
        entry("phash", 0.35, 900, seed=2),
        entry("mobilenetv2", 0.60, 90, seed=3),
        entry("vit_tiny+sift|mirror|verify:50", 0.90, 11, seed=4),
    )


def picture(name: str) -> bytes:
    """A small JPEG, another for each name."""
    image = Image.new("RGB", (64, 48), (zlib.crc32(ascii(name).encode()) % 200, 80, 120))
    ImageDraw.Draw(image).text((4, 18), ascii(name), fill="white")
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


@pytest.fixture(scope="module")
def html(five: BenchReport) -> str:
    return five.to_html(picture)


# --- JSON ---


def test_json_has_it_all(five: BenchReport) -> None:
    data = json.loads(json.dumps(five.to_json(), allow_nan=False))
    row = data["rows"][0]
    assert row["model"] == "vit_tiny+sift|mirror|verify:50"
    for figure in ("accuracy@1", "accuracy@3", "uap", "recall@p90"):
        assert 0 <= row[figure]["low"] <= row[figure]["value"] <= row[figure]["high"] <= 1
        assert set(row[figure]) == {"value", "low", "high"}
    assert set(row["by_grade"]) == set(GRADES)
    assert set(row["by_operator"]) == set(OPERATORS)
    assert sum(one["queries"] for one in row["by_operator"].values()) == 120
    assert (row["images_per_second"], row["bytes_per_vector"], row["ms_per_query"]) == (11, 512, 1.5)
    pair = data["pairs"][0]
    assert pair["difference"] == pytest.approx(
        data["rows"][0]["accuracy@1"]["value"] - data["rows"][1]["accuracy@1"]["value"]
    )
    assert pair["low"] <= pair["difference"] <= pair["high"]
    assert pair["p"] <= pair["p_holm"]
    assert sum(pair[key] for key in ("both", "neither", "only_a", "only_b")) == 120
    assert len(data["pairs"]) == 10
    assert data["seed"] == 1 and data["machine"]["threads"] == 2 and data["versions"] and data["facts"]
    assert data["queries"][0] == {
        "id": "000-0",
        "operator": "crop",
        "grade": "mild",
        "seed": 0,
        "original": "0.jpg",
        "truth": "0.jpg",
        "steps": [],
    }
    assert len(data["answers"]["sift"]["000-0"]) == 5


def test_every_figure_can_be_worked_out_from_the_json_alone() -> None:
    """By the plain measures, of what is in the file; intervals by truly copying the queries of each original drawn."""
    queries = asked(25, 10)
    noisy = [renumbered(entry(f"m{i}", 0.3 + 0.2 * i, seed=i, queries=queries)) for i in range(3)]
    data = json.loads(json.dumps(benchmark(*noisy, queries=queries, seed=5).to_json(), allow_nan=False))
    asked_for = data["queries"]
    for row in data["rows"]:
        rankings, truths = retold(data, row["model"])
        plain = measure(rankings, truths)
        assert row["accuracy@1"]["value"] == pytest.approx(plain.accuracy_at_1)
        assert row["accuracy@3"]["value"] == pytest.approx(plain.top_3)
        assert row["uap"]["value"] == pytest.approx(plain.micro_ap)
        assert row["recall@p90"]["value"] == pytest.approx(plain.recall_at_p90)
        for group in ("grade", "operator"):
            for label, score in row[f"by_{group}"].items():
                some = [query["id"] for query in asked_for if query[group] == label]
                part = measure({id_: rankings[id_] for id_ in some}, {id_: truths[id_] for id_ in some})
                assert score["value"] == pytest.approx(part.accuracy_at_1)
                assert score["queries"] == sum(truths[id_] is not None for id_ in some)
        values = data["values"][row["model"]]["accuracy@1"]
        assert values == [
            None if truths[query["id"]] is None else int(place(rankings[query["id"]], query["truth"]) == 1)
            for query in asked_for
        ]
        wanted = [query["truth"] is not None for query in asked_for]
        samples = Bootstrap.draw([f"image {query['original']}" for query in asked_for], wanted, data["seed"])
        originals = list(dict.fromkeys(query["original"] for query in asked_for))
        rounds = []
        for column in samples.weights.T[1:]:
            times = dict(zip(originals, column.astype(int).tolist(), strict=True))
            copies = [(f"{q['id']}/{i}", q["id"]) for q in asked_for for i in range(times[q["original"]])]
            rounds.append(measure({a: rankings[b] for a, b in copies}, {a: truths[b] for a, b in copies}))
        for name, key in (("accuracy@1", "accuracy_at_1"), ("uap", "micro_ap"), ("recall@p90", "recall_at_p90")):
            low, high = np.percentile([getattr(one, key) for one in rounds], [2.5, 97.5])
            assert (row[name]["low"], row[name]["high"]) == pytest.approx((low, high), abs=1e-6)
    first = {row["model"]: data["values"][row["model"]]["accuracy@1"] for row in data["rows"]}
    for pair in data["pairs"]:
        told = [(first[pair["a"]][i], first[pair["b"]][i], query["id"]) for i, query in enumerate(asked_for)]
        for name, which in (("both", (1, 1)), ("neither", (0, 0)), ("only_a", (1, 0)), ("only_b", (0, 1))):
            assert pair["queries"][name] == [id_ for a, b, id_ in told if (a, b) == which]
            assert pair[name] == len(pair["queries"][name])


def renumbered(result: EntryResult) -> EntryResult:
    """With coarse scores: there are ties everywhere."""
    rankings = {id_: [(name, round(8 * score) / 8) for name, score in found] for id_, found in result.rankings.items()}
    return EntryResult(result.model, rankings, 10.0, 512, 1.5)


def retold(data: dict[str, Any], model: str) -> tuple[dict[str, list[tuple[str, float]]], dict[str, str | None]]:
    """Rankings and truths, of the pool: its order is all that the measures take; wrong answers need no name."""
    pool, asked_for = data["pool"][model], data["queries"]
    rankings: dict[str, list[tuple[str, float]]] = {query["id"]: [] for query in asked_for}
    right = set(pool["right"])
    for at, number in enumerate(pool["query"]):
        query = asked_for[number]
        name = query["truth"] if at in right else f"wrong {at}"
        rankings[query["id"]].append((name, -float(at)))
    return rankings, {query["id"]: query["truth"] for query in asked_for}


def test_the_same_seed_gives_the_same_figures() -> None:
    queries = asked()

    def made(seed: int) -> str:
        return json.dumps(benchmark(entry("a", 0.6), entry("b", 0.7, seed=1), queries=queries, seed=seed).to_json())

    assert made(1) == made(1) != made(2)


# --- The recommendation ---


def test_one_that_is_better() -> None:
    said = benchmark(entry("good", 0.95, 10), entry("fast", 0.4, 500, seed=1)).recommendation()
    assert said.startswith("Best here: good finds the match first in")
    assert "It is better than fast:" in said
    assert "p < 0.001" in said
    assert "Nothing that indexes faster is sure to come within 5 points" in said
    assert "fast indexes 50 times as fast (500 against 10 images/s)" in said


def test_no_difference_where_there_is_none() -> None:
    said = benchmark(entry("a", 0.6), entry("b", 0.6, seed=1), entry("c", 0.61, seed=2)).recommendation()
    assert said.startswith("Highest here:")
    assert "No difference can be shown between it and" in said
    assert "better than" not in said
    assert "nothing tried is clearly faster" in said


def test_the_same_answers_twice() -> None:
    said = benchmark(entry("slow", 0.7, 10), entry("fast", 0.7, 80)).recommendation()
    assert "No difference can be shown between it and" in said
    assert "better than" not in said


def test_the_best_for_its_speed_is_within_reach() -> None:
    queries = asked(80)
    said = benchmark(
        entry("slow", 0.800, 10, queries=queries),
        entry("fast", 0.780, 85, queries=queries),
        entry("hasty", 0.3, 900, queries=queries),
        queries=queries,
    ).recommendation()
    assert "Best for its speed of indexing: fast indexes 8.5 times as fast (85 against 10 images/s)" in said
    assert "that there is a difference cannot be shown" in said


def test_what_a_query_costs_is_weighed_too() -> None:
    queries = asked(80)
    plain = entry("plain", 0.7, 20, queries=queries)
    verified = entry("verified", 0.9, 20, queries=queries, cost=102)
    said = benchmark(plain, verified, queries=queries).recommendation()
    assert "nothing tried is clearly faster than its 20 images/s" in said
    assert "A query costs verified 102 CPU-ms besides embedding it as it is." in said
    assert "Best for half of that or less: plain costs 1.5 and finds" in said
    nothing = benchmark(verified, entry("mirror", 0.7, 20, queries=queries, cost=60), queries=queries).recommendation()
    assert nothing.endswith("nothing tried costs half as much or less.")
    slow = entry("slow", 0.9, 20, queries=queries)
    dear = entry("dear", 0.89, 90, queries=queries, cost=80)
    said = benchmark(slow, dear, queries=queries).recommendation()
    assert (
        "dear indexes 4.5 times as fast (90 against 20 images/s), though a query costs 80 CPU-ms against 1.5," in said
    )
    assert "A query costs" not in said, "the best takes next to nothing"


def test_a_wide_interval_is_not_within_reach() -> None:
    """Few queries: the fast one may lose a lot, although no difference can be shown."""
    queries = asked(10)
    made = benchmark(
        entry("slow", 0.7, 10, queries=queries), entry("fast", 0.6, 80, queries=queries, seed=5), queries=queries
    )
    assert not made.pairs()[0].significant
    if made.rows()[0].model == "slow":
        assert "a difference cannot be shown, nor be ruled out" in made.recommendation()
    assert "Best for its speed" not in made.recommendation()


@pytest.mark.parametrize("seed", range(6))
def test_it_never_claims_more_than_the_tests(seed: int) -> None:
    skills = np.random.default_rng(seed).uniform(0.4, 0.9, 5)
    made = benchmark(*(entry(f"m{i}", float(skill), 10.0 * i + 5, seed=i) for i, skill in enumerate(skills)))
    against = {pair.b: pair for pair in made.pairs() if pair.a == made.rows()[0].model}
    said = made.recommendation()
    alike = re.search(r"between it and ([^:]*):", said)
    better = re.search(r"better than ([^:]*):", said)
    assert set(re.findall(r"m\d", alike[1] if alike else "")) == {b for b, p in against.items() if not p.significant}
    assert set(re.findall(r"m\d", better[1] if better else "")) == {b for b, p in against.items() if p.significant}


def test_alone_in_vain_and_without_speed() -> None:
    assert "name a second model" in benchmark(entry("a", 0.6)).recommendation()
    assert "Nothing works here" in benchmark(entry("a", 0.0), entry("b", 0.0, seed=1)).recommendation()
    assert "images/s" not in benchmark(entry("a", 0.9, None), entry("b", 0.4, None, seed=1)).recommendation()


def test_the_pareto_line_is_beaten_by_nothing(five: BenchReport) -> None:
    line = [row.model for row in five.pareto()]
    rows = {row.model: (row.headline.value, row.entry.images_per_second or 0) for row in five.rows()}
    beaten = {a for a, x in rows.items() for y in rows.values() if y != x and y[0] >= x[0] and y[1] >= x[1]}
    assert set(line) == set(rows) - beaten
    assert [rows[model][1] for model in line] == sorted((rows[model][1] for model in line), reverse=True)


# --- Markdown ---


def test_markdown_tables_are_whole(five: BenchReport) -> None:
    text = five.to_markdown()
    assert r"vit\_tiny+sift\|mirror\|verify:50" in text
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert text.count("## ") == 6
    assert "95% interval" in text and "seed 1" in text and "a processor" in text
    assert "gpu: unknown" in text and "left out: a.gif, b.gif" in text


# --- HTML ---


def test_the_page_lets_nothing_load_or_run_but_its_own(html: str) -> None:
    page = Page(html)
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta) or ""
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert len(scripts) == len(styles) == 1
    for directive, text in (("script-src", scripts[0]), ("style-src", styles[0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes), tag
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/jpeg;base64,")), tag
    assert set(re.findall(r"https?://[^\s\"']+", html)) <= {"http://www.w3.org/2000/svg"}


def test_the_page_says_it_all(five: BenchReport, html: str) -> None:
    text = Page(html).text
    for words in ("a processor", "0.1.0", "2,688", "Seed 1", "photos", "unknown", "µAP", "recall@P90", "a.gif, b.gif"):
        assert words in text
    assert "left out" in text
    assert five.recommendation() in text
    for label in (*OPERATORS, *GRADES):
        assert label in text
    assert html.count('<svg class="bar ') == 5 * (3 + 5)
    assert html.count("<circle") == 5
    assert html.count('class="pareto"') == 2 * len(five.pareto())


def test_each_picture_is_there_once_and_every_use_finds_one(html: str) -> None:
    page = Page(html)
    uris = [image["href"] for image in page.all("image")]
    assert len(uris) == len(set(uris)) > 50
    symbols = {f"#{symbol['id']}" for symbol in page.all("symbol")}
    assert {use["href"] for use in page.all("use")} <= symbols
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', html)[0])
    numbers = {one for query in data["queries"] for one in query[2:]}
    numbers |= {answer[3] for answers in data["answers"] for answer in answers}
    assert {f"#p{number}" for number in numbers if number is not None} == symbols


def test_the_script_is_given_all_pairs_and_the_page_shows_the_first(five: BenchReport, html: str) -> None:
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', html)[0])
    assert data["models"] == [row.model for row in five.rows()]
    places = {model: i for i, model in enumerate(data["models"])}
    for pair in five.pairs():
        lists = data["pairs"][f"{places[pair.a]}-{places[pair.b]}"]
        for (total, shown), ids in zip(lists, (pair.only_a, pair.only_b, pair.neither, pair.both), strict=True):
            assert total == len(ids)
            assert len(shown) == min(total, report.LISTED)
        right = [data["answers"][places[pair.a]][query][2] == "right" for _, shown in lists[:1] for query in shown]
        assert all(right)
    first = five.pairs()[0]
    shown = Page(html).all("details")
    assert [details["id"] for details in shown] == ["only_a", "only_b", "neither", "both"]
    assert html.count("<h4>") == sum(
        min(len(ids), report.LISTED) for ids in (first.only_a, first.only_b, first.neither, first.both)
    )


def test_too_many_pictures_make_shorter_lists(five: BenchReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MOST_PICTURES", 80)
    page = five.to_html(picture)
    assert 20 < len(Page(page).all("symbol")) <= 80
    assert "At most 12 a list" not in page
    monkeypatch.setattr(report, "MOST_PICTURES", 5)
    page = five.to_html(picture)
    assert len(Page(page).all("symbol")) == 5
    assert "At most 1 a list" in page
    assert "no picture" in page


def test_without_pictures(five: BenchReport) -> None:
    page = five.to_html(lambda name: None)
    assert "<symbol" not in page
    assert page.count('<span class="gone">no picture</span>') >= 12


HOSTILE = '</script><script>alert(1)</script>"><img src=x onerror=alert(1)>\udcff\u202egpj.exe'


def renamed(result: EntryResult, names: Mapping[str, str], model: str) -> EntryResult:
    rankings = {
        id_: [(names.get(name, name), score) for name, score in found] for id_, found in result.rankings.items()
    }
    return EntryResult(model, rankings, 10.0, None, None, note="<b>a note</b>")


def test_hostile_names_are_only_text() -> None:
    names = {GALLERY[0]: HOSTILE}
    queries = [
        query(each.id, "<i>op</i>", "mild", 0, HOSTILE) if each.original == GALLERY[0] else each for each in asked()
    ]
    hostile = BenchReport(
        dataset(queries, HOSTILE, [HOSTILE]),
        HOSTILE,
        [renamed(entry("a", 0.5), names, HOSTILE), renamed(entry("b", 0.4, seed=1), names, "b")],
        {HOSTILE: HOSTILE},
        {},
        0,
        {},
    )
    html = hostile.to_html(picture)
    page = Page(html)
    html.encode()
    assert len(page.all("script")) == 2
    assert not page.all("img") and not page.all("i") and len(page.all("b")) == 6
    assert "\u202e" not in html and "\\u202e" not in html
    json.loads(json.dumps(hostile.to_json()))
    hostile.to_markdown().encode()


def test_little_to_show() -> None:
    """One entry, no speed, no answer, no grade or operator: what a published protocol may have."""
    queries = [query("q", "", "", 0, "a.jpg")]
    alone = benchmark(EntryResult("x", {}, None, None, None), queries=queries)
    page = Page(alone.to_html(picture))
    assert not page.all("script") and not page.all("symbol") and not page.all("details")
    assert "By operator" not in page.text and "Accuracy against speed" not in page.text
    assert alone.to_json()["pairs"] == []
    two = benchmark(EntryResult("x", {}, 5.0, None, None), EntryResult("y", {}, None, None, None), queries=queries)
    text = Page(two.to_html(picture)).text
    assert "found nothing" in text
    assert "Without a known speed, and so not here: y." in text


def test_a_tie_is_said_to_be_one() -> None:
    queries = [query(f"q{i}", "crop", "mild", 0, GALLERY[i]) for i in range(5)]
    tied = EntryResult("tied", {q.id: [(q.truth or "", 0.5), ("other.jpg", 0.5)] for q in queries}, 1.0, 1, 1.0)
    html = benchmark(tied, EntryResult("blind", {}, 1.0, 1, 1.0), queries=queries).to_html(picture)
    assert "(tied with others)" in html
    assert "✓" not in html.partition("<script>")[0]


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [(11, 900, [10, 20, 50, 100, 200, 500, 1000]), (20, 20, [20, 50]), (0.7, 3000, [0.1, 1, 10, 100, 1000, 10000])],
)
def test_log_axes_have_round_numbers(least: float, most: float, expected: list[float]) -> None:
    assert plots._log_ticks(least, most) == pytest.approx(expected)


def test_points_in_one_place_stand_side_by_side() -> None:
    rows = benchmark(entry("a", 0.7, 20), entry("b", 0.7, 20), entry("c", 0.7, 20.1), entry("d", 0.3, 300)).rows()
    drawn = plots.scatter(rows, (), "accuracy@1")
    moved = re.findall(r'translate\((\d+) 0\)"><title>(.)</title>', drawn)
    assert {name: int(aside) for aside, name in moved} == {"a": 0, "b": 22, "c": 44, "d": 0}


def test_bars_stay_within() -> None:
    drawn = plots.bar(Interval(1.2, -0.1, 1.3), 3)
    assert 'width="100.0%"' in drawn and 'x1="0.0%"' in drawn and 'class="bar c3"' in drawn
    assert (plots.colour(1), plots.colour(8), plots.colour(9)) == ("c1", "c8", "c1")


def test_a_browser_runs_the_script(html: str, tmp_path: Path) -> None:
    """The choice of two entries is hidden until the script, known by its hash, shows it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium to open the page with: install chromium")
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    done = subprocess.run(
        [browser, *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"file://{tmp_path}/page.html"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert '<p class="choice" hidden' in html
    assert '<p class="choice">' in done.stdout
