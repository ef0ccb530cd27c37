"""What the flags study shows: its page, its table, its app, and what its README says."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

import lookalike
from tests.conftest import ROOT, run_command
from tests.docs.test_docs import blocks
from tests.examples.conftest import FLAGS, Study
from tests.examples.drawn_flags import bands


def test_page_stands_alone(study: Study, flags: Path, tmp_path: Path) -> None:
    evil = "<script>alert(1);<b>"
    shutil.copy(flags / "ua.png", flags / "x.png")
    (tmp_path / "names.csv").write_text(f'iso2,name\nX,"{evil}"\nPL,Poland\nIT,Italy\nCI,Ivory Coast\nUA,Ukraine\n')
    done = study(flags, "--html", tmp_path / "page.html", "--model", "layout", "--model", "sift")
    assert done.code == 0, done.err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1);" in page
    assert set(re.findall(r"url\((.{16})", page)) == {"data:image/webp;"}
    assert not re.search(r"(src|href)=|@import", page)
    assert str(tmp_path) not in page
    assert page.count("<h3>") >= 11
    for said in ("Which flags look alike?", "The nine tests", "What no model finds", "Not asked", "Senegal, Mali"):
        assert said in page
    assert re.search(r'class="names">.*<b class="yes">Ireland</b>', page), "names can be read where nothing hovers"


def test_page_in_a_browser(study: Study, flags: Path, tmp_path: Path) -> None:
    """On a phone, in the dark: nothing sticks out, every flag is painted, and nothing is fetched."""
    playwright = pytest.importorskip("playwright.sync_api")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium to open the page with: install chromium")
    for name, shares in {"ve": "yyybbbrrr", "ec": "yyyybbrr", "co": "yyyyyybr"}.items():
        bands([{"y": "gold", "b": "navy", "r": "crimson"}[share] for share in shares], 1).save(flags / f"{name}.png")
    models = ("--model", "layout", "--model", "layout+hog+phash+color")
    assert study(flags, "--html", tmp_path / "page.html", *models).code == 0
    with playwright.sync_playwright() as player:
        chromium = player.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto((tmp_path / "page.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        sizes = page.evaluate("[...document.querySelectorAll('.flag')].map(f => [f.offsetWidth, f.offsetHeight])")
        unpainted = page.evaluate(
            "[...document.querySelectorAll('.flag')].filter(f => getComputedStyle(f).backgroundImage == 'none').length"
        )
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        violations = axe.Axe().run(page).response["violations"]
        chromium.close()
    assert len(sizes) > 100
    assert min(min(size) for size in sizes) >= 10
    assert unpainted == 0
    assert ground == "rgb(21, 22, 23)"
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert said == []
    assert violations == []


def test_dataframe(flags: Path) -> None:
    pytest.importorskip("pandas", reason="the extra 'streamlit' brings pandas")
    done = run_command(sys.executable, FLAGS / "dataframe.py", flags, "td")
    assert done.code == 0, done.err
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[0] == ["country", "cosine"]
    assert rows[1][0] == "Romania"
    assert len(rows) == 6
    expected = lookalike.compare(flags / "td.png", flags / "Romania.png", models=["layout"]).scores[0].cosine
    assert float(rows[1][1]) == pytest.approx(expected, abs=1e-3)
    assert not (flags / ".lookalike").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("flags", "xx"), "dataframe.py: no flag is called 'xx': choose from "),
        (("nowhere", "td"), "nowhere: no such folder: name a folder of images"),
        (("flags", "td", "layuot"), "dataframe.py: no model is called 'layuot': did you mean layout"),
        (("flags",), "usage: dataframe.py FOLDER COUNTRY [MODEL]"),
    ],
)
def test_dataframe_says_what_is_wrong(flags: Path, arguments: tuple[str, ...], says: str) -> None:
    pytest.importorskip("pandas", reason="the extra 'streamlit' brings pandas")
    done = run_command(sys.executable, FLAGS / "dataframe.py", *arguments, cwd=flags.parent)
    assert (done.code, done.out) == (1, "")
    assert says in done.err
    assert done.err.count("\n") == 1


def test_app(flags: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    testing = pytest.importorskip("streamlit.testing.v1", reason="the extra 'streamlit' brings it")
    monkeypatch.syspath_prepend(str(FLAGS))
    (flags / "older").mkdir()
    bands(("#002664", "#fcd116", "#ce1126"), 1).save(flags / "older" / "td.png")
    names = ("--names", str(flags.parent / "names.csv"))
    monkeypatch.setattr(sys, "argv", ["app.py", str(flags), "layout", "layout+color", *names])
    app = testing.AppTest.from_file(str(FLAGS / "app.py"), default_timeout=60).run()
    assert not app.exception
    assert not app.error
    assert [each.value for each in app.subheader] == ["layout", "layout+color"]
    assert app.multiselect[0].options == ["layout", "layout+color", "color"]
    countries = app.selectbox[0].options
    assert len(countries) == 13
    assert {"Chad (td.png)", "Chad (older/td.png)", "Ivory Coast", "Poland", "Ireland"} < set(countries)
    app.selectbox[0].select("Romania").run()
    captions = [image.proto.imgs[0].caption for image in app.get("image")]
    assert captions[0] == ""
    assert captions[1].startswith("1. Chad (")
    assert captions[6].startswith("1. Chad (")
    assert len(captions) == 11
    app.multiselect[0].set_value(["color"]).run()
    assert [each.value for each in app.subheader] == ["color"]
    app.multiselect[0].set_value([]).run()
    assert not app.exception


def test_app_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    testing = pytest.importorskip("streamlit.testing.v1", reason="the extra 'streamlit' brings it")
    monkeypatch.syspath_prepend(str(FLAGS))
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path / "nowhere")])
    app = testing.AppTest.from_file(str(FLAGS / "app.py"), default_timeout=60).run()
    assert not app.exception
    assert "nowhere" in app.error[0].value


def test_readme_is_what_happens(flags: Path) -> None:
    (flags.parent / "examples").symlink_to(ROOT / "examples")
    found = blocks(FLAGS / "README.md", "bash")
    assert len(found) == 3
    python = Path(sys.executable).parent
    for block in found:
        done = run_command("bash", "-euc", f'PATH="{python}:$PATH"\n{block}', cwd=flags.parent)
        assert done.code == 0, done.err
    assert (flags.parent / "flags.html").exists()
    told = json.loads((flags.parent / "flags.json").read_text())
    assert list(told["models"]) == ["layout", "color+hog"]
