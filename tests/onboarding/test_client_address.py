"""Where a request comes from: whom ClientAddress believes, and what an address gets that sends too much."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from onboarding.edge.allowlist import HEADERS
from onboarding.edge.client_address import PRIVATE, ClientAddress, asker_of, bucket, trusted
from onboarding.edge.cpu_budget import CpuBudget
from onboarding.edge.rate_limits import NO_LIMITS, RateLimits, Rates
from onboarding.edge.sub_path import SubPath
from onboarding.edge.throttle import Throttle


async def echo(request: Request) -> JSONResponse:
    asker = asker_of(request)
    return JSONResponse({"address": asker.address})


def client(trust: str = "", peer: str = "10.16.4.1", limits: RateLimits | None = None) -> TestClient:
    inner = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST"])])
    limited = Throttle(inner, limits or RateLimits(NO_LIMITS), CpuBudget(), hold_s=0.0)
    return TestClient(ClientAddress(limited, trust), client=(peer, 5000))


def seen(trust: str, peer: str, **headers: str) -> str:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return str(client(trust, peer).get("/", headers=sent).json()["address"])


def test_a_header_is_not_believed_unless_that_is_configured() -> None:
    assert seen("", "192.0.2.1", x_forwarded_for="198.51.100.7") == "192.0.2.1"
    assert seen("", "127.0.0.1", x_forwarded_for="198.51.100.7") == "127.0.0.1"


@pytest.mark.parametrize(
    ("sent", "address"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("203.0.113.5, 10.16.9.9", "203.0.113.5"),  # two proxies
        ("198.51.100.66, 203.0.113.5", "203.0.113.5"),  # the client wrote the first one itself
        ("127.0.0.1, 203.0.113.5, 10.16.9.9, 172.20.0.3", "203.0.113.5"),
        ("2001:db8::77", "2001:db8::/64"),
        ("nonsense", "nonsense"),
    ],
)
def test_behind_the_hubs_proxies_the_last_address_that_is_no_proxy_counts(sent: str, address: str) -> None:
    assert seen(trusted("1"), "10.16.4.1", x_forwarded_for=sent) == address


def test_a_client_that_reaches_the_server_past_the_proxy_is_not_believed() -> None:
    assert seen(trusted("1"), "203.0.113.9", x_forwarded_for="198.51.100.7") == "203.0.113.9"


def test_only_the_named_proxies_are_believed() -> None:
    assert seen(trusted("192.0.2.0/24"), "192.0.2.80", x_forwarded_for="198.51.100.7") == "198.51.100.7"
    assert seen(trusted("192.0.2.0/24"), "10.0.0.1", x_forwarded_for="198.51.100.7") == "10.0.0.1"


def test_a_socket_of_both_families_shows_the_same_proxies_and_visitors() -> None:
    assert seen(trusted("1"), "::ffff:10.16.4.1", x_forwarded_for="198.51.100.7") == "198.51.100.7"
    assert seen(trusted("1"), "::ffff:203.0.113.9", x_forwarded_for="198.51.100.7") == "203.0.113.9"
    assert '"host":"page.example"' in named(trusted("1"), "::ffff:10.0.0.1", x_forwarded_host="page.example")[1]


def test_a_setting_that_names_no_network_is_refused() -> None:
    assert (trusted(""), trusted("0"), trusted("1")) == ("", "", PRIVATE)
    with pytest.raises(ValueError, match="nowhere"):
        trusted("10.0.0.0/8,nowhere")


def test_too_many_requests_are_429_with_the_time_to_wait_and_only_for_their_address() -> None:
    limits = RateLimits(Rates(1))  # 100 requests a minute
    flooding, other = client(peer="192.0.2.1", limits=limits), client(peer="192.0.2.2", limits=limits)
    answers = [flooding.post("/gradio_api/queue/join") for _ in range(250)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) >= 50  # a minute may turn in between
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60
    assert refused[0].text == f"Too many requests; try again in {refused[0].headers['Retry-After']} s."
    assert {name: refused[0].headers.get(name) for name in HEADERS} == HEADERS
    assert other.post("/gradio_api/queue/join").status_code == 200
    assert flooding.get("/healthz").status_code == 200


def test_a_call_without_any_request_is_somebody() -> None:
    assert asker_of(None).address == "unknown"


@pytest.mark.parametrize(
    ("host", "counts_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("x" * 5000, "x" * 64),
        ("", ""),
    ],
)
def test_an_address_counts_as_what_one_household_has(host: str, counts_as: str) -> None:
    assert bucket(host) == counts_as


def named(trust: str, peer: str, hosts: Any = (), **headers: str) -> tuple[int, str]:
    """The status, and the headers and scheme that the application inside sees."""

    async def inside(request: Request) -> JSONResponse:
        return JSONResponse({"scheme": request.url.scheme, **dict(request.headers)})

    inner = Starlette(routes=[Route("/", inside)])
    answer = TestClient(ClientAddress(inner, trust, hosts), client=(peer, 5000)).get(
        "/", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    return answer.status_code, answer.text


FORGED = {
    "x_forwarded_host": "evil.example", "x_gradio_server": "http://evil.example", "x_forwarded_proto": "https",
    "x_forwarded_prefix": "/evil", "x_original_url": "/evil", "x_host": "evil.example", "x_rewrite_url": "/evil",
    "x_forwarded_server": "evil.example",
}  # fmt: skip


def test_nothing_of_a_request_names_this_server_but_its_host() -> None:
    status, seen = named("", "192.0.2.1", **FORGED, x_forwarded_for="198.51.100.7")
    assert status == 200 and "evil" not in seen and "https" not in seen
    assert "x-forwarded-for" in seen  # /metrics tells from it that a proxy asks


def test_a_trusted_proxys_host_and_scheme_become_the_requests_own() -> None:
    forwarded = {"x_forwarded_host": "page.example:8443, other", "x_forwarded_proto": "https"}
    seen = named(trusted("1"), "10.0.0.1", **forwarded)[1]
    assert '"host":"page.example:8443"' in seen and '"scheme":"https"' in seen and "forwarded" not in seen
    assert "page.example" not in named(trusted("1"), "203.0.113.9", **forwarded)[1]
    for bad in ("a b", "x</script>", "a/b", "a\\b", "u@h", ""):
        assert '"host":"testserver"' in named(trusted("1"), "10.0.0.1", x_forwarded_host=bad)[1]


@pytest.mark.parametrize(
    ("host", "status"),
    [("page.example", 200), ("PAGE.example:443", 200), ("localhost:7860", 200), ("127.0.0.1", 200), ("[::1]:7860", 200),
     ("evil.example", 421), ("page.example.evil", 421), ("", 421), ("page.example:x", 421)],
)  # fmt: skip
def test_where_names_are_configured_no_other_is_served(host: str, status: int) -> None:
    assert named("", "192.0.2.1", ("page.example",), host=host)[0] == status
    assert named("", "192.0.2.1", (), host=host or "x")[0] == 200


def test_what_is_answered_ahead_of_the_allowlist_carries_its_headers() -> None:
    inner = Starlette(routes=[Route("/{path:path}", echo)])
    refused = TestClient(ClientAddress(inner, hosts=("page.example",))).get("/", headers={"host": "evil.example"})
    moved = TestClient(SubPath(inner, "/navigator")).get("/navigator?tab=search", follow_redirects=False)
    assert (refused.status_code, moved.status_code) == (421, 308)
    assert moved.headers["location"] == "/navigator/?tab=search"
    for answer in (refused, moved):
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
