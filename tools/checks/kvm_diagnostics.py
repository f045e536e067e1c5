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
    """Return libvirt's fields; as upstream, a failing virsh gives no error, a missing one two and no availability."""
    if kvm.virsh == "missing":
        return dict.fromkeys(("libvirt_error", "vm_list_error"), "[Errno 2] No such file or directory: 'virsh'")
    if kvm.virsh == "hanging":
        late = "Command '['virsh', {}]' timed out after 10 seconds"
        return {"libvirt_error": late.format("'version'"), "vm_list_error": late.format("'list', '--all'")}
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
    """Return the table of `virsh list --all`, stripped as upstream does: domains that have a process first."""
    alive = [vm for vm in vms if vm.state in {"running", "paused"}]
    rows = [(str(number), vm.name, vm.state) for number, vm in enumerate(alive, start=1)]
    rows += [("-", vm.name, vm.state) for vm in vms if vm not in alive]
    table = [("Id", "Name", "State"), *rows]
    wide = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [f" {number:<{wide[0]}}   {name:<{wide[1]}}   {state}" for number, name, state in table]
    return "\n".join([lines[0], "-" * (sum(wide) + 9), *lines[1:]]).strip()
