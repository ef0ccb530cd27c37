"""Pages as they are served, and addresses as they are read and written; tests/browser looks at them."""

from __future__ import annotations

import io
import re
import shutil
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from PIL import Image
from starlette.datastructures import QueryParams
from starlette.testclient import TestClient

import lookalike
from lookalike.models import registry
from lookalike.server.addresses import Address
from lookalike.server.app import create_app
from lookalike.server.asking import Box
from lookalike.server.problems import Problem
from lookalike.server.settings import Settings
from lookalike.server.shelf import Shelf
from lookalike.types import Only, Term
from tests.server import colour_words

ID, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def ids(collection: lookalike.Collection) -> dict[str, str]:
    return {Path(image.path).stem: image.id for image in collection.listing()[1]}


def read(url: str) -> Address:
    return Address.read(QueryParams(urlsplit(url).query))


def test_an_address_is_written_as_it_is_read() -> None:
    full = Address(
        collection="photos",
        image=ID,
        text="a dog & a cat",
        unlike="snow",
        models=("sift", "color+phash"),
        k=200,
        crop=Box(0.1, 0.2, 0.3, 0.4),
        verify=True,
        collapse=True,
        folder="more/é",
        since="2020-01-02",
        until="2021-01-02",
        least=640,
    )
    assert read(full.url()) == full
    assert read(Address().url()) == Address()
    assert Address(image=ID).url() == f"/search?image={ID}"
    assert read("/search?text=&k=&since=&model=&image=") == Address()
    other = read(full.by(OTHER))
    assert (other.image, other.text, other.crop, other.folder) == (OTHER, "", None, "more/é")


@pytest.mark.parametrize(
    "wrong",
    [
        "image=../../etc/passwd",
        f"image={'A' * 64}",
        "k=0",
        "k=2001",
        "k=-1",
        "k=²",
        "least=1e3",
        "crop=0,0,1",
        "crop=0,0,nan,1",
        "crop=0.5,0,0.6,1",
        "crop=0,0,0,1",
        "crop=1,0,0.0005,1",
        "crop=inf,0,1,1",
        "since=2020-13-01",
        f"text={'x' * 1001}",
        f"not={'x' * 1001}",
    ],
)
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(Problem) as refused:
        Address.read(QueryParams(wrong))
    assert refused.value.status == 422
    assert refused.value.detail.startswith(wrong.partition("=")[0])


def test_an_address_asks(collection: lookalike.Collection, photos: Path) -> None:
    shelf = Shelf([collection.directory])
    ask = read(f"/search?image={ID}&verify=1&k=100&folder=more&least=9&crop=0,0,0.5,0.5").ask(shelf, whole=True)
    assert ask.terms == (Term(image=ID),)
    assert (ask.verify, ask.k, ask.crop) == (50, 100, Box(0, 0, 0.5, 0.5))
    assert ask.only == Only(folder=str(photos / "more"), least=9)
    assert read(f"/search?image={ID}&verify=1").ask(shelf, whole=False).verify == 0
    mixed = read(f"/search?image={ID}&text=dog&not=cat&verify=1&crop=0,0,0.5,0.5").ask(shelf, whole=True)
    assert mixed.terms == (Term(image=ID), Term(text="dog"), Term(text="cat", weight=-1.0))
    assert (mixed.verify, mixed.crop) == (0, None)


def test_hits_come_first_and_chances_when_the_page_is_asked_for_whole(served: TestClient, ids: dict[str, str]) -> None:
    page = served.get("/search", params={"image": ids["cat"], "model": "color", "verify": "1"})
    assert 'class="chance' not in page.text
    waits = re.search(r'data-waits="([^"]+)"', page.text)
    assert waits is not None
    address = waits[1].replace("&amp;", "&")
    assert dict(parse_qsl(urlsplit(address).query))["whole"] == "1"
    assert 'class="chance likely"' in served.get(address).text
    assert f'<meta http-equiv="refresh" content="0; url={waits[1]}">' in page.text


def test_problems_are_pages_of_their_status(served: TestClient) -> None:
    html = {"accept": "text/html"}
    for address, status in {
        "/search?k=x": 422,
        f"/search?image={ID}": 404,
        "/search?collection=none&text=a": 404,
        f"/compare?a={ID}&b={ID}": 404,
        "/compare?collection=none": 404,
        "/compare?a=x": 422,
        "/collection?collection=none": 404,
        "/collection?start=-1": 422,
    }.items():
        page = served.get(address, headers=html)
        assert page.status_code == status, address
        assert "<html" in page.text
        assert "Traceback" not in page.text


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/compare?a=x", "&#39;a&#39; is not written as it should be"),
        ("/compare?mirror=maybe", "&#39;mirror&#39; is neither true nor false"),
        ("/collection?start=-1", "&#39;start&#39; is less than 0"),
        ("/collection?start=x", "&#39;start&#39; is no whole number"),
        ("/map?method=magic", "&#39;method&#39; should be"),
        (f"/vote?voter={'x' * 61}", "&#39;voter&#39; is longer than 60 characters"),
        ("/vote?model=a" + 8 * "&model=a", "&#39;model&#39; is there more than 8 times"),
        ("/benchmarks/report", "&#39;name&#39; is missing"),
    ],
)
def test_an_address_that_is_wrong_is_told_in_plain_words(served: TestClient, address: str, told: str) -> None:
    answer = served.get(address, headers={"accept": "text/html"})
    assert answer.status_code == 422
    assert told in answer.text
    assert "Input" not in answer.text
    name = served.get(address).json()["detail"]
    assert name.startswith("query."), "programs are told where"


def test_pictures_explain_a_pair(served: TestClient, ids: dict[str, str]) -> None:
    pair = f"{ids['cat']}/{ids['cat small']}"
    answer = served.get(f"/explanations/{pair}/lines.webp?collection=photos")  # nobody has asked for the page before
    assert answer.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.width == 1600
    page = served.get(f"/compare?a={ids['cat']}&b={ids['cat small']}&collection=photos").text
    assert "keypoints agree" in page  # at once, since it is known
    for address in sorted(set(re.findall(r'src="(/explanations/[^"]+)"', page))):
        assert served.get(address.replace("&amp;", "&")).status_code == 200
    assert served.get(f"/explanations/{pair}/none.webp").status_code == 404
    assert served.get(f"/explanations/{ID}/{OTHER}/lines.webp").status_code == 404


def test_a_picture_is_brought_to_its_side(served: TestClient, photos: Path, ids: dict[str, str]) -> None:
    data = (photos / "cat small.png").read_bytes()
    answer = served.post("/compare", data={"side": "a", "b": ids["coins"]}, files={"picture": data})
    assert answer.status_code == 303
    asked = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    assert asked == {"a": ids["cat small"], "b": ids["coins"]}
    assert served.post("/compare", data={"side": "b"}, files={"picture": b"no picture"}).status_code == 422
    nothing = served.post("/compare", data={"side": "b", "a": ids["coins"]})
    assert nothing.headers["location"] == f"/compare?a={ids['coins']}"


def test_a_collection_is_brought_up_to_date_in_the_background(
    served: TestClient, collection: lookalike.Collection, photos: Path
) -> None:
    (photos / "coins.jpg").rename(photos / "money.jpg")
    answer = served.post("/collection", data={"collection": "photos"})
    assert answer.headers["location"] == "/collection?collection=photos"
    jobs = served.app.state.service.jobs  # type: ignore[attr-defined]
    job = jobs.get("collection photos")
    served.get(f"/jobs/{job.id}/events")  # until its end
    assert jobs.by_id(job.id).result["added"] == 1
    assert "1 added" in served.get("/collection").text
    assert "money" in {Path(image.path).stem for image in collection.listing()[1]}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"folder": "/no/such/place"}, "no such folder"),
        ({"folder": "photos"}, "whole path"),
        ({"model": "/etc"}, "/etc"),
        ({"model": "no-such-model"}, "no-such-model"),
        ({"collection": "none"}, "none"),
    ],
)
def test_what_cannot_be_added_is_told_at_once(served: TestClient, asked: dict[str, str], told: str) -> None:
    answer = served.post("/collection", data=asked)
    assert answer.status_code in (404, 422)
    assert told in answer.text
    assert served.app.state.service.jobs.get("collection photos") is None  # type: ignore[attr-defined]


def test_several_collections(settings: Settings, photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "others"
    shutil.copytree(photos / "more", other)
    lookalike.open(other).add(models=["color"])
    with TestClient(create_app(replace(settings, collections=(photos, other))), base_url="http://localhost") as client:
        assert client.get("/search").text.count('<li class="hit">') == 9
        page = client.get("/search?collection=others").text
        assert page.count('<li class="hit">') == 4
        assert "<option selected>others</option>" in page
        assert 'href="/compare?collection=others"' in page
        assert "<h1>others</h1>" in client.get("/collection?collection=others").text


def test_a_damaged_collection_hides_nothing_of_the_others(settings: Settings, photos: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    (damaged / ".lookalike").mkdir(parents=True)
    (damaged / ".lookalike" / "catalogue.sqlite").write_bytes(b"no catalogue" * 100)
    app = create_app(replace(settings, collections=(damaged, photos)))
    with TestClient(app, base_url="http://localhost") as client:
        for image in lookalike.open(photos).listing()[1]:
            for address in ("/thumbnails/", "/images/", "/search?collection=photos&image="):
                assert client.get(address + image.id).status_code == 200
        assert client.get(f"/images/{ID}").status_code == 404
        for address in ("/search", "/collection", "/map"):
            page = client.get(address, params={"collection": "damaged"}, headers={"accept": "text/html"})
            assert page.status_code == 409
            assert "damaged: the catalogue cannot be read" in page.text
            assert str(tmp_path) not in page.text
            assert "Nothing is indexed here yet" not in page.text
            assert 'href="/collection?collection=damaged"' in page.text


def test_nothing_to_search_yet(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for collections, told in (((), "lookalike serve FOLDER"), ((tmp_path / "empty",), "Nothing is indexed here yet")):
        app = create_app(replace(settings, collections=collections))
        with TestClient(app, base_url="http://localhost") as client:
            for address in ("/search", "/collection", "/map", "/benchmarks", "/vote"):
                assert told in client.get(address).text
            assert client.get("/compare").status_code == 200


def test_vectors_that_are_cut_off_are_told_and_made_again(
    served: TestClient, photos: Path, ids: dict[str, str]
) -> None:
    (file,) = (photos / ".lookalike" / "vectors").glob("color-*.f16")
    file.write_bytes(file.read_bytes()[:-1])
    told = "photos: its vectors of &#39;color&#39; are missing or cut off"
    for address in ("/collection", "/search", f"/search?image={ids['cat']}"):
        assert told in served.get(address).text, address
    served.post("/collection", data={"collection": "photos"})
    job = served.app.state.service.jobs.get("collection photos")  # type: ignore[attr-defined]
    served.get(f"/jobs/{job.id}/events")  # until its end
    page = served.get("/collection").text
    assert "9 vectors made" in page
    assert "cut off" not in page


@pytest.mark.parametrize("page", ["map", "benchmarks", "vote"])
def test_an_empty_collection_says_how_it_is_filled_and_lets_another_be_chosen(
    settings: Settings, photos: Path, tmp_path: Path, page: str
) -> None:
    (tmp_path / "nothing").mkdir()
    app = create_app(replace(settings, collections=(tmp_path / "nothing", photos)))
    with TestClient(app, base_url="http://localhost") as client:
        shown = client.get(f"/{page}?collection=nothing")
        assert shown.status_code == 200
        assert "Nothing is indexed here yet" in shown.text
        assert '<a class="button" href="/collection?collection=nothing">Add a folder</a>' in shown.text
        assert "<option>photos</option>" in shown.text
        assert f'href="/{page}?collection=nothing" aria-current="page"' in shown.text
        assert "Add a folder" not in client.get(f"/{page}?collection=photos").text


@pytest.mark.parametrize(
    ("wrong", "status", "told"),
    [
        ({"others": "sift|mirror\r\nnope|zz"}, 422, "is no step"),
        ({"others": "sift|mirror\r\nnope"}, 404, "nope"),
        ({"others": "sift|mirror", "folder": "/etc"}, 404, "no folder of this collection"),
    ],
)
def test_a_benchmark_that_cannot_be_is_told_beside_what_was_typed(
    served: TestClient, photos: Path, wrong: dict[str, str], status: int, told: str
) -> None:
    asked = {"collection": "photos", "folder": str(photos), "model": ["phash"], "originals": "77", **wrong}
    answer = served.post("/benchmarks", data=asked, headers={"accept": "text/html"})
    assert answer.status_code == status
    alert = answer.text.partition('role="alert"')[2].partition("</p>")[0]
    assert told in alert
    assert "--model" not in alert
    assert wrong["others"].replace("\r\n", "\n") in answer.text.replace("\r\n", "\n")
    assert 'value="phash" checked' in answer.text
    assert 'value="sift" checked' not in answer.text
    assert 'value="77"' in answer.text
    assert served.app.state.service.jobs.get(f"bench {photos / '.lookalike'}") is None  # type: ignore[attr-defined]


def test_what_keeps_a_model_from_answering_is_told(served: TestClient, collection: lookalike.Collection) -> None:
    name = colour_words.register()
    collection.add(models=[name])
    registry.remove_card(name)
    for address in ("/search", "/collection"):
        assert "colour-words&#39; were made by a model that is not on this machine" in served.get(address).text


def test_a_picture_of_the_collection_finds_its_twins_but_not_itself(
    served: TestClient, collection: lookalike.Collection, photos: Path, ids: dict[str, str]
) -> None:
    def found() -> list[str]:
        page = served.get("/search", params={"image": ids["cat"], "model": "color"}).text
        return re.findall(r'<a class="by"[^>]*><img[^>]* alt="([^"]*)"', page)

    assert found()[0] == "cat small.png"
    assert len(found()) == 8
    shutil.copy(photos / "more" / "cat.jpg", photos / "twin.jpg")
    collection.add()
    assert found()[:2] == ["twin.jpg", "cat small.png"]
    # Who brings the picture is shown where it lies.
    served.post("/v1/uploads", content=(photos / "twin.jpg").read_bytes())
    assert found()[:3] == ["cat.jpg", "twin.jpg", "cat small.png"]


def test_the_front_is_a_page_for_people_and_says_to_programs_what_it_is(served: TestClient) -> None:
    assert served.get("/").json() == {"title": "Lookalike", "version": lookalike.__version__}
    assert served.get("/", headers={"Accept": "text/html,*/*;q=0.8"}).headers["location"] == "/search"
