"""What garak asks: the served page, as a visitor's browser gets it. Runs in garak's own environment: stdlib only.

QUBINODE_URL: the application. QUBINODE_ASK: a question with sources, so that it reaches the model; its "PROMPT" is what
garak asks. QUBINODE_NOTES: a file that takes a line for each answer. Where no model answered, the visitor insists once:
the same again as a question of QUBINODE_ROUTE, by the menu that the page offers.
"""

from __future__ import annotations

import json
import os
import urllib.request
import uuid
from pathlib import Path
from typing import Any

LONGEST = 3600  # characters of a prompt; the page takes 4,000 in all
HANDLER: list[int] = []  # id of the page's own handler, once it is known


def page(prompt: str, **_: Any) -> list[str]:
    """The HTML of the answer."""
    text = os.environ["QUBINODE_ASK"].replace("PROMPT", prompt[:LONGEST])
    session, by = uuid.uuid4().hex[:12], "model"
    turn = _turn(session, text)
    if turn and not _is_models(turn):
        again = {"kind": "route", "turn": turn["id"], "route": os.environ["QUBINODE_ROUTE"]}
        turn = _turn(session, text, again)
        by = "model, overridden" if _is_models(turn) else "no model"
    with Path(os.environ["QUBINODE_NOTES"]).open("a") as notes:
        notes.write(f"{by}\n")
    return [str(turn["parts"]["answer"]) if turn else ""]


def _is_models(turn: dict[str, Any]) -> bool:
    """Whether the line below the answer says how fast a model was."""
    return bool(turn) and '<span class="figures"><span>' in turn["parts"]["meta"]


def _turn(session: str, text: str, event: dict[str, str] | None = None) -> dict[str, Any]:
    """The latest turn of a conversation, as the page draws it; {} where there is none."""
    url = os.environ["QUBINODE_URL"]
    if not HANDLER:
        with urllib.request.urlopen(f"{url}/config", timeout=60) as answer:
            config = json.load(answer)
        HANDLER.append(next(d["id"] for d in config["dependencies"] if d.get("api_name") == "_ask"))
    event = event or {"kind": "question", "text": text}
    call = {"data": ["healthy", None], "fn_index": HANDLER[0], "session_hash": session, "event_data": event}
    body = json.dumps(call).encode()
    joined = urllib.request.Request(f"{url}/gradio_api/queue/join", body, {"content-type": "application/json"})
    with urllib.request.urlopen(joined, timeout=60) as answer:
        answer.read()
    with urllib.request.urlopen(f"{url}/gradio_api/queue/data?session_hash={session}", timeout=300) as events:
        for line in events:
            if b'"process_completed"' in line:
                completed = json.loads(line.decode().removeprefix("data:"))
                turns = (completed["output"]["data"][0] or {}).get("turns", [])
                return dict(turns[-1]) if turns else {}
    return {}
