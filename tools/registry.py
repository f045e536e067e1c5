"""Find the tools, and run one, all, or all with a summary.

The sandbox's worker imports this module, so it imports the standard library and `tools` alone; only a call of
`Registry.schemas` imports more.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from tools import checks
from tools.simulation.view import HostView
from tools.types import Report, ToolResult

NOTE = (
    "`true_time` is this Space's own: upstream knows the host's clock alone. "
    "On a real host: date -u, next to a clock that you trust"
)


class ToolError(Exception):
    """Raised for a function or a file that cannot be a tool; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One diagnostic tool: a function, and what its signature and docstring say of it."""

    name: str
    description: str  # the docstring up to its `Args:` section, on one line
    parameters: frozenset[str]  # names of the arguments a caller may give
    function: Callable[..., dict[str, Any]]

    @classmethod
    def of(cls, function: Callable[..., dict[str, Any]]) -> Tool:
        """Return the tool of a function; ToolError unless `host` is its first argument and it has a docstring."""
        first, *others = inspect.signature(function).parameters
        if first != "host" or not function.__doc__:
            raise ToolError(f"{function.__name__} needs `host` as its first argument, and a docstring")
        description = " ".join(inspect.cleandoc(function.__doc__).split("\n\nArgs:")[0].split())
        return cls(function.__name__, description, frozenset(others), function)


class Registry:
    """Keep tools by name, and run them in this process."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        """Keep these tools; a later one replaces an earlier one of the same name."""
        self._tools = {tool.name: tool for tool in tools}

    @classmethod
    def default(cls, files: Sequence[Path] = ()) -> Registry:
        """Return the tools of `tools/checks/` and of further module files; ToolError for a file without tools.

        This process runs the bodies of those modules: give a file that you do not trust to `Sandbox` instead.
        """
        modules = [importlib.import_module(name) for name in check_modules()]
        return cls(tool for module in [*modules, *map(load_module, files)] for tool in tools_in(module))

    def get_tool(self, name: str) -> Tool | None:
        """Return the tool of that name, None when there is none."""
        return self._tools.get(name)

    def list_tools(self) -> dict[str, str]:
        """Return tool name -> description."""
        return {name: tool.description for name, tool in self._tools.items()}

    def schemas(self) -> list[dict[str, Any]]:
        """Return each tool's schema, as chat templates take it; ToolError for an argument without type or meaning."""
        from tools.schemas import UndescribedArgument, schema

        try:
            return [schema(tool.function, tool.description) for tool in self._tools.values()]
        except UndescribedArgument as error:
            raise ToolError(str(error)) from error

    def run_tool(self, name: str, host: HostView, /, **arguments: object) -> ToolResult:
        """Run one tool; as upstream, return an unknown name and an exception as results, and drop unknown arguments."""
        start, clock = time.perf_counter(), host.clock
        tool = self._tools.get(name)
        if tool is None:
            return ToolResult(name, False, {}, f"Tool '{name}' not found", 0.0, clock)
        known = {key: value for key, value in arguments.items() if key in tool.parameters}
        try:
            data = tool.function(host, **known)
        except MemoryError:  # no result: the caller decides whether this process can go on
            raise
        except Exception as error:  # any other exception is the tool's result, and the caller goes on
            return ToolResult(name, False, {}, str(error) or type(error).__name__, time.perf_counter() - start, clock)
        return ToolResult(name, True, data, None, time.perf_counter() - start, clock)

    def run_all_tools(self, host: HostView, /) -> dict[str, ToolResult]:
        """Run every tool with its default arguments; return tool name -> result."""
        return {name: self.run_tool(name, host) for name in self._tools}

    def run_comprehensive_diagnostics(self, host: HostView, /) -> Report:
        """Run every tool and return the `report` of the results."""
        return report(self.run_all_tools(host), host.now)


def report(results: dict[str, ToolResult], now: float) -> Report:
    """Return a comprehensive run in upstream's form: five summary figures and every result as a dict.

    Every `timestamp` comes from the host's clock, which may be wrong. What upstream cannot know, the true time `now`
    in seconds since the epoch, stands under `space_adds`.
    """
    good = sum(result.success for result in results.values())
    summary = {
        "total_tools": len(results),
        "successful_tools": good,
        "failed_tools": len(results) - good,
        "total_execution_time": sum(result.execution_time for result in results.values()),
        "timestamp": max((result.timestamp for result in results.values()), default=now),
    }
    adds = {"note": NOTE, "true_time": now}
    every = {name: result.to_dict() for name, result in results.items()}
    return {"summary": summary, "tool_results": every, "space_adds": adds}


def check_modules() -> list[str]:
    """Return the full names of the modules in `tools/checks/`."""
    return sorted(f"{checks.__name__}.{module.name}" for module in pkgutil.iter_modules(checks.__path__))


def load_module(path: Path) -> ModuleType:
    """Run a Python file and return it as a module; ToolError when there is no such file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ToolError(f"{path} is no Python file; give the path of a .py file that holds a tool")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tools_in(module: ModuleType) -> list[Tool]:
    """Return a module's own public functions whose first argument is `host`, as tools; ToolError when it has none."""
    found = [
        Tool.of(value)
        for name, value in vars(module).items()
        if isinstance(value, FunctionType)
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and next(iter(inspect.signature(value).parameters), None) == "host"
    ]
    if not found:
        raise ToolError(f"{module.__name__} holds no tool; write a public function whose first argument is `host`")
    return found
