"""Runs every command line of the project with every kind of bad path, and says which end in a traceback.

    python -m tests.hardening.command_lines [--few] [ENTRY ...]    # one JSON object a run
    python -m tests.hardening.command_lines --list ENTRY ...       # one a command: its words and options

Every kind is tried with one argument of each command; with --few one kind with each command and another with the next,
and so it does without room and without an output: half a minute.

The entries are the files that Python can run; the commands, options and arguments of an entry come from its own
parsers, so that a new one is covered by itself. An entry is imported once, and each of its runs is a fork of that
process, in a copy of the tree: what a command writes over by default is not here.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import re
import resource
import runpy
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMPUTING_S = 0.7  # CPU seconds of one run; one that goes on working then is ended, which is no fault
SECONDS = 5.0  # the same for one that waits, or finds the machine busy
NOT_OURS = {"app.py"}  # takes no arguments; tests/onboarding/test_bad_settings.py has its settings
PLACES = ("rag", "model", "onboarding", "tools", "tests/evals", ".github/scripts")
SERVE_OR_FUZZ = {"tools/sandbox/worker.py", ".github/scripts/image_probe.py"}  # a process of another's, fed by it
LONGEST = 1_500  # characters of all that a refusal says, usage included
FEW, LIST = "--few", "--list"
SLOW = ("huggingface_hub", "pyarrow.parquet", "scipy.optimize", "sklearn.svm")
SLOWEST = "sentence_transformers"  # only another encoder's name leads to it, which --few does not give
OFFLINE = {"HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1", "OMP_THREAD_LIMIT": "1", "TOKENIZERS_PARALLELISM": "false"}
Line = tuple[list[str], str]  # arguments, what is bad


class Captured(BaseException):
    """A parser that was about to read a command line."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


@dataclass(frozen=True, slots=True)
class Command:
    """One command of an entry: what stands before its arguments, and its parser's actions."""

    words: tuple[str, ...]
    actions: tuple[argparse.Action, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """How one command line ended."""

    entry: str
    arguments: list[str]
    what: str
    code: int | None  # None when it was ended
    said: str

    @property
    def fault(self) -> str:
        """What is wrong with how it ended; "" when nothing is."""
        if "Traceback (most recent call last)" in self.said:
            return "a traceback"
        if self.code is not None and self.code < 0:
            return f"signal {-self.code}"
        if self.code and not self.said.strip():
            return "ends in silence"
        if self.code and self.code > 1 and len(self.said) > LONGEST:  # 1 can be a report
            return "says too much"
        return ""


def entries() -> list[str]:
    """Every file below PLACES that Python can run, by its path."""
    found = [path for place in PLACES for path in sorted((ROOT / place).rglob("*.py"))]
    named = [path.relative_to(ROOT).as_posix() for path in found if _runs(path)]
    return [name for name in named if name not in SERVE_OR_FUZZ | NOT_OURS]


def _runs(path: Path) -> bool:
    return path.name == "__main__.py" or 'if __name__ == "__main__"' in path.read_text("utf-8")


def bad_paths(folder: Path) -> dict[str, str]:
    """Kind -> a path of that kind, made below the folder."""
    made = {
        "a folder": folder / "folder",
        "an empty file": folder / "empty",
        "a binary file": folder / "binary",
        "other text": folder / "text.jsonl",
        "another JSON": folder / "list.json",
        "half a JSON": folder / "half.json",
        "a link to itself": folder / "loop",
        "a link to nowhere": folder / "link",
        "blanks": folder / "a name with  blanks",
        "line ends": folder / "a name\nwith line\rends",
    }
    made["a folder"].mkdir()
    made["an empty file"].touch()
    made["a binary file"].write_bytes(bytes(range(256)) * 16)
    for kind, text in (("other text", "no JSON\n"), ("another JSON", '[1, {"a": null}]\n'), ("half a JSON", '{"a": [')):
        made[kind].write_text(text)
    made["a link to itself"].symlink_to(made["a link to itself"])
    made["a link to nowhere"].symlink_to(folder / "nothing" / "here")
    paths = {kind: str(path) for kind, path in made.items()}
    no_utf8 = os.fsdecode(os.fsencode(folder) + b"/\xff\xfe name")
    return paths | {
        "missing": str(folder / "missing"),
        "below a file": f"{folder}/empty/below",
        "below a folder that is not there": f"{folder}/no/such/folder",
        "no UTF-8": no_utf8,
        "too long": str(folder / ("x" * 300)),
        "unreadable": "/proc/self/mem",  # for root too
        "read-only": "/proc/below" if os.getuid() == 0 else _closed(folder),
        "nothing": "",
    }


def _closed(folder: Path) -> str:
    closed = folder / "closed"
    closed.mkdir(mode=0o500)
    return str(closed / "below")


def commands(entry: str) -> list[Command]:
    """The commands of an entry, from the parsers that it meets; without any, one command of any words."""
    words = [(), *((name,) for name in sorted(_names(entry)))]
    found: dict[tuple[str, ...], Command] = {}
    for before in words:
        for command in _parsed(entry, before):
            found.setdefault(command.words, command)
    return list(found.values()) or [Command((), ())]


def _listed(command: Command) -> dict[str, Any]:
    return {"words": command.words, "options": [name for action in command.actions for name in action.option_strings]}


def _names(entry: str) -> set[str]:
    """Words that the file itself knows as commands: COMMANDS, what names() gives, and those that it hands on."""
    scope = _scope(entry)
    known = scope.get("COMMANDS") or (scope["names"]() if "names" in scope else ())
    handed_on = re.findall(r'argv\[:1\] == \["([\w-]+)"\]', (ROOT / entry).read_text("utf-8"))
    return {*map(str, known), *handed_on}


def _scope(entry: str) -> dict[str, Any]:
    """The globals of an entry that is imported but not run."""
    name = entry.removesuffix(".py").replace("/", ".")
    with _silence(), contextlib.suppress(SystemExit, ImportError):
        if entry.startswith("."):
            return runpy.run_path(entry, run_name="imported")
        return runpy.run_module(name, run_name="imported", alter_sys=True)
    return {}


def _parsed(entry: str, before: Sequence[str]) -> list[Command]:
    """The commands of the parser that an entry uses for a command line that begins so."""
    kept = argparse.ArgumentParser.parse_args, argparse.ArgumentParser.parse_known_args

    def capture(parser: argparse.ArgumentParser, *_args: object, **_kwargs: object) -> None:
        raise Captured(parser)

    argparse.ArgumentParser.parse_args = argparse.ArgumentParser.parse_known_args = capture  # type: ignore[assignment]
    try:
        with _silence(), contextlib.suppress(SystemExit):
            execute(entry, before)
    except Captured as captured:
        return list(_leaves(captured.parser, tuple(before)))
    finally:
        argparse.ArgumentParser.parse_args, argparse.ArgumentParser.parse_known_args = kept  # type: ignore[method-assign]
    return []


def _leaves(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[Command]:
    actions = parser._actions
    below = [action for action in actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield Command(words, tuple(action for action in actions if not isinstance(action, argparse._HelpAction)))
    for several in below:
        for name, inner in several.choices.items():
            yield from _leaves(inner, (*words, name))


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def execute(entry: str, arguments: Sequence[str]) -> None:
    """Run an entry in this process as `python` would."""
    sys.argv = [entry, *arguments]
    if entry.startswith("."):
        sys.path.insert(0, str(Path(entry).parent))
        runpy.run_path(entry, run_name="__main__")
    elif entry.endswith("/__main__.py"):
        runpy.run_module(str(Path(entry).parent).replace("/", "."), run_name="__main__", alter_sys=True)
    else:
        runpy.run_module(entry.removesuffix(".py").replace("/", "."), run_name="__main__", alter_sys=True)


def command_lines(command: Command, bad: dict[str, str], good: Path) -> Iterator[Line]:
    """Return the lines for each argument that takes a text, and for all of them together."""
    texts = [action for action in command.actions if _takes_text(action)]
    for kind, path in bad.items():
        if not texts:
            yield [*command.words, path], f"an argument: {kind}"
        for action in texts:
            yield list(_line(command, {action.dest: path}, good)), f"{_name(action)}: {kind}"
    if texts:
        yield list(_line(command, {action.dest: bad["missing"] for action in texts}, good)), "all: missing"


def _takes_text(action: argparse.Action) -> bool:
    return action.nargs != 0 and action.choices is None and action.type not in (int, float)


def _name(action: argparse.Action) -> str:
    return action.option_strings[-1] if action.option_strings else action.dest


def _line(command: Command, values: dict[str, str], good: Path) -> Iterator[str]:
    """The command line with these values, and with sound ones where it needs others or writes by default."""
    yield from command.words
    for action in command.actions:
        value = values.get(action.dest)
        if value is None and (action.required or _writes(action)):
            value = _sound(action, good)
        if value is None:
            continue
        if action.option_strings:
            yield f"{action.option_strings[-1]}={value}" if action.nargs is None else action.option_strings[-1]
        if not action.option_strings or action.nargs is not None:
            yield value


def _writes(action: argparse.Action) -> bool:
    return action.dest in {"out", "folder", "cache", "data"} and _takes_text(action)


def _sound(action: argparse.Action, good: Path) -> str | None:
    """A value that a command can begin with: a choice, a number, a folder of pages or a file of rows."""
    if action.nargs == 0:
        return None
    if action.choices is not None:
        return str(next(iter(action.choices)))
    if action.type in (int, float):
        return "1"
    if action.dest in {"corpus", "upstream", "source", "snapshot", "pages"}:
        return str(good / "pages")
    if action.dest in {"repo", "repository"}:
        return "someone/name"
    if action.dest in {"questions", "cases", "judged"}:
        return str(good / "rows.jsonl")
    return str(good / f"new-{action.dest}") if _writes(action) or action.type is Path else "word"


def fork(entry: str, arguments: list[str], what: str, *, prepare: Callable[[], None] = lambda: None) -> Run:
    """Run a command line in a fork of this process and return how it ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False, errors="backslashreplace")
        _child(entry, arguments, prepare)
    os.close(writing)
    said, end = b"", time.monotonic() + SECONDS
    while time.monotonic() < end and select.select([reading], [], [], max(0.0, end - time.monotonic()))[0]:
        piece = os.read(reading, 65_536)
        if not piece:
            break
        said += piece
    os.close(reading)
    is_late = time.monotonic() >= end
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL) if is_late else None
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    is_late = is_late or status == -signal.SIGPROF
    shown = [argument.encode("utf-8", "backslashreplace").decode() for argument in arguments]
    return Run(entry, shown, what, None if is_late else status, said.decode("utf-8", "replace"))


def _child(entry: str, arguments: Sequence[str], prepare: Callable[[], None]) -> None:
    """End this process as `python` would end it."""
    code = 1
    try:
        signal.setitimer(signal.ITIMER_PROF, COMPUTING_S)  # whose signal ends the process
        prepare()
        execute(entry, arguments)
        code = 0
        sys.stdout.flush()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        with contextlib.suppress(OSError):
            sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)


def no_room() -> None:
    """No file may grow: what a disk without room does to a process, to all of its files at once."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def full_output() -> None:
    """Standard output is a full disk."""
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


FULL = {"no file may grow": no_room, "standard output is full": full_output}


def _preload(*, few: bool) -> None:
    """Import here, once, what commands import when they need it: each fork would take seconds over it."""
    for name in SLOW if few else (*SLOW, SLOWEST):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # a collection in a fork would copy every page of what was imported


def _some(lines: list[Line], kinds: int, number: int, most: int) -> list[Line]:
    """Lines of `most` kinds, each for another argument, and the last, which is bad throughout; number: of the command."""
    arguments = max(1, len(lines) // kinds)
    chosen = [(number * most + at) % kinds for at in range(most)]
    return [*(lines[kind * arguments + (number + kind) % arguments] for kind in chosen), *lines[kinds * arguments :]]


def runs(entry: str, folder: Path, *, few: bool) -> Iterator[Run]:
    """The runs of an entry."""
    _preload(few=few)
    good = folder / "good"
    (good / "pages").mkdir(parents=True)
    (good / "pages" / "page.md").write_text("# Doors\n\nAirflow listens on port 8888 of the host.\n")
    (good / "rows.jsonl").write_text(
        '{"question": "Which port?", "text": "Which port?", "route": "kcli", "gold": []}\n'
    )
    (folder / "bad").mkdir()
    bad = bad_paths(folder / "bad")
    for number, command in enumerate(commands(entry)):
        lines = list(command_lines(command, bad, good))
        for arguments, what in _some(lines, len(bad), number, 1 if few else len(bad)):
            yield fork(entry, arguments, what)
        sound = list(_line(command, {}, good))
        for what, prepare in list(FULL.items())[number % 2 :: 2] if few else FULL.items():
            yield fork(entry, sound, what, prepare=prepare)


@contextlib.contextmanager
def copied() -> Iterator[Path]:
    """A copy of the tree to work in, and an empty data folder."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "tree"
        away = shutil.ignore_patterns(".git", ".data", ".venv", "__pycache__", ".*_cache", "shots")
        shutil.copytree(ROOT, copy, ignore=away, symlinks=True)
        os.environ.update(OFFLINE, DATA_DIR=str(Path(name) / "data"))
        os.chdir(copy)
        sys.path[:] = [str(copy), *(path for path in sys.path if Path(path or ".").resolve() != ROOT)]
        yield Path(name)


def main(names: Sequence[str]) -> int:
    """Print the runs of the entries as JSON lines; 1 when one went wrong."""
    wrong, named = 0, [name for name in names if not name.startswith("--")]
    if LIST in names:
        for command in (one | {"entry": entry} for entry in named for one in map(_listed, commands(entry))):
            print(json.dumps(command))
        return 0
    with copied() as folder:
        for number, entry in enumerate(named or entries()):
            for run in runs(entry, folder / str(number), few=FEW in names):
                print(json.dumps(asdict(run) | {"fault": run.fault}), flush=True)
                wrong += bool(run.fault)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
