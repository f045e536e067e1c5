"""The limits and /metrics on the served application: programs, an MCP client, the page, and who may scrape."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from gradio_client import Client
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from starlette.testclient import TestClient

from app import Around, create_app
from model.engine.events import TextDelta
from model.engine.prompt import Prompt
from model.engine.protocol import Generation, Options
from model.engine.scripted import ScriptedEngine
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.edge.admission import Admission
from onboarding.edge.client_address import trusted
from onboarding.edge.rate_limits import RateLimits, Rates
from onboarding.settings import Settings
from onboarding.usage.recorder import Usage, usage_of_project
from onboarding.usage.scrape import Audience, add_metrics_route
from rag.types import Passage, SearchResult
from tests.browser.serving import serving
from tests.turn_fakes import FakeSearcher

PASSAGE = Passage("a", "It is supported.", "Title", ("Title",), "a.md", (1, 2), "https://example.org/a", 1.0, "It is.")
ANSWER = SearchResult([PASSAGE], 0.9, "It is supported.", [], 1.0)


class HeldEngine(ScriptedEngine):
    """Writes a word, then waits until `go` is set."""

    def __init__(self) -> None:
        super().__init__("It is supported.", prefill_s=0.0, word_s=0.0)
        self.go, self.begun = threading.Event(), threading.Semaphore(0)

    def submit(self, prompt: Prompt, options: Options | None = None) -> Generation:
        generation = Generation(lambda: None)
        generation.put(TextDelta("So "))
        self.begun.release()

        def write() -> None:
            self.go.wait(30)
            for event in super(HeldEngine, self).submit(prompt, options):
                generation.put(event)

        threading.Thread(target=write, daemon=True).start()
        return generation


@dataclass
class Place:
    """A served application behind a proxy that the test plays."""

    url: str
    usage: Usage
    engine: HeldEngine
    admission: Admission

    def client(self, address: str) -> Client:
        return Client(self.url, verbose=False, headers={"X-Forwarded-For": address})

    def count(self, name: str, **labels: str) -> float:
        return self.usage.registry.get_sample_value(f"qubinode_{name}_total", labels) or 0.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One for all tests; each comes from addresses of its own."""
    usage, engine = usage_of_project(), HeldEngine()
    engine.go.set()
    parts = Parts(PartsSettings(engine="scripted", data=tmp_path_factory.mktemp("data")))
    parts._serve(engine)
    parts.retriever = FakeSearcher(ANSWER)  # type: ignore[assignment]
    parts._ready.set()
    admission = Admission(RateLimits(Rates(6)), usage.refused)
    around = Around(usage, admission, trust=trusted("1"))
    with serving(create_app(Guide(parts, usage.turn), around, load_parts=False)) as url:
        yield Place(url, usage, engine, admission)


def ask(client: Client) -> str:
    return str(client.predict("Is it supported?", api_name="/ask")["answer"])


def test_a_program_that_asks_too_often_is_told_how_long_to_wait_and_others_are_served(place: Place) -> None:
    flood = place.client("203.0.113.17")
    refusals = []
    for _ in range(8):
        try:
            ask(flood)
        except AppError as error:
            refusals.append(str(error))
    assert refusals, "a minute may turn, but eight questions are more than four in any"
    said = re.search(r"more than 4 questions in a minute; try again in about (\d+) s\.", refusals[0])
    assert said is not None
    assert 1 <= int(said[1]) <= 61
    assert "supported" in ask(place.client("203.0.113.18"))
    assert place.count("refusals", scope="visitor") == len(refusals)


def test_one_address_cannot_hold_more_than_two_answers_however_many_sessions_it_makes(place: Place) -> None:
    place.engine.go.clear()
    jobs = [place.client("203.0.113.27").submit("Is it supported?", api_name="/ask") for _ in range(2)]
    for _ in jobs:
        assert place.engine.begun.acquire(timeout=20)
    with pytest.raises(AppError, match="2 of your questions are still being answered; try again in about"):
        ask(place.client("203.0.113.27"))
    other = place.client("203.0.113.28").submit("Is it supported?", api_name="/ask")
    assert place.engine.begun.acquire(timeout=20)  # the other's answer is under way, not waiting
    place.engine.go.set()
    for job in (*jobs, other):
        assert "supported" in job.result(timeout=30)["answer"]


def test_a_call_that_fails_before_its_answer_gives_its_place_back(place: Place) -> None:
    client = place.client("203.0.113.67")
    for _ in range(3):
        with pytest.raises(AppError, match="No simulated host 'nowhere'"):
            client.predict("Is it supported?", "nowhere", api_name="/ask")
        assert not place.admission._places
    assert "supported" in ask(client)


def test_searches_and_tools_have_a_limit_of_their_own(place: Place) -> None:
    client = place.client("203.0.113.37")
    with pytest.raises(AppError, match="more than 30 calls in a minute; try again in about"):
        for _ in range(61):
            client.predict(api_name="/tours")
    assert "supported" in ask(client)
    assert place.count("program_calls", endpoint="tours") >= 30


def test_mcp_clients_are_limited_by_their_own_addresses(place: Place) -> None:
    async def call(address: str, times: int) -> list[bool]:
        headers = {"X-Forwarded-For": address}
        async with (
            streamablehttp_client(f"{place.url}/gradio_api/mcp/", headers=headers) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            question = {"question": "Is it supported?"}
            return [bool((await session.call_tool("ask", question)).isError) for _ in range(times)]

    asked = asyncio.run(call("203.0.113.47", 9))
    assert asked[:4] == [False] * 4
    assert True in asked
    assert asyncio.run(call("203.0.113.48", 1)) == [False]


def test_a_loop_over_an_answer_ends_when_its_address_is_turned_away(place: Place) -> None:
    client, said = place.client("203.0.113.77"), []
    for _ in range(16):
        job = client.submit("Is it supported?", api_name="/ask")
        assert ThreadPoolExecutor(1).submit(list, job).result(timeout=30) is not None
        said.append(str(job.exception() or ""))
    assert any("Too many questions from your address; try again in about" in one for one in said)


def test_the_page_says_how_long_to_wait_and_keeps_what_was_typed(place: Place) -> None:
    with httpx2.Client(base_url=place.url, headers={"X-Forwarded-For": "203.0.113.57"}, timeout=30) as http:
        handlers = http.get("/config").json()["dependencies"]
        handler = next(one["id"] for one in handlers if one["api_name"] == "_ask")
        asked = {"kind": "question", "text": "Is it supported?"}
        said = ""
        for number in range(9):
            session = f"page{number}"
            join = {"data": ["healthy", None], "event_data": asked, "fn_index": handler, "session_hash": session}
            assert http.post("/gradio_api/queue/join", json=join).status_code == 200
            said += http.get("/gradio_api/queue/data", params={"session_hash": session}).text
    refused = [line for line in said.splitlines() if "try again in about" in line]
    assert refused
    assert "questions in a minute" in refused[0]
    assert json.loads(refused[0].removeprefix("data: "))["success"] in (True, None)


@pytest.mark.parametrize(
    ("audience", "peer", "headers", "status"),
    [
        ("nobody", "127.0.0.1", {}, 404),
        ("loopback", "127.0.0.1", {}, 200),
        ("loopback", "::1", {}, 200),
        ("loopback", "127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 404),  # a proxy on the same machine
        ("loopback", "203.0.113.57", {}, 404),
        ("everybody", "203.0.113.57", {}, 200),
    ],
)
def test_metrics_are_for_whom_the_setting_names(
    audience: Audience, peer: str, headers: dict[str, str], status: int
) -> None:
    usage, app = usage_of_project(), FastAPI()
    usage.visit("somebody")
    add_metrics_route(app, usage.registry, audience)
    answer = TestClient(app, client=(peer, 4000)).get("/metrics", headers=headers)
    assert answer.status_code == status
    if status == 200:
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert "qubinode_visits_total 1.0" in answer.text
        assert "qubinode_queue_length 0.0" in answer.text
        assert "qubinode_memory_megabytes" in answer.text


@pytest.mark.parametrize(("audience", "status"), [("nobody", 404), ("everybody", 200)])
def test_the_guard_lets_metrics_through_only_where_they_are_on(tmp_path: Path, audience: Audience, status: int) -> None:
    parts = Parts(PartsSettings(engine="scripted", data=tmp_path))
    app = create_app(Guide(parts), Around(metrics=audience), load_parts=False)
    assert TestClient(app).get("/metrics").status_code == status


def test_settings_of_the_edge(tmp_path: Path) -> None:
    env = {"DATA_DIR": str(tmp_path)}
    plain = Settings.from_env(env)
    assert (plain.asks, plain.trust, plain.metrics, plain.log) == (12, "", "nobody", "json")
    assert Settings.from_env({**env, "SPACE_ID": "me/space"}).trust == trusted("1")
    assert Settings.from_env({**env, "SPACE_ID": "me/space", "TRUST_PROXY": "0"}).trust == ""
    chosen = {"ASKS_PER_MINUTE": "60", "TRUST_PROXY": "10.0.0.0/8", "METRICS": "1", "LOG_FORMAT": "text"}
    settings = Settings.from_env({**env, **chosen})
    assert (settings.asks, settings.trust, settings.metrics, settings.log) == (60, "10.0.0.0/8", "everybody", "text")
