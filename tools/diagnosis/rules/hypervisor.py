"""The rules about hardware virtualisation, libvirt and virtual machines."""

from __future__ import annotations

from tools.diagnosis.facts import CPU, Facts, Finding
from tools.diagnosis.rules.resources import disk_full

DETECT = "on a real host: `systemd-detect-virt`"


def no_virtualisation(facts: Facts) -> Finding | None:
    """Find a CPU that shows neither vmx nor svm."""
    if facts.get("kvm_diagnostics", "vmx_support") is not False or facts.get("kvm_diagnostics", "svm_support"):
        return None
    lines = [
        facts.line("kvm_diagnostics", field, says=says)
        for field, says in (
            ("vmx_support", "no Intel virtualisation"),
            ("svm_support", "no AMD virtualisation"),
            ("kvm_module_loaded", "the KVM module, which needs one of them"),
        )
    ]
    virtual = facts.get("system_info", *CPU, "is_virtual")
    if virtual:
        lines.append(facts.line("system_info", *CPU, "is_virtual", says=f"a virtual machine ({DETECT} names its kind)"))
        cause = "This is a virtual machine whose hypervisor does not pass virtualisation on (nested virtualisation)."
        remedy = ("Switch it on at the outer hypervisor.", "$ cat /sys/module/kvm_intel/parameters/nested")
        return Finding("no_nested_virtualisation", cause, tuple(lines), remedy, 0.85)
    if virtual is None:
        cause = "The CPU shows no hardware virtualisation: the firmware, or a hypervisor around this host, hides it."
        ways = ("Find out which: `none` means the firmware.", "$ systemd-detect-virt", "$ lscpu")
        return Finding("virtualisation_disabled", cause, tuple(lines), ways, 0.6)
    says = f"bare metal, so only the firmware hides it ({DETECT} prints none)"
    lines.append(facts.line("system_info", *CPU, "is_virtual", says=says))
    return Finding(
        "virtualisation_disabled",
        "Hardware virtualisation (VT-x or AMD-V) is switched off in the firmware, so KVM cannot be loaded.",
        tuple(lines),
        ("Switch it on in the firmware set-up.", "$ systemctl reboot --firmware-setup", "$ lsmod | grep kvm"),
        0.9,
    )


def kvm_not_loaded(facts: Facts) -> Finding | None:
    """Find a CPU that can virtualise on a host without the KVM module."""
    able = facts.get("kvm_diagnostics", "vmx_support") or facts.get("kvm_diagnostics", "svm_support")
    if not able or facts.get("kvm_diagnostics", "kvm_module_loaded") is not False:
        return None
    return Finding(
        "kvm_not_loaded",
        "The CPU can virtualise, but the KVM kernel module is not loaded.",
        (facts.line("kvm_diagnostics", "kvm_module_loaded", says="although the CPU offers virtualisation"),),
        ("Load it and read what the kernel says.", "$ modprobe kvm_intel || modprobe kvm_amd", "$ dmesg | grep -i kvm"),
        0.8,
    )


def libvirt_down(facts: Facts) -> Finding | None:
    """Find a libvirt whose virsh is not installed or hangs, and one that has failed or does not run."""
    if error := facts.get("kvm_diagnostics", "libvirt_error"):
        return _virsh_unanswered(facts, hangs="timed out" in error)
    if facts.get("kvm_diagnostics", "libvirt_available") is not False:
        return None
    lines = [facts.line("kvm_diagnostics", "libvirt_available", says="virsh gets no answer")]
    status = facts.get("service_status", "services", "libvirtd", "status")
    lines.append(facts.line("service_status", "services", "libvirtd", "status", says="the daemon that should answer"))
    if facts.get("kvm_diagnostics", "kvm_module_loaded"):
        lines.append(facts.line("kvm_diagnostics", "kvm_module_loaded", says="the kernel's part works"))
    failed = status not in {"inactive", None}
    cause = "The libvirtd service has failed" if failed else "No libvirt daemon is running"
    return Finding(
        "libvirtd_failed" if failed else "libvirt_stopped",
        f"{cause}, so no virtual machine can be managed; running ones go on.",
        tuple(lines),
        ("Read why it stopped, mend that, start it.", "$ journalctl -u libvirtd -b", "$ systemctl restart libvirtd"),
        0.95 if failed else 0.8,
    )


def _virsh_unanswered(facts: Facts, hangs: bool) -> Finding:
    """Return the finding of a virsh that was ended after ten seconds, or that could not be started."""
    path = ("services", "libvirtd", "loadstate")
    if hangs:
        line = facts.line("kvm_diagnostics", "libvirt_error", says="virsh waits for libvirt in vain")
        ways = ("Read what it waits for, then start it anew.", "$ journalctl -u libvirtd -b", "$ virsh version")
        return Finding("libvirt_hangs", "A libvirt daemon runs but does not answer.", (line,), ways, 0.8)
    lines = (
        facts.line("kvm_diagnostics", "libvirt_error", says="virsh is not installed where the tools run"),
        facts.line("service_status", *path, says="not-found or absent: the daemon is not installed either"),
    )
    remedy = (
        "See what is installed, and install the rest; a container needs virsh and the host's socket.",
        "$ rpm -q libvirt-client libvirt-daemon-kvm qemu-kvm",
        "$ dnf install libvirt-client libvirt-daemon-kvm qemu-kvm",
    )
    cause = "virsh is not installed here, so nobody can ask libvirt, if that is installed at all."
    return Finding("libvirt_missing", cause, lines, remedy, 0.85)


def vm_stopped(facts: Facts) -> Finding | None:
    """Find a virtual machine that is paused or crashed while no disk is full, which would explain it."""
    bad = [(name, state) for name, state in facts.vms() if state in {"paused", "crashed"}]
    if not bad or disk_full(facts):
        return None
    lines = tuple(f"kvm_diagnostics: vm_list: {name} is {state}" for name, state in bad)
    remedy = ("Ask libvirt for the reason.", f"$ virsh domstate --reason {bad[0][0]}")
    cause = f"The virtual machine {bad[0][0]} is {bad[0][1]}; these tools do not show why."
    return Finding("vm_stopped", cause, lines, remedy, 0.5)
