"""REST: embeddings, models, search, compare; each held against the library that it is made of."""

from __future__ import annotations

import base64
import io
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import lookalike
from lookalike import images
from lookalike.embedding import embed_picture
from lookalike.exchange import read_faiss, write_faiss
from lookalike.models import registry
from lookalike.server.app import create_app
from lookalike.server.settings import Settings
from tests.server import colour_words

PROBLEM = "application/problem+json"


def data_uri(path: Path) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"


def id_of(path: Path) -> str:
    return images.content_hash(path.read_bytes())


def refused(client: TestClient, path: str, body: dict[str, Any], status: int) -> str:
    """The detail of the problem that a request gets."""
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["status"] == status
    return str(answer.json()["detail"])


@pytest.fixture
def reading(collection: lookalike.Collection) -> lookalike.Collection:
    """The collection, with a model that reads words."""
    collection.add(models=[colour_words.register()])
    return collection


# -- embeddings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["color", "phash", "sift"])
def test_embeddings_are_those_of_the_library(served: TestClient, photos: Path, model: str) -> None:
    cat, coffee = photos / "more" / "cat.jpg", photos / "coffee.jpg"
    body = {"model": model, "input": [data_uri(cat), {"image": id_of(coffee)}]}
    answer = served.post("/v1/embeddings", json=body).json()
    own = [embed_picture(str(path), registry.card(model)) for path in (cat, coffee)]
    np.testing.assert_allclose([each["embedding"] for each in answer["data"]], own, atol=1e-6)
    assert [each["index"] for each in answer["data"]] == [0, 1]
    assert (answer["object"], answer["model"]) == ("list", model)
    assert answer["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    packed = served.post("/v1/embeddings", json={**body, "encoding_format": "base64"}).json()
    decoded = [np.frombuffer(base64.b64decode(each["embedding"]), dtype="<f4") for each in packed["data"]]
    np.testing.assert_array_equal(decoded, np.array([each["embedding"] for each in answer["data"]], dtype=np.float32))


def test_words_and_pictures_of_one_request_keep_their_order(
    reading: lookalike.Collection, served: TestClient, photos: Path
) -> None:
    cat = data_uri(photos / "more" / "cat.jpg")
    body = {"model": "colour-words", "input": ["red", {"image": cat}, {"text": "green"}, *["blue"] * 40, cat]}
    rows = [each["embedding"] for each in served.post("/v1/embeddings", json=body).json()["data"]]
    assert len(rows) == 44
    np.testing.assert_allclose(rows[0], [1, 0, 0])
    np.testing.assert_allclose(rows[2], [0, 1, 0])
    np.testing.assert_allclose(rows[3:43], [[0, 0, 1]] * 40)
    assert rows[1] == rows[43]


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"model": "colour", "input": "data:image/png;base64,AAAA"}, 404, "try 'color'"),
        ({"model": ".", "input": "x"}, 404, "no model is called"),
        ({"model": "hf:some/where", "input": "x"}, 404, "no model is called"),
        ({"model": "color", "input": "words"}, 422, "cannot read words"),
        ({"model": "color", "input": "data:image/png;base64,AAAA"}, 422, "no image"),
        ({"model": "color", "input": "data:image/png;base64,A!"}, 422, "base64"),
        ({"model": "color", "input": {"image": "0" * 64}}, 404, "upload it first"),
        ({"model": "color", "input": {"image": "https://example.com/a.jpg"}}, 403, "example.com"),
        ({"model": "color", "input": {"image": "x", "text": "y"}}, 422, "input"),
        ({"model": "color", "input": [1, 2, 3]}, 422, "input"),
        ({"model": "color", "input": []}, 422, "input"),
        ({"model": "color", "input": "x", "dimensions": 7}, 422, "dimensions"),
        ({"model": "color", "input": "x", "misspelt": 7}, 422, "misspelt"),
        ({"model": "clip", "input": "x" * 10_000}, 422, "10,000 letters"),
        ({"input": "x"}, 422, "model"),
    ],
)
def test_what_cannot_be_embedded_is_told(served: TestClient, body: dict[str, Any], status: int, why: str) -> None:
    assert why in refused(served, "/v1/embeddings", body, status)


def test_a_folder_is_no_models_name(served: TestClient, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert "config" not in refused(served, "/v1/embeddings", {"model": str(tmp_path), "input": "x"}, 404)


def test_models_are_told_with_what_keeps_them_from_running(served: TestClient) -> None:
    models = {each["id"]: each for each in served.get("/v1/models").json()["data"]}
    assert list(models) == list(registry.cards())
    assert models["color"]["obstacle"] is None and models["color"]["dim"] == registry.card("color").dim
    assert "lookalike models pull clip" in models["clip"]["obstacle"] and models["clip"]["texts"]
    assert served.get("/v1/models/color").json() == models["color"]
    assert served.get("/v1/models/colour").status_code == 404


# -- search ------------------------------------------------------------------------------------------------------


def search(client: TestClient, query: object, **settings: object) -> dict[str, Any]:
    answer = client.post("/v1/search", json={"query": query, **settings})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def paths(ranking: dict[str, Any]) -> list[str]:
    return [hit["path"] for hit in ranking["hits"]]


@pytest.mark.parametrize("model", ["color", "sift", "color+phash"])
def test_a_search_finds_what_the_library_finds(
    served: TestClient, collection: lookalike.Collection, photos: Path, model: str
) -> None:
    cat = photos / "more" / "cat.jpg"
    answer = search(served, {"image": data_uri(cat)}, models=[model], k=5)
    expected = collection.search(cat.read_bytes(), model=model, k=5)
    (ranking,) = answer["rankings"]
    assert (answer["collection"], answer["images"], ranking["model"]) == ("photos", [id_of(cat)], model)
    assert [hit["id"] for hit in ranking["hits"]] == [hit.image.id for hit in expected]
    np.testing.assert_allclose([hit["cosine"] for hit in ranking["hits"]], [hit.cosine for hit in expected], atol=1e-3)
    first = ranking["hits"][0]
    assert (first["rank"], first["path"], first["width"]) == (1, "more/cat.jpg", expected[0].image.width)
    assert first["score"] == pytest.approx(1, abs=1e-3)
    assert first["chance"] is None and first["evidence"] is None
    assert served.get(first["thumbnail"]).headers["content-type"] == "image/webp"
    assert served.get(first["image"]).content == cat.read_bytes()
    assert str(photos) not in str(answer)
    again = search(served, {"image": answer["images"][0]}, models=[model], k=5)
    assert again["rankings"] == answer["rankings"]


def test_without_models_all_answer_but_for_words_those_that_read(
    reading: lookalike.Collection, served: TestClient, photos: Path
) -> None:
    models = [each["model"] for each in search(served, {"image": id_of(photos / "coffee.jpg")})["rankings"]]
    assert models == reading.usable() and {"color", "colour-words"} <= set(models)
    (ranking,) = search(served, {"text": "blue"})["rankings"]
    assert ranking["model"] == "colour-words"


def test_a_model_that_cannot_answer_does_not_silence_the_others(
    reading: lookalike.Collection, served: TestClient
) -> None:
    able, unable = search(served, {"text": "red"}, models=["colour-words", "color"])["rankings"]
    assert able["hits"] and able["problem"] is None
    assert not unable["hits"] and "cannot read words" in unable["problem"]
    assert "cannot read words" in refused(served, "/v1/search", {"query": {"text": "red"}, "models": ["color"]}, 422)


def test_a_mix_is_the_weighted_sum_of_its_parts(
    reading: lookalike.Collection, served: TestClient, photos: Path
) -> None:
    coffee = photos / "coffee.jpg"
    query = [{"image": id_of(coffee)}, {"text": "red", "weight": -0.7}]
    (ranking,) = search(served, query, models=["colour-words"])["rankings"]
    terms = [lookalike.Term(image=str(coffee)), lookalike.Term(text="red", weight=-0.7)]
    expected = reading.search_terms(terms, model="colour-words", k=20, include_self=True)
    assert [hit["id"] for hit in ranking["hits"]] == [hit.image.id for hit in expected]
    np.testing.assert_allclose([hit["cosine"] for hit in ranking["hits"]], [hit.cosine for hit in expected], atol=1e-3)
    cancelled = [{"text": "red"}, {"text": "red", "weight": -1}]
    assert "cancel" in refused(served, "/v1/search", {"query": cancelled, "models": ["colour-words"]}, 422)


def test_a_part_of_a_picture_finds_what_was_cut_out_of_it(
    served: TestClient, collection: lookalike.Collection, photos: Path
) -> None:
    with Image.open(photos / "astronaut.jpg") as whole:
        width, height = whole.size
        cut = whole.crop((width // 4, 0, width * 3 // 4, height // 2))
        cut.save(photos / "cut.png")
    collection.add()
    crop = {"left": 0.25, "top": 0, "width": 0.5, "height": 0.5}
    (ranking,) = search(served, {"image": id_of(photos / "astronaut.jpg")}, models=["color"], crop=crop)["rankings"]
    assert paths(ranking)[0] == "cut.png" and ranking["hits"][0]["cosine"] > 0.99


def test_a_mirrored_picture_is_found_by_its_mirror_image(served: TestClient, photos: Path) -> None:
    with Image.open(photos / "coffee.jpg") as coffee:
        out = io.BytesIO()
        coffee.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(out, "PNG")
    query = {"image": f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"}
    (plain,) = search(served, query, models=["sift"])["rankings"]
    (mirrored,) = search(served, query, models=["sift"], mirror=True, verify=3)["rankings"]
    assert paths(mirrored)[0] == "coffee.jpg"
    assert mirrored["hits"][0]["cosine"] > plain["hits"][0]["cosine"] + 0.1
    assert mirrored["hits"][0]["evidence"]["mirrored"] and mirrored["hits"][0]["chance"] > 0.9


def test_verified_hits_say_how_likely_they_are(served: TestClient, photos: Path) -> None:
    rankings = search(served, {"image": id_of(photos / "more" / "cat.jpg")}, models=["color", "phash"], verify=4, k=6)
    for ranking in rankings["rankings"]:
        first, second, *others = ranking["hits"]
        assert {first["path"], second["path"]} == {"more/cat.jpg", "cat small.png"}
        assert min(first["chance"], second["chance"]) > 0.9 > 0.5 > max(hit["chance"] for hit in others[:2])
        assert first["evidence"]["inliers"] > 20 and np.shape(first["evidence"]["transform"]) == (3, 3)
        assert [hit["chance"] for hit in others[2:]] == [None, None]


@pytest.mark.parametrize("models", ["color", "sift", "phash+color"])
def test_of_near_duplicates_the_first_stands_for_all(served: TestClient, photos: Path, models: str) -> None:
    query = {"image": id_of(photos / "more" / "cat.jpg")}
    (whole,) = search(served, query, models=[models])["rankings"]
    (ranking,) = search(served, query, models=[models], collapse=True)["rankings"]
    assert paths(whole)[:2] == ["more/cat.jpg", "cat small.png"] and len(whole["hits"]) == 9
    assert "cat small.png" not in paths(ranking) and len(ranking["hits"]) == 8
    assert [hit["collapsed"] for hit in ranking["hits"]] == [1] + 7 * [0]
    assert [hit["rank"] for hit in ranking["hits"]] == list(range(1, 9))


def test_only_what_is_asked_for_is_found_and_not_the_query_itself(served: TestClient, photos: Path) -> None:
    query = {"image": id_of(photos / "more" / "cat.jpg")}
    (ranking,) = search(served, query, models=["color"], include_self=False)["rankings"]
    assert paths(ranking)[0] == "cat small.png" and "more/cat.jpg" not in paths(ranking)
    (inside,) = search(served, query, models=["color"], only={"folder": "more"})["rankings"]
    assert len(inside["hits"]) == 4 and all(path.startswith("more/") for path in paths(inside))
    (none,) = search(served, query, models=["color"], only={"until": "1999-12-31"})["rankings"]
    assert none["hits"] == [] and none["problem"] is None


def test_two_folders_are_told_apart_by_their_names(
    served: TestClient, collection: lookalike.Collection, tmp_path: Path, photos: Path
) -> None:
    trip = tmp_path / "trip"
    (trip / "day one").mkdir(parents=True)
    Image.new("RGB", (90, 60), "teal").save(trip / "day one" / "sea.png")
    collection.add(trip)
    (ranking,) = search(served, {"image": id_of(trip / "day one" / "sea.png")}, models=["color"])["rankings"]
    assert paths(ranking)[0] == "trip/day one/sea.png"
    assert all(path.startswith("photos/") for path in paths(ranking)[1:])
    only = {"folder": "trip/day one"}
    (inside,) = search(served, {"image": id_of(photos / "coffee.jpg")}, models=["color"], only=only)["rankings"]
    assert paths(inside) == ["trip/day one/sea.png"]


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"query": {"image": "0" * 64}}, 404, "upload it first"),
        ({"query": {"image": "f.jpg"}}, 422, "data URI"),
        ({"query": {}}, 422, "TextTerm.text"),
        ({"query": []}, 422, "query"),
        ({"query": {"text": "x"}}, 422, "none of the collection's models reads words"),
        ({"query": {"text": "x"}, "collection": "other"}, 404, "choose from photos"),
        ({"query": {"text": "x"}, "models": ["hog"]}, 404, "no vectors of 'hog'"),
        ({"query": {"text": "x"}, "models": ["."]}, 404, "no vectors of '.'"),
        ({"query": {"text": "x"}, "k": 0}, 422, "k"),
        ({"query": {"text": "x"}, "k": 100_000}, 422, "k"),
        ({"query": {"text": "x"}, "verify": 1000}, 422, "verify"),
        ({"query": {"text": "x", "weight": 1e9}}, 422, "weight"),
        ({"query": {"text": "x"}, "crop": {"left": 0.9, "top": 0, "width": 0.5, "height": 1}}, 422, "within"),
        ({"query": {"text": "x"}, "only": {"since": "yesterday"}}, 422, "since"),
        ({"query": {"text": "x" * 10_000}}, 422, "4000"),
    ],
)
def test_what_cannot_be_searched_is_told(served: TestClient, body: dict[str, Any], status: int, why: str) -> None:
    assert why in refused(served, "/v1/search", body, status)


def test_an_unknown_method_of_verifying_is_told(served: TestClient, photos: Path) -> None:
    body = {"query": {"image": id_of(photos / "coffee.jpg")}, "verify": 3, "method": "guess"}
    assert "guess" in refused(served, "/v1/search", body, 404)


def test_a_file_that_has_changed_is_not_taken_for_what_it_was(served: TestClient, photos: Path) -> None:
    old = id_of(photos / "coffee.jpg")
    Image.new("RGB", (60, 60), "red").save(photos / "coffee.jpg")
    assert search(served, {"image": old}, models=["color"])["rankings"][0]["hits"]  # its vectors are kept
    crop = {"left": 0, "top": 0, "width": 0.5, "height": 0.5}
    assert "upload" in refused(served, "/v1/search", {"query": {"image": old}, "models": ["color"], "crop": crop}, 404)


def test_vectors_without_their_model_answer_for_the_pictures_that_they_are_of(
    settings: Settings, collection: lookalike.Collection, photos: Path, tmp_path: Path
) -> None:
    write_faiss(collection, "color", str(tmp_path / "out.index"))
    imported = lookalike.Collection(tmp_path / "imported")
    read_faiss(str(tmp_path / "out.index"), str(tmp_path / "out.paths.json"), "foreign", imported)
    both = replace(settings, collections=(collection.directory, imported.directory))
    with TestClient(create_app(both), base_url="http://localhost") as client:
        cat = photos / "more" / "cat.jpg"
        own, foreign = (
            search(client, {"image": id_of(cat)}, models=[model], collection=name)["rankings"][0]
            for name, model in (("photos", "color"), ("imported", "foreign"))
        )
        assert [hit["id"] for hit in own["hits"]] == [hit["id"] for hit in foreign["hits"]]
        part = {"left": 0, "top": 0, "width": 0.5, "height": 0.5}
        body = {"query": {"image": id_of(cat)}, "models": ["foreign"], "collection": "imported", "crop": part}
        assert "without their model" in refused(client, "/v1/search", body, 409)
        del body["models"], body["crop"]
        assert "no model that can answer" in refused(client, "/v1/search", body, 422)


# -- compare -----------------------------------------------------------------------------------------------------


def test_a_comparison_is_the_librarys_and_says_why(served: TestClient, photos: Path) -> None:
    cat, small, rocket = photos / "more" / "cat.jpg", photos / "cat small.png", photos / "more" / "rocket.jpg"
    answer = served.post(
        "/v1/compare", json={"a": id_of(cat), "b": data_uri(small), "models": ["sift", "color"]}
    ).json()
    expected = lookalike.compare(cat, small, models=["sift", "color"])
    assert [each["model"] for each in answer["scores"]] == ["sift", "color"]
    np.testing.assert_allclose(
        [each["cosine"] for each in answer["scores"]], [score.cosine for score in expected.scores], atol=1e-6
    )
    assert answer["chance"] is None and answer["evidence"] is None
    same = served.post("/v1/compare", json={"a": id_of(cat), "b": id_of(small), "why": True}).json()
    assert same["chance"] > 0.9 and same["evidence"]["inliers"] > 20
    assert {"color", "phash", "sift"} <= {each["model"] for each in same["scores"]}
    other = served.post("/v1/compare", json={"a": id_of(cat), "b": id_of(rocket), "why": True}).json()
    assert other["chance"] < 0.1


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"a": "0" * 64, "b": "0" * 64}, 404, "upload"),
        ({"a": "x"}, 422, "b"),
        ({"a": "x", "b": "y"}, 422, "data URI"),
    ],
)
def test_what_cannot_be_compared_is_told(served: TestClient, body: dict[str, Any], status: int, why: str) -> None:
    assert why in refused(served, "/v1/compare", body, status)


def test_a_model_that_is_not_here_is_told_beside_the_scores_of_others(served: TestClient, photos: Path) -> None:
    cat = id_of(photos / "more" / "cat.jpg")
    answer = served.post("/v1/compare", json={"a": cat, "b": cat, "models": ["color", "clip"]}).json()
    assert answer["scores"][0]["score"] == pytest.approx(1)
    assert answer["scores"][1]["cosine"] is None and "pull clip" in answer["scores"][1]["problem"]


def test_no_error_tells_where_a_collection_lies(served: TestClient, collection: lookalike.Collection) -> None:
    with sqlite3.connect(collection.directory / "catalogue.sqlite") as catalogue:
        catalogue.execute("UPDATE models SET fingerprint = '0123456789abcdef' WHERE name = 'color'")
    catalogue.close()
    asked = {"query": {"image": collection.listing()[1][0].id}, "models": ["color"]}
    detail = refused(served, "/v1/search", asked, 409)
    assert detail.startswith("photos: its vectors of 'color' were made by another revision")
    assert str(collection.directory.parent) not in detail
