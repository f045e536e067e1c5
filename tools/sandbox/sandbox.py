"""Run simulated tools in a worker process that owns nothing.

What it covers, for a tool that is hostile or broken:

* the environment: empty; the working directory: a fresh empty folder; no site-packages, no user site
* CPU time, address space, size of files, open files and processes: POSIX limits (`tools.sandbox.lockdown.WorkerLimits`)
* reading: none at all while a tool runs, the hosts are loaded before; while tool modules are loaded only the standard
  library, `tools/`, the hosts' folder and the module files given
* writing, network, subprocesses, forks, threads, signals, new imports, `ctypes`, `gc`, frames, `exec`: refused by an
  audit hook with an allow list, and, where libseccomp is installed, by an allow list of system calls in the kernel,
  which native code cannot get round either
* time: past the deadline the worker is killed; printing leads nowhere; replies have a size cap, must be JSON, and must
  carry the random number of their request
* the parent: shares no memory with the worker and takes only the six checked fields of a result

A worker that was refused something, ran out of memory, broke the protocol or has lived long is replaced, so that one
call cannot spoil the next through it.

What it does not cover:

* without libseccomp (`Sandbox.filtered` is false) the audit hook is the only wall against files, network and
  processes; it is no wall against native code or a bug of the interpreter that corrupts memory
* while modules are loaded, the kernel's filter lets files be read; only the audit hook confines which
* a tool can change the Python state of its worker (replace a function of the standard library) without being refused;
  later calls in that worker then see it. What they can do stays within the limits above, what they answer does not
* a tool that answers wrongly, but in form, is believed; a busy tool delays other calls by up to the deadline
* it needs a POSIX system and is tested on Linux; macOS has no such filter and refuses to limit the address space
* as root the kernel does not enforce the limit on processes; the filter refuses `clone` all the same
* side channels (timing, CPU caches), and the clock
* `Registry` runs tools in the calling process, and deriving schemas there imports `tools/checks/`: the sandbox bounds
  calls, not the import of this repository's own modules
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from tools.registry import report
from tools.sandbox.lockdown import WorkerLimits
from tools.sandbox.worker_process import SandboxError, WorkerLostError, WorkerProcess
from tools.simulation.hosts import HOSTS
from tools.types import Report, ToolResult

__all__ = ["Sandbox", "SandboxError"]

DEFAULT_LIMITS = WorkerLimits()


class Sandbox:
    """Runs tools in one worker process, started at the first call and replaced when need be; calls take turns."""

    def __init__(
        self,
        hosts: Path = HOSTS,
        files: Sequence[Path] = (),
        limits: WorkerLimits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Start nothing yet.

        Args:
            hosts: Folder of the host files.
            files: Further Python files whose tools the worker offers; they may import the standard library only.
            limits: What a worker may use.
            clock: True time for the simulated hosts, seconds since the epoch.

        """
        folder, paths = hosts.resolve(), [str(path.resolve()) for path in files]
        self._config = {"hosts": str(folder), "files": paths, "limits": asdict(limits)}
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = None

    @property
    def filtered(self) -> bool:
        """Whether the kernel filters the worker's system calls as well; starts the worker."""
        with self._lock:
            return self._ready().filtered

    def call(self, tool: str, args: Mapping[str, Any], host: str) -> ToolResult:
        """Run one tool on one host; whatever goes wrong, its start included, is a result with `success` false.

        Tools only read, so a call that is lost in a worker that had served others gets a second try in a fresh one:
        the fault may be an earlier call's.
        """
        return self._call(tool, args, host, 0.0)

    def look_back(self, tool: str, host: str, ages_s: Iterable[float]) -> list[ToolResult]:
        """What a tool would have shown of a host so many seconds ago, one result an age; else as `call`."""
        return [self._call(tool, {}, host, age_s) for age_s in ages_s]

    def list_tools(self) -> dict[str, str]:
        """Name -> description of every tool, those of `files` included; starts the worker.

        Raises:
            SandboxError: It does not start.

        """
        with self._lock:
            return dict(self._ready().tools)

    def run_all(self, host: str) -> Report:
        """Run every tool on one host and sum up, in the form of `tools.registry.report`."""
        return report({tool: self.call(tool, {}, host) for tool in self.list_tools()}, self._clock())

    def close(self) -> None:
        """End the worker; a later call starts another."""
        with self._lock:
            self._drop()

    def __enter__(self) -> Sandbox:
        """Use it in a `with` statement."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the worker."""
        self.close()

    def _call(self, tool: str, args: Mapping[str, Any], host: str, ago_s: float) -> ToolResult:
        start = time.perf_counter()
        with self._lock:
            if self._worker is not None:
                with contextlib.suppress(WorkerLostError):
                    return self._ask(tool, args, host, ago_s)
                self._drop()
            try:
                return self._ask(tool, args, host, ago_s)
            except (WorkerLostError, SandboxError) as error:
                self._drop()
                return ToolResult(tool, False, {}, str(error), time.perf_counter() - start, self._clock())

    def _ask(self, tool: str, args: Mapping[str, Any], host: str, ago_s: float) -> ToolResult:
        now, request_id = float(self._clock()) - ago_s, secrets.token_hex(8)
        request = {"id": request_id, "tool": tool, "arguments": dict(args), "host": host, "now": now}
        line = json.dumps(request).encode() + b"\n"
        if len(line) > self._limits.request_bytes:
            trouble = f"the arguments are longer than {self._limits.request_bytes} bytes; ask for less"
            return ToolResult(tool, False, {}, trouble, 0.0, now)
        worker = self._ready()
        reply = worker.ask(line, self._limits)
        if reply.get("id") != request_id:
            raise WorkerLostError("the tool's answer broke the protocol; its worker was replaced")
        result = _result(tool, reply.get("result"))
        if reply.get("keep") is not True or worker.is_old(reply.get("cpu_s"), self._limits):
            self._drop()
        return result

    def _ready(self) -> WorkerProcess:
        if self._worker is None or not self._worker.alive:
            self._drop()
            self._worker = WorkerProcess(self._config)
        return self._worker

    def _drop(self) -> None:
        if self._worker is not None:
            self._worker.kill()
        self._worker = None


def _result(tool: str, raw: object) -> ToolResult:
    """A reply's result with every field checked."""
    match raw:
        case {
            "success": bool(success),
            "data": dict(data),
            "error": (str() | None) as error,
            "execution_time": float(seconds),
            "timestamp": float(timestamp),
        }:
            return ToolResult(tool, success, data, error, seconds, timestamp)
    raise WorkerLostError("the tool's answer is no object of named values; its worker was replaced")
