"""What programs get: the endpoints through Gradio's client and a real MCP client, over the served application."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from jsonschema import Draft202012Validator
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

from app import create_app
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.tours.content import load_tours
from tests.browser.serving import serving
from tests.conftest import DataFolder
from tools.registry import Registry

TOOLS = set(Registry.default().list_tools())
NAMES = {"ask", "search", "route", "tours", *TOOLS}
QUESTION = "Is RHEL 8 supported?"


@pytest.fixture(scope="module")
def address(data_folder: DataFolder) -> Iterator[str]:
    """The whole application, its router and index loaded, with the engine that needs no model."""
    parts = Parts(PartsSettings(engine="scripted", data=data_folder()))
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


def in_session(address: str, use: Callable[[ClientSession], Awaitable[Any]], path: str = "/gradio_api/mcp/") -> Any:
    """What `use` returns of a session with the MCP server; the client checks results against the schemas it is told."""

    async def run() -> Any:
        async with (
            streamablehttp_client(f"{address}{path}") as (read, write, _),
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


def test_every_mcp_tool_answers_in_json_that_its_schema_describes(address: str) -> None:
    arguments: dict[str, dict[str, Any]] = {
        "ask": {"question": "Is libvirtd running on the demo host?", "host": "libvirtd-down"},
        "search": {"question": QUESTION},
        "route": {"question": "and on it?", "earlier": [QUESTION]},
        "service_status": {"services": ["libvirtd"], "host": "libvirtd-down"},
    }

    async def use(session: ClientSession) -> dict[str, Any]:
        tools = (await session.list_tools()).tools
        return {tool.name: (tool, await session.call_tool(tool.name, arguments.get(tool.name, {}))) for tool in tools}

    called = in_session(address, use)
    assert set(called) == NAMES
    for tool, answer in called.values():
        assert not answer.isError, answer
        assert json.loads(text_of(answer)) == answer.structuredContent
        Draft202012Validator(tool.outputSchema).validate(answer.structuredContent)
        assert tool.outputSchema["required"]
    told = {name: answer.structuredContent for name, (_, answer) in called.items()}
    assert told["service_status"]["data"]["services"]["libvirtd"]["activestate"] == "failed"
    assert [check["tool_name"] for check in told["ask"]["tools"]] == ["service_status"]
    assert any("RHEL 8" in passage["text"] for passage in told["search"]["passages"])
    assert {tour["name"] for tour in told["tours"]["result"]} == set(load_tours())


BAD_CALLS: list[tuple[str, dict[str, Any], str]] = [
    (
        "service_status",
        {"services": "libvirtd"},
        "services is not of the kind that is expected there: a list, each a text",
    ),
    ("service_status", {"services": [1]}, "services is not of the kind"),
    ("service_status", {"host": "moon"}, "No simulated host 'moon'; choose one of: healthy"),
    ("service_status", {"unit": "libvirtd"}, "There is no argument 'unit'; service_status takes services, host"),
    ("tours", {"n": 1}, "There is no argument 'n'; tours takes no arguments"),
    ("search", {}, "question is missing; search takes question, k"),
    ("search", {"question": None}, "question is not of the kind that is expected there: a text"),
    ("search", {"question": QUESTION, "k": "5"}, "k is not of the kind that is expected there: a whole number"),
    ("search", {"question": "x"}, "Search for 3 to 300 characters"),
    ("ask", {"question": "x" * 4001}, "4,001 characters and 4,000 are allowed"),
    ("ask", {"question": QUESTION, "request": {}}, "There is no argument 'request'"),
    ("route", {"question": ""}, "Please write a question first"),
    ("moon\n" + "x" * 5000, {}, "There is no tool 'moon"),
]


def test_whatever_a_tool_refuses_is_one_sentence_without_a_result(address: str) -> None:
    async def use(session: ClientSession) -> list[Any]:
        return [await session.call_tool(name, arguments) for name, arguments, _ in BAD_CALLS]

    for answer, (name, _, says) in zip(in_session(address, use), BAD_CALLS, strict=True):
        assert answer.isError, name
        assert text_of(answer).startswith(says) or says in text_of(answer)
        assert len(text_of(answer).splitlines()) == 1
        assert len(text_of(answer)) < 400
        assert answer.structuredContent is None


def test_null_is_what_a_client_leaves_out(address: str, client: Client) -> None:
    async def use(session: ClientSession) -> list[Any]:
        return [
            await session.call_tool("search", {"question": QUESTION, "k": None}),
            await session.call_tool("service_status", {"services": None, "host": None}),
            await session.call_tool("route", {"question": QUESTION, "earlier": None}),
        ]

    assert [answer.isError for answer in in_session(address, use)] == [False] * 3
    assert len(client.predict(QUESTION, None, api_name="/search")["passages"]) == 5
    told = httpx2.post(f"{address}/gradio_api/call/search", json={"data": [QUESTION, None]})
    assert told.status_code == 200


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"method": "tools/list", "params": None}, "service_status"),
        ({"method": "tools/call", "params": {"name": "tours"}}, "contribute"),
        ({"method": "tools/call", "params": {"name": "tours", "arguments": None}}, "contribute"),
        ({"method": "tools/call", "params": {"name": "tours", "arguments": []}}, "error"),
        ({"method": "tools/call", "params": {"name": "tours", "arguments": "x"}}, "error"),
        ({"method": "tools/call", "params": {"name": None}}, "error"),
        ({"method": "tools/call"}, "error"),
        ({"method": "prompts/get", "params": {"name": "x"}}, "error"),
        ({"method": "resources/read", "params": {"uri": "file:///etc/passwd"}}, "error"),
    ],
)
def test_a_message_in_any_form_is_answered(address: str, message: dict[str, Any], says: str) -> None:
    accept = {"Accept": "application/json, text/event-stream"}
    body = {"jsonrpc": "2.0", "id": 1, **message}
    answer = httpx2.post(f"{address}/gradio_api/mcp", json=body, headers=accept, timeout=30)
    assert answer.status_code in (200, 400)
    assert says in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "id": 2, "method": "ping"}], "batches"),
        ([], "batches"),
        ("ping", "object"),
        ({"jsonrpc": "1.0", "id": 1, "method": "ping"}, '"2.0"'),
        ({"id": 1, "method": "ping"}, '"2.0"'),
        ({"jsonrpc": "2.0", "id": 1}, "method"),
        ({"jsonrpc": "2.0", "id": None, "method": "ping"}, "The id"),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, "The id"),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, "The id"),
        ({"jsonrpc": "2.0", "id": [1], "method": "ping"}, "The id"),
    ],
)
def test_what_is_no_message_of_mcp_is_refused_in_one_sentence(address: str, body: Any, says: str) -> None:
    accept = {"Accept": "application/json, text/event-stream"}
    for path in ("/gradio_api/mcp", "/gradio_api/mcp/"):
        answer = httpx2.post(f"{address}{path}", json=body, headers=accept, timeout=30)
        assert answer.status_code in (400, 422)
        said = answer.json()["detail"]
        assert says in said and said.count(".") - said.count("2.0") == 1


@pytest.mark.parametrize("given", [{}, {"Last-Event-ID": "999"}, {"last-event-id": "a_b"}])
def test_an_mcp_client_that_comes_back_for_its_stream_gets_one(address: str, given: dict[str, str]) -> None:
    headers = {"Accept": "text/event-stream", **given}
    with httpx2.stream("GET", f"{address}/gradio_api/mcp", headers=headers, timeout=30) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")


def test_the_mcp_address_works_without_a_slash_and_without_a_redirect(address: str) -> None:
    found = in_session(address, lambda session: session.call_tool("tours", {}), "/gradio_api/mcp")
    assert not found.isError
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accept = {"Accept": "application/json, text/event-stream"}
    assert httpx2.post(f"{address}/gradio_api/mcp", json=call, headers=accept).status_code == 200
    for path in ("/gradio_api/mcp", "/gradio_api/mcp/"):
        told = httpx2.get(f"{address}{path}", headers={"X-Forwarded-Host": "</script>"})
        assert (told.status_code, "Give it to an MCP client" in told.text, "script" in told.text) == (200, True, False)


def test_a_caller_is_told_of_the_states_before_the_answer(address: str) -> None:
    heard: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    in_session(address, lambda session: session.call_tool("ask", {"question": QUESTION}, progress_callback=hear))
    assert heard
    assert heard[-1] == "done"


def test_a_tool_that_breaks_says_so_and_nothing_else(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_args: object) -> None:
        raise KeyError("a visitor's words")

    monkeypatch.setattr("onboarding.api.tours_of", broken)
    answer = in_session(address, lambda session: session.call_tool("tours", {}))
    assert (answer.isError, "Something broke" in text_of(answer)) == (True, True)
    assert "a visitor's words" not in text_of(answer) + caplog.text


@pytest.mark.parametrize(
    ("endpoint", "values", "says"),
    [
        ("/service_status", ("libvirtd", "libvirtd-down"), "services. is not of the kind that is expected there"),
        ("/service_status", (["libvirtd"], 5), "Value 2 .host. is not of the kind that is expected there: a text"),
        ("/search", (QUESTION, "five"), "k. is not of the kind that is expected there: a whole number"),
        ("/route", (QUESTION, "earlier"), "earlier. is not of the kind"),
        ("/ask", (None,), "question. is not of the kind that is expected there: a text"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_the_sentence_that_curl_gets(
    address: str, client: Client, endpoint: str, values: tuple[Any, ...], says: str
) -> None:
    with pytest.raises(AppError, match=says) as refused:
        client.predict(*values, api_name=endpoint)
    told = httpx2.post(f"{address}/gradio_api/call{endpoint}", json={"data": list(values)})
    assert (told.status_code, told.json()["detail"]) == (422, str(refused.value))


def in_loop(job: Any) -> int:
    """How many states a loop over an answer gives; it fails where the loop would never end."""
    return len(ThreadPoolExecutor(1).submit(list, job).result(timeout=30))


def test_a_loop_over_an_answer_ends_whatever_refuses_it(client: Client) -> None:
    assert in_loop(client.submit(QUESTION, api_name="/ask")) > 0
    for values in ((None,), ("",), ("x" * 4001,), (QUESTION, "moon"), (QUESTION, 5)):
        job = client.submit(*values, api_name="/ask")
        assert in_loop(job) == 0
        assert isinstance(job.exception(), AppError)
