"""Run a simulated tool from the shell: `python -m tools service_status --host libvirtd-down --services sshd`.

Without a tool's name it lists the tools and the hosts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from tools.hosts import DEFAULT_HOST, HostError, get_host, load_hosts
from tools.registry import Registry


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, print JSON; 0 when the tool ran, 1 when it failed, 2 for a wrong command line."""
    options, registry = _parser().parse_args(argv), Registry.default()
    try:
        host = get_host(load_hosts(), options.host).view(time.time())
    except HostError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if options.tool is None:
        return _print({"tools": registry.list_tools(), "hosts": {i: h.title for i, h in load_hosts().items()}})
    if options.tool == "all":
        return _print(registry.run_comprehensive_diagnostics(host))
    names = ("services", "targets", "filter_name", "top_n")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    result = registry.run_tool(options.tool, host, **given)
    _print(result.to_dict())
    return 0 if result.success else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tools", description=__doc__)
    parser.add_argument("tool", nargs="?", help="name of a tool, or `all` for every one with a summary")
    parser.add_argument("--host", default=DEFAULT_HOST, help="id of a simulated host (default: %(default)s)")
    parser.add_argument("--services", nargs="+", help="for service_status")
    parser.add_argument("--targets", nargs="+", help="for network_diagnostics")
    parser.add_argument("--filter-name", help="for process_info")
    parser.add_argument("--top-n", type=int, help="for process_info")
    return parser


def _print(value: dict[str, Any]) -> int:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
