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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradio_client import Client

URL = "http://127.0.0.1:7860"
QUESTION = "Is RHEL 8 supported?"
CLOSED = ("/", "/app", "/app/rag", "/usr/lib", "/etc", "/opt/venv", "/home/user", "/var/tmp", "/run")
OPEN = ("/app/.data", "/tmp")
POLL_S = 0.1


def until(path: str, limit_s: float) -> float:
    """The time at which the page answered `path` with 200. SystemExit when it did not within the limit."""
    end = time.monotonic() + limit_s
    seen = "nothing"
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(URL + path, timeout=10):
                return time.time()
        except urllib.error.HTTPError as error:
            seen = error.read(500).decode("utf-8", "replace")
        except OSError as error:
            seen = str(error)
        time.sleep(POLL_S)
    sys.exit(f"{path} did not answer within {limit_s:.0f} s: {seen}")


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
    """One question through the page's own endpoint, answered by the model in the image."""
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


def main(argv: Sequence[str]) -> None:
    """Look at everything; `argv` holds the seconds to wait for the page and for its parts."""
    ready_s, parts_s = (float(text) for text in argv)
    healthy_at = until("/healthz", ready_s)
    ready_at = until("/readyz", parts_s)
    seen = {
        "healthy_at": healthy_at,
        "ready_at": ready_at,
        "user": os.getuid(),
        "wrongly_writable": writable(CLOSED),
        "writable": writable(OPEN),
        **turn(),
    }
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
