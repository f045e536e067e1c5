"""The page's shell: drawn once for each way of reaching it, and the same as Gradio's own."""

from __future__ import annotations

import re

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from onboarding.edge.page_cache import KEPT, PageCache
from tests.browser.serving import make_app
from tests.fakes import ScriptedGuide


class Drawing:
    """An application that counts how often it draws."""

    def __init__(self) -> None:
        self.drawn: list[str] = []

    async def draw(self, request: Request) -> Response:
        self.drawn.append(str(request.url))
        status = 404 if "x-missing" in request.headers else 200
        answer = Response(f"{len(self.drawn)} {request.headers.get('host')}", status, {"x-drawn": "yes"})
        if "x-cookie" in request.headers:
            answer.set_cookie("a", "b")
        return answer


@pytest.fixture
def drawing() -> Drawing:
    return Drawing()


@pytest.fixture
def client(drawing: Drawing) -> TestClient:
    inner = Starlette(routes=[Route("/{path:path}", drawing.draw, methods=["GET", "POST"])])
    return TestClient(PageCache(inner))


def test_a_shell_is_drawn_once_whatever_the_page_reads_from_its_link(client: TestClient, drawing: Drawing) -> None:
    answers = [
        client.get(path) for path in ("/", "/?__theme=dark", "/?tour=plugins&step=2", "/?page=zz", "/?deep_link=x")
    ]
    assert [answer.text for answer in answers] == ["1 testserver"] * 5
    assert client.head("/").content == b"" and client.head("/").headers["x-drawn"] == "yes"
    assert {answer.headers["x-drawn"] for answer in answers} == {"yes"}
    assert len(drawing.drawn) == 1


@pytest.mark.parametrize("header", ["host", "accept-encoding"])
def test_who_reaches_the_page_otherwise_gets_a_shell_of_its_own(client: TestClient, header: str) -> None:
    first = client.get("/").text
    other = client.get("/", headers={header: "br"})
    assert other.text.split()[0] == "2"
    assert client.get("/", headers={header: "br"}).text == other.text
    assert client.get("/").text == first


@pytest.mark.parametrize(("path", "header"), [("/healthz", "x"), ("/", "x-missing"), ("/", "x-cookie")])
def test_what_may_differ_is_drawn_each_time(client: TestClient, path: str, header: str) -> None:
    assert client.get(path, headers={header: "1"}).text != client.get(path, headers={header: "1"}).text


def test_invented_hosts_do_not_fill_the_memory(client: TestClient, drawing: Drawing) -> None:
    for number in range(KEPT + 10):
        client.get("/", headers={"host": f"h{number}.example"})
        client.get("/")  # the real address stays
    assert drawing.drawn.count("http://testserver/") == 1
    client.get("/", headers={"host": "h0.example"})
    assert drawing.drawn.count("http://h0.example/") == 2


@pytest.fixture(scope="module")
def pages() -> tuple[TestClient, TestClient]:
    """The page behind the shell and as it is."""
    app = make_app(ScriptedGuide())
    return TestClient(PageCache(app)), TestClient(app)


@pytest.mark.parametrize("path", ["/", "/?__theme=dark", "/config"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "qubinode.example"},
        {"accept-encoding": "gzip"},
        {"accept-encoding": "identity"},
        {"cookie": "session=one", "accept-language": "de"},
    ],
)
def test_what_is_kept_is_what_gradio_draws(
    pages: tuple[TestClient, TestClient], path: str, headers: dict[str, str]
) -> None:
    kept, plain = pages
    drawn = plain.get(path, headers=headers)
    for _ in range(2):
        answer = kept.get(path, headers=headers)
        assert (answer.status_code, answer.text) == (drawn.status_code, drawn.text)
        assert answer.headers == drawn.headers
    assert not re.search(r"session_hash|csrf", drawn.text)
