"""Read the fields of a comprehensive run for the diagnosis rules; any field may be absent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.diagnosis.names import quoted, with_quoted_names
from tools.types import Json, Report

# A run without one of these fields can hide a fault from the rules.
NEEDED = (
    ("system_info", "release"),
    ("resource_usage", "memory", "usage_percent"),
    ("resource_usage", "disk"),
    ("service_status", "services"),
    ("process_info", "processes"),
    ("kvm_diagnostics", "kvm_module_loaded"),
    ("kvm_diagnostics", "vmx_support"),
    ("kvm_diagnostics", "libvirt_available"),
    ("network_diagnostics", "connectivity"),
)
CPU = ("space_adds", "cpu")  # of system_info: ours, so a line of evidence names the command that shows the same
LEVEL_SHOWN = "on a real host: `/lib64/ld-linux-x86-64.so.2 --help | grep x86-64-v`"
_VM_ROW = re.compile(r"^ *(?:\d+|-) +(\S.*?) {2,}(\w+(?: \w+)?) *$", re.MULTILINE)  # a row of `virsh list --all`


def vms_in(table: str) -> list[tuple[str, str]]:
    """Return (name, state) of every row of `virsh list --all`, the names quoted."""
    return [(quoted(name), state) for name, state in _VM_ROW.findall(table)]


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault that a rule found, with its evidence and its remedy."""

    kind: str  # short name of the fault
    cause: str  # one or two sentences
    evidence: tuple[str, ...]  # lines "tool: field = value: what it shows"
    remedy: tuple[str, ...]  # sentences and commands in order; commands start with "$ "
    confidence: float  # 0..1


class Facts:
    """Keep the data of every tool in a run."""

    def __init__(self, run: Report) -> None:
        """Take a comprehensive run, which may have been through JSON."""
        # true time, seconds since the epoch; a run of upstream's own has none, and its clock is taken as right
        self.now = float(run.get("space_adds", {}).get("true_time", run["summary"]["timestamp"]))
        self.stamps = {name: float(result["timestamp"]) for name, result in run["tool_results"].items()}
        self._data = {name: with_quoted_names(result["data"]) for name, result in run["tool_results"].items()}
        self.absent = [".".join(field) for field in NEEDED if self.get(*field) is None]

    def get(self, tool: str, *path: str) -> Json:
        """Return a field's value, None when the tool or the field is absent."""
        value: Json = self._data.get(tool, {})
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def number(self, tool: str, *path: str) -> float:
        """Return a field as a number, NaN (for which no comparison holds) when it is absent or no number."""
        value = self.get(tool, *path)
        return float(value) if isinstance(value, int | float) else float("nan")

    def items(self, tool: str, *path: str) -> Iterator[tuple[str, dict[str, Json]]]:
        """Yield the named entries of a field, such as disks or services."""
        value = self.get(tool, *path)
        yield from (value or {}).items()

    def line(self, tool: str, *path: str, says: str) -> str:
        """Return one line of evidence."""
        value = self.get(tool, *path)
        shown = {True: "true", False: "false", None: "absent"}.get(value) if not isinstance(value, list) else None
        shown = quoted(value) if isinstance(value, str) else shown
        return f"{tool}: {'.'.join(path)} = {shown or value}: {says}"

    def vms(self) -> list[tuple[str, str]]:
        """Return (name, state) of every virtual machine in the list; [] without a list."""
        return vms_in(str(self.get("kvm_diagnostics", "vm_list") or ""))

    def busiest(self) -> list[dict[str, Json]]:
        """Return the processes that use most CPU time; [] in a run of upstream's own, which measures none."""
        return self.get("process_info", "space_adds", "busiest") or []
