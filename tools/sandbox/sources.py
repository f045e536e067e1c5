"""Read the text of checks before anything of it runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools import checks
from tools.registry import ToolError, check_modules

MAX_BYTES = 256 * 1024  # of one file


@dataclass(frozen=True, slots=True)
class Checks:
    """The text of the modules that one worker runs."""

    where: str  # the file or folder, for messages
    foreign: bool  # not of this repository
    texts: Mapping[str, str]  # module name -> text, of all that the worker may import from here
    load: tuple[str, ...]  # the modules whose tools it offers


def own_checks() -> Checks:
    """Return the checks of `tools/checks/`."""
    folder = Path(checks.__path__[0])
    texts = {name: (folder / f"{name.rpartition('.')[2]}.py").read_text("utf-8") for name in check_modules()}
    return Checks(str(folder), False, texts, tuple(texts))


def foreign_check(path: Path) -> Checks:
    """Return the check of another file, which may import ours; ToolError for a file that cannot be one."""
    name = path.stem
    if path.suffix != ".py" or not path.is_file():
        raise ToolError(f"{path} is no Python file; give the path of a .py file that holds a tool")
    if not name.isidentifier() or name in sys.stdlib_module_names or name in ("tools", "__main__"):
        raise ToolError(f"{path} bears the name of another module, or none that Python can import; rename it")
    if path.stat().st_size > MAX_BYTES:
        raise ToolError(f"{path} has more than {MAX_BYTES} bytes; divide it")
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(f"{path} cannot be read ({error}); save it as UTF-8") from error
    return Checks(str(path), True, {**own_checks().texts, name: text}, (name,))
