"""The state of a simulated machine: the part of `tools/hosts/*.json` that tools may see.

The module holds plain dataclasses and imports the standard library alone: the sandbox's worker imports it and must
start quickly. `tools/simulation/hosts.py` validates the files against these types.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

ServiceState = Literal["running", "exited", "dead", "failed", "masked", "auto-restart", "timeout"]
DnsState = Literal["working", "unreachable", "refused", "servfail", "nslookup-missing"]
Reach = Literal["up", "down", "timeout"]
VirshState = Literal["working", "failing", "hanging", "missing"]


@dataclass(frozen=True, slots=True)
class System:
    """The operating system, as `platform` reports it."""

    name: str  # as in /etc/os-release, for people; tools see only what the kernel and Python say
    kernel: str  # uname -r
    kernel_build: str  # uname -v
    glibc: str
    python: str  # the Python that runs the tools
    pythons: tuple[str, ...] = ()  # every Python that is installed, for the tour
    packages: dict[str, str] = field(default_factory=dict)  # RPM name -> version, those worth showing


@dataclass(frozen=True, slots=True)
class Clock:
    """The machine's uptime and the error of its clock."""

    least_uptime_days: float
    reboot_every_days: float  # keeps the uptime believable however long the app runs
    offset_s: float = 0.0  # host clock minus true time


@dataclass(frozen=True, slots=True)
class Cpu:
    """The processor and its load."""

    model: str
    logical: int
    physical: int
    usage_percent: float
    load: tuple[float, float, float]  # 1, 5 and 15 minute means
    flags: tuple[str, ...]  # as /proc/cpuinfo spells them: lzcnt is `abm`, SSE3 is `pni`


@dataclass(frozen=True, slots=True)
class Memory:
    """The main memory, in GiB."""

    total_gb: float
    used_gb: float  # without buffers and page cache
    cached_gb: float
    swing_gb: float = 0.4  # how far `used_gb` wanders


@dataclass(frozen=True, slots=True)
class Disk:
    """One mounted file system, in GiB."""

    mount: str
    device: str
    fstype: str
    total_gb: float
    used_gb: float
    swing_gb: float = 0.05  # how far `used_gb` wanders


@dataclass(frozen=True, slots=True)
class Address:
    """One address of an interface."""

    family: Literal["AF_INET", "AF_INET6", "AF_PACKET"]
    address: str
    netmask: str | None = None
    broadcast: str | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface; rates are bytes a second."""

    name: str
    addresses: tuple[Address, ...]
    received_per_s: float = 0.0
    sent_per_s: float = 0.0
    errors_in: int = 0
    drops_in: int = 0


@dataclass(frozen=True, slots=True)
class Process:
    """One process."""

    pid: int
    name: str
    cpu_percent: float  # of one core
    memory_mb: float
    started_s: float  # seconds after boot
    status: str = "sleeping"


@dataclass(frozen=True, slots=True)
class Vm:
    """One libvirt domain."""

    name: str
    state: Literal["running", "paused", "shut off", "crashed"]


@dataclass(frozen=True, slots=True)
class Virtualisation:
    """The kernel modules and libvirt."""

    modules: tuple[str, ...]  # of kvm, kvm_intel, kvm_amd
    virsh: VirshState
    libvirt: str = ""  # version
    qemu: str = ""  # version
    vms: tuple[Vm, ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """The network as this machine reaches it."""

    nameserver: str
    dns: DnsState
    ping_ms: float  # round trip to a public address
    internet: bool = True  # public addresses answer
    reach: dict[str, Reach] = field(default_factory=dict)  # targets unlike the rest, private addresses that exist


@dataclass(frozen=True, slots=True)
class Machine:
    """One simulated machine without a time; `tools.simulation.view.HostView` shows it at one moment."""

    seed: int
    hostname: str
    system: System
    clock: Clock
    cpu: Cpu
    memory: Memory
    disks: tuple[Disk, ...]
    interfaces: tuple[Interface, ...]
    services: dict[str, ServiceState]  # units that exist; any other name is "not-found"
    processes: tuple[Process, ...]
    process_count: int  # processes in all, those not worth listing included
    kvm: Virtualisation
    network: Network


def machine_from_json(raw: dict[str, Any]) -> Machine:
    """Return the machine of a host file's `machine` object, which `tools.simulation.hosts.load_hosts` validates."""
    interfaces = [
        Interface(**{**row, "addresses": tuple(Address(**address) for address in row["addresses"])})
        for row in raw["interfaces"]
    ]
    parts: dict[str, Any] = {
        "system": System(**raw["system"]),
        "clock": Clock(**raw["clock"]),
        "cpu": Cpu(**raw["cpu"]),
        "memory": Memory(**raw["memory"]),
        "disks": tuple(Disk(**row) for row in raw["disks"]),
        "interfaces": tuple(interfaces),
        "processes": tuple(Process(**row) for row in raw["processes"]),
        "kvm": Virtualisation(**{**raw["kvm"], "vms": tuple(Vm(**row) for row in raw["kvm"].get("vms", []))}),
        "network": Network(**raw["network"]),
    }
    return Machine(**{**raw, **parts})
