"""Who may ask: nobody without the token, no page elsewhere, no name but this machine's; and what answers carry."""

from __future__ import annotations

from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from lookalike.server.app import create_app
from lookalike.server.settings import Settings

TOKEN = "a token of this test's own"  # noqa: S105


def client(settings: Settings) -> TestClient:
    return TestClient(create_app(settings), base_url="http://localhost:8642", follow_redirects=False)


@pytest.fixture
def guarded(settings: Settings) -> TestClient:
    return client(replace(settings, token=TOKEN))


def test_every_answer_carries_the_headers_that_protect(served: TestClient) -> None:
    for path in ("/", "/healthz", "/static/style.css", "/nowhere", "/images/nonsense"):
        headers = served.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["referrer-policy"] == "same-origin"
        assert "cache-control" in headers


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8642", "[::1]:8642", "[::1]"])
def test_asked_under_its_own_names(served: TestClient, host: str) -> None:
    assert served.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8642", "localhost.evil.example", "localhost:x", "", "localhost@evil.example"]
)
def test_asked_under_another_name(served: TestClient, host: str) -> None:
    answer = served.get("/healthz", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["title"] == "Misdirected Request"


def test_a_name_that_was_allowed(settings: Settings) -> None:
    with client(replace(settings, hosts=("photos.lan",))) as own:
        assert own.get("/healthz", headers={"Host": "photos.lan:8642"}).status_code == 200
        assert own.get("/healthz", headers={"Host": "localhost"}).status_code == 421


def test_pages_elsewhere_may_not_ask(served: TestClient) -> None:
    for site in ("cross-site", "same-site"):
        for method, mode in (("GET", "no-cors"), ("GET", "cors"), ("POST", "navigate"), ("DELETE", "cors")):
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": "document"}
            assert served.request(method, "/", headers=headers).status_code == 403
    framed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    assert served.get("/", headers=framed).status_code == 403
    for origin in (
        "https://evil.example",
        "null",
        "http://localhost:9999",
        "http://localhost.evil.example",
        "http://[",
    ):
        assert served.post("/search", headers={"Origin": origin}).status_code == 403


def test_our_own_pages_and_links_from_elsewhere_may(served: TestClient) -> None:
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Origin": "http://localhost"}
    assert served.get("/healthz", headers=own).status_code == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert served.get("/healthz", headers=link).status_code == 200
    assert served.options("/healthz", headers={**own, "Origin": "http://elsewhere"}).status_code == 403


def test_without_the_token_nobody_comes_in(guarded: TestClient) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"api-key": "wrong"}):
        for path in ("/", "/metrics", "/docs", "/openapi.json", f"/images/{'0' * 64}", f"/?token={TOKEN}x"):
            answer = guarded.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.headers["content-type"] == "application/problem+json"


def test_with_the_token_clients_come_in(settings: Settings) -> None:
    guarded = client(replace(settings, token="abc-123"))  # noqa: S106
    for headers in ({"Authorization": "Bearer abc-123"}, {"api-key": "abc-123"}):
        assert guarded.get("/metrics", headers=headers).status_code == 200
    assert guarded.get("/healthz").status_code == 200
    assert guarded.get("/static/style.css").status_code == 200


def test_a_visitor_with_the_token_gets_a_cookie_and_an_address_without_it(guarded: TestClient) -> None:
    answer = guarded.get("/", params={"token": TOKEN, "collection": "photos"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?collection=photos")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert guarded.get("/metrics").status_code == 200
    name = answer.headers["set-cookie"].partition("=")[0]
    guarded.cookies.clear()
    assert guarded.get("/metrics", headers={"Cookie": f"{name}=wrong"}).status_code == 401


def test_a_browser_gets_a_problem_as_a_page(guarded: TestClient) -> None:
    answer = guarded.get("/", headers={"Accept": "text/html,*/*"})
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("text/html")
    assert "needs its token" in answer.text


def test_head_and_options(served: TestClient) -> None:
    got, head = served.get("/healthz"), served.head("/healthz")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    refused = served.options("/healthz")
    assert (refused.status_code, refused.headers["allow"]) == (405, "HEAD, GET")
    assert served.put("/v1/images").headers["allow"] == "HEAD, GET, POST"
    assert served.get(f"/v1/images/{'0' * 64}").headers["allow"] == "DELETE"


def test_an_error_of_the_services_own_tells_nothing(served: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise RuntimeError("the secret of the house")

    served.app.add_api_route("/broken", broken)  # type: ignore[attr-defined]
    answer = served.get("/broken")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert "nosniff" in answer.headers["x-content-type-options"]
    assert "the secret of the house" in caplog.text


def test_requests_are_counted_by_route(served: TestClient) -> None:
    served.get("/healthz")
    served.get(f"/images/{'0' * 64}")
    served.request("BREW", "/nowhere")
    text = served.get("/metrics").text
    assert 'lookalike_requests_total{method="GET",route="/healthz",status="200"} 1.0' in text
    assert 'lookalike_requests_total{method="GET",route="/images/{image_id}",status="404"} 1.0' in text
    assert 'lookalike_requests_total{method="other",route="",status="404"} 1.0' in text
    assert "lookalike_embedded" in text
