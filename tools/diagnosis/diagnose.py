"""Name the fault of a host by rules over a comprehensive run and nothing else.

No rule asks a model or reads a host file: the same run from another machine gives the same diagnosis.
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.diagnosis.facts import CPU, LEVEL_SHOWN, Facts
from tools.diagnosis.names import safe_command
from tools.diagnosis.rules import RULES
from tools.simulation.cpu import RHEL_LEVEL
from tools.types import Report

NO_FAULT = 0.8  # confidence in "healthy": the tools see much, not everything
ABSENT_FIELD = 0.08  # confidence lost for each field that the rules need and no tool gave


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The most likely cause of a fault, its evidence and its remedy."""

    kind: str  # short name of the fault; "healthy" without one, "unknown" when absent fields may hide one
    cause: str  # one or two sentences
    evidence: tuple[str, ...]  # lines of the form "tool: field = value: what it shows"
    remedy: tuple[str, ...]  # sentences and commands in order; commands start with "$ "
    confidence: float  # 0..1
    others: tuple[str, ...] = ()  # causes that further rules found, most serious first


def diagnose(comprehensive_results: Report) -> Diagnosis:
    """Return the diagnosis of one comprehensive run, which `tools.registry.report` made or JSON gave back."""
    facts = Facts(comprehensive_results)
    findings = [finding for rule in RULES if (finding := rule(facts)) is not None]
    certainty = max(0.0, 1 - ABSENT_FIELD * len(facts.absent))
    if not findings:
        return _no_fault(facts, certainty)
    first, *others = findings
    return Diagnosis(
        first.kind,
        first.cause,
        first.evidence,
        tuple(map(safe_command, first.remedy)),
        round(min(0.98, first.confidence) * certainty, 2),
        tuple(finding.cause for finding in others),
    )


def _no_fault(facts: Facts, certainty: float) -> Diagnosis:
    """Return "healthy" when every field that the rules need is there, else "unknown"."""
    if facts.absent:
        cause = f"No fault is visible, but these fields, which could show one, are absent: {', '.join(facts.absent)}."
        return Diagnosis("unknown", cause, (), ("Run the tools again that gave no data.",), round(0.3 * certainty, 2))
    lines = [
        facts.line("kvm_diagnostics", "kvm_module_loaded", says="hardware virtualisation is in use"),
        facts.line("kvm_diagnostics", "libvirt_available", says="libvirt answers"),
    ]
    if facts.get("service_status", "services", "libvirtd", "active") is False:
        path = ("services", "libvirtd", "status")
        lines.append(facts.line("service_status", *path, says="modular daemons such as virtqemud do its work"))
    level = (*CPU, "x86_64_level")
    if facts.number("system_info", *level) >= RHEL_LEVEL[10]:
        says = f"the processor has what RHEL 10 needs ({LEVEL_SHOWN})"
        lines.append(facts.line("system_info", *level, says=says))
    running = sum(state == "running" for _, state in facts.vms())
    lines.append(f"kvm_diagnostics: vm_list: {running} of {len(facts.vms())} virtual machines run")
    cause = "No fault found: virtualisation, libvirt, disks, memory, network, names and clock are in order."
    return Diagnosis("healthy", cause, tuple(lines), ("Nothing to mend.",), NO_FAULT)
