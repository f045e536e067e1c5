"""Look at the app from inside its container: health, a whole turn, a tool, and what may be written.

Handed to `python -c` by image_smoke.py; prints one JSON object, or says what is wrong and ends with 1. Uses only what
the image holds.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from gradio_client import Client

Ask = Callable[[str], tuple[int, str]]

URL = "http://127.0.0.1:7860"
QUESTION = "Is RHEL 8 supported?"
CLOSED = ("/", "/app", "/app/rag", "/usr/lib", "/etc", "/opt/venv", "/home/user", "/var/tmp", "/run")
OPEN = ("/app/.data", "/tmp")
POLL_S = 0.1


def ask(path: str) -> tuple[int, str]:
    """Status and body of a page; status 0 and the reason when nothing answers."""
    try:
        with urllib.request.urlopen(URL + path, timeout=10) as page:
            return page.status, page.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except OSError as error:
        return 0, str(error)


def until_healthy(limit_s: float, ask: Ask = ask) -> float:
    """The time at which /healthz answered with 200. SystemExit when it did not within the limit."""
    end = time.monotonic() + limit_s
    seen = "nothing"
    while time.monotonic() < end:
        status, seen = ask("/healthz")
        if status == 200:
            return time.time()
        time.sleep(POLL_S)
    sys.exit(f"/healthz did not answer within {limit_s:.0f} s: {seen[:500]}")


def until_ready(limit_s: float, without: Collection[str] = (), ask: Ask = ask) -> tuple[float, dict[str, str]]:
    """The time at which /readyz told that every part is ready, and what it told of each.

    The parts `without` may have failed instead; they are waited for too, since one that is ready is to be used.
    SystemExit when a part is not ready within the limit, or when a part `without` does not exist.
    """
    end = time.monotonic() + limit_s
    seen = "nothing"
    while time.monotonic() < end:
        status, seen = ask("/readyz")
        parts: dict[str, str] = json.loads(seen)["parts"] if status in (200, 503) else {}
        if parts and (unknown := [name for name in without if name not in parts]):
            sys.exit(f"no part is called {', '.join(unknown)}; there are {', '.join(parts)}")
        failed = {name for name, state in parts.items() if state.startswith("failed")}
        ready = {name for name, state in parts.items() if state == "ready"}
        if parts and ready | (failed & set(without)) == set(parts) and (status == 200 or failed):
            return time.time(), parts
        time.sleep(POLL_S)
    sys.exit(f"not every part was ready within {limit_s:.0f} s: {seen[:500]}")


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


def turn(*, with_tool: bool) -> dict[str, Any]:
    """One question through the page's own endpoint, answered by the model in the image, and a tool's run."""
    started = time.monotonic()
    client = Client(URL, verbose=False)
    *_, reply = client.submit(QUESTION, api_name="/ask")
    tool = client.predict(["libvirtd"], "libvirtd-down", api_name="/service_status") if with_tool else None
    return {
        "answer": reply["answer"],
        "sources": len(reply["sources"]),
        "done": reply["done"],
        "answer_s": round(time.monotonic() - started, 1),
        "tool": json.dumps(tool),
    }


def main(argv: Sequence[str]) -> None:
    """Look at everything; `argv` holds the seconds to wait for the page and for its parts, and parts left out."""
    ready_s, parts_s, *without = argv
    healthy_at = until_healthy(float(ready_s))
    ready_at, parts = until_ready(float(parts_s), without)
    seen = {
        "healthy_at": healthy_at,
        "ready_at": ready_at,
        "parts": parts,
        "user": os.getuid(),
        "wrongly_writable": writable(CLOSED),
        "writable": writable(OPEN),
        **turn(with_tool=parts["tools"] == "ready"),
    }
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
