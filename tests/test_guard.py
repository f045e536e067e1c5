"""The guard lets the page's own routes through and nothing else."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from onboarding.guard import EXACT, HEADERS, MAX_BODY, PREFIXES, Guard


async def echo(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture(scope="module")
def client() -> TestClient:
    inner = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST", "PUT"])])
    return TestClient(Guard(inner))


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/queue/join", "/assets/index.js", "/healthz"])
def test_the_pages_own_routes_pass(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200


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
    ],
)
def test_everything_else_is_not_found(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_body_over_the_limit_is_refused_by_its_declared_length(client: TestClient) -> None:
    assert client.post("/gradio_api/queue/join", content=b"x" * (MAX_BODY + 1)).status_code == 413
    assert client.post("/gradio_api/queue/join", content=b"x" * 1000).text == "1000"


def test_every_answer_carries_the_headers(client: TestClient) -> None:
    for path in ("/", "/gradio_api/upload"):
        assert {name: client.get(path).headers[name] for name in HEADERS} == HEADERS
    policy = HEADERS["Content-Security-Policy"]
    assert "img-src 'self' data:" in policy
    assert "https://huggingface.co" in policy.split("frame-ancestors")[1]


def test_the_allow_list_is_the_one_that_was_reviewed() -> None:
    assert sorted(EXACT) == [
        "/", "/config", "/favicon.ico", "/gradio_api/app_id", "/gradio_api/cancel", "/gradio_api/heartbeat",
        "/gradio_api/info", "/gradio_api/login_check", "/gradio_api/mcp", "/gradio_api/mcp/", "/gradio_api/queue/data", "/gradio_api/queue/join",
        "/gradio_api/queue/status", "/gradio_api/reset", "/gradio_api/run/predict", "/gradio_api/startup-events",
        "/healthz", "/manifest.json", "/pwa_icon", "/readyz", "/robots.txt", "/theme.css",
    ]  # fmt: skip
    assert PREFIXES == (
        "/assets/", "/static/", "/svelte/", "/gradio_api/heartbeat/", "/gradio_api/call/", "/gradio_api/theme.css",
    )  # fmt: skip
