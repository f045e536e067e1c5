"""The diagnosis rules: one function for each fault, which reads `tools.diagnosis.facts.Facts` alone.

A rule returns a Finding when it sees the evidence of its fault, else None. `RULES` orders them: a fault that causes
others comes before those, and a fault that breaks something today before one that only hinders a deployment.
"""

from __future__ import annotations

from collections.abc import Callable

from tools.diagnosis.facts import Facts, Finding
from tools.diagnosis.rules.clock_and_network import clock_wrong, dns_broken, network_down, service_failed
from tools.diagnosis.rules.hypervisor import kvm_not_loaded, libvirt_down, no_virtualisation, vm_stopped
from tools.diagnosis.rules.readiness import cpu_too_old, os_unsupported
from tools.diagnosis.rules.resources import cpu_saturated, disk_full, memory_exhausted

Rule = Callable[[Facts], Finding | None]

RULES: tuple[Rule, ...] = (
    clock_wrong,
    disk_full,
    memory_exhausted,
    no_virtualisation,
    kvm_not_loaded,
    libvirt_down,
    network_down,
    dns_broken,
    cpu_saturated,
    service_failed,
    vm_stopped,
    os_unsupported,
    cpu_too_old,
)
