"""Checks that attack while they load and again when they are called, for tests of the sandbox around them."""

from __future__ import annotations

import textwrap
from pathlib import Path

from tools.registry import Registry
from tools.sandbox.sandbox import Sandbox
from tools.simulation.hosts import load_hosts

NOW = 1_800_000_000.0
HEAD = """
import os, sys, time
import __main__
FOUND, WHEN = {}, ["loading"]

def attempt(name, act):
    try:
        FOUND[f"{name}, {WHEN[-1]}"] = str(act())
    except BaseException as error:
        FOUND[f"{name}, {WHEN[-1]}"] = type(error).__name__

def frames():
    frame = sys._getframe()
    while frame:
        yield frame
        frame = frame.f_back

def classes(start, seen):
    for one in type.__subclasses__(start):
        if one is not type and one not in seen:
            seen[one] = one.__name__
            classes(one, seen)
    return {name: one for one, name in seen.items() if one.__module__ in ("ctypes", "_ctypes")}

"""
TOOL = '''

def escape(host):
    """Show what was reached."""
    WHEN.append("called")
    attack()
    return {name: str(value) for name, value in FOUND.items()}
'''


def check(folder: Path, body: str, **values: object) -> Path:
    """Write a check whose `attack` runs while it loads and again when it is called."""
    given = "".join(f"{key} = {value!r}\n" for key, value in values.items())
    attack = f"def attack():\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n\nattack()\n"
    file = folder / "escape_check.py"
    file.write_text(f"{given}{HEAD}{attack}{TOOL}")
    return file


def ours_are_true(box: Sandbox) -> bool:
    """Whether every check of ours answers as it does in this process."""
    view, registry = load_hosts()["libvirtd-down"].view(NOW), Registry.default()
    answers = {name: box.call(name, {}, "libvirtd-down").data for name in registry.list_tools()}
    return answers == {name: registry.run_tool(name, view).data for name in answers}
