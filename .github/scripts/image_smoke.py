"""Start an image locked down and see that it works: health, a real answer, and writes refused where they must be.

    image_smoke.py [--engine docker|podman] [--port 7860] [--option=--runtime=runc ...] IMAGE

Standard library only: it runs where nothing of the project is installed. The container has no network of its own
besides the published port's, a read-only root, no capabilities, and user 1000.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

READY_S = 180.0  # a cold start on a loaded runner; the Space itself allows 30 minutes
ANSWER_S = 300.0
QUESTION = "what is qubinode navigator?"
LOCKED_DOWN = (
    "--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges", "--memory=3g",
    "--pids-limit=256", "--user=1000", "--volume=/app/.data",  # a fresh copy of the image's data folder, writable
)  # fmt: skip
_WRITES = """
import pathlib, sys
bad = []
for folder in ("/app", "/usr/lib", "/etc", "/opt/venv", "/home/user"):
    try:
        pathlib.Path(folder, "written").write_text("x")
        bad.append(folder)
    except OSError:
        pass
pathlib.Path("/tmp/written").write_text("x")
sys.exit("writable: " + " ".join(bad) if bad else 0)
"""


class SmokeFailed(RuntimeError):
    """The image does not do what it must; the message says what was seen."""


@dataclass(frozen=True, slots=True)
class Container:
    """A running container of `engine`, docker or podman."""

    engine: str
    id: str

    def run(self, *command: str, timeout_s: float = 60.0) -> str:
        """Run a command inside; return what it printed. Raises SmokeFailed when it fails."""
        done = _run([self.engine, "exec", self.id, *command], timeout_s)
        if done.returncode:
            raise SmokeFailed(f"{command[0]} inside failed: {(done.stderr or done.stdout).strip()[-400:]}")
        return done.stdout


def start(engine: str, image: str, port: int, options: Sequence[str]) -> Container:
    """Start the image locked down, its page published on 127.0.0.1. Raises SmokeFailed."""
    command = [engine, "run", "--detach", *LOCKED_DOWN, f"--publish=127.0.0.1:{port}:7860", *options, image]
    done = _run(command, 120)
    if done.returncode:
        raise SmokeFailed(f"it does not start: {done.stderr.strip()[-400:]}")
    return Container(engine, done.stdout.strip().splitlines()[-1])


def wait_until_healthy(url: str, limit_s: float) -> float:
    """Seconds until /healthz answered 200. Raises SmokeFailed."""
    started = time.monotonic()
    seen = "nothing"
    while time.monotonic() - started < limit_s:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:
                if answer.status == 200:
                    return time.monotonic() - started
        except (urllib.error.URLError, OSError) as error:
            seen = str(error)
        time.sleep(0.5)
    raise SmokeFailed(f"/healthz did not answer within {limit_s:.0f} s: {seen}")


def check(container: Container) -> list[str]:
    """What was seen of a healthy container, a line each. Raises SmokeFailed."""
    user = container.run("id", "-u").strip()
    if user != "1000":
        raise SmokeFailed(f"it runs as user {user} instead of 1000")
    container.run("python", "-c", _WRITES)
    answer = container.run("python", "-m", "model", QUESTION, timeout_s=ANSWER_S)
    if "[1]" not in answer or "tokens/s" not in answer:
        raise SmokeFailed(f"no sourced answer: {answer.strip()[-400:]}")
    return ["runs as user 1000", "writes outside the data folder and /tmp refused", answer.strip().splitlines()[-1]]


def _run(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SmokeFailed(f"{command[0]} {command[1]}: {error}") from error


def main(argv: Sequence[str]) -> int:
    """Start, look, stop; 1 with the container's log when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("--engine", default="docker")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--ready", type=float, default=READY_S, help="seconds until /healthz must answer")
    parser.add_argument("--option", action="append", default=[], help="one more option for `run`")
    options = parser.parse_args(argv)
    container = None
    try:
        container = start(options.engine, options.image, options.port, options.option)
        seconds = wait_until_healthy(f"http://127.0.0.1:{options.port}", options.ready)
        print(f"healthy after {seconds:.1f} s", *check(container), sep="\n")
    except SmokeFailed as error:
        print(error, file=sys.stderr)
        if container:
            print(_run([options.engine, "logs", container.id], 30).stderr[-3000:], file=sys.stderr)
        return 1
    finally:
        if container:
            _run([options.engine, "rm", "--force", "--volumes", container.id], 60)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
