"""An engine whose thread ended is started again; until then the page does without, and says so."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from starlette.testclient import TestClient

from app import create_app
from model.engine.local import LocalEngine
from model.engine.protocol import Load, ModelUnusable, Options
from model.engine.scripted import ScriptedEngine
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.assistant.watchdog import RESTARTS
from tests.model.test_engine import finish, prompt


class Mortal(ScriptedEngine):
    """An engine that the test ends."""

    is_dead = False

    def __init__(self, name: str = "mortal") -> None:
        super().__init__(prefill_s=0.0, word_s=0.0)
        self.info = self.info.__class__(name, name.capitalize(), 1)

    def load(self) -> Load:
        return Load(0, 0, math.inf if self.is_dead else 0.0)


class Opener:
    """Opens engines; `fails` are raised first."""

    def __init__(self, *fails: Exception) -> None:
        self.opened: list[Mortal] = []
        self.fails = list(fails)
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self) -> Mortal:
        self.meanwhile()
        if self.opened and self.fails:
            raise self.fails.pop(0)
        self.opened.append(Mortal())
        return self.opened[-1]


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    monkeypatch.setattr("onboarding.assistant.watchdog.WATCH_S", 0.01)
    made = Parts(PartsSettings(engine="scripted", data=tmp_path))
    made.status.update(search="ready", router="ready", tools="ready")
    return made


def test_an_engine_that_ended_is_started_again_and_health_tells_the_truth_meanwhile(parts: Parts) -> None:
    opens = Opener()
    client = TestClient(create_app(Guide(parts), load_parts=False))
    parts._serve(opens(), opens)
    ready: list[object] = []
    parts.on_ready = ready.append
    seen: list[object] = []

    def look() -> None:
        answer = client.get("/healthz")
        seen.append((answer.status_code, answer.json()["status"], answer.json()["parts"]["model"], parts.engine))
        seen.append(client.get("/readyz").status_code)

    opens.meanwhile = look
    opens.opened[0].is_dead = True
    parts.watchdog.restart_ended()
    assert seen == [(200, "degraded", "restarting: Mortal has stopped and is started again.", None), 503]
    assert parts.engine is opens.opened[1]
    assert (client.get("/healthz").json()["status"], parts.note) == ("ok", "")
    parts.close()


def test_it_is_tried_again_when_it_cannot_be_opened_at_once(parts: Parts) -> None:
    opens = Opener(MemoryError(), ModelUnusable("The file is gone."))
    parts._serve(opens(), opens)
    opens.opened[0].is_dead = True
    parts.watchdog.restart_ended()
    assert parts.engine is opens.opened[1]
    assert parts.status["model"] == "ready"


def test_an_engine_that_ends_again_and_again_is_left_to_whoever_runs_the_process(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    opens = Opener()
    client = TestClient(create_app(Guide(parts), load_parts=False))
    parts._serve(opens(), opens)
    for _ in range(RESTARTS + 3):
        opens.opened[-1].is_dead = True
        parts.watchdog.restart_ended()
    assert len(opens.opened) == 1 + RESTARTS
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (503, "dead")
    assert "too often" in caplog.text
    assert "the log says why" in parts.note


def test_another_model_answers_meanwhile_and_stays_where_it_stands(parts: Parts) -> None:
    opens, other = Opener(), Mortal("other")
    parts._serve(opens(), opens)
    parts._serve(other)
    opens.opened[0].is_dead = True
    parts.watchdog.restart_ended()
    assert parts.engine is other
    assert [engine.info.name for engine in parts.engines] == ["mortal", "other"]


def test_closing_starts_nothing_again(parts: Parts) -> None:
    opens = Opener()
    parts._serve(opens(), opens)
    opens.opened[0].is_dead = True
    parts.close()
    parts.watchdog.restart_ended()
    assert len(opens.opened) == 1


def test_a_model_that_is_retired_while_it_is_started_again_stays_retired(parts: Parts) -> None:
    opens, other = Opener(), Mortal("other")
    parts._serve(other)
    parts._serve(opens(), opens)
    opens.meanwhile = lambda: parts._retire("mortal", "Mortal is damaged on the disk.")
    opens.opened[0].is_dead = True
    parts.watchdog.restart_ended()
    assert parts.engine is other
    assert (parts.status["model"], parts.note) == ("ready", "Mortal is damaged on the disk.")
    assert parts.silent_s == 0.0


def test_a_real_engine_whose_thread_breaks_answers_again(
    smol: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onboarding.assistant.watchdog.WATCH_S", 0.05)
    parts = Parts(PartsSettings(model=str(smol), data=tmp_path))
    parts._load_first_model()
    parts.watchdog.start()
    try:
        broken = cast(LocalEngine, parts.engine)

        def end() -> None:
            raise SystemError("broken")

        monkeypatch.setattr(broken, "_loop_once", end)
        broken.prewarm([])  # wakes the thread
        pause = threading.Event()
        while parts.engine is None or parts.engine is broken:
            pause.wait(0.05)
        text, last = finish(parts.engine.submit(prompt("Hello"), Options(max_tokens=4)))
        assert (bool(text), last.reason) == (True, "length")
        assert broken.cause == "SystemError: broken"
    finally:
        parts.close()
