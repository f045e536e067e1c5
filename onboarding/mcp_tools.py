"""Serves the endpoints as MCP tools: JSON, with the schemas of what a tool takes and returns.

Gradio brings the transport. Its own tools would print a Python value as text, and would ask this server's queue through
a client that they build for the address in the first request's headers; these call the endpoints where they are.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from typing import Any, get_type_hints

import gradio as gr
from anyio import CancelScope, CapacityLimiter, to_thread
from docstring_parser import DocstringStyle, parse
from mcp import types
from mcp.server.lowlevel import Server
from pydantic import TypeAdapter
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from onboarding.api import FAULTS, Endpoint
from onboarding.assistant.guide import Unusable
from onboarding.edge.admission import LANE_LIMIT
from onboarding.edge.call_check import MCP, fault_in, token_fault
from onboarding.operation.gradio_faults import innermost_frames

logger = logging.getLogger(__name__)

FILLED_IN = "request"  # the argument that the server gives
LONGEST_NAME = 64  # characters of an unknown name that an answer repeats
FOR_PEOPLE = (
    "This is the address of an MCP server (Model Context Protocol, streamable HTTP). Give it to an MCP client, for "
    "example: claude mcp add --transport http qubinode ADDRESS\n"
)
BROKE = "Something broke while this was worked out; try again, and report it if it happens again."


class McpAddress:
    """ASGI middleware over the MCP server's address, with a slash at its end or without.

    A redirect from one to the other would lose a body, or https behind a proxy. A person who opens the address reads
    what it is for; Gradio's own page would name an address made of the request's headers, without a proxy's path.
    """

    def __init__(self, app: ASGIApp, token: str = "") -> None:
        """token: what a client has to bring, "" for nothing."""
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a client's request on under the address with the slash; tell a person."""
        if scope["type"] != "http" or scope["path"].rstrip("/") != MCP:
            await self._app(scope, receive, send)
        elif scope["method"] == "GET" and "text/event-stream" not in Headers(scope=scope).get("accept", ""):
            await PlainTextResponse(FOR_PEOPLE)(scope, receive, send)
        elif refusal := token_fault(self._token, scope):
            await PlainTextResponse(refusal, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
        else:
            # No event is kept, so a client that comes back gets a new stream; the transport would not answer at all.
            headers = [(name, value) for name, value in scope["headers"] if name != b"last-event-id"]
            here = {"path": f"{MCP}/", "raw_path": f"{MCP}/".encode(), "headers": headers}
            await self._app({**scope, **here}, receive, send)


class McpTools:
    """The endpoints as an MCP server."""

    def __init__(self, endpoints: list[Endpoint]) -> None:
        self._tools = {endpoint.name: (endpoint, _tool(endpoint)) for endpoint in endpoints}
        self._streams = CapacityLimiter(LANE_LIMIT)  # of threads: an answer keeps one while it is written

    def serve(self, page: gr.Blocks, name: str) -> None:
        """Take the place of the tools behind Gradio's transport, once the page is mounted."""
        server: Server[Any, Any] = Server(name)
        server.request_handlers[types.ListToolsRequest] = self._list
        server.request_handlers[types.CallToolRequest] = partial(self._call, server)
        page.mcp_server_obj.mcp_server = page.mcp_server_obj.manager.app = server

    async def _list(self, _request: types.ListToolsRequest) -> types.ServerResult:
        return types.ServerResult(types.ListToolsResult(tools=[tool for _, tool in self._tools.values()]))

    async def _call(self, server: Server[Any, Any], request: types.CallToolRequest) -> types.ServerResult:
        """Call an endpoint; whatever goes wrong is a result too, with one sentence and no structured content."""
        try:
            result = await self._result(server, request.params.name, request.params.arguments or {})
        except FAULTS as error:
            return _failed(str(error))
        except Exception as error:
            logger.error("a tool failed: %s in %s", type(error).__name__, innermost_frames(error.__traceback__))
            logger.debug("in full", exc_info=error)
            return _failed(BROKE)
        text = json.dumps(result, ensure_ascii=False)
        content: list[types.ContentBlock] = [types.TextContent(type="text", text=text)]
        return types.ServerResult(types.CallToolResult(content=content, structuredContent=result))

    async def _result(self, server: Server[Any, Any], name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if name not in self._tools:
            raise Unusable(f"There is no tool {name[:LONGEST_NAME]!r}; choose one of: {', '.join(self._tools)}.")
        endpoint, tool = self._tools[name]
        arguments = _checked(tool, arguments)
        context = server.request_context
        call = partial(endpoint.call, **arguments, request=context.request)
        if not endpoint.streams:
            result = await to_thread.run_sync(call)
            return result if isinstance(result, dict) else {"result": result}
        token = context.meta.progressToken if context.meta else None

        async def tell(step: int, state: str) -> None:
            if token is not None:
                await context.session.send_progress_notification(
                    token, step, message=state, related_request_id=str(context.request_id)
                )

        return await self._last(call(), tell)

    async def _last(self, states: Iterator[dict[str, Any]], tell: Callable[[int, str], Any]) -> dict[str, Any]:
        """Return the last state of a stream, and tell of those before; a caller who leaves ends the stream."""
        last: dict[str, Any] = {}
        try:
            for step in count():
                state = await to_thread.run_sync(next, states, None, limiter=self._streams)
                if state is None:
                    return last
                last = state
                await tell(step, state["state"])
        finally:
            with CancelScope(shield=True):
                await to_thread.run_sync(getattr(states, "close"), limiter=self._streams)  # noqa: B009 - a generator's
        return last


def _tool(endpoint: Endpoint) -> types.Tool:
    """Return an endpoint as MCP describes it, from its signature, its docstring and the type of its result."""
    hints = get_type_hints(endpoint.call)
    taken = {name: one for name, one in inspect.signature(endpoint.call).parameters.items() if name != FILLED_IN}
    told = parse(endpoint.call.__doc__ or "", DocstringStyle.GOOGLE)
    says = {one.arg_name: " ".join((one.description or "").split()) for one in told.params}
    properties = {
        name: TypeAdapter(hints[name]).json_schema()
        | {"description": says.get(name, "")}
        | ({} if one.default in (one.empty, None) else {"default": one.default})
        for name, one in taken.items()
    }
    takes = {
        "type": "object",
        "properties": properties,
        "required": [name for name, one in taken.items() if one.default is one.empty],
        "additionalProperties": False,
    }
    gives = TypeAdapter(endpoint.result).json_schema()
    if gives.get("type") != "object":  # structured content is an object
        definitions = {"$defs": gives.pop("$defs")} if "$defs" in gives else {}
        gives = {"type": "object", "properties": {"result": gives}, "required": ["result"], **definitions}
    description = " ".join(f"{told.short_description or ''} {told.long_description or ''}".split())
    return types.Tool(name=endpoint.name, description=description, inputSchema=takes, outputSchema=gives)


def _checked(tool: types.Tool, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments without empty ones, which many clients send for what they leave out.

    Raises Unusable, with one sentence, for arguments that the tool does not take.
    """
    known, required = tool.inputSchema["properties"], tool.inputSchema["required"]
    takes = f"{tool.name} takes {', '.join(known) or 'no arguments'}"
    for name in required:
        if name not in arguments:
            raise Unusable(f"{name} is missing; {takes}.")
    given = {name: value for name, value in arguments.items() if value is not None or name in required}
    for name in arguments:
        if name not in known:
            raise Unusable(f"There is no argument {name[:LONGEST_NAME]!r}; {takes}.")
    for name, value in given.items():
        if fault := fault_in(known[name], value):
            raise Unusable(f"{name} {fault}.")
    return given


def _failed(sentence: str) -> types.ServerResult:
    content: list[types.ContentBlock] = [types.TextContent(type="text", text=sentence)]
    return types.ServerResult(types.CallToolResult(content=content, isError=True))
