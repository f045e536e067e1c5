"""The application behind a real nginx: below a path or not, as documented and as people write it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx2
import pytest
from gradio_client import Client

from tests.conftest import DataFolder
from tests.hardening.nginx import documented, nginx
from tests.hardening.serving import App, running
from tests.onboarding.test_api import in_session

ROOT = "/navigator"
QUESTION = "Is RHEL 8 supported?"
HOST_ALONE = "location /navigator/ { proxy_pass http://127.0.0.1:7860/; proxy_set_header Host $http_host; }"
LOCATIONS = {
    "documented": documented(),
    "path left on": documented().replace(":7860/;", ":7860;"),
    "host alone": HOST_ALONE,
    "forwarded host alone": HOST_ALONE.replace("Host $", "X-Forwarded-Host $"),
    "HTTP/1.0 with buffers": HOST_ALONE.replace("}", "proxy_buffering on; proxy_buffers 8 64k; }"),
}


@pytest.fixture(scope="module")
def below(data_folder: DataFolder) -> Iterator[App]:
    with running(data_folder(), ENGINE="scripted", GRADIO_ROOT_PATH=ROOT, TRUST_PROXY="1") as served:
        served.wait_until_ready()
        yield served


@pytest.fixture(scope="module", params=LOCATIONS)
def url(request: pytest.FixtureRequest, below: App, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with nginx(tmp_path_factory.mktemp("nginx"), below.url, LOCATIONS[request.param]) as address:
        yield f"{address}{ROOT}"


def parts_of(url: str) -> list[str]:
    """The addresses of scripts, styles and icons in the page's HTML; Gradio's manifest is for pages that install."""
    html = httpx2.get(f"{url}/").text
    found = re.findall(r"""(?:src|href)=["']([^"'#][^"']*?\.(?:js|css|svg|png|ico)(?:\?[^"']*)?)["']""", html)
    return [urljoin(f"{url}/", part) for part in found if "fonts.g" not in part]


def test_the_page_and_all_its_parts_come_through(url: str) -> None:
    found = [*parts_of(url), f"{url}/theme.css"]
    assert len(found) > 2
    for part in found:
        assert part.startswith(f"{url}/")
        assert httpx2.get(part).status_code == 200, part
    assert httpx2.get(f"{url}/config").json()["root"] == url
    assert httpx2.get(url, follow_redirects=True).status_code == 200


@pytest.mark.parametrize("url", ["documented", "path left on", "HTTP/1.0 with buffers"], indirect=True)
def test_programs_and_mcp_clients_are_answered(url: str) -> None:
    client = Client(url, verbose=False)
    job = client.submit(QUESTION, api_name="/ask")
    assert job.result(timeout=60)["done"]
    assert len(job.outputs()) > 1
    told = in_session(url, lambda session: session.call_tool("search", {"question": QUESTION}), "/gradio_api/mcp")
    assert "RHEL 8" in told.structuredContent["extract"]


def test_a_stream_is_passed_on_while_it_goes_on(url: str) -> None:
    """The heartbeat never ends, so that a proxy that keeps its beginning back keeps it for ever."""
    with httpx2.stream("GET", f"{url}/gradio_api/heartbeat/nginx", timeout=30) as beat:
        assert beat.status_code == 200
        assert next(beat.iter_text())


def test_a_page_may_ask_where_its_own_host_is_known(url: str) -> None:
    """Over plain http browsers say nothing but Origin."""
    origin = url.removesuffix(ROOT)
    call = {"data": [QUESTION, 3]}
    assert httpx2.post(f"{url}/gradio_api/call/search", json=call, headers={"Origin": origin}).status_code == 200


def test_a_proxy_that_hides_the_host_is_named_in_the_refusal(below: App, tmp_path: Path) -> None:
    with nginx(tmp_path, below.url, "location /navigator/ { proxy_pass http://127.0.0.1:7860/; }") as address:
        url = f"{address}{ROOT}/gradio_api/call/search"
        refused = httpx2.post(url, json={"data": [QUESTION, 3]}, headers={"Origin": address})
        assert refused.status_code == 403
        assert "the proxy must send the Host header" in refused.text
        assert httpx2.post(url, json={"data": [QUESTION, 3]}).status_code == 200  # a program


def test_https_at_the_proxy_stays_https(below: App, tmp_path: Path) -> None:
    location = documented().replace("Proto $scheme", "Proto https").replace("$http_host", "example.org")
    with nginx(tmp_path, below.url, location) as address:
        assert httpx2.get(f"{address}{ROOT}/config").json()["root"] == f"https://example.org{ROOT}"
        for path in ("/", "/config", "/gradio_api/mcp", "/gradio_api/mcp/"):
            answer = httpx2.get(f"{address}{ROOT}{path}")
            assert answer.status_code == 200
            assert "http://example.org" not in answer.text


def test_without_a_path_the_page_stands_at_the_root(app: App, tmp_path: Path) -> None:
    location = documented().replace("/navigator/", "/")
    with nginx(tmp_path, app.url, location) as address:
        assert httpx2.get(f"{address}/config").json()["root"] == address
        assert all(part.startswith(f"{address}/") for part in parts_of(address))
        assert Client(address, verbose=False).predict(QUESTION, api_name="/search")["passages"]
