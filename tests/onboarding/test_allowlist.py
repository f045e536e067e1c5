"""The guard lets the page's own routes through and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Scope

from onboarding.edge.allowlist import EXACT, HEADERS, MAX_BODY, MAX_DEPTH, PATTERNS, Allowlist, CallRefused

JOIN = "/gradio_api/queue/join"


async def echo(request: Request) -> Response:
    """Grants every origin a look, as Gradio does."""
    grants = {"Access-Control-Allow-Origin": request.headers.get("origin", "*"),
              "Access-Control-Allow-Credentials": "true"}  # fmt: skip
    return PlainTextResponse(await request.body(), headers=grants)


def check(scope: Scope, body: Any) -> Any:
    if body == {"no": "call"}:
        raise CallRefused("There is no such call.", 404)
    if body == {"too": "soon"}:
        raise CallRefused("Try again in about 8 s.", 429, 7.5, hold=True)
    return body


@pytest.fixture(scope="module")
def client() -> TestClient:
    inner = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST", "PUT", "OPTIONS"])])
    return TestClient(Allowlist(inner, check, hold_s=0.0))


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/queue/data", "/assets/index.js", "/healthz"])
def test_the_pages_own_routes_pass(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/"), ("POST", "/"), ("DELETE", "/config"), ("GET", JOIN), ("OPTIONS", JOIN), ("POST", "/healthz"),
     ("POST", "/gradio_api/call/v2/search"), ("GET", "/gradio_api/call/search"), ("PATCH", "/gradio_api/mcp/")],
)  # fmt: skip
def test_a_method_that_the_page_does_not_use_is_not_found(client: TestClient, method: str, path: str) -> None:
    assert client.request(method, path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/upload",
        "/gradio_api/file=/etc/passwd",
        "/file=/etc/passwd",
        "/gradio_api/proxy=https://evil.example/",
        "/gradio_api/component_server",
        "/gradio_api/custom_component/x/y/z",
        "/gradio_api/stream/x",
        "/gradio_api/run/other",
        "/monitoring",
        "/monitoring/summary",
        "/docs",
        "/openapi.json",
        "/assets/../app.py",
        "/static/%2e%2e/app.py",
        "/.git/config",
        "/gradio_api/mcp/sse",
        "/gradio_api/mcp/schema",
        "/static\\..\\app.py",
        "/assets/x%00.js",
        "/static/http://evil.example/x",
        "/gradio_api/call/search/../../upload",
        "/gradio_api/heartbeat/a/b",
    ],
)
def test_everything_else_is_not_found(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_body_over_the_limit_is_refused_whatever_length_is_declared(client: TestClient) -> None:
    body = json.dumps("x" * MAX_BODY).encode()
    assert client.post(JOIN, content=body).status_code == 413
    assert client.post(JOIN, content=iter([body[:1000], body[1000:]])).status_code == 413  # no length at all
    assert client.post(JOIN, content=b'"short"').text == '"short"'


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b"[1e999]", "too large"),
        (b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2), f"deeper than {MAX_DEPTH}"),
        (b"[" * 100_000, "JSON"),
        (b"1" * 5000, "JSON"),
    ],
)
def test_a_body_that_is_no_plain_json_is_refused_in_one_sentence(client: TestClient, body: bytes, says: str) -> None:
    answer = client.post(JOIN, content=body)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


def test_a_call_that_the_page_does_not_have_gets_its_own_status(client: TestClient) -> None:
    answer = client.post(JOIN, json={"no": "call"})
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is no such call."})


def test_hidden_characters_are_taken_out_of_every_text_of_a_body(client: TestClient) -> None:
    sent = {"k\u200bey": ["a\x1b[31mb\x00", {"x": "\u202eevil\U000e0041"}], "n": 1, "lone": "\ud800"}
    answer = client.post(JOIN, content=json.dumps(sent).encode())
    assert answer.json() == {"key": ["ab", {"x": "evil"}], "n": 1, "lone": ""}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # a program
        ({"origin": "http://testserver"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://[evil"}, 403),
        ({"origin": "https://evil.example", "x-forwarded-host": "user-space.hf.space"}, 403),
        (
            {"origin": "https://user-space.hf.space", "x-forwarded-host": "user-space.hf.space"},
            403,
        ),  # the edge drops it
        ({"origin": "https://user-space.hf.space", "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://testserver", "sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),  # a form on another site
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, 403),  # another Space
    ],
)
def test_another_sites_page_cannot_call(client: TestClient, headers: dict[str, str], status: int) -> None:
    answer = client.post(JOIN, content=b"{}", headers=headers)
    assert answer.status_code == status
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_hub_may_open_the_page_in_its_frame_and_nobody_may_read_it_by_script(client: TestClient) -> None:
    framed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
    assert client.get("/", headers=framed).status_code == 200
    read = client.get("/config", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"})
    assert read.status_code == 403
    preflight = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    assert client.options(JOIN, headers=preflight).status_code == 404


def test_every_answer_carries_the_headers(client: TestClient) -> None:
    for path in ("/", "/gradio_api/upload"):
        assert {name: client.get(path).headers[name] for name in HEADERS} == HEADERS
    policy = HEADERS["Content-Security-Policy"]
    assert "img-src 'self' data:" in policy
    assert "https://huggingface.co" in policy.split("frame-ancestors")[1]


def test_the_allow_list_is_the_one_that_was_reviewed() -> None:
    assert {path for path, methods in EXACT.items() if methods == {"GET", "HEAD"}} == {
        "/", "/config", "/favicon.ico", "/gradio_api/app_id", "/gradio_api/info", "/gradio_api/login_check",
        "/gradio_api/queue/data", "/gradio_api/queue/status", "/gradio_api/startup-events", "/gradio_api/theme.css",
        "/healthz", "/manifest.json", "/pwa_icon", "/readyz", "/robots.txt", "/theme.css",
    }  # fmt: skip
    assert {path for path, methods in EXACT.items() if methods == {"POST"}} == {
        JOIN, "/gradio_api/run/predict", "/gradio_api/cancel", "/gradio_api/reset",
    }  # fmt: skip
    assert len(EXACT) == 16 + 4 + 2  # and the MCP server's two
    assert len(PATTERNS) == 4


def test_who_comes_too_soon_is_told_when_to_come_again(client: TestClient) -> None:
    answer = client.post("/gradio_api/queue/join", json={"too": "soon"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "8")
    assert answer.json() == {"detail": "Try again in about 8 s."}
    assert "retry-after" not in client.post("/gradio_api/queue/join", json={"no": "call"}).headers
