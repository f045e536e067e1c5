"""Health: its verdicts, its routes, and that it finds an engine which died or hangs."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app import Around, create_app
from model.engine.events import Finished
from model.engine.llama import BatchRow, ContextOptions, Llama
from model.engine.local import LocalEngine
from model.engine.prompt import Prompt, PromptSegment
from model.engine.protocol import Load, ModelInfo
from model.engine.scripted import ScriptedEngine
from model.kv_cache.prefix_cache import PrefixCache
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.operation.health import HANG_S, Health, add_health_routes, health
from onboarding.usage.ledger import Ledger, LedgerTrouble
from onboarding.usage.ledger_writer import LedgerWriter
from onboarding.usage.recorder import usage_of_project

READY = {"model": "ready", "search": "ready"}


@pytest.mark.parametrize(
    ("parts", "silent_s", "troubles", "state", "code", "ready"),
    [
        (READY, 0.0, {}, "ok", 200, True),
        ({**READY, "search": "building 3/40"}, 0.0, {}, "starting", 200, False),
        ({**READY, "model": "failed: no file"}, 0.0, {}, "degraded", 200, False),
        (READY, 0.0, {"usage": "disk full"}, "degraded", 200, True),
        (READY, 0.0, {"usage": ""}, "ok", 200, True),
        ({**READY, "model": "restarting: it stopped"}, 0.0, {}, "degraded", 200, False),
        (READY, HANG_S - 1, {}, "ok", 200, True),
        (READY, HANG_S + 1, {}, "dead", 503, False),
        (READY, math.inf, {}, "dead", 503, False),
    ],
)
def test_health_is_judged(
    parts: dict[str, str], silent_s: float, troubles: dict[str, str], state: str, code: int, ready: bool
) -> None:
    seen = health(parts, silent_s, troubles)
    assert (seen.state, seen.status_code, seen.ready) == (state, code, ready)


@pytest.mark.parametrize(
    ("seen", "healthz", "readyz"),
    [
        (Health("ok", READY, ready=True), 200, 200),
        (Health("starting", {"model": "loading"}, ready=False), 200, 503),
        (Health("degraded", {**READY, "usage": "failed: disk full"}, ready=True), 200, 200),
        (Health("dead", {"model": "failed: the engine has stopped"}, ready=False), 503, 503),
    ],
)
def test_each_route_answers_with_what_is_seen_at_that_moment(seen: Health, healthz: int, readyz: int) -> None:
    looks = iter([seen, seen, Health("starting", {}, ready=False)])
    app = FastAPI()
    add_health_routes(app, lambda: next(looks))
    client = TestClient(app)
    alive, ready, later = client.get("/healthz"), client.get("/readyz"), client.get("/healthz")
    assert (alive.status_code, alive.json()) == (healthz, {"status": seen.state, "parts": seen.parts})
    assert (ready.status_code, ready.json()) == (readyz, {"ready": seen.ready, "parts": seen.parts})
    assert later.json() == {"status": "starting", "parts": {}}


class StuckLlama:
    """As much of a Llama as the engine needs to begin a step; `decode` blocks, or breaks, when told to."""

    chat_template, bos, eos, cells, trained_context = "", "", "", 512, 512
    options = ContextOptions()

    def __init__(self) -> None:
        self.entered, self.go = threading.Event(), threading.Event()

    def tokenize(self, text: str, *, control: bool) -> list[int]:
        return [1] * max(1, len(text.split()))

    def new_sampler(self, _sampling: object) -> object:
        return object()

    def decode(self, _rows: list[BatchRow]) -> int:
        self.entered.set()
        self.go.wait(20)
        raise RuntimeError("the library broke")

    def __getattr__(self, _name: str) -> Callable[..., Any]:
        return lambda *_args, **_kwargs: None


def test_an_engine_that_hangs_grows_silent_and_one_that_died_is_silent_for_good() -> None:
    llama = StuckLlama()
    engine = LocalEngine(lambda: cast(Llama, llama), PrefixCache(0), ModelInfo("stuck", "Stuck", 1))
    assert engine.load().silent_s == 0.0
    generation = engine.submit(Prompt((PromptSegment("hello", turn=1),)))
    assert llama.entered.wait(10)
    first = engine.load().silent_s
    assert 0 < first < engine.load().silent_s < 20
    llama.go.set()
    last = [event for event in generation if isinstance(event, Finished)][-1]
    assert last.reason == "error"
    engine.close()
    assert engine.load().silent_s == math.inf


def test_a_part_that_serves_with_less_than_it_will_keeps_nobody_out() -> None:
    seen = health({"model": "ready", "router": "limited: being trained"}, 0.0, {})
    assert (seen.state, seen.ready, seen.status_code) == ("degraded", True, 200)


class Silent(ScriptedEngine):
    """An engine whose silence the test sets."""

    silent_s = 0.0

    def load(self) -> Load:
        return Load(0, 0, self.silent_s)


class FullDisk(Ledger):
    """A ledger whose disk is full."""

    def add(self, *_: object) -> None:
        raise LedgerTrouble("usage.sqlite: database or disk is full")


def test_the_page_says_what_is_broken_and_503_only_when_a_restart_would_help(tmp_path: Any) -> None:
    parts = Parts(PartsSettings(engine="scripted", data=tmp_path))
    usage = usage_of_project()
    writer = LedgerWriter(usage.registry, FullDisk(tmp_path / "usage.sqlite"))
    engine = Silent()
    client = TestClient(create_app(Guide(parts), Around(usage, writer=writer), load_parts=False))
    assert client.get("/healthz").json()["status"] == "starting"
    parts._serve(engine)
    parts.status.update(search="ready", router="ready", tools="ready")
    assert (client.get("/healthz").json()["status"], client.get("/readyz").status_code) == ("ok", 200)
    usage.visit("somebody")
    assert not writer.write()
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["parts"]["usage"] == "failed: usage.sqlite: database or disk is full"
    assert client.get("/readyz").status_code == 200
    engine.silent_s = math.inf
    assert (client.get("/healthz").status_code, client.get("/readyz").status_code) == (503, 503)
    parts.close()
