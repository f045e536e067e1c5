"""The six tools, their envelope and their registry: what upstream's own tests ask of its tools, asked of ours."""

from __future__ import annotations

import pkgutil
from pathlib import Path
from types import FunctionType
from typing import Any, get_type_hints

import pytest
from transformers.utils.chat_template_utils import get_json_schema

from tools import checks
from tools.registry import Registry, Tool, ToolError
from tools.simulation.hosts import DEFAULT_HOST, Host, load_hosts
from tools.simulation.view import HostView
from tools.types import ToolResult

NOW = 1_800_000_000.0
TOOLS = {
    *("system_info", "resource_usage", "service_status", "process_info", "kvm_diagnostics", "network_diagnostics"),
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.default()


@pytest.fixture(scope="module")
def hosts() -> dict[str, Host]:
    return load_hosts()


def data(registry: Registry, host: Host, tool: str, **arguments: object) -> dict[str, Any]:
    """The data of a call that must succeed."""
    result = registry.run_tool(tool, host.view(NOW), **arguments)
    assert result.success, result.error
    return result.data


def test_a_result_is_six_fields_and_a_dict_of_them() -> None:
    result = ToolResult("uptime", True, {"days": 3}, None, 0.25, NOW)
    assert result.to_dict() == {
        "tool_name": "uptime",
        "success": True,
        "data": {"days": 3},
        "error": None,
        "execution_time": 0.25,
        "timestamp": NOW,
    }


def test_the_registry_lists_the_six_with_their_descriptions(registry: Registry) -> None:
    assert set(registry.list_tools()) >= TOOLS
    modules = {module.name for module in pkgutil.iter_modules(checks.__path__)}
    assert modules >= TOOLS
    assert len(registry.list_tools()) >= len(modules)  # each module among the checks adds at least one
    assert registry.list_tools()["service_status"] == "Show whether systemd services are active, inactive or failed."


def test_a_found_tool_runs_and_an_unknown_one_is_none(registry: Registry, hosts: dict[str, Host]) -> None:
    tool = registry.get_tool("system_info")
    assert tool is not None
    assert tool.function(hosts[DEFAULT_HOST].view(NOW))["hostname"] == "kvm01.lab.example.com"
    assert registry.get_tool("reboot") is None


def test_an_unknown_tool_is_a_failed_result(registry: Registry, hosts: dict[str, Host]) -> None:
    result = registry.run_tool("reboot", hosts[DEFAULT_HOST].view(NOW))
    assert (result.success, result.data, result.error) == (False, {}, "Tool 'reboot' not found")


def test_a_result_carries_the_time_the_call_took_and_the_hosts_clock(
    registry: Registry, hosts: dict[str, Host]
) -> None:
    right = registry.run_tool("system_info", hosts[DEFAULT_HOST].view(NOW))
    late = registry.run_tool("system_info", hosts["clock-skew"].view(NOW))
    assert right.execution_time > 0
    assert right.timestamp == NOW
    assert (NOW - late.timestamp) / 86_400 == pytest.approx(213, abs=0.1)


def test_a_tool_of_a_further_file_is_listed_and_run(tmp_path: Path, hosts: dict[str, Host]) -> None:
    file = tmp_path / "name_length.py"
    file.write_text(
        "def name_length(host, factor: int = 1):\n"
        '    """Measure the host\'s name.\n\n    Args:\n        factor: Multiply by this.\n    """\n'
        "    return {'length': factor * len(host.machine.hostname)}\n"
    )
    registry, before = Registry.default([file]), Registry.default().list_tools()
    assert registry.list_tools() == {**before, "name_length": "Measure the host's name."}
    assert registry.run_tool("name_length", hosts[DEFAULT_HOST].view(NOW), factor=2).data == {"length": 42}


def test_a_tool_that_raises_is_a_failed_result_with_its_message(hosts: dict[str, Host]) -> None:
    def broken(host: HostView) -> dict[str, Any]:
        """Fail on purpose."""
        raise RuntimeError("no such sensor")

    registry = Registry([Tool.of(broken)])
    result = registry.run_tool("broken", hosts[DEFAULT_HOST].view(NOW))
    assert (result.success, result.data, result.error) == (False, {}, "no such sensor")


@pytest.mark.parametrize("source", ["def f(x):\n    '''Text.'''\n", "def f(host): ...\n", "X = 1\n"])
def test_what_cannot_be_a_tool_is_refused_with_what_to_change(tmp_path: Path, source: str) -> None:
    file = tmp_path / "some_tool.py"
    file.write_text(source)
    with pytest.raises(ToolError, match="`host`"):
        Registry.default([file])


def test_a_file_with_one_typed_function_is_a_seventh_tool_with_a_schema(tmp_path: Path) -> None:
    file = tmp_path / "vm_count.py"
    file.write_text(
        "from tools.simulation.view import HostView\n\n"
        "def vm_count(host: HostView, state: str = 'running') -> dict[str, int]:\n"
        '    """Count the virtual machines.\n\n    Args:\n        state: Only those in this state.\n    """\n'
        "    return {'count': sum(vm.state == state for vm in host.machine.kvm.vms)}\n"
    )
    registry = Registry.default([file])
    schema = next(s["function"] for s in registry.schemas() if s["function"]["name"] == "vm_count")
    assert schema == {
        "name": "vm_count",
        "description": "Count the virtual machines.",
        "parameters": {
            "type": "object",
            "properties": {"state": {"type": "string", "description": "Only those in this state."}},
        },
    }
    assert registry.run_tool("vm_count", load_hosts()[DEFAULT_HOST].view(NOW)).data == {"count": 2}


def function_of(name: str) -> FunctionType:
    tool = Registry.default().get_tool(name)
    assert tool
    assert isinstance(tool.function, FunctionType)
    return tool.function


def every_kind(
    host: HostView, a: str, b: int, c: float, d: bool, e: list[str], f: list[int] | None = None, g: str | None = None
) -> dict[str, Any]:
    """Do something, as its description says
    over two lines.

    Args:
        host: The host.
        a: A text.
        b: A number, described
            over two lines.
        c: Another number: with a colon.
        d: Yes or no.
        e: Several texts.
        f: Several numbers, or none.
        g: A text, or none.

    """
    raise NotImplementedError


@pytest.mark.parametrize(
    "function", [every_kind, *map(function_of, ("network_diagnostics", "process_info", "service_status"))]
)
def test_schemas_are_those_of_the_library_that_renders_chat_templates(function: FunctionType) -> None:
    [schema] = Registry([Tool.of(function)]).schemas()
    plain = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    plain.__doc__, plain.__annotations__ = function.__doc__, {**get_type_hints(function), "host": str}
    theirs = get_json_schema(plain)
    del theirs["function"]["parameters"]["properties"]["host"]
    assert schema["function"]["parameters"]["properties"] == theirs["function"]["parameters"]["properties"]
    assert schema["function"]["description"] == " ".join(theirs["function"]["description"].split())


def test_an_argument_that_nothing_is_said_about_is_named() -> None:
    def silent(host: HostView, count: int = 1) -> dict[str, Any]:
        """Count something."""
        raise NotImplementedError

    registry = Registry([Tool.of(silent)])
    with pytest.raises(ToolError, match=r"silent: give the argument count a type, and a line under `Args:`"):
        registry.schemas()


def test_schemas_name_the_arguments_and_never_the_host(registry: Registry) -> None:
    functions = {schema["function"]["name"]: schema["function"]["parameters"] for schema in registry.schemas()}
    assert functions.keys() == registry.list_tools().keys()
    assert not any("host" in parameters["properties"] for parameters in functions.values())
    assert {name: set(functions[name]["properties"]) for name in TOOLS} == {
        "system_info": set(),
        "resource_usage": set(),
        "service_status": {"services"},
        "process_info": {"filter_name", "top_n"},
        "kvm_diagnostics": set(),
        "network_diagnostics": {"targets"},
    }
    assert functions["service_status"]["properties"]["services"]["items"] == {"type": "string"}
    assert functions["process_info"]["properties"]["top_n"]["type"] == "integer"
    assert not any(parameters.get("required") for parameters in functions.values())  # a run of all gives none


def test_running_all_gives_a_result_for_every_tool(registry: Registry, hosts: dict[str, Host]) -> None:
    results = registry.run_all_tools(hosts[DEFAULT_HOST].view(NOW))
    assert {name for name, result in results.items() if result.success} == set(registry.list_tools()) >= TOOLS


def test_a_comprehensive_run_sums_up_in_five_figures(
    registry: Registry, tmp_path: Path, hosts: dict[str, Host]
) -> None:
    sound, file = len(registry.list_tools()), tmp_path / "broken.py"
    file.write_text('def broken(host):\n    """Fail on purpose."""\n    raise RuntimeError("no such sensor")\n')
    registry = Registry.default([file])
    run = registry.run_comprehensive_diagnostics(hosts[DEFAULT_HOST].view(NOW))
    seconds = run["summary"].pop("total_execution_time")
    assert run["summary"] == {
        "total_tools": sound + 1,
        "successful_tools": sound,
        "failed_tools": 1,
        "timestamp": NOW,
    }
    assert seconds == pytest.approx(sum(result["execution_time"] for result in run["tool_results"].values()))
    assert run["tool_results"]["broken"]["error"] == "no such sensor"
    assert set(run["tool_results"]["system_info"]) == set(ToolResult("x", True, {}).to_dict())


def test_unknown_arguments_are_dropped(registry: Registry, hosts: dict[str, Host]) -> None:
    host = hosts[DEFAULT_HOST]
    assert data(registry, host, "system_info", verbose=True) == data(registry, host, "system_info")


def test_a_wrong_type_is_a_failed_result_with_pythons_own_message(registry: Registry, hosts: dict[str, Host]) -> None:
    result = registry.run_tool("process_info", hosts[DEFAULT_HOST].view(NOW), top_n="five")
    assert not result.success
    assert "slice indices must be integers" in str(result.error)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("service_status", {"services": "libvirtd"}),
        ("service_status", {"services": ["x"] * 33}),
        ("network_diagnostics", {"targets": ["a.example.com"] * 17}),
    ],
)
def test_a_list_that_is_none_or_too_long_is_refused(
    registry: Registry, hosts: dict[str, Host], tool: str, arguments: dict[str, object]
) -> None:
    assert "must be a list of at most" in str(registry.run_tool(tool, hosts[DEFAULT_HOST].view(NOW), **arguments).error)
