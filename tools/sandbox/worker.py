"""Serve the sandbox as its worker: `python -I -S -B tools/sandbox/worker.py CONFIG`, which only `tools.sandbox` starts.

The worker reads requests from standard input, one JSON object a line, and answers each with one line. It answers on a
duplicate of standard output and points standard output and standard error at /dev/null: no print of a tool mixes with
its answers.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # Python leaves this folder out under -I

from tools.registry import Registry
from tools.sandbox.lockdown import Lockdown, WorkerLimits
from tools.simulation.machine import Machine, machine_from_json
from tools.simulation.view import HostView
from tools.types import ToolResult


class Worker:
    """Answer requests with the tools and the machines that are loaded."""

    def __init__(
        self, registry: Registry, machines: Mapping[str, Machine], lockdown: Lockdown, reply_bytes: int
    ) -> None:
        """Keep the tools, the machines by host id, the lockdown, and the size cap of a reply."""
        self._registry = registry
        self._machines = machines
        self._lockdown = lockdown
        self._reply_bytes = reply_bytes

    def answer(self, request: dict[str, Any]) -> bytes:
        """Return one reply line; its `keep` is false when the parent should replace this worker."""
        refusals = self._lockdown.refusals()
        result, keep = self._call(request["tool"], request["arguments"], request["host"], request["now"])
        keep = keep and self._lockdown.refusals() == refusals
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
    """Lock this process down, load tools and hosts, answer until standard input ends."""
    os.environ.clear()  # it is empty but for LC_CTYPE, which Python itself adds
    channel = _private_channel()
    limits, hosts = WorkerLimits(**config["limits"]), sorted(Path(config["hosts"]).glob("*.json"))
    folders = [Path(os.__file__).parent, Path(__file__).parents[1], Path(config["hosts"])]
    lockdown = Lockdown.enter(limits, [*(f"{folder}/" for folder in folders), *config["files"]])
    try:
        registry = Registry.default([Path(file) for file in config["files"]])
        machines = {path.stem: _load_machine(path) for path in hosts}
        lockdown.seal()
    except Exception as error:  # the parent raises whatever stops the start
        _send(channel, json.dumps({"error": f"{type(error).__name__}: {error}"}).encode() + b"\n")
        return
    hello = {"tools": registry.list_tools(), "filtered": lockdown.filtered}
    worker = Worker(registry, machines, lockdown, limits.reply_bytes)
    _send(channel, json.dumps(hello).encode() + b"\n")
    for line in sys.stdin.buffer:
        _send(channel, worker.answer(json.loads(line)))


def _private_channel() -> int:
    """Return a copy of standard output for replies, and lead standard output and error to /dev/null."""
    channel, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return channel


def _send(channel: int, line: bytes) -> None:
    while line:
        line = line[os.write(channel, line) :]


def _load_machine(path: Path) -> Machine:
    """Return the `machine` of a host file; its cause, evidence and remedy stay out of the worker."""
    return machine_from_json(json.loads(path.read_bytes())["machine"])


def _failure(tool: str, error: str, now: float) -> ToolResult:
    return ToolResult(tool, False, {}, error, 0.0, now)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
