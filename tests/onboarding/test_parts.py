"""Loading: what one part lacks costs no other part."""

from __future__ import annotations

import threading
from pathlib import Path

from onboarding.assistant.parts import Parts, PartsSettings
from tools.sandbox.sandbox import Sandbox
from tools.sandbox.worker_process import SandboxError


class NoSandbox(Sandbox):
    """As on a machine whose kernel or emulator offers no system call filter."""

    def list_tools(self) -> dict[str, str]:
        raise SandboxError("the tools' worker did not start: no system call filter here")


def test_without_a_sandbox_the_search_still_loads(tmp_path: Path) -> None:
    parts = Parts(PartsSettings(engine="scripted", data=tmp_path), NoSandbox())
    parts.start()
    try:
        while any(state in ("waiting", "loading") or state.startswith("building") for state in parts.status.values()):
            threading.Event().wait(0.05)
        assert parts.status["tools"] == "failed: the tools' worker did not start: no system call filter here"
        assert {parts.status[part] for part in ("model", "search", "router")} == {"ready"}
        assert parts.retriever is not None
    finally:
        parts.close()
