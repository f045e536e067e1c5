"""Run simulated tools from the shell, in the sandbox: `python -m tools service_status --host libvirtd-down`.

Without the name of a tool it lists the tools and the hosts; `all` runs every tool and sums up, `diagnose` names the
cause from that.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from tools.diagnosis.diagnose import diagnose
from tools.registry import Registry
from tools.sandbox.sandbox import Sandbox
from tools.simulation.hosts import DEFAULT_HOST, load_hosts

SEVERAL = {"all": "Run every tool and sum up.", "diagnose": "Run every tool and name the cause by rules."}
# type in a JSON schema -> reader of one word
READERS: dict[str, Callable[[str], Any]] = {"integer": int, "number": float, "string": str}


def main(argv: list[str] | None = None) -> int:
    """Print as JSON what the arguments ask for; return 0 when it ran, 1 when the tool failed or nothing can be said."""
    try:
        code = _run(argv)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else the interpreter's end tries to write again
        sys.stderr.write(f"the result cannot be printed ({error.strerror}); give the output another place\n")
        return 1
    return code


def _run(argv: list[str] | None) -> int:
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
    """Return a parser with one subcommand for each tool, whose options follow from the tool's schema."""
    parser = argparse.ArgumentParser("python -m tools", description=__doc__)
    commands = parser.add_subparsers(dest="tool")
    schemas = {schema["function"]["name"]: schema["function"]["parameters"] for schema in registry.schemas()}
    for name, description in {**registry.list_tools(), **SEVERAL}.items():
        command = commands.add_parser(name, help=_help(description), description=description)
        command.add_argument("--host", choices=hosts, default=DEFAULT_HOST, help="simulated host to look at")
        for argument, schema in schemas.get(name, {}).get("properties", {}).items():
            _add_option(command, argument, schema)
    return parser


def _add_option(command: argparse.ArgumentParser, argument: str, schema: Mapping[str, Any]) -> None:
    flag, says = f"--{argument.replace('_', '-')}", _help(schema["description"])
    if schema.get("type") == "boolean":
        command.add_argument(flag, action=argparse.BooleanOptionalAction, help=says)
        return
    items = schema.get("items")
    read = READERS.get((items or schema).get("type", ""), json.loads)
    command.add_argument(flag, type=read, nargs="+" if items else None, help=says)


def _help(text: str) -> str:
    return text.replace("%", "%%")  # argparse formats help texts


def _print(value: Mapping[str, Any]) -> int:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode() + "\n")  # an argument may be no UTF-8
    return 0


if __name__ == "__main__":
    sys.exit(main())
