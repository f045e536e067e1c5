"""Start an image locked down and see that it works: health, a real answer, a tool, and writes refused.

    image_smoke.py [--engine docker] [--option=--ulimit=nproc=1024:1024 ...] [--without "PART: REASON" ...] IMAGE

Standard library only: it runs where nothing of the project is installed. The container has no network at all, a
read-only root, no capabilities, and user 1000; it is looked at from inside, by image_probe.py. Every part must be
ready; one that --without names may have failed, and then the result says so, with the reason.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, str] = MappingProxyType({})
READY_S = 180.0  # a cold start on a loaded runner; the Space itself allows 30 minutes
ANSWER_S = 300.0
PROBE = Path(__file__).with_name("image_probe.py")
LOCKED_DOWN = (
    "--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=none",
    "--memory=3g", "--pids-limit=256", "--user=1000",
    "--volume=/app/.data",  # a fresh copy of the image's data folder, writable
)  # fmt: skip


class SmokeFailed(RuntimeError):
    """The image does not do what it must; the message says what was seen."""


@dataclass(frozen=True, slots=True)
class Container:
    """A running container; `engine` is docker or podman with its options."""

    engine: tuple[str, ...]
    id: str
    started: float  # seconds of the clock, just before it was asked for

    def run(self, *command: str, timeout_s: float = 60.0) -> str:
        """Run a command inside; return what it printed. Raises SmokeFailed when it fails."""
        done = _run([*self.engine, "exec", self.id, *command], timeout_s)
        if done.returncode:
            raise SmokeFailed(f"{command[0]} inside failed: {(done.stderr or done.stdout).strip()[-600:]}")
        return done.stdout


def start(engine: Sequence[str], image: str, options: Sequence[str]) -> Container:
    """Start the image locked down. Raises SmokeFailed."""
    now = time.time()
    done = _run([*engine, "run", "--detach", *LOCKED_DOWN, *options, image], 120)
    if done.returncode:
        raise SmokeFailed(f"it does not start: {done.stderr.strip()[-400:]}")
    return Container(tuple(engine), done.stdout.strip().splitlines()[-1], now)


def check(container: Container, ready_s: float, without: Mapping[str, str] = NOTHING) -> list[str]:
    """What was seen of a container, a line each; `without`: part that may fail -> why. Raises SmokeFailed."""
    arguments = (f"{ready_s:.0f}", f"{2 * ready_s:.0f}", *without)
    text = container.run("python", "-c", PROBE.read_text("utf-8"), *arguments, timeout_s=3 * ready_s + ANSWER_S)
    return judge(json.loads(text), container.started, without)


def judge(seen: dict[str, Any], started: float, without: Mapping[str, str] = NOTHING) -> list[str]:
    """What the probe saw, in words. Raises SmokeFailed when it is not what must be."""
    missing = {name: state for name, state in seen["parts"].items() if state != "ready"}
    wrong = [f"{name} is not ready: {state}" for name, state in missing.items() if name not in without]
    wrong += [
        text
        for bad, text in (
            (seen["user"] != 1000, f"it runs as user {seen['user']} instead of 1000"),
            (seen["wrongly_writable"], f"writable: {' '.join(seen['wrongly_writable'])}"),
            (len(seen["writable"]) < 2, f"only {seen['writable']} can be written"),
            (not seen["done"] or not seen["answer"].strip(), "the model gave no answer"),
            (not seen["sources"], "the answer has no sources"),
            ("tools" not in missing and "libvirtd" not in seen["tool"], f"the tool said {seen['tool'][:200]}"),
        )
        if bad
    ]
    if wrong:
        raise SmokeFailed("; ".join(wrong))
    return [
        f"/healthz {seen['healthy_at'] - started:.1f} s after the start, "
        f"{', '.join(name for name in seen['parts'] if name not in missing)} ready after "
        f"{seen['ready_at'] - started:.1f} s",
        "user 1000, no network, writes outside the data folder and /tmp refused",
        f"answered with {seen['sources']} sources in {seen['answer_s']} s: {' '.join(seen['answer'].split())[:160]}",
        *(["a simulated tool ran in its sandbox"] if "tools" not in missing else []),
        *(f"{name}: left out, {without[name]}; the app says {state!r}" for name, state in missing.items()),
    ]


def part_and_reason(text: str) -> tuple[str, str]:
    """Of "PART: REASON". Raises ValueError where either lacks: nothing is left out without a reason."""
    name, _, reason = (side.strip() for side in text.partition(":"))
    if not name or not reason:
        raise ValueError(f'{text!r} gives no reason; write "PART: REASON"')
    return name, reason


def _run(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SmokeFailed(f"{command[0]} {command[1]}: {error}") from error


def main(argv: Sequence[str]) -> int:
    """Start, look, stop; 1 with the container's log when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("--engine", type=shlex.split, default=["docker"], help="the command with its options")
    parser.add_argument("--ready", type=float, default=READY_S, help="seconds until /healthz must answer")
    parser.add_argument("--option", action="append", default=[], help="one more option for `run`")
    parser.add_argument("--without", action="append", type=part_and_reason, default=[], help='"PART: REASON"')
    options = parser.parse_args(argv)
    container = None
    try:
        container = start(options.engine, options.image, options.option)
        print(*check(container, options.ready, dict(options.without)), sep="\n")
    except SmokeFailed as error:
        print(error, file=sys.stderr)
        if container:
            print(_run([*container.engine, "logs", container.id], 30).stderr[-3000:], file=sys.stderr)
        return 1
    finally:
        if container:
            _run([*container.engine, "rm", "--force", "--volumes", container.id], 60)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
