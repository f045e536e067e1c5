"""Look at the app from inside its container: health, a whole turn, a tool, and what may be written.

Handed to `python -` in the container by `make image-smoke`, which starts it read-only, without network and rights, as
user 1000. Prints what it saw, or says what is wrong and ends with 1. Uses only what the image holds.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gradio_client import Client

Ask = Callable[[str], tuple[int, str]]

URL = "http://127.0.0.1:7860"
QUESTION = "Is RHEL 8 supported?"
CLOSED = ("/", "/app", "/app/rag", "/usr/lib", "/etc", "/opt/venv", "/home/user", "/var/tmp", "/run")
OPEN = ("/app/.data", "/tmp")
POLL_S = 0.1
READY_S = 180.0  # a cold start on a loaded runner; the Space itself allows 30 minutes


def ask(path: str) -> tuple[int, str]:
    """Status and body of a page; status 0 and the reason when nothing answers."""
    try:
        with urllib.request.urlopen(URL + path, timeout=10) as page:
            return page.status, page.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except OSError as error:
        return 0, str(error)


def until(path: str, limit_s: float, ask: Ask = ask) -> tuple[float, str]:
    """The time at which a page answered with 200, and what it said. SystemExit when it did not within the limit."""
    end = time.monotonic() + limit_s
    seen = "nothing"
    while time.monotonic() < end:
        status, seen = ask(path)
        if status == 200:
            return time.time(), seen
        time.sleep(POLL_S)
    sys.exit(f"{path} did not answer with 200 within {limit_s:.0f} s: {seen[:500]}")


def writable(folders: Sequence[str]) -> list[str]:
    """Those of the folders in which a file can be made; it is removed again."""
    found = []
    for folder in folders:
        try:
            path = Path(folder, f".probe-{os.getpid()}")
            path.touch()
            path.unlink()
            found.append(folder)
        except OSError:
            continue
    return found


def turn() -> dict[str, Any]:
    """One question through the page's own endpoint, answered by the model in the image, and a tool's run."""
    started = time.monotonic()
    client = Client(URL, verbose=False)
    *_, reply = client.submit(QUESTION, api_name="/ask")
    tool = client.predict(["libvirtd"], "libvirtd-down", api_name="/service_status")
    return {
        "answer": reply["answer"],
        "sources": len(reply["sources"]),
        "done": reply["done"],
        "answer_s": round(time.monotonic() - started, 1),
        "tool": json.dumps(tool),
    }


def wrong(seen: dict[str, Any]) -> list[str]:
    """What is not as it must be, in words."""
    rules = (
        (seen["user"] != 1000, f"it runs as user {seen['user']} instead of 1000"),
        (seen["wrongly_writable"], f"writable: {' '.join(seen['wrongly_writable'])}"),
        (len(seen["writable"]) < 2, f"only {seen['writable']} can be written"),
        (not seen["done"] or not seen["answer"].strip(), "the model gave no answer"),
        (not seen["sources"], "the answer has no sources"),
        ("libvirtd" not in seen["tool"], f"the tool said {seen['tool'][:200]}"),
    )
    return [text for bad, text in rules if bad]


def main() -> None:
    """Look at everything."""
    ticks = int(Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19])  # from boot to the container's start
    started = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")
    healthy_at, _ = until("/healthz", READY_S)
    ready_at, said = until("/readyz", 2 * READY_S)
    seen = {"user": os.getuid(), "wrongly_writable": writable(CLOSED), "writable": writable(OPEN), **turn()}
    if faults := wrong(seen):
        sys.exit("; ".join(faults))
    parts = ", ".join(json.loads(said)["parts"])
    print(f"/healthz after {healthy_at - started:.1f} s, {parts} ready after {ready_at - started:.1f} s")
    print("user 1000, no network, writes outside the data folder and /tmp refused; a simulated tool ran in its sandbox")
    print(f"answered with {seen['sources']} sources in {seen['answer_s']} s: {' '.join(seen['answer'].split())[:160]}")


if __name__ == "__main__":
    main()
