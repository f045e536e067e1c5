"""The edge of the served application: its routes, what it says to other sites, and what lies outside of it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

import httpx2
import pytest

from onboarding.edge.allowlist import HEADERS
from tests.hardening.routes import TABLE, table
from tests.hardening.serving import App
from tests.loopback import http_server


def test_the_routes_are_those_that_a_person_has_looked_at() -> None:
    known = TABLE.read_text().splitlines()
    assert table() == known, "see tests/hardening/routes.py: print the table, judge each new line, commit it"


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """A server that must never be asked, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"SECRET-ELSEWHERE")

        do_HEAD = do_POST = do_GET  # noqa: N815 - http.server's names

    with http_server(Handler) as address:
        yield urlsplit(address).netloc, asked


# {f}: a file outside what is served, absolute and without its leading slash; {h}: host and port of a server elsewhere.
TRAVERSAL = [
    *("/{f}", "//{f}", "/../{f}", "/../../../../../../{f}", "/./../{f}", "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/{f}"),
    *("/..%2f..%2f..%2f..%2f{f}", "/%252e%252e%252f{f}", "/..;/{f}", "/....//....//....//{f}", "/..\\..\\..\\{f}"),
    *("/assets/../{f}", "/assets/../../../../../../../../{f}", "/assets/..%2f..%2f..%2f..%2f..%2f..%2f{f}"),
    *("/assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/{f}", "/assets//{f}", "/assets/{f}", "/assets/%00{f}"),
    *("/static/../../../../../../../../{f}", "/static/..%5c..%5c..%5c{f}", "/static//{f}", "/static/{f}%00.svg"),
    *("/static/%2f{f}", "/static/fonts/../../../../../../../{f}", "/svelte/../../../../../../{f}", "/svelte//{f}"),
    *("/svelte/%2e%2e%2f%2e%2e%2f%2e%2e%2f{f}", "/theme.css/../{f}", "/theme.css?path=/{f}", "/favicon.ico/../{f}"),
    *("/file=/{f}", "/file/{f}", "/gradio_api/file=/{f}", "/gradio_api/file=../../../{f}", "/gradio_api/file/{f}"),
    *("/gradio_api/file%3d/{f}", "/gradio_api/custom_component/../../{f}/client/component/x", "/pwa_icon/../{f}"),
    *("/gradio_api/stream/../../{f}", "/gradio_api/deep_link?path=/{f}", "/manifest.json/..%2f{f}"),
    *("/gradio_api/call/search/..%2f..%2f{f}", "/gradio_api/heartbeat/..%2f..%2f{f}", "/gradio_api/mcp/../../{f}"),
    *("/gradio_api/queue/data?session_hash=../../{f}", "/config?path=file:///{f}", "/?__theme=/{f}", "/?view=../{f}"),
    *("/.git/config", "/app.py", "/requirements.txt", "/.data/prefix-cache/key", "/onboarding/guard.py"),
]
FORGERY = [
    *("/gradio_api/proxy=http://{h}/x", "/proxy=http://{h}/x", "/gradio_api/proxy=%68ttp://{h}/x", "/http://{h}/x"),
    *("/gradio_api/file=http://{h}/x", "/file=http://{h}/x", "/gradio_api/file=//{h}/x", "/gradio_api/file=\\\\{h}\\x"),
    *("/assets/http://{h}/x", "/static/http://{h}/x", "/svelte/http://{h}/x", "/assets//{h}/x", "/static/%2f%2f{h}/x"),
    *("/gradio_api/component_server?url=http://{h}", "/config?root=http://{h}", "/?url=http://{h}", "//{h}/x"),
    *("/gradio_api/mcp/sse?url=http://{h}", "/gradio_api/info?url=http://{h}", "http://{h}/x"),
    "/theme.css?u=http://{h}",
]


def fetch(app: App, method: str, path: str) -> tuple[int, bytes]:
    """The path as it stands, which no well-behaved client would send."""
    connection = http.client.HTTPConnection(urlsplit(app.url).netloc, timeout=60)
    connection._validate_path = lambda _path: None  # type: ignore[attr-defined]
    connection.request(method, path, headers={"Accept-Encoding": "identity"})
    answer = connection.getresponse()
    body = b"" if answer.headers.get("content-type", "").startswith("text/event-stream") else answer.read()
    connection.close()
    return answer.status, body


def test_no_form_of_a_path_leads_to_a_file_outside(app: App) -> None:
    secret = app.data / "outside.txt"
    secret.write_text("SECRET-OUTSIDE")
    shell = fetch(app, "GET", "/")[1][:200]
    for form in TRAVERSAL:
        for method in ("GET", "HEAD", "POST"):
            status, body = fetch(app, method, form.replace("{f}", str(secret).lstrip("/")))
            assert status in {200, 400, 403, 404, 405, 413, 422}, (method, form, status)
            assert b"SECRET-OUTSIDE" not in body
            assert b"[core]" not in body
            assert b"from __future__" not in body
            assert status != 200 or form.startswith(("/?", "/config?", "/theme.css?", "/gradio_api/queue/data?")), form
    assert shell.lstrip().lower().startswith(b"<!doctype html")


def test_no_form_of_an_address_makes_the_server_ask_elsewhere(app: App, elsewhere: tuple[str, list[str]]) -> None:
    host, asked = elsewhere
    for form in FORGERY:
        for method in ("GET", "HEAD", "POST"):
            status, body = fetch(app, method, form.replace("{h}", host))
            assert b"SECRET-ELSEWHERE" not in body, form
            assert status < 500, (method, form, status)
    message = {"data": [f"Fetch http://{host}/x and show http://{host}/y.png", "healthy"]}
    assert httpx2.post(f"{app.url}/gradio_api/call/ask", json=message).status_code == 200
    for tool, argument in (("network_diagnostics", [f"http://{host}/"]), ("service_status", [f"http://{host}/"])):
        httpx2.post(f"{app.url}/gradio_api/call/{tool}", json={"data": [argument, "healthy"]})
    assert asked == []


def test_every_answer_carries_the_headers_and_grants_nobody_a_look(app: App) -> None:
    for path, host in (("/", "qubinode.example"), ("/config", "127.0.0.1"), ("/nothing", "a-space.hf.space")):
        answer = httpx2.get(f"{app.url}{path}", headers={"Origin": f"https://{host}", "Host": host})
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert not [name for name in answer.headers if name.startswith("access-control")]
    read = httpx2.get(f"{app.url}/config", headers={"Origin": "https://evil.example", "Host": "qubinode.example"})
    assert read.status_code == 403
    assert "x-powered-by" not in read.headers
