"""Run simulated tools from the shell, in the sandbox: `python -m tools service_status --host libvirtd-down`.

Without a tool's name it lists the tools and the hosts; `all` runs every tool and sums up, `diagnose`
names the cause from that.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, get_type_hints

from tools.diagnosis.diagnose import diagnose
from tools.registry import Registry, Tool
from tools.sandbox.sandbox import Sandbox
from tools.simulation.hosts import DEFAULT_HOST, load_hosts

SEVERAL = {"all": "Run every tool and sum up.", "diagnose": "Run every tool and name the cause by rules."}


def main(argv: list[str] | None = None) -> int:
    """Print what was asked for as JSON; 0 when it ran, 1 when the tool failed."""
    registry, hosts = Registry.default(), load_hosts()
    options = vars(_parser(registry, list(hosts)).parse_args(argv))
    name, host = options.pop("tool"), options.pop("host", DEFAULT_HOST)
    if name is None:
        titles = {host.id: host.title for host in hosts.values()}
        return _print({"tools": registry.list_tools(), "hosts": titles})
    with Sandbox() as sandbox:
        if name in SEVERAL:
            run = sandbox.run_all(host)
            return _print(run if name == "all" else asdict(diagnose(run)))
        given = {key: value for key, value in options.items() if value is not None}
        result = sandbox.call(name, given, host)
    _print(result.to_dict())
    return 0 if result.success else 1


def _parser(registry: Registry, hosts: list[str]) -> argparse.ArgumentParser:
    """One subcommand a tool, its options taken from the function's signature."""
    parser = argparse.ArgumentParser("python -m tools", description=__doc__)
    commands = parser.add_subparsers(dest="tool")
    for name, description in {**registry.list_tools(), **SEVERAL}.items():
        command = commands.add_parser(name, help=description, description=description)
        command.add_argument("--host", choices=hosts, default=DEFAULT_HOST, help="simulated host to look at")
        tool = registry.get_tool(name)
        if tool is not None:
            _add_options(command, tool)
    return parser


def _add_options(command: argparse.ArgumentParser, tool: Tool) -> None:
    hints = get_type_hints(tool.function)
    for name in inspect.signature(tool.function).parameters:
        if name in tool.parameters:
            kind = int if hints[name] is int else str
            several = "+" if "list" in str(hints[name]) else None
            command.add_argument(f"--{name.replace('_', '-')}", type=kind, nargs=several)


def _print(value: Mapping[str, Any]) -> int:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
