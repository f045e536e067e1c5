"""Keep the table of rooms in docs/developers.md, and the rules that rooms follow.

    python .github/scripts/rooms.py [--check] [ROOT]

A room is a folder of a package, in onboarding also a folder of such a folder, with all modules below it; a module that
lies directly in a package is a room of its own. Writes the table between its two markers. With --check writes nothing
and prints what is wrong: a table out of date, rooms that import each other in a circle, more files or more lines than a
reader takes in at once. Reads `import` and `from ... import` anywhere in a module; does not see names that a string
imports. The order app -> onboarding -> model -> {rag, tools} is tests/test_layers.py's.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from command_line import ended

PACKAGES = ("app", "onboarding", "model", "rag", "tools")
MOST_FILES = 12  # a listing that fits a glance
MOST_LINES = 1500  # an hour of reading
STEP = 50  # the table rounds lines up to a multiple, so that small changes leave it as it is
PAGE = Path("docs/developers.md")
START, END = "<!-- rooms: python .github/scripts/rooms.py -->", "<!-- end of rooms -->"


@dataclass(slots=True)
class Room:
    """One room: its files, its lines of code, and the rooms it imports."""

    files: int = 0
    lines: int = 0  # without blank lines, comments and docstrings
    imports: set[str] = field(default_factory=set)


def read_rooms(root: Path) -> dict[str, Room]:
    """Return the rooms below `root` by name; the name of a folder ends in "/"."""
    files = [root / "app.py", *(file for package in PACKAGES for file in sorted((root / package).rglob("*.py")))]
    trees = {file.relative_to(root): ast.parse(file.read_text("utf-8")) for file in files if file.is_file()}
    homes = {_module(path): _room(path) for path in trees}
    rooms: dict[str, Room] = {}
    for path, tree in trees.items():
        room = rooms.setdefault(_room(path), Room())
        room.files += 1
        room.lines += _code_lines((root / path).read_text("utf-8"), tree)
        room.imports |= {homes[name] for name in _imported(tree, homes)} - {_room(path)}
    return {name: room for name, room in sorted(rooms.items()) if room.lines}


def _room(path: Path) -> str:
    if len(path.parts) < 3:
        return str(path)
    return "/".join(path.parts[:-1][: 3 if path.parts[0] == "onboarding" else 2]) + "/"


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _imported(tree: ast.AST, known: Mapping[str, str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in (f"{node.module}.{alias.name}" for alias in node.names):
                if name in known or node.module in known:
                    yield name if name in known else node.module


def _code_lines(text: str, tree: ast.AST) -> int:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    first = [node.body[0] for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node)]
    words = {number for node in first for number in range(node.lineno, (node.end_lineno or 0) + 1)}
    lines = enumerate((line.strip() for line in text.splitlines()), 1)
    return sum(1 for number, line in lines if line and not line.startswith("#") and number not in words)


def table(rooms: Mapping[str, Room]) -> str:
    """Return the rooms as a Markdown table."""
    rows = ["| room | files | lines of code, at most | imported by |", "| --- | --: | --: | --- |"]
    for name, room in rooms.items():
        users = ", ".join(f"`{user}`" for user, other in rooms.items() if name in other.imports)
        rows.append(f"| `{name}` | {room.files} | {-(-room.lines // STEP) * STEP} | {users} |")
    return "\n".join(rows)


def circle(rooms: Mapping[str, Room]) -> set[str]:
    """Return the rooms of a circle of imports; none where there is no circle."""
    try:
        TopologicalSorter({name: room.imports for name, room in rooms.items()}).prepare()
    except CycleError as error:
        return set(error.args[1])
    return set()


def faults(rooms: Mapping[str, Room]) -> list[str]:
    """Return what breaks a rule, one sentence each."""
    found = [f"{' and '.join(sorted(circle(rooms)))} import each other in a circle"] if circle(rooms) else []
    for name, room in rooms.items():
        if room.files > MOST_FILES:
            found.append(f"{name} has {room.files} files, more than {MOST_FILES}; divide it")
        if room.lines > MOST_LINES:
            found.append(f"{name} has {room.lines} lines of code, more than {MOST_LINES}; divide it")
    return found


def with_table(page: str, rooms: Mapping[str, Room]) -> str:
    """Return the page with the table between its markers. Raises ValueError where it has none."""
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"{PAGE} has no table of rooms; put {START} and {END} where it belongs")
    return f"{before}{START}\n\n{table(rooms)}\n\n{END}{after}"


def main(argv: Sequence[str]) -> int:
    """Write the table, or check; 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, nargs="?", default=Path(__file__).parents[2])
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(argv)
    rooms = read_rooms(options.root)
    page = options.root / PAGE
    written = page.read_text("utf-8")
    wanted = with_table(written, rooms)
    wrong = faults(rooms)
    if not options.check:
        page.write_text(wanted, "utf-8")
    elif written != wanted:
        wrong.append(f"the table of rooms in {PAGE} is out of date; run: python .github/scripts/rooms.py")
    print(*wrong, f"{len(rooms)} rooms, {len(wrong)} findings", sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
