"""Report hardware virtualisation, the KVM modules and libvirt."""

from __future__ import annotations

from typing import Any

from tools.simulation.machine import Virtualisation, Vm
from tools.simulation.view import HostView


def kvm_diagnostics(host: HostView) -> dict[str, Any]:
    """Check hardware virtualisation, the KVM kernel modules, libvirt's version and the list of virtual machines."""
    kvm, flags = host.machine.kvm, host.machine.cpu.flags
    return {
        "kvm_module_loaded": "kvm" in kvm.modules,
        "kvm_intel_loaded": "kvm_intel" in kvm.modules,
        "kvm_amd_loaded": "kvm_amd" in kvm.modules,
        "vmx_support": "vmx" in flags,
        "svm_support": "svm" in flags,
        **_libvirt(kvm),
    }


def _libvirt(kvm: Virtualisation) -> dict[str, Any]:
    """Return libvirt's fields; as upstream, a failing virsh gives no version and no list, a missing one an error."""
    if kvm.virsh == "missing":
        return {"libvirt_available": False, "libvirt_error": "[Errno 2] No such file or directory: 'virsh'"}
    if kvm.virsh == "failing":
        return {"libvirt_available": False}
    version = "\n".join(
        [
            f"Compiled against library: libvirt {kvm.libvirt}",
            f"Using library: libvirt {kvm.libvirt}",
            f"Using API: QEMU {kvm.libvirt}",
            f"Running hypervisor: QEMU {kvm.qemu}",
        ]
    )
    return {
        "libvirt_available": True,
        "libvirt_version": version,
        "vm_count": len(kvm.vms),
        "vm_list": vm_table(kvm.vms),
    }


def vm_table(vms: tuple[Vm, ...]) -> str:
    """Return the table of `virsh list --all`: domains that have a process first, with their ids."""
    alive = [vm for vm in vms if vm.state in {"running", "paused"}]
    rows = [(str(number), vm.name, vm.state) for number, vm in enumerate(alive, start=1)]
    rows += [("-", vm.name, vm.state) for vm in vms if vm not in alive]
    id_width = max(len(row[0]) for row in [("Id", "", ""), *rows])
    name_width = max(len(row[1]) for row in [("", "Name", ""), *rows])
    lines = [f" {number:<{id_width}}   {name:<{name_width}}   {state}" for number, name, state in rows]
    header = f" {'Id':<{id_width}}   {'Name':<{name_width}}   State"
    return "\n".join([header, "-" * max(len(line) for line in [header, *lines]), *lines])
