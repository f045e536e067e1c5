"""Run simulated tools in worker processes without rights.

The checks of this repository share one worker; each further file has a worker of its own, so that it can forge
nobody's results but its own. A worker imports the standard library, closes itself for good, and says so; the parent
looks at it from outside, and only then hands it the hosts and the text of its checks. So a module is as confined while
it loads as when it is called.

The sandbox covers, for a tool that is hostile or broken:

* the environment, which is empty; the working directory, a fresh empty folder; no site-packages, no user site
* CPU time, address space, size of files, open files and processes: POSIX limits (`tools.sandbox.lockdown.WorkerLimits`)
* reading, writing, network, subprocesses, forks, threads, signals, the limits, memory and clocks of other processes: an
  allow list of system calls in the kernel (libseccomp), which holds for native code too. The worker tries calls that
  must fail, and the parent reads in /proc/PID/status that the filter is there. A file from outside this repository does
  not run without it
* the same once more in Python: an audit hook with an allow list, which also refuses `ctypes`, `gc`, and, once the
  module is loaded, frames and `exec`. A module can import `tools.sandbox.worker.LIBRARY`, `tools` and nothing else
* time: the parent kills the worker past the deadline; prints go to /dev/null; replies have a size cap, must be JSON of
  few levels with finite numbers, and must carry the random number of their request
* the parent: shares no memory with the worker and takes only the six checked fields of a result
* other tools: a file that names a tool as another does is refused

The parent replaces a worker that tried something forbidden, ran out of memory, broke the protocol or has lived long, so
that one call cannot spoil the next through it.

The sandbox does not cover:

* without libseccomp (`Sandbox.filtered` is false) this repository's own checks run behind the audit hook alone; it does
  not stop native code or a bug of the interpreter that corrupts memory
* a file's own results: it controls its worker's Python and may answer anything in the right form, say that nothing was
  refused, or spoil its own later calls. It can get at native code, since the filter is loaded by `ctypes`, whose
  classes stay, and so past the audit hook; then the kernel's filter is what holds
* the checks of this repository among each other: they share a worker, and a change to one is reviewed
* a busy tool delays other calls of its worker by up to the deadline; a file's check may go on computing after its
  answer, until its worker's limit of CPU time ends it
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
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from tools.registry import ToolError, report
from tools.sandbox.lockdown import WorkerLimits
from tools.sandbox.replies import WorkerLostError, result_of
from tools.sandbox.sources import Checks, foreign_check, own_checks
from tools.sandbox.worker_process import SandboxError, WorkerProcess
from tools.simulation.hosts import HOSTS
from tools.types import Report, ToolResult

__all__ = ["Sandbox", "SandboxError"]

DEFAULT_LIMITS = WorkerLimits()


class Sandbox:
    """Run tools in workers, which a first call starts and a later one may replace; a worker's calls take turns."""

    def __init__(
        self,
        hosts: Path = HOSTS,
        files: Sequence[Path] = (),
        limits: WorkerLimits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Keep the arguments; the first call starts a worker.

        Args:
            hosts: Folder of the host files.
            files: Further Python files whose tools the sandbox offers; they may import `tools` and the modules of
                `tools.sandbox.worker.LIBRARY`. They run only where the kernel filters system calls.
            limits: Limits of each worker.
            clock: True time for the simulated hosts, seconds since the epoch.

        """
        folder = hosts.resolve()
        self._own = _Cell(own_checks, folder, limits, tries_again=True)
        self._foreign = [
            _Cell(partial(foreign_check, path.resolve()), folder, limits, tries_again=False) for path in files
        ]
        self._limits = limits
        self._clock = clock

    @property
    def filtered(self) -> bool:
        """Start the worker of our checks; true when the kernel filters its system calls as well."""
        return self._own.start().filtered

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
        """Start the workers; return name -> description of every tool, those of `files` included.

        Raises:
            SandboxError: A worker does not start, or two files offer tools of one name.

        """
        cells, troubles = self._cells()
        if troubles:
            raise troubles[0]
        return {name: cell.tools()[name] for name, cell in cells.items()}

    def run_all(self, host: str) -> Report:
        """Run every tool on one host; return the results in the form of `tools.registry.report`.

        Files that cannot be used are left out; `list_tools` says why.

        Raises:
            SandboxError: The worker of our checks does not start.

        """
        return report({tool: self.call(tool, {}, host) for tool in self._cells()[0]}, self._clock())

    def close(self) -> None:
        """End the workers; a later call starts new ones."""
        for cell in (self._own, *self._foreign):
            cell.close()

    def __enter__(self) -> Sandbox:
        """Return the sandbox, for a `with` statement."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the workers."""
        self.close()

    def _cells(self) -> tuple[dict[str, _Cell], list[SandboxError]]:
        """Return the worker of each tool, those of our checks first, and what is wrong with files.

        A name that two files offer is nobody's, so that neither answers for the other.
        """
        cells, troubles, offers = dict.fromkeys(self._own.tools(), self._own), [], dict[str, list[_Cell]]()
        for cell in self._foreign:
            try:
                for name in cell.tools():
                    offers.setdefault(name, []).append(cell)
            except SandboxError as error:
                troubles.append(error)
        for name, offering in offers.items():
            if name in cells or len(offering) > 1:
                where = offering[-1].where()
                troubles.append(SandboxError(f"{where} offers a tool {name}, and there is one already; rename it"))
            else:
                cells[name] = offering[0]
        return cells, troubles

    def _cell(self, tool: str) -> _Cell:
        """Return the worker of a tool, that of our checks for an unknown one; SandboxError where a file is at fault."""
        if tool in self._own.tools() or not self._foreign:
            return self._own
        cells, troubles = self._cells()
        if tool not in cells and troubles:
            raise troubles[0]
        return cells.get(tool, self._own)

    def _call(self, tool: str, args: Mapping[str, Any], host: str, ago_s: float) -> ToolResult:
        start, now, request_id = time.perf_counter(), float(self._clock()) - ago_s, secrets.token_hex(8)
        request = {"id": request_id, "tool": tool, "arguments": dict(args), "host": host, "now": now}
        try:
            line = json.dumps(request).encode() + b"\n"
        except (TypeError, ValueError, RecursionError) as error:
            return ToolResult(tool, False, {}, f"the arguments are no JSON: {error}", 0.0, now)
        if len(line) > self._limits.request_bytes:
            trouble = f"the arguments are longer than {self._limits.request_bytes} bytes; ask for less"
            return ToolResult(tool, False, {}, trouble, 0.0, now)
        try:
            return self._cell(tool).ask(tool, request_id, line)
        except (WorkerLostError, SandboxError) as error:
            return ToolResult(tool, False, {}, str(error), time.perf_counter() - start, self._clock())


class _Cell:
    """One worker at a time for one set of checks, whose text is read once."""

    def __init__(self, read: Callable[[], Checks], hosts: Path, limits: WorkerLimits, *, tries_again: bool) -> None:
        self._read = read
        self._tries_again = tries_again
        self._hosts = hosts
        self._limits = limits
        self._lock = threading.RLock()
        self._checks: Checks | None = None
        self._tools: dict[str, str] | None = None
        self._trouble = ""
        self._worker: WorkerProcess | None = None

    def tools(self) -> dict[str, str]:
        """Return name -> description, as the first worker gave it; SandboxError when none starts.

        A file that failed is not tried again unless it `tries_again`: waiting for it would hold up the others.
        """
        if self._tools is None and not self._trouble:  # else nobody waits for a call that takes long
            with self._lock:
                try:
                    self._tools = self._tools or self.start().tools
                except SandboxError as error:
                    self._trouble = "" if self._tries_again else str(error)
                    raise
        if self._tools is None:
            raise SandboxError(self._trouble)
        return self._tools

    def where(self) -> str:
        """Return the file or folder of the checks."""
        return self._text().where

    def start(self) -> WorkerProcess:
        """Return the worker that runs, or a new one; SandboxError when it does not start."""
        with self._lock:
            if self._worker is None or not self._worker.alive:
                self.close()
                self._worker = WorkerProcess(self._text(), self._hosts, self._limits)
            return self._worker

    def ask(self, tool: str, request_id: str, line: bytes) -> ToolResult:
        """Return the answer to a request, which gets a second try when a worker that served before is lost."""
        with self._lock:
            if self._worker is not None and self._worker.calls:
                with contextlib.suppress(WorkerLostError):
                    return self._ask(tool, request_id, line)
            return self._ask(tool, request_id, line)

    def close(self) -> None:
        """End the worker, if there is one."""
        with self._lock:
            if self._worker is not None:
                self._worker.kill()
            self._worker = None

    def _ask(self, tool: str, request_id: str, line: bytes) -> ToolResult:
        worker = self.start()
        try:
            reply = worker.ask(line, self._limits)
            if reply.get("id") != request_id:
                raise WorkerLostError("the tool's answer broke the protocol; its worker was replaced")
            result = result_of(tool, reply.get("result"))
        except WorkerLostError:
            self.close()
            raise
        if reply.get("keep") is not True or worker.is_old(reply.get("cpu_s"), self._limits):
            self.close()
        return result

    def _text(self) -> Checks:
        if self._checks is None:
            try:
                self._checks = self._read()
            except (ToolError, OSError) as error:
                raise SandboxError(f"the tools' worker did not start: {error}") from error
        return self._checks
