"""Cut programs into blocks: what their authors wrote about them, not their code.

A Python file gives the docstrings of the module and of its classes and functions, each below its name; a shell script
gives its comments, those above a function below the function's name.
"""

import ast
import re
from collections.abc import Iterator

from rag.types import Block

LEAST = 60  # characters of a docstring or a run of comments that says more than its name
_FUNCTION = re.compile(r"^(?:function\s+)?([A-Za-z_]\w*)\s*(?:\(\)\s*)?\{?\s*$|^([A-Za-z_]\w*)\s*\(\)")
_RULE = re.compile(r"^[\s=#*\-_─]*$")


def python_blocks(text: str) -> Iterator[Block]:
    """Yield headings and docstrings; nothing for a file that Python cannot parse."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    yield from _described(module, 0)


def _described(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, level: int) -> Iterator[Block]:
    said = ast.get_docstring(node)
    if said and len(said) >= LEAST:
        if not isinstance(node, ast.Module):
            yield Block("heading", f"{'#' * (level + 1)} {node.name}", (node.lineno, node.lineno), level, node.name)
        first = node.body[0]
        for paragraph in re.split(r"\n\s*\n", said):
            yield Block("text", paragraph.strip(), (first.lineno, first.end_lineno or first.lineno))
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _described(child, min(level + 1, 5))


def shell_blocks(text: str) -> Iterator[Block]:
    """Yield the runs of comments that say something, those above a function under its name."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        end = at
        while end < len(lines) and lines[end].lstrip().startswith("#"):
            end += 1
        said = [line.lstrip().lstrip("#").strip() for line in lines[at:end] if not line.startswith("#!")]
        said = [line for line in said if line and not _RULE.match(line)]
        if sum(map(len, said)) >= LEAST:
            name = _FUNCTION.match(lines[end]) if end < len(lines) else None
            if name and (title := name[1] or name[2]):
                yield Block("heading", f"## {title}", (end + 1, end + 1), 1, title)
            yield Block("text", "\n".join(said), (at + 1, end))
        at = max(end, at + 1)
