"""Talk to one sandbox worker from the parent: two pipes, lines of JSON with a deadline and a size cap."""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from tools.sandbox.lockdown import WorkerLimits

START_S = 15.0  # ~0.1 s on an idle machine, more when it is busy and its disk is cold
MAX_CALLS = 10_000  # of one worker, before the parent replaces it


class SandboxError(Exception):
    """Raised when the worker does not start; the message says why."""


class WorkerLostError(Exception):
    """Raised when the worker is gone or broke the protocol; the message goes into the call's result."""


class WorkerProcess:
    """Keep one worker process and its two pipes."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Start the worker and wait until it has loaded everything; SandboxError when it cannot."""
        self._calls = 0
        self._folder = tempfile.TemporaryDirectory(prefix="tools-sandbox-")
        command = [sys.executable, "-I", "-S", "-B", str(Path(__file__).parent / "worker.py"), json.dumps(config)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,
            env={},
            start_new_session=True,  # so that Ctrl-C in a terminal reaches the app alone
        )
        try:
            hello = self._read(START_S, WorkerLimits().reply_bytes)
        except WorkerLostError as error:
            self.kill()
            raise SandboxError(f"the tools' worker did not start: {error}") from error
        if "error" in hello:
            self.kill()
            raise SandboxError(f"the tools' worker did not start: {hello['error']}")
        self.filtered = hello["filtered"] is True
        self.tools = {str(name): str(description) for name, description in hello["tools"].items()}

    @property
    def alive(self) -> bool:
        """Return false once the process has ended."""
        return self._process.poll() is None

    def is_old(self, cpu_s: object, limits: WorkerLimits) -> bool:
        """Return true after half its CPU time or MAX_CALLS: the parent replaces it before it hits a limit."""
        return not isinstance(cpu_s, float) or cpu_s > limits.cpu_s / 2 or self._calls >= MAX_CALLS

    def ask(self, line: bytes, limits: WorkerLimits) -> dict[str, Any]:
        """Send one request line and return the reply; WorkerLostError when none comes in time and in form."""
        self._calls += 1
        try:
            _pipe(self._process.stdin).write(line)
            _pipe(self._process.stdin).flush()
        except OSError as error:
            raise WorkerLostError(f"the tool's worker is gone: {error}") from error
        return self._read(limits.call_s, limits.reply_bytes)

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
        return _object(got)

    def kill(self) -> None:
        """End the process, close its pipes, remove its folder."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                _pipe(pipe).close()
        self._folder.cleanup()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    """Return the pipe, which Popen's types allow to be None."""
    if pipe is None:
        raise SandboxError("the worker was started without pipes")
    return pipe


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WorkerLostError("the tool's answer is no JSON; its worker was replaced") from error
    if not isinstance(value, dict):
        raise WorkerLostError("the tool's answer is no JSON object; its worker was replaced")
    return value
