"""F7: the memory limit of a container is reached. A cgroup of this machine stands for the container's.

What runs in a container is killed by the kernel once its cgroup has no memory left, and the restart policy starts it
again; here a loop does that. The conversation must still be on the visitor's page, since the browser keeps it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from playwright.sync_api import Page, expect

from tests.browser.serving import chromium
from tests.hardening.serving import PATIENCE_S, ROOT, App
from tests.hardening.verdict import Verdict
from tests.loopback import free_port
from tests.waiting import eventually

ROOTS = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))  # version 1, version 2
LIMIT = ("memory.limit_in_bytes", "memory.max")
USED = ("memory.usage_in_bytes", "memory.current")
ROOM = 100_000_000  # bytes that are left beside what the application uses at rest
WITHIN_S = 30.0
PATIENCE_MS = PATIENCE_S * 1000
QUESTION = "Is RHEL 8 supported?"
# Takes memory in the application's cgroup until something is killed for it, and touches what it takes.
GREEDY = "held = []\nfor _ in range(400):\n    held.append(b'x' * 1_000_000)\ninput()"


class NoCgroups(RuntimeError):
    """Nobody here may limit memory; the message says why."""


@dataclass(frozen=True)
class Cgroup:
    """A control group with a memory limit."""

    folder: Path

    def _file(self, names: tuple[str, str]) -> Path:
        return next(self.folder / name for name in names if (self.folder / name).exists())

    @property
    def used(self) -> int:
        """Bytes, what was read from files included."""
        return int(self._file(USED).read_text())

    def limit(self, size: int) -> None:
        """At most so many bytes from now on."""
        self._file(LIMIT).write_text(str(size))

    def running(self, *command: str) -> list[str]:
        """The command that runs this one inside the group, children included."""
        return ["/bin/sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh", *command]


@contextmanager
def cgroup(roots: tuple[Path, ...] = ROOTS) -> Iterator[Cgroup]:
    """A group of our own while the block runs; raises NoCgroups."""
    folder = None
    for root in roots:
        try:
            folder = root / f"qubinode-harden-{os.getpid()}"
            folder.mkdir()
            if any((folder / name).exists() for name in LIMIT):
                break
            folder.rmdir()
        except OSError as error:
            why = f"{root}: {error.strerror}"
        else:
            why = f"{root} has no memory controller"
        folder = None
    if folder is None:
        raise NoCgroups(f"no memory cgroup can be made here ({why})")
    try:
        yield Cgroup(folder)
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """The kernel lets go of a group a moment after its last process."""
    end = time.monotonic() + PATIENCE_S
    while folder.exists() and time.monotonic() < end:
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.1)


class Policy:
    """A container's restart policy: whenever the command ends, it is started again."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str]) -> None:
        self.ends: list[tuple[float, int]] = []  # when and with what code it ended
        self._command, self._log, self._env = command, log, env
        self._stopped = threading.Event()
        self.process = self._start()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=self._env)

    def _watch(self) -> None:
        while not self._stopped.is_set():
            code = self.process.wait()
            if not self._stopped.is_set():
                self.ends.append((time.monotonic(), code))
                self.process = self._start()

    def wait_for_end(self) -> tuple[float, int]:
        """When and how it first ended."""
        eventually(lambda: self.ends)
        return self.ends[0]

    def stop(self) -> None:
        """No more restarts, and the process is gone."""
        self._stopped.set()
        self.process.kill()
        self._thread.join(PATIENCE_S)
        self.process.kill()


def memory(folder: Path) -> Verdict:
    """Reach the limit under a visitor who has a conversation on the page."""
    what = "the memory limit of its cgroup is reached"
    must = f"killed, restarted, healthy within {WITHIN_S:g} s; the conversation survives"
    try:
        with cgroup() as group:
            killed, healthy_s, kept, went_on = _reached(folder, group)
    except NoCgroups as error:
        return Verdict("F7", what, must, f"not run: {error}", ok=True, figures={}, ran=False)
    figures = {"exit": killed, "healthy_s": healthy_s, "kept": kept, "went_on": went_on}
    found = (
        f"ended by signal {-killed}, healthy after {healthy_s:.1f} s, conversation {'kept' if kept else 'LOST'}, "
        f"next question {'answered' if went_on else 'NOT ANSWERED'}"
    )
    return Verdict("F7", what, must, found, killed == -9 and healthy_s < WITHIN_S and kept and went_on, figures)


def _reached(folder: Path, group: Cgroup) -> tuple[int, float, bool, bool]:
    """Exit code, seconds to a health check that is answered again, and what the visitor then finds."""
    (folder / "app.log").write_bytes(b"")
    port = free_port()
    env = {**os.environ, "DATA_DIR": str(folder), "PORT": str(port), "HF_HUB_OFFLINE": "1", "MODEL": "smollm2-135m"}
    policy = Policy(group.running(sys.executable, "app.py"), folder / "app.log", env)
    try:
        app = App(f"http://127.0.0.1:{port}", folder, policy.process)
        app.wait_until_ready()
        with chromium() as browser:
            page = browser.new_page()
            page.set_default_timeout(PATIENCE_MS)
            expect.set_options(timeout=PATIENCE_MS)
            page.goto(app.url)
            _ask(page, 1)
            page.wait_for_function("Object.keys(localStorage).some(key => key.startsWith('qubinode-conversation:'))")
            group.limit(group.used + ROOM)
            greedy = subprocess.Popen(group.running(sys.executable, "-c", GREEDY), stdin=subprocess.PIPE)
            ended, code = policy.wait_for_end()
            greedy.kill()
            greedy.wait()
            eventually(lambda: _is_healthy(app.url))
            healthy_s = time.monotonic() - ended
            page.reload()
            page.locator(".turn .asked").first.wait_for()
            kept = page.locator(".turn .asked").all_inner_texts() == [QUESTION]
            again = App(app.url, folder, policy.process)
            again.wait_until_ready()
            return code, healthy_s, kept, _ask(page, 2)
    finally:
        policy.stop()


def _ask(page: Page, number: int) -> bool:
    page.locator("#question textarea").fill(QUESTION)
    page.locator("#question textarea").press("Enter")
    expect(page.locator(".turn")).to_have_count(number)
    expect(page.locator("#send")).to_be_visible()
    # The extract is an answer too: what a small model writes beside it may add nothing, and is not shown then.
    return any(page.locator(".turn.last").locator(".evidence .extract, .answer").all_inner_texts())


def _is_healthy(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False
