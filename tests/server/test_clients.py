"""The clients that people have: OpenAI's and Qdrant's own packages, against a live server."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
import qdrant_client
from qdrant_client import models
from qdrant_client.http.exceptions import UnexpectedResponse

import lookalike
from lookalike import images
from lookalike.embedding import embed_picture
from lookalike.models import registry
from tests.conftest import ROOT
from tests.docs.test_docs import blocks
from tests.server import colour_words


def data_uri(path: Path) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"


# -- OpenAI's ----------------------------------------------------------------------------------------------------


@pytest.fixture
def client(live: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{live}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_openais_client_gets_the_librarys_embeddings(client: openai.OpenAI, photos: Path) -> None:
    files = [photos / "coffee.jpg", photos / "more" / "cat.jpg"]
    own = [embed_picture(str(path), registry.card("color")) for path in files]
    uris = [data_uri(path) for path in files]
    for found in (  # by itself it asks for base64, and decodes that
        client.embeddings.create(model="color", input=uris),
        client.embeddings.create(model="color", input=uris, encoding_format="float"),
    ):
        np.testing.assert_allclose([each.embedding for each in found.data], own, atol=1e-6)
        assert found.usage.total_tokens == 2
    one = client.embeddings.create(model="color", input=uris[0])
    np.testing.assert_allclose(one.data[0].embedding, own[0], atol=1e-6)


def test_openais_client_gets_words_embedded(collection: lookalike.Collection, client: openai.OpenAI) -> None:
    found = client.embeddings.create(model=colour_words.register(), input=["red", "blue"])
    np.testing.assert_allclose([each.embedding for each in found.data], [[1, 0, 0], [0, 0, 1]])


def test_openais_client_is_told_what_is_wrong(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="try 'color'"):
        client.embeddings.create(model="colour", input="x")
    with pytest.raises(openai.UnprocessableEntityError, match="cannot read words"):
        client.embeddings.create(model="color", input="x")
    with pytest.raises(openai.UnprocessableEntityError, match="dimensions"):
        client.embeddings.create(model="color", input="x", dimensions=3)
    with pytest.raises(openai.UnprocessableEntityError, match="input"):
        client.embeddings.create(model="color", input=[1, 2, 3])


def test_openais_client_lists_the_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == list(registry.cards())
    assert client.models.retrieve("sift").owned_by == registry.card("sift").source


# -- Qdrant's ----------------------------------------------------------------------------------------------------


@pytest.fixture
def qdrant(live: str) -> Iterator[qdrant_client.QdrantClient]:
    # It would look for a version of Qdrant's own.
    client = qdrant_client.QdrantClient(url=live, check_compatibility=False, timeout=20)
    yield client
    client.close()


def test_qdrants_client_finds_collections(qdrant: qdrant_client.QdrantClient, collection: lookalike.Collection) -> None:
    assert [each.name for each in qdrant.get_collections().collections] == ["photos"]
    assert qdrant.collection_exists("photos") and not qdrant.collection_exists("other")
    about = qdrant.get_collection("photos")
    assert about.points_count == 9
    vectors = about.config.params.vectors
    assert isinstance(vectors, dict) and list(vectors) == collection.models
    assert vectors["sift"] == models.VectorParams(size=registry.card("sift").dim, distance=models.Distance.COSINE)


@pytest.mark.parametrize("model", ["color", "sift"])
def test_qdrants_client_searches_by_vector_and_by_point(
    qdrant: qdrant_client.QdrantClient, collection: lookalike.Collection, photos: Path, model: str
) -> None:
    cat = photos / "more" / "cat.jpg"
    expected = collection.search(cat.read_bytes(), model=model, k=4)
    vector = collection.stored(model, [expected[0].image.id])[expected[0].image.id].tolist()
    found = qdrant.query_points("photos", query=vector, using=model, limit=4).points
    np.testing.assert_allclose([point.score for point in found], [hit.cosine for hit in expected], atol=1e-4)
    assert [(point.payload or {})["image_id"] for point in found] == [hit.image.id for hit in expected]
    assert (found[0].payload or {})["path"] == "more/cat.jpg"
    long = [1e39 * number for number in vector]  # more than 32 bits can tell
    same = qdrant.query_points("photos", query=long, using=model, limit=4).points
    np.testing.assert_allclose([point.score for point in same], [point.score for point in found], atol=1e-6)
    # As with Qdrant, a point is no answer to itself.
    near = qdrant.query_points("photos", query=found[0].id, using=model, limit=3).points
    assert [point.id for point in near] == [point.id for point in found[1:]]
    further = qdrant.query_points("photos", query=vector, using=model, limit=2, offset=2, with_vectors=[model]).points
    assert [point.id for point in further] == [point.id for point in found[2:]]
    assert isinstance(further[0].vector, dict) and len(further[0].vector[model]) == registry.card(model).dim
    least = (found[0].score + found[1].score) / 2
    close = qdrant.query_points("photos", query=vector, using=model, score_threshold=least, with_payload=False).points
    assert [point.id for point in close] == [found[0].id] and close[0].payload is None
    (record,) = qdrant.retrieve("photos", ids=[found[0].id, str(uuid.UUID(int=7))], with_payload=["path"])
    assert record.payload == {"path": "more/cat.jpg"}


def test_qdrants_client_has_pictures_and_words_embedded(
    collection: lookalike.Collection, live: str, photos: Path
) -> None:
    words = colour_words.register()
    collection.add(models=[words])
    client = qdrant_client.QdrantClient(url=live, check_compatibility=False, cloud_inference=True, timeout=20)
    try:
        coffee = models.Image(image=data_uri(photos / "coffee.jpg"), model="color")
        found = client.query_points("photos", query=coffee, using="color", limit=1).points
        assert (found[0].payload or {})["image_id"] == images.content_hash((photos / "coffee.jpg").read_bytes())
        blue = client.query_points("photos", query=models.Document(text="blue", model=words), using=words).points
        expected = collection.search_terms([lookalike.Term(text="blue")], model=words)
        np.testing.assert_allclose([point.score for point in blue], [hit.cosine for hit in expected], atol=1e-4)
    finally:
        client.close()


def test_files_with_the_same_bytes_are_one_point(
    qdrant: qdrant_client.QdrantClient, collection: lookalike.Collection, photos: Path
) -> None:
    (photos / "again.jpg").write_bytes((photos / "coffee.jpg").read_bytes())
    collection.add()
    image_id = images.content_hash((photos / "coffee.jpg").read_bytes())
    vector = collection.stored("color", [image_id])[image_id].tolist()
    found = qdrant.query_points("photos", query=vector, using="color", limit=20).points
    assert len(found) == len({point.id for point in found}) == 9


def test_qdrants_client_is_told_what_is_wrong(qdrant: qdrant_client.QdrantClient) -> None:
    point = str(uuid.UUID(int=7))
    for name, query, using, why in (
        ("other", point, None, "choose from photos"),
        ("photos", point, None, "no point"),
        ("photos", [1.0, 2.0], "sift", "finite numbers"),
        ("photos", [1.0, 2.0], "hog", "no vectors of"),
    ):
        with pytest.raises(UnexpectedResponse, match=why):
            qdrant.query_points(name, query=query, using=using)
    only = models.Filter(must=[models.FieldCondition(key="width", match=models.MatchValue(value=3))])
    with pytest.raises(UnexpectedResponse, match="filter"):
        qdrant.query_points("photos", query=point, query_filter=only)


# -- as documented -----------------------------------------------------------------------------------------------


def test_the_documented_clients_work(
    live: str, collection: lookalike.Collection, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection.add(models=[colour_words.register()])
    monkeypatch.chdir(photos.parent)
    names: dict[str, Any] = {}
    for code in blocks(ROOT / "docs" / "serve.md", "python notest"):
        exec(code.replace("http://127.0.0.1:8642", live).replace("clip", "colour-words"), names)  # noqa: S102
    assert len(names["points"]) == 9
    names["client"].close()
