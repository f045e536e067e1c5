"""What programs get: the endpoints through Gradio's client and a real MCP client, over the served application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

from app import create_app
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.tours.content import load_tours
from tests.browser.serving import serving
from tools.registry import Registry
from tools.simulation.hosts import load_hosts

TOOLS = set(Registry.default().list_tools())
NAMES = {"ask", "search", "route", "tours", *TOOLS}
QUESTION = "Is RHEL 8 supported?"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The whole application, its router and index loaded, with the engine that needs no model."""
    parts = Parts(PartsSettings(engine="scripted", data=tmp_path_factory.mktemp("data")))
    guide = Guide(parts)
    with serving(create_app(guide)) as url:
        deadline = time.monotonic() + 120
        while set(guide.status().parts.values()) != {"ready"} and time.monotonic() < deadline:
            time.sleep(0.1)
        assert guide.retriever is not None
        yield url


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False)


def in_session(address: str, use: Callable[[ClientSession], Awaitable[Any]]) -> Any:
    """What `use` returns of a session with the MCP server."""

    async def run() -> Any:
        async with (
            streamablehttp_client(f"{address}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await use(session)

    return asyncio.run(run())


def text_of(answer: Any) -> str:
    return str(answer.content[0].text)


def test_programs_see_these_endpoints_and_none_of_the_page(client: Client) -> None:
    seen: Any = client.view_api(return_format="dict")
    assert {name.removeprefix("/") for name in seen["named_endpoints"]} == NAMES
    assert seen["unnamed_endpoints"] == {}


def test_an_answer_grows_and_ends_with_what_it_rests_on(client: Client) -> None:
    job = client.submit(QUESTION, api_name="/ask")
    last = job.result(timeout=60)
    assert (last["done"], last["grounded"], last["reason"]) == (True, True, "stop")
    assert last["route"] == client.predict(QUESTION, api_name="/route")["route"]
    assert any("RHEL 8" in source["text"] for source in last["sources"])
    lengths = [len(state["answer"]) for state in job.outputs()]
    assert lengths[0] == 0
    assert lengths == sorted(lengths)


def test_a_question_about_a_broken_host_comes_with_its_check(client: Client) -> None:
    last = client.predict("Is libvirtd running on the demo host?", "libvirtd-down", api_name="/ask")
    assert [tool["tool_name"] for tool in last["tools"]] == ["service_status"]
    assert last["tools"][0]["data"]["services"]["libvirtd"]["status"] == "failed"


def test_a_search_quotes_passages_with_links_and_takes_no_more_than_ten(client: Client) -> None:
    found = client.predict(QUESTION, 50, api_name="/search")
    assert 0 < len(found["passages"]) <= 10
    assert found["passages"][0]["url"].startswith("https://")
    assert "RHEL 8" in found["extract"]
    nothing = client.predict("how do I bake sourdough bread", 5, api_name="/search")
    assert nothing["passages"] == []
    assert nothing["nearest"]


def test_a_route_is_told_with_the_check_it_asks_for(client: Client) -> None:
    told = client.predict("Is libvirtd running on the demo host?", api_name="/route")
    assert (told["route"], told["tool"]) == ("diagnostics", "service_status")


def test_tours_come_with_links(client: Client) -> None:
    tours = client.predict(api_name="/tours")
    assert {tour["name"] for tour in tours} == set(load_tours())


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_every_tool_answers_for_the_host_that_is_named(client: Client, tool: str) -> None:
    result = client.predict(host="rhel8", api_name=f"/{tool}")
    assert (result["tool_name"], result["success"]) == (tool, True)


@pytest.mark.parametrize(
    ("endpoint", "arguments", "says"),
    [
        ("/ask", {"question": "   "}, "Please write a question first"),
        ("/ask", {"question": "x" * 4001}, "4,001 characters and 4,000 are allowed"),
        ("/ask", {"question": "Is libvirtd up?", "host": "moon"}, "No simulated host 'moon'; choose one of: healthy"),
        ("/search", {"question": "x"}, "Search for 3 to 300 characters"),
        ("/search", {"question": "x" * 301}, "Search for 3 to 300 characters"),
        ("/route", {"question": ""}, "Please write a question first"),
        ("/service_status", {"host": "../../etc/passwd"}, "No simulated host"),
    ],
)
def test_bad_input_is_one_sentence_and_no_traceback(
    client: Client, endpoint: str, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(AppError, match=says) as refused:
        client.predict(api_name=endpoint, **arguments)
    assert "Traceback" not in str(refused.value)


def test_an_mcp_client_finds_each_tool_described_and_called_simulated(address: str) -> None:
    tools = {tool.name: tool for tool in in_session(address, lambda session: session.list_tools()).tools}
    assert set(tools) == NAMES
    for name in TOOLS:
        assert "SIMULATED" in str(tools[name].description)
        assert "libvirtd-down" in tools[name].inputSchema["properties"]["host"]["description"]
    assert tools["process_info"].inputSchema["properties"]["top_n"]["type"] == "integer"


def test_an_mcp_client_searches_and_runs_a_tool(address: str) -> None:
    async def use(session: ClientSession) -> tuple[Any, Any, Any]:
        arguments = {"services": ["libvirtd"], "host": "libvirtd-down"}
        return (
            await session.call_tool("service_status", arguments),
            await session.call_tool("search", {"question": QUESTION}),
            await session.call_tool("service_status", {"host": "moon"}),
        )

    status, found, refused = in_session(address, use)
    assert "'activestate': 'failed'" in text_of(status)
    assert "RHEL 8" in text_of(found)
    assert refused.isError
    assert all(host in text_of(refused) for host in load_hosts())
