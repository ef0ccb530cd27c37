"""The HTML report: one safe file, whatever the names and the state of the pictures."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image, ImageColor

from lookalike import images, report
from lookalike.errors import StorageError
from lookalike.report import ComparisonSection, SearchSection, Section, render, write
from lookalike.types import Hit, Hits, ImageRef, Score

VOID = {"img", "meta", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """What a browser would make of a page: its elements, in order, and its text. Fails on crooked nesting."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.text += " " * (tag == "td")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]

    def labels(self) -> list[str | None]:
        """Alternative texts, of pictures and of the placeholders in their stead."""
        return [
            attrs.get("alt" if tag == "img" else "aria-label")
            for tag, attrs in self.elements
            if tag == "img" or attrs.get("role") == "img"
        ]


def page(*sections: Section, title: str = "A title") -> Page:
    return Page(render(sections, title=title))


def hits(query: str, model: str, paths: Sequence[str], cosine: float = 0.86) -> Hits:
    items = (Hit(n, cosine, ImageRef("id", path, 8, 8)) for n, path in enumerate(paths, 1))
    return Hits(query, model, tuple(items))


@pytest.fixture
def cat(tmp_path: Path) -> str:
    path = tmp_path / "cat.jpg"
    Image.new("RGB", (640, 400), "orange").save(path)
    return str(path)


@pytest.fixture
def dog(tmp_path: Path) -> str:
    path = tmp_path / "more" / "dog.png"
    path.parent.mkdir()
    Image.new("RGB", (30, 90), "brown").save(path)
    return str(path)


def test_search(cat: str, dog: str) -> None:
    got = page(SearchSection(cat, [hits(cat, "sift", [dog, cat]), hits(cat, "phash", [cat])]), title="Pets")
    assert got.labels() == [
        "query: cat.jpg",
        "hit 1 of sift: dog.png, score 0.93",
        "hit 2 of sift: cat.jpg, score 0.93",
        "hit 1 of phash: cat.jpg, score 0.93",
    ]
    assert all(img["src"].startswith("data:image/webp;base64,") for img in got.all("img") if img["src"])
    assert "cosine 0.860 · more" in got.text
    assert {dog, cat} == {name["title"] for name in got.all("p") if "title" in name}
    assert "2 hits" in got.text
    assert re.search(r"\b1 hit\b", got.text)
    assert [tag for tag, _ in got.elements if re.fullmatch("h[1-6]", tag)] == ["h1", "h2", "h3", "h3"]
    assert "nav" not in dict(got.elements)


def test_comparison(cat: str, dog: str) -> None:
    got = page(ComparisonSection(cat, dog, [Score("sift", 0.5), Score("phash", -0.25)]))
    assert got.labels() == ["picture 1: cat.jpg", "picture 2: dog.png"]
    assert [th["scope"] for th in got.all("th")] == ["col"] * 3 + ["row"] * 2
    assert re.findall(r"-?\d\.\d+", got.text.partition("the same")[2])[:4] == ["0.75", "0.500", "0.38", "-0.250"]
    assert [i["style"] for i in got.all("i")] == ["width:75.0%", "width:37.5%"]


def test_nothing_is_fetched_and_nothing_runs(cat: str, dog: str) -> None:
    sections: list[Section] = [
        SearchSection(cat, [hits(cat, "sift", [dog])]),
        ComparisonSection(cat, dog, [Score("sift", 1)]),
    ]
    html = render(sections, title="x")
    got = Page(html)
    assert not re.search(r"https?:|//|@import|url\(", re.sub(r"data:image/webp;base64,[\w+/=]+", "", html))
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in got.elements}
    assert not [name for _, attrs in got.elements for name in attrs if name.startswith("on")]
    policy = next(meta for meta in got.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert all(link["href"] and link["href"].startswith("#") for link in got.all("a"))


def test_many_sections_have_a_table_of_contents(cat: str, dog: str) -> None:
    got = page(SearchSection(cat, []), ComparisonSection(cat, dog, []), SearchSection(dog, []))
    targets = {attrs["id"] for _, attrs in got.elements if "id" in attrs}
    assert {a["href"] for a in got.all("a")} == {f"#{target}" for target in targets}
    assert len(targets) == 4  # the top and three parts
    assert all("alt" in img for img in got.all("img"))


def test_the_page_is_for_everybody(cat: str) -> None:
    got = page(SearchSection(cat, []))
    assert got.all("html") == [{"lang": "en"}]
    assert {"viewport", "color-scheme"} <= {meta.get("name") for meta in got.all("meta")}
    assert len(got.all("main")) == len(got.all("h1")) == len(got.all("time")) == 1


HOSTILE = [
    '"><script>alert(1)<.jpg',
    "' onerror='alert(1).jpg",
    "two\nlines\tand\x00null.jpg",
    "latin\udce9.jpg",
    "high\ud83d.jpg",
    "{{ 7 * 7 }}{% raw %}.jpg",
    "&lt;b&gt;.jpg",
    "photo\u202egpj.exe",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(tmp_path: Path, name: str) -> None:
    path = f"{tmp_path}/{name}"
    sections: list[Section] = [
        SearchSection(path, [hits(path, name, [path])]),
        ComparisonSection(path, path, [Score(name, 0)]),
    ]
    target = tmp_path / "report.html"
    write(target, sections, title=name)
    html = target.read_bytes().decode()
    got, plain = Page(html), page(*[_renamed(section, f"{tmp_path}/plain.jpg") for section in sections])
    assert [tag for tag, _ in got.elements] == [tag for tag, _ in plain.elements]
    assert [set(attrs) for _, attrs in got.elements] == [set(attrs) for _, attrs in plain.elements]
    shown = name.translate({0: "␀", 9: "␉", 10: "␊", 0xDCE9: "�", 0xD83D: "�", 0x202E: "�"})
    assert f"hit 1 of {shown}: {shown}, score 0.93 (file is gone)" in got.labels()


def _renamed(section: Section, path: str) -> Section:
    if isinstance(section, SearchSection):
        return SearchSection(path, [hits(path, "sift", [path])])
    return ComparisonSection(path, path, section.scores)


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_not_utf8_shows_its_picture(tmp_path: Path, cat: str) -> None:
    path = f"{tmp_path}/caf\udce9.jpg"
    try:
        Path(cat).rename(path)
    except OSError:
        pytest.skip("this disk takes UTF-8 names only")
    got = page(SearchSection(path, [hits(path, "sift", [path])]))
    assert len(got.all("img")) == 2
    assert "hit 1 of sift: caf�.jpg, score 0.93" in got.labels()


def test_files_that_are_gone_or_damaged(tmp_path: Path, cat: str) -> None:
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"no picture")
    got = page(SearchSection(cat, [hits(cat, "sift", [str(tmp_path / "gone.jpg"), str(damaged)])]))
    assert got.labels()[1:] == [
        "hit 1 of sift: gone.jpg, score 0.93 (file is gone)",
        "hit 2 of sift: damaged.jpg, score 0.93 (file cannot be read)",
    ]
    assert "file is gone" in got.text


def test_nothing_found(cat: str) -> None:
    got = page(SearchSection(cat, [hits(cat, "sift", []), hits(cat, "phash", [cat])]))
    assert "Nothing found." in got.text
    assert len(got.all("h3")) == 2
    assert "nothing in this report" in page().text


def test_a_query_without_a_path(cat: str) -> None:
    got = page(SearchSection("-", [hits("-", "sift", [cat])], picture=Path(cat).read_bytes()))
    assert len(got.all("img")) == 2
    assert got.labels()[0] == "query: a picture from standard input"
    assert len(page(SearchSection("a drawing", [], picture=Image.new("RGB", (9, 9)))).all("img")) == 1


def test_many_models_encode_a_picture_once(cat: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[images.ImageLike, int]] = []

    def counted(source: images.ImageLike, side: int) -> bytes:
        calls.append((source, side))
        return images.thumbnail(source, side=side)

    monkeypatch.setattr(report, "thumbnail", counted)
    got = page(SearchSection(cat, [hits(cat, f"model {n}", [cat] * 3) for n in range(20)]))
    assert len(got.all("img")) == 61
    assert calls == [(cat, report.QUERY_SIDE), (cat, report.HIT_SIDE)]


def test_what_a_collection_keeps_is_not_decoded_again(cat: str, dog: str, tmp_path: Path) -> None:
    small = {"cat": b"a small cat"}
    found = [Hit(n, 0.9, ImageRef(Path(p).stem, p, 8, 8)) for n, p in enumerate([cat, dog, str(tmp_path / "x.jpg")], 1)]
    html = render([SearchSection(cat, [Hits(cat, "sift", tuple(found))])], title="", kept=small.get)
    sources = [attrs["src"] for attrs in Page(html).all("img")]
    assert len(sources) == 3, "the query, the cat, the dog; the third has gone"
    assert sources[1] == "data:image/jpeg;base64,YSBzbWFsbCBjYXQ="
    assert all((source or "").startswith("data:image/webp") for source in (sources[0], sources[2]))


def test_a_file_that_has_gone_is_shown_as_gone_whatever_is_kept_of_it(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.jpg")
    got = Page(render([SearchSection("-", [hits("-", "sift", [gone])], words=True)], title="", kept=lambda _: b"x"))
    assert got.all("img") == []
    assert "file is gone" in got.text


@pytest.mark.parametrize("cosine, width", [(float("nan"), "0.0%"), (1.0000001, "100.0%"), (-1.1, "0.0%")])
def test_bars_stay_in_their_track(cat: str, cosine: float, width: str) -> None:
    got = page(SearchSection(cat, [hits(cat, "sift", [cat], cosine=cosine)]))
    assert [i["style"] for i in got.all("i")] == [f"width:{width}"]


def test_write_replaces_whole(tmp_path: Path, cat: str) -> None:
    target = tmp_path / "report.html"
    target.write_text("an older report")
    write(target, [SearchSection(cat, [])], title="New")
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cat.jpg", "report.html"]
    assert target.stat().st_mode == stat.S_IFREG | 0o666 & ~_umask() or os.name == "nt"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_write_through_a_link(tmp_path: Path, cat: str) -> None:
    (tmp_path / "site").mkdir()
    link = tmp_path / "latest.html"
    link.symlink_to(tmp_path / "site" / "1.html")
    write(link, [SearchSection(cat, [])], title="New")
    assert link.is_symlink()
    assert (tmp_path / "site" / "1.html").exists()


def test_a_target_that_cannot_be_written(tmp_path: Path, cat: str) -> None:
    folder = tmp_path / "folder"
    (folder / "full").mkdir(parents=True)
    for target in (folder, tmp_path / "no\nsuch" / "report.html", cat + "/report.html"):
        with pytest.raises(StorageError, match=r"cannot be written .*: name a file in a folder") as raised:
            write(target, [SearchSection(cat, [])], title="New")
        assert "\n" not in str(raised.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cat.jpg", "folder"]


def test_contrast() -> None:
    """4.5 to 1 or more for every colour of text on every ground, in the light and in the dark."""
    css = (Path(render.__code__.co_filename).parent / "templates" / "report.css").read_text()
    palettes = [dict(re.findall(r"--(\w+): (#\w{3,6})", line)) for line in css.splitlines() if "--ground: #" in line]
    assert len(palettes) == 3  # light, dark, paper
    for palette in palettes:
        for text in ("ink", "quiet", "accent"):
            for ground in ("ground", "mat"):
                assert _contrast(palette[text], palette[ground]) >= 4.5, (text, ground)


def _contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it."""
    dark, light = sorted(_luminance(colour) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    shares = (channel / 255 for channel in ImageColor.getrgb(colour))
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
