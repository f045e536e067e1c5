"""Run simulated tools in a worker process without rights.

The sandbox covers, for a tool that is hostile or broken:

* the environment, which is empty; the working directory, a fresh empty folder; no site-packages, no user site
* CPU time, address space, size of files, open files and processes: POSIX limits (`tools.sandbox.lockdown.WorkerLimits`)
* reading: a running tool reads no file, the worker loads the hosts before; while the worker loads tool modules it reads
  only the standard library, `tools/`, the hosts' folder and the module files given
* writing, network, subprocesses, forks, threads, signals, new imports, `ctypes`, `gc`, frames, `exec`: an audit hook
  with an allow list refuses them, and, where libseccomp is installed, so does an allow list of system calls in the
  kernel, which holds for native code too
* time: the parent kills the worker past the deadline; prints go to /dev/null; replies have a size cap, must be JSON,
  and must carry the random number of their request
* the parent: shares no memory with the worker and takes only the six checked fields of a result

The parent replaces a worker that tried something forbidden, ran out of memory, broke the protocol or has lived long, so
that one call cannot spoil the next through it.

The sandbox does not cover:

* without libseccomp (`Sandbox.filtered` is false) the audit hook is the only wall against files, network and
  processes; it does not stop native code or a bug of the interpreter that corrupts memory
* while the worker loads modules, the kernel's filter allows reading; only the audit hook confines it to some files
* a tool can change the Python state of its worker (replace a function of the standard library), and later calls in that
  worker see it: the limits above still hold for them, but their answers may be wrong
* the parent believes a wrong answer in the right form; a busy tool delays other calls by up to the deadline
* it needs a POSIX system and is tested on Linux; macOS has no such filter and refuses to limit the address space
* for root the kernel does not enforce the limit on processes; the filter refuses `clone` all the same
* side channels (timing, CPU caches), and the clock
* `Registry` runs tools in the calling process, and deriving schemas there imports `tools/checks/`: the sandbox confines
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
    """Run tools in one worker process, which the first call starts and a later one may replace; calls take turns."""

    def __init__(
        self,
        hosts: Path = HOSTS,
        files: Sequence[Path] = (),
        limits: WorkerLimits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Keep the arguments; the first call starts the worker.

        Args:
            hosts: Folder of the host files.
            files: Further Python files whose tools the worker offers; they may import the standard library only.
            limits: Limits of each worker.
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
        """Start the worker; true when the kernel filters its system calls as well."""
        with self._lock:
            return self._ready().filtered

    def call(self, tool: str, args: Mapping[str, Any], host: str) -> ToolResult:
        """Run one tool on one host; return every failure, that of the start included, as a result with `success` false.

        Tools only read, so a call that is lost in a worker that served others before gets a second try in a fresh
        worker: an earlier call may have caused the loss.
        """
        return self._call(tool, args, host, 0.0)

    def look_back(self, tool: str, host: str, ages_s: Iterable[float]) -> list[ToolResult]:
        """Return, for each age in seconds, what `call` would have returned that long ago."""
        return [self._call(tool, {}, host, age_s) for age_s in ages_s]

    def list_tools(self) -> dict[str, str]:
        """Start the worker; return name -> description of every tool, those of `files` included.

        Raises:
            SandboxError: The worker does not start.

        """
        with self._lock:
            return dict(self._ready().tools)

    def run_all(self, host: str) -> Report:
        """Run every tool on one host; return the results in the form of `tools.registry.report`."""
        return report({tool: self.call(tool, {}, host) for tool in self.list_tools()}, self._clock())

    def close(self) -> None:
        """End the worker; a later call starts a new one."""
        with self._lock:
            self._drop()

    def __enter__(self) -> Sandbox:
        """Return the sandbox, for a `with` statement."""
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
    """Return a reply's result; WorkerLostError when a field is absent or has another type."""
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
