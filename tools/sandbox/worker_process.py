"""Talk to one sandbox worker from the parent: two pipes, lines of JSON with a deadline and a size cap."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import select
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from tools.sandbox.lockdown import WorkerLimits
from tools.sandbox.replies import WorkerLostError, as_object, tools_of
from tools.sandbox.sources import Checks

logger = logging.getLogger(__name__)

START_S = 15.0  # ~0.1 s on an idle machine, more when it is busy and its disk is cold
MAX_CALLS = 10_000  # of one worker, before the parent replaces it
HELLO_BYTES = 64 * 1024


class SandboxError(Exception):
    """Raised when the worker does not start; the message says why."""


class WorkerProcess:
    """Keep one worker process and its two pipes."""

    def __init__(self, checks: Checks, hosts: Path, limits: WorkerLimits) -> None:
        """Start the worker, see that it is closed, give it the checks; SandboxError when it cannot run them."""
        self.calls = 0  # that it was asked for
        config = {"limits": asdict(limits), "modules": list(checks.texts)}
        try:
            self._folder, self._process = _start_process(json.dumps(config))
        except OSError as error:  # no room, no more open files, no memory
            raise SandboxError(f"the tools' worker did not start: {error}") from error
        try:
            self.filtered, self.tools = self._start(checks, _machines(hosts))
        except WorkerLostError as error:
            self.kill()
            raise SandboxError(f"the tools' worker did not start: {checks.where}: {error}") from error
        except BaseException:
            self.kill()
            raise

    def _start(self, checks: Checks, machines: dict[str, Any]) -> tuple[bool, dict[str, str]]:
        """Return whether the kernel filters the worker's calls, and its tools; WorkerLostError when it has none."""
        closed = self._read(START_S, HELLO_BYTES)  # of our own code alone
        if "error" in closed:
            raise WorkerLostError(str(closed["error"]))
        filtered = closed.get("filtered") is True and is_filtered(self._process.pid)
        if checks.foreign and not filtered:
            raise WorkerLostError(
                "a check from outside this repository runs only where the kernel filters its calls, and here it does "
                "not; install libseccomp (Debian: libseccomp2) or leave the file out"
            )
        if not filtered:
            logger.warning("the kernel filters no system calls of the tools' worker; an audit hook alone confines them")
        self._send(json.dumps({"machines": machines, "texts": checks.texts, "load": checks.load}).encode() + b"\n")
        return filtered, tools_of(self._read(START_S, HELLO_BYTES))

    @property
    def alive(self) -> bool:
        """Return false once the process has ended."""
        return self._process.poll() is None

    def is_old(self, cpu_s: object, limits: WorkerLimits) -> bool:
        """Return true after half its CPU time or MAX_CALLS: the parent replaces it before it hits a limit."""
        return not isinstance(cpu_s, float) or cpu_s > limits.cpu_s / 2 or self.calls >= MAX_CALLS

    def ask(self, line: bytes, limits: WorkerLimits) -> dict[str, Any]:
        """Send one request line and return the reply; WorkerLostError when none comes in time and in form."""
        self.calls += 1
        self._send(line)
        return self._read(limits.call_s, limits.reply_bytes)

    def _send(self, line: bytes) -> None:
        try:
            _pipe(self._process.stdin).write(line)
            _pipe(self._process.stdin).flush()
        except OSError as error:
            raise WorkerLostError(f"the tool's worker is gone: {error}") from error

    def _read(self, seconds: float, most_bytes: int) -> dict[str, Any]:
        """Return the JSON object of one line; WorkerLostError when none comes within `seconds` and `most_bytes`."""
        descriptor = _pipe(self._process.stdout).fileno()
        poll, end, got = select.poll(), time.monotonic() + seconds, b""
        poll.register(descriptor, select.POLLIN)
        while not got.endswith(b"\n"):
            left = end - time.monotonic()
            if left <= 0 or not poll.poll(math.ceil(1000 * left)):
                raise WorkerLostError(f"the tool did not answer within {seconds:g} s and was stopped")
            piece = os.read(descriptor, 65_536)
            got += piece
            if not piece:
                raise WorkerLostError("the tool's worker ended without an answer")
            if len(got) > most_bytes or b"\n" in got[:-1]:
                raise WorkerLostError("the tool's answer broke the protocol; its worker was replaced")
        return as_object(got)

    def kill(self) -> None:
        """End the process, close its pipes, remove its folder."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                _pipe(pipe).close()
        self._folder.cleanup()


def _start_process(config: str) -> tuple[tempfile.TemporaryDirectory[str], subprocess.Popen[bytes]]:
    """Return the worker's process and its folder, which is gone again where no process starts; raise OSError."""
    folder = tempfile.TemporaryDirectory(prefix="tools-sandbox-")
    try:
        return folder, subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-W", "ignore", str(Path(__file__).parent / "worker.py"), config],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder.name,
            env={},
            start_new_session=True,  # so that Ctrl-C in a terminal reaches the app alone
        )
    except OSError:
        folder.cleanup()
        raise


def is_filtered(pid: int, proc: Path = Path("/proc")) -> bool:
    """Return true when the kernel says that a process has one thread, and a filter that this process lacks.

    A container's own filter holds for both, so it does not count. Kernels before 5.9 do not say how many there are.
    """
    try:
        worker, here = (_status(proc / of / "status") for of in (str(pid), "self"))
        more = int(worker["Seccomp_filters"]) > int(here["Seccomp_filters"])
    except (OSError, KeyError, ValueError):
        return False
    return more and (worker.get("Seccomp"), worker.get("Threads")) == ("2", "1")


def _machines(hosts: Path) -> dict[str, Any]:
    """Return host id -> the `machine` of its file; its cause, evidence and remedy never reach the worker."""
    try:
        return {path.stem: json.loads(path.read_bytes())["machine"] for path in sorted(hosts.glob("*.json"))}
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise WorkerLostError(f"a host's file in {hosts} is damaged: {error}") from error


def _status(path: Path) -> dict[str, str]:
    """Return the fields of a process's status file, see proc_pid_status(5)."""
    rows = (line.partition(":") for line in path.read_text("utf-8", "replace").splitlines())
    return {name: value.strip() for name, _, value in rows}


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    """Return the pipe, which Popen's types allow to be None."""
    if pipe is None:
        raise SandboxError("the worker was started without pipes")
    return pipe
