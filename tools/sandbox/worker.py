"""Serve the sandbox as its worker: `python -I -S -B tools/sandbox/worker.py CONFIG`, which only `tools.sandbox` starts.

The worker imports what checks may import, closes itself, and says so. Only then does it get the hosts and the text of
its checks. After that it reads requests from standard input, one JSON object a line, and answers each with one line. It
answers on a duplicate of standard output and points standard output and standard error at /dev/null: no print of a tool
mixes with its answers.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # Python leaves this folder out under -I

from tools.registry import Registry, tools_in
from tools.sandbox import lockdown
from tools.sandbox.lockdown import WorkerLimits
from tools.simulation.machine import Machine, machine_from_json
from tools.simulation.view import HostView
from tools.types import ToolResult

# What a check may import: `tools`, and these modules of the standard library, which are loaded before the first line of
# a check runs. Those of the last row compute nothing; a check that needs them hears from each of their functions that
# the sandbox refuses it. `_strptime` is what `datetime` imports at the first use of its `strptime`.
LIBRARY = (
    *("__future__", "_strptime", "abc", "array", "base64", "binascii", "bisect", "builtins", "calendar", "cmath"),
    *("collections.abc", "colorsys", "contextlib", "copy", "dataclasses", "datetime", "decimal", "difflib", "enum"),
    *("fractions", "functools", "graphlib", "hashlib", "heapq", "html", "inspect", "ipaddress", "itertools", "json"),
    *("logging", "math", "numbers", "operator", "os", "pathlib", "pprint", "random", "re", "reprlib", "shlex"),
    *("statistics", "string", "struct", "sys", "textwrap", "time", "types", "typing", "unicodedata", "urllib.parse"),
    *("zlib", "tools.simulation.cpu", "tools.types"),
    *("signal", "socket", "subprocess", "threading"),
)


class Sources(ExecutionLoader, MetaPathFinder):
    """Import modules whose text is in memory, ahead of every other way to import."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """Keep module name -> text."""
        self._texts = texts

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """Return the spec of a module that is here."""
        return spec_from_loader(fullname, self) if fullname in self._texts else None

    def get_source(self, fullname: str) -> str:
        """Return a module's text."""
        return self._texts[fullname]

    def get_filename(self, fullname: str) -> str:
        """Return what messages call a module's file."""
        return f"{fullname}.py"


class Worker:
    """Answer requests with the tools and the machines that are loaded."""

    def __init__(self, registry: Registry, machines: Mapping[str, Machine], reply_bytes: int) -> None:
        """Keep the tools, the machines by host id, and the size cap of a reply."""
        self._registry = registry
        self._machines = machines
        self._reply_bytes = reply_bytes

    def answer(self, request: dict[str, Any]) -> bytes:
        """Return one reply line; its `keep` is false when the parent should replace this worker."""
        refusals = lockdown.refusals()
        result, keep = self._call(request["tool"], request["arguments"], request["host"], request["now"])
        keep = keep and lockdown.refusals() == refusals
        try:
            return self._line(request["id"], result, keep)
        except (TypeError, ValueError, RecursionError, MemoryError) as error:
            trouble = f"the tool returned something that is no JSON: {error}"
            return self._line(request["id"], _failure(result.tool_name, trouble, request["now"]), keep=False)

    def _call(self, tool: str, arguments: dict[str, Any], host: str, now: float) -> tuple[ToolResult, bool]:
        machine = self._machines.get(host)
        if machine is None:
            return _failure(tool, f"there is no host '{host}'; choose one of: {', '.join(self._machines)}", now), True
        try:
            return self._registry.run_tool(tool, HostView(machine, now), **arguments), True
        except BaseException as error:  # SystemExit and KeyboardInterrupt end the call, not the worker's loop
            return _failure(tool, f"{type(error).__name__} {error}".strip(), now), False

    def _line(self, request_id: str, result: ToolResult, keep: bool) -> bytes:
        reply = {"id": request_id, "result": result.to_dict(), "keep": keep, "cpu_s": time.process_time()}
        line = json.dumps(reply, allow_nan=False).encode() + b"\n"
        if len(line) > self._reply_bytes:
            raise ValueError(f"its {len(line)} bytes are more than the {self._reply_bytes} a reply may have")
        return line


def main(config: dict[str, Any]) -> None:
    """Close this process, load checks, answer until standard input ends."""
    os.environ.clear()  # it is empty but for LC_CTYPE, which Python itself adds
    channel, limits = _private_channel(), WorkerLimits(**config["limits"])
    try:
        for name in LIBRARY:
            importlib.import_module(name)
        _send(channel, {"filtered": lockdown.close(limits, config["modules"])})
        work = json.loads(sys.stdin.buffer.readline())
        machines = {host: machine_from_json(machine) for host, machine in work["machines"].items()}
        registry = _load(work["texts"], work["load"])
        lockdown.loaded()
    except BaseException as error:  # the parent raises whatever stops the start
        _send(channel, {"error": f"{type(error).__name__}: {error}"[:1000]})
        return
    _send(channel, {"tools": registry.list_tools()})
    worker = Worker(registry, machines, limits.reply_bytes)
    for line in sys.stdin.buffer:
        _write(channel, worker.answer(json.loads(line)))


def _load(texts: Mapping[str, str], names: Sequence[str]) -> Registry:
    """Return the tools of the named modules, whose texts, and those of what they import, are in `texts`."""
    sys.meta_path.insert(0, Sources(texts))
    modules = [importlib.import_module(name) for name in names]
    return Registry(tool for module in modules for tool in tools_in(module))


def _private_channel() -> int:
    """Return a copy of standard output for replies, and lead standard output and error to /dev/null."""
    channel, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return channel


def _send(channel: int, reply: dict[str, Any]) -> None:
    _write(channel, json.dumps(reply).encode() + b"\n")


def _write(channel: int, line: bytes) -> None:
    while line:
        line = line[os.write(channel, line) :]


def _failure(tool: str, error: str, now: float) -> ToolResult:
    return ToolResult(tool, False, {}, error, 0.0, now)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
