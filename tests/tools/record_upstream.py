"""Record which fields upstream's diagnostic tools return, of which types, as `tests/tools/upstream_fields.json`.

    python -m tests.tools.record_upstream NAVIGATOR/ai-assistant/src > tests/tools/upstream_fields.json

Upstream's own `diagnostic_tools.py` runs once for each case in a process of its own; psutil must be installed. The
programs that it calls are stand-ins that write what iputils 20221126, bind 9.18 and libvirt 9.0 wrote, to standard
output or standard error, in network namespaces with a name server that answers, refuses, is absent or is silent.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

UPSTREAM = "Qubinode/qubinode_navigator at 15e8c636, ai-assistant/src/diagnostic_tools.py"
NAMED_BY_THE_HOST = {"disk", "network", "interfaces"}  # mappings whose keys the host chooses
WORDS = {  # program -> state -> body of a shell script
    "virsh": {
        "working": """case $1 in version) echo 'Using library: libvirt 9.0.0' ;;
            list) printf ' Id   Name   State\\n----------------------\\n 1    test   running\\n\\n' ;; esac""",
        "failing": "echo 'error: failed to connect to the hypervisor' >&2; exit 1",
        "hanging": "exec sleep 11",
    },
    "ping": {
        "working": """case ${@: -1} in
            no-such-name) echo 'ping: no-such-name: Name or service not known' >&2; exit 2 ;;
            10.0.0.1) echo '3 packets transmitted, 0 received, 100% packet loss'; exit 1 ;;
            10.9.9.9) exec sleep 16 ;;
            *) echo '3 packets transmitted, 3 received, 0% packet loss' ;; esac""",
    },
    "nslookup": {
        "working": "echo 'Name: google.com'",
        "servfail": 'echo "** server can\'t find google.com: SERVFAIL"; exit 1',
        "refused": 'echo "** server can\'t find google.com: REFUSED"; exit 1',
        "unreachable": "exec sleep 11",  # a silent server is asked for 15 s, and upstream waits 10
    },
    "systemctl": {
        "working": """case $1,$2 in
            *,late) exec sleep 6 ;;
            is-active,no-such-unit) echo inactive; exit 4 ;;
            is-active,*) echo active ;;
            show,*) printf 'LoadState=loaded\\nActiveState=active\\nSubState=running\\n' ;; esac""",
    },
}
CASES: list[tuple[str, dict[str, Any], dict[str, str]]] = [  # tool, arguments, program -> state, "missing" without it
    ("system_info", {}, {}),
    ("resource_usage", {}, {}),
    ("service_status", {}, {}),
    ("service_status", {"services": []}, {}),
    ("service_status", {"services": ["sshd", "no-such-unit", "late"]}, {}),
    ("process_info", {}, {}),
    ("process_info", {"filter_name": "no such thing"}, {}),
    ("kvm_diagnostics", {}, {}),
    ("kvm_diagnostics", {}, {"virsh": "failing"}),
    ("kvm_diagnostics", {}, {"virsh": "hanging"}),
    ("kvm_diagnostics", {}, {"virsh": "missing"}),
    ("network_diagnostics", {}, {}),
    ("network_diagnostics", {"targets": []}, {}),
    ("network_diagnostics", {"targets": ["8.8.8.8", "no-such-name", "10.0.0.1", "10.9.9.9"]}, {}),
    *(("network_diagnostics", {}, {"nslookup": state}) for state in ("servfail", "refused", "unreachable", "missing")),
]
MODULES = "kvm_intel 380928 0 - Live\nkvm 1146880 1 kvm_intel, Live\n"


def shape(value: Any, key: str = "") -> Any:
    """Return a result's fields with the type in each value's place; errors, families, "" and 0.0 % stay as they are."""
    if isinstance(value, dict):
        if key in NAMED_BY_THE_HOST and all(isinstance(item, dict | list) for item in value.values()):
            return {"*": merged([shape(item) for item in value.values()])}
        return {name: shape(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [merged([shape(item) for item in value])] if value else []
    if key in ("family", "error") or key.endswith("_error"):
        return str(value)
    if (key, value) in (("output", ""), ("cpu_percent", 0.0)):
        return repr(value)
    return "null" if value is None else type(value).__name__


def merged(shapes: list[Any]) -> Any:
    """Return one shape for all the items of a list: alternatives stand side by side."""
    if all(isinstance(item, dict) for item in shapes):
        return {key: merged([item[key] for item in shapes if key in item]) for key in {k: 0 for s in shapes for k in s}}
    if all(isinstance(item, list) for item in shapes):
        return [merged([item for items in shapes for item in items])]
    return "|".join(sorted({one for item in shapes for one in item.split("|")}))


def main(source: Path) -> None:
    """Print the recording; upstream's code comes from the folder `source`."""
    cases = [
        {"tool": tool, "arguments": arguments, "programs": states, "data": _recorded(source, tool, arguments, states)}
        for tool, arguments, states in CASES
    ]
    head = {"upstream": UPSTREAM, "python": platform.python_version(), "how": "python -m tests.tools.record_upstream"}
    sys.stdout.write(json.dumps({**head, "cases": cases}, indent=1, sort_keys=True) + "\n")


def _recorded(source: Path, tool: str, arguments: Mapping[str, Any], states: Mapping[str, str]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        for program, bodies in WORDS.items():
            if (state := states.get(program, "working")) != "missing":
                script = Path(folder, program)
                script.write_text(f"#!/bin/bash\n{bodies[state]}\n")
                script.chmod(0o755)
        Path(folder, "modules").write_text(MODULES)
        command = [sys.executable, "-m", "tests.tools.record_upstream", str(source), tool, json.dumps(arguments)]
        for needed in ("sleep", "uname"):
            Path(folder, needed).symlink_to(f"/usr/bin/{needed}")
        done = subprocess.run(command, env={"PATH": folder}, stdout=subprocess.PIPE, check=True, timeout=60)
    return json.loads(done.stdout)


def _run_one(source: str, tool: str, arguments: str) -> None:
    sys.path.insert(0, source)
    upstream = importlib.import_module("diagnostic_tools")

    def opened(path: str, mode: str = "r") -> Any:
        here = path if path != "/proc/modules" else f"{os.environ['PATH']}/modules"  # a container has no such file
        return Path(here).open(mode)

    vars(upstream)["open"] = opened
    result = asyncio.run(upstream.diagnostic_registry.run_tool(tool, **json.loads(arguments)))
    sys.stdout.write(json.dumps(shape(result.to_dict()["data"])))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("Give the folder of upstream's tools: NAVIGATOR/ai-assistant/src")
    _run_one(*sys.argv[1:]) if len(sys.argv) > 2 else main(Path(sys.argv[1]).resolve())
