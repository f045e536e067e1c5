"""The diagnosis rules: one function a fault, each over `tools.diagnosis.facts.Facts` alone.

A rule returns a Finding when the evidence for its fault is there, else None. `RULES` orders them: what explains other
faults comes before them, what breaks today before what only stands in the way of a deployment.
"""

from __future__ import annotations

from collections.abc import Callable

from tools.diagnosis.facts import Facts, Finding
from tools.diagnosis.rules.hypervisor import kvm_not_loaded, libvirt_down, no_virtualisation, vm_stopped
from tools.diagnosis.rules.readiness import cpu_too_old, os_unsupported
from tools.diagnosis.rules.resources import cpu_saturated, disk_full, memory_exhausted
from tools.diagnosis.rules.surroundings import clock_wrong, dns_broken, network_down, service_failed

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
