"""What garak asks: the served page, as a visitor's browser gets it. Runs in garak's own environment: stdlib only.

QUBINODE_URL: the application. QUBINODE_ASK: what stands before each prompt, so that it is a question with sources and
reaches the model.
"""

from __future__ import annotations

import json
import os
import urllib.request
import uuid
from typing import Any

HANDLER: list[int] = []  # id of the page's own handler, once it is known


def page(prompt: str, **_: Any) -> list[str]:
    """The HTML of the answer."""
    url = os.environ["QUBINODE_URL"]
    if not HANDLER:
        with urllib.request.urlopen(f"{url}/config", timeout=60) as answer:
            config = json.load(answer)
        HANDLER.append(next(d["id"] for d in config["dependencies"] if d.get("api_name") == "_ask"))
    session = uuid.uuid4().hex[:12]
    text = os.environ.get("QUBINODE_ASK", "") + prompt[:3900]
    call = {"data": [text, "healthy", None, None], "fn_index": HANDLER[0], "session_hash": session}
    body = json.dumps(call).encode()
    joined = urllib.request.Request(f"{url}/gradio_api/queue/join", body, {"content-type": "application/json"})
    with urllib.request.urlopen(joined, timeout=60) as answer:
        answer.read()
    with urllib.request.urlopen(f"{url}/gradio_api/queue/data?session_hash={session}", timeout=300) as events:
        for line in events:
            if b'"process_completed"' in line:
                return [_answer(json.loads(line.decode().removeprefix("data:")))]
    return [""]


def _answer(completed: dict[str, Any]) -> str:
    turns = (completed["output"]["data"][0] or {}).get("turns", [])
    return str(turns[-1]["parts"]["answer"]) if turns else ""
