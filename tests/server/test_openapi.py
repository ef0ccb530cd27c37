"""The REST service's description: whole, true to RFC 9457, and shown without anything from elsewhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from starlette.testclient import TestClient

from lookalike.server.app import create_app
from lookalike.server.settings import Settings


def test_the_document_is_whole(served: TestClient) -> None:
    document = served.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    refs = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert refs <= schemas.keys()
    assert "HTTPValidationError" not in refs
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all(operation.get("description") and operation.get("tags") for operation in operations)
    for operation in operations:
        problems = {status: each for status, each in operation["responses"].items() if not "1" < status < "4"}
        assert "default" in problems
        assert all(list(each["content"]) == ["application/problem+json"] for each in problems.values())
    for path in ("/v1/search", "/v1/embeddings", "/v1/compare", "/v1/images", "/v1/uploads", "/healthz", "/metrics"):
        assert path in document["paths"]


def test_the_page_shows_all_of_it_and_nothing_from_elsewhere(served: TestClient) -> None:
    document, page = served.get("/openapi.json").json(), served.get("/docs")
    assert page.status_code == 200
    assert all(path in page.text for path in document["paths"])
    assert all(f'id="{name}"' in page.text for name in document["components"]["schemas"])
    assert not re.search(r'(src|href)="(?!/|#)', page.text)
    assert "style=" not in page.text
    assert "Bearer TOKEN" not in page.text


def test_a_token_is_described_where_one_is_needed(settings: Settings) -> None:
    settings = replace(settings, token="abc")  # noqa: S106
    with TestClient(create_app(settings), base_url="http://localhost", headers={"api-key": "abc"}) as client:
        document = client.get("/openapi.json").json()
        assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
        assert "Bearer TOKEN" in client.get("/docs").text
