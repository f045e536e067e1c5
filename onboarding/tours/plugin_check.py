"""Check the structure of a plugin's source by parsing it; never execute or import it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

BASE = "QubiNodePlugin"
LONGEST = 20_000  # characters
DEEPEST = 60  # levels of open brackets; more attack the parser, and no plugin needs them
REQUIRED = {
    "_initialize_plugin": ("self",),
    "check_state": ("self",),
    "apply_changes": ("self", "current_state", "desired_state", "context"),
}
PARSER_FAULTS = (SyntaxError, ValueError, RecursionError, MemoryError)

SKELETON = '''\
import subprocess

from core.base_plugin import ExecutionContext, PluginResult, PluginStatus, QubiNodePlugin, SystemState


class ChronyPlugin(QubiNodePlugin):
    """Keeps the host's clock right."""

    __version__ = "1.0.0"

    def _initialize_plugin(self) -> None:
        """Raise here to refuse a host this plugin is not for."""
        self.unit = self.config.get("unit", "chronyd")

    def check_state(self) -> SystemState:
        asked = subprocess.run(["systemctl", "is-active", self.unit], capture_output=True, text=True)
        return SystemState({self.unit: asked.stdout.strip()})

    def get_desired_state(self, context: ExecutionContext) -> SystemState:
        return SystemState({self.unit: "active"})

    def apply_changes(
        self, current_state: SystemState, desired_state: SystemState, context: ExecutionContext
    ) -> PluginResult:
        subprocess.run(["systemctl", "enable", "--now", self.unit], check=True)
        return PluginResult(changed=True, message=f"{self.unit} started", status=PluginStatus.COMPLETED)
'''


@dataclass(frozen=True, slots=True)
class PluginRemark:
    """One remark on a plugin's source: a problem to mend, or a part that is in order."""

    ok: bool
    text: str  # one sentence, which says how to mend a problem
    line: int = 0  # 0 for the whole file


def check_plugin(source: str) -> list[PluginRemark]:
    """Return the remarks of a reviewer on the structure, problems first; never raise."""
    if len(source) > LONGEST:
        return [PluginRemark(False, f"The file has {len(source):,} characters; keep a plugin below {LONGEST:,}.")]
    if _depth(source) > DEEPEST:
        return [PluginRemark(False, f"Brackets are nested more than {DEEPEST} deep; take the expression apart.")]
    try:
        module = ast.parse(source)
    except PARSER_FAULTS as error:
        line = getattr(error, "lineno", 0) or 0
        return [PluginRemark(False, f"Python cannot read it: {getattr(error, 'msg', error)}; mend that first.", line)]
    plugins = [node for node in module.body if isinstance(node, ast.ClassDef) and _is_plugin(node)]
    if not plugins:
        return [PluginRemark(False, f"No class derives from {BASE}; write `class MyPlugin({BASE}):`.")]
    remarks = [remark for plugin in plugins for remark in _check_class(plugin)]
    return sorted([*remarks, *_check_module(module)], key=lambda remark: remark.ok)


def class_name(source: str) -> str:
    """Return the plugin's class name, "" when the parser finds none."""
    if not source or len(source) > LONGEST or _depth(source) > DEEPEST:
        return ""
    try:
        nodes = ast.parse(source).body
    except PARSER_FAULTS:
        return ""
    return next((node.name for node in nodes if isinstance(node, ast.ClassDef) and _is_plugin(node)), "")


def enabled_line(name: str) -> str:
    """Return the line that ends the list `enabled` of upstream's config/plugins.yml."""
    return f"    - {name}"


def config_section(name: str) -> str:
    """Return the lines to append to upstream's config/plugins.yml, whose last top-level key is `plugins`."""
    return f"  {name}: {{}}"


def file_path(name: str) -> str:
    """Return where upstream finds the plugin's file, named as its own plugins are."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.removesuffix("Plugin")).lower()
    return f"plugins/services/{words.strip('_') or 'my'}_plugin.py"


def _depth(source: str) -> int:
    deepest = depth = 0
    for character in source:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _is_plugin(node: ast.ClassDef) -> bool:
    return any(getattr(base, "id", getattr(base, "attr", "")) == BASE for base in node.bases)


def _check_class(plugin: ast.ClassDef) -> Iterator[PluginRemark]:
    methods = {node.name: node for node in plugin.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for name, wanted in REQUIRED.items():
        yield _method(plugin, methods.get(name), name, wanted)
    named = any(_assigns(node, "__version__") for node in plugin.body)
    yield PluginRemark(
        named,
        "It names its version." if named else "Add `__version__` to the class; without it `list` says 1.0.0.",
        plugin.lineno,
    )
    if "get_desired_state" not in methods:
        yield PluginRemark(
            False,
            "Add `get_desired_state(self, context)`: without it the desired state is empty and hardly ever equal.",
            plugin.lineno,
        )
    elif len(methods["get_desired_state"].args.args) != 2:
        yield PluginRemark(
            False, "`get_desired_state` takes `self` and `context`.", methods["get_desired_state"].lineno
        )
    else:
        yield PluginRemark(True, "It says which state it wants.", methods["get_desired_state"].lineno)
    documented = bool(ast.get_docstring(plugin))
    yield PluginRemark(
        documented, "It is documented." if documented else "Say in a docstring what it is for.", plugin.lineno
    )


def _method(
    plugin: ast.ClassDef, found: ast.FunctionDef | ast.AsyncFunctionDef | None, name: str, wanted: tuple[str, ...]
) -> PluginRemark:
    signature = f"{name}({', '.join(wanted)})"
    if found is None:
        return PluginRemark(
            False, f"Add `{signature}`: it is abstract, so the class cannot be made without it.", plugin.lineno
        )
    if isinstance(found, ast.AsyncFunctionDef):
        return PluginRemark(False, f"`{name}` is called without await; drop `async`.", found.lineno)
    if len(found.args.args) != len(wanted):
        return PluginRemark(
            False, f"`{name}` has {len(found.args.args)} parameters; write `{signature}`.", found.lineno
        )
    returns = any(isinstance(node, ast.Return) and node.value for node in ast.walk(found))
    if name != "_initialize_plugin" and not returns and not _raises(found):
        return PluginRemark(
            False, f"`{name}` returns nothing; its run ends as \"'NoneType' object has no attribute …\".", found.lineno
        )
    return PluginRemark(True, f"`{name}` is there.", found.lineno)


def _raises(function: ast.FunctionDef) -> bool:
    return any(isinstance(node, ast.Raise) for node in ast.walk(function))


def _assigns(node: ast.stmt, name: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return any(getattr(target, "id", "") == name for target in targets)


def _check_module(module: ast.Module) -> Iterator[PluginRemark]:
    imports = [node.module for node in ast.walk(module) if isinstance(node, ast.ImportFrom)]
    imported = "core.base_plugin" in imports or "core" in imports
    if not imported:
        yield PluginRemark(False, f"Import the base class: `from core.base_plugin import {BASE}`.")
    for node in module.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield PluginRemark(
                False, "Discovery imports the file; move this call into a method, or it runs then.", node.lineno
            )
