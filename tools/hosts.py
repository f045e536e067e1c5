"""The simulated hosts: reading and validating `tools/hosts/*.json`.

A file holds what the tools see (`machine`) and, apart from it, what only tours, games and scoring read: the cause,
the evidence that proves it, and the remedy. The sandbox gets `machine` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from tools.machine import Machine
from tools.view import HostView

HOSTS = Path(__file__).parent / "hosts"
DEFAULT_HOST = "healthy"


class HostError(Exception):
    """A host file that cannot be used, or a host that does not exist; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One field of one tool's result that proves the cause."""

    tool: str
    field: tuple[str, ...]  # path in the result's `data`
    relation: Literal["equals", "contains", "at_least", "at_most", "absent"]
    value: bool | float | str | None
    says: str  # what it proves, in one sentence


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the remedy."""

    do: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decoy:
    """A cause that a reasonable person would guess, and what speaks against it."""

    cause: str
    why_not: str


@dataclass(frozen=True, slots=True)
class Host:
    """One simulated host."""

    id: str
    title: str  # a few words for a list
    summary: str  # what a visitor is told before looking: the complaint, not the cause
    kind: str  # name of the fault, for scoring `tools.diagnosis`: "healthy" when there is none
    cause: str
    evidence: tuple[Evidence, ...]
    remedy: tuple[Step, ...]
    hints: tuple[str, ...]  # each gives away a little more
    decoys: tuple[Decoy, ...]
    machine: Machine

    def view(self, now: float) -> HostView:
        """The host at one moment, seconds since the epoch."""
        return HostView(self.machine, now)


def load_hosts(folder: Path = HOSTS) -> dict[str, Host]:
    """Every host by id, the default one first; HostError names the file and the field that is wrong."""
    files = sorted(folder.glob("*.json"), key=lambda path: (path.stem != DEFAULT_HOST, path.stem))
    if not files:
        raise HostError(f"{folder} holds no host; put at least one *.json file there")
    return {path.stem: _load(path) for path in files}


def get_host(hosts: Mapping[str, Host], host_id: str) -> Host:
    """The host of that id; HostError lists those there are."""
    if host_id not in hosts:
        raise HostError(f"there is no host {host_id!r}; choose one of: {', '.join(hosts)}")
    return hosts[host_id]


def _load(path: Path) -> Host:
    try:
        host = TypeAdapter(Host).validate_json(path.read_bytes(), extra="forbid")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HostError(f"{path}: field {where!r}: {first['msg']}; correct it there") from error
    if host.id != path.stem:
        raise HostError(f"{path}: its id is {host.id!r}; name the file {host.id}.json or change the id")
    return host
