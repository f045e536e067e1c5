"""Run secretlint's recommended rules over texts, wherever they come from: a tree, a history, an image.

The npm package lies in a folder that `make` fills from .github/secretlint. Each run looks for a planted credential too,
and fails without it, without Node, or when a text was passed over: a search that looked at nothing must not pass. A
comment in a text that switches secretlint off counts as a finding. Does not cover: what no rule of the preset knows;
rag/secrets/find.py has formats of its own.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

Text = tuple[str, str]  # where it stands, what it says

LONGEST_S = 1800.0  # the whole history takes 40 s on a loaded machine

_CANARY = ("a planted credential", "token = gh" + "p_0123456789abcdefABCDEF0123456789abcd\n")
_SWITCH = re.compile(r"secretlint-(?:disable|enable)")
_UNPRINTABLE = re.compile(r"[\0-\x08�]")  # secretlint takes a text with one of these for binary
_KNOWN_BY_NAME = (".json", ".npmrc")  # files that have rules of their own


class SecretlintFailed(RuntimeError):
    """The texts were not searched; the message says why."""


def lint(texts: Sequence[Text], installed: Path) -> list[str]:
    """A line for each credential, naming place and rule and never the value. Raises SecretlintFailed."""
    searched = [*texts, _CANARY]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "texts")
        folder.mkdir()
        names = [_write(folder, number, text) for number, text in enumerate(searched)]
        seen = {Path(one["filePath"]).name: one for one in _run(installed.absolute(), folder)}
    unread = [place for name, (place, _) in zip(names, searched, strict=True) if not _was_read(seen.get(name))]
    if unread:
        raise SecretlintFailed(f"secretlint passed over {len(unread)} of {len(names)} texts, such as {unread[0]}")
    *_, canary = names
    if not seen[canary]["messages"]:
        raise SecretlintFailed("secretlint did not find a planted credential; are its rules installed?")
    return [line for name, text in zip(names, texts, strict=False) for line in _findings(text, seen[name]["messages"])]


def found_by(installed: Path | None) -> str:
    """Which finders a figure rests on, in words."""
    return "found by detect-secrets' formats and secretlint" if installed else "found by detect-secrets' formats alone"


def _write(folder: Path, number: int, text: Text) -> str:
    """Write a text; return its file's name. Names are ours: secretlint passes over node_modules, for one."""
    place, content = text
    own = PurePosixPath(place).name
    name = f"{number}-{own}" if own.endswith(_KNOWN_BY_NAME) else f"{number}.txt"
    (folder / name).write_text(_UNPRINTABLE.sub("?", content), "utf-8")
    return name


def _was_read(result: dict[str, Any] | None) -> bool:
    return result is not None and result["sourceContentType"] == "text"


def _findings(text: Text, messages: Sequence[dict[str, Any]]) -> list[str]:
    place, content = text
    hits = [(one["loc"]["start"]["line"], f"secretlint {one['messageId']}") for one in messages]
    hits += [(content.count("\n", 0, at.start()) + 1, f"a comment, {at[0]}") for at in _SWITCH.finditer(content)]
    return [f"{place}:{line}: {kind}" for line, kind in sorted(hits)]


def _run(installed: Path, folder: Path) -> list[dict[str, Any]]:
    program = installed / "node_modules" / "secretlint" / "bin" / "secretlint.js"
    report = folder.with_suffix(".json")  # what it prints into a pipe is cut off when it ends
    options = ["--format", "json", "--maskSecrets", "--secretlintrc", str(installed / "secretlintrc.json")]
    command = ["node", str(program), *options, "--output", str(report), "**/*"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SecretlintFailed(f"secretlint did not run ({error}); it needs Node 20 or newer and npm") from error
    try:
        results: list[dict[str, Any]] = json.loads(report.read_text("utf-8"))
    except (OSError, ValueError) as error:
        why = done.stderr.strip()[-400:] or error
        raise SecretlintFailed(f"secretlint failed; run `make secretlint`: {why}") from error
    return results
