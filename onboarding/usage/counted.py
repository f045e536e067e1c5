"""A sandbox that counts every run of a tool: by the chat, a tab, a tour or a program."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from onboarding.usage.recorder import Usage
from tools.sandbox.sandbox import Sandbox
from tools.types import Report, ToolResult


class CountedSandbox(Sandbox):
    """A Sandbox that counts its runs; a run of all tools counts once."""

    def __init__(self, usage: Usage) -> None:
        super().__init__()
        self._usage = usage
        self._here = threading.local()  # `whole` is set in a thread that runs all tools

    def call(self, tool: str, args: Mapping[str, Any], host: str) -> ToolResult:
        """Run one tool and count it."""
        result = super().call(tool, args, host)
        if not getattr(self._here, "whole", False):
            self._usage.tool(tool, result.success)
        return result

    def run_all(self, host: str) -> Report:
        """Run every tool and count the runs as one."""
        self._usage.whole_check()
        self._here.whole = True
        try:
            return super().run_all(host)
        finally:
            self._here.whole = False
