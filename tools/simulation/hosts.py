"""Read and validate the simulated hosts, `tools/hosts/*.json`.

A file holds what the tools see (`machine`) and, apart from it, what only tours, games and scoring read: the cause, the
evidence that proves it, and the remedy. The sandbox gets `machine` alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from tools.simulation.machine import Machine
from tools.simulation.view import HostView
from tools.types import Json, Report

HOSTS = Path(__file__).parents[1] / "hosts"
DEFAULT_HOST = "healthy"


class HostError(Exception):
    """Raised for a host file that is wrong or a host that does not exist; the message says what to change."""


@dataclass(frozen=True, slots=True)
class FaultEvidence:
    """One field of one tool's result that helps to prove the cause of a host's fault."""

    tool: str
    field: tuple[str, ...]  # path in the result's `data`, numbers for lists; or ("timestamp",) for the envelope's
    relation: Literal["equals", "contains", "at_least", "at_most", "absent", "behind"]
    value: bool | float | str | None  # for "behind": seconds that the field is behind the time of the run
    says: str  # what the field proves, in one sentence

    def observed(self, run: Report) -> Json:
        """Return the field's value in a comprehensive run of this host; None when it is absent."""
        result = run["tool_results"][self.tool]
        value: Json = {"timestamp": result["timestamp"], **result["data"]}
        for part in self.field:
            value = value[int(part)] if isinstance(value, list) else value.get(part)
            if value is None:
                return None
        return value

    def holds(self, run: Report) -> bool:
        """Return true when a comprehensive run of this host shows this evidence."""
        value, wanted = self.observed(run), self.value
        if value is None or self.relation == "absent":
            return value is None and self.relation == "absent"
        checks: dict[str, Callable[[], bool]] = {
            "equals": lambda: bool(value == wanted),
            "contains": lambda: str(wanted) in " ".join(str(value).split()),
            "at_least": lambda: float(value) >= float(wanted or 0),
            "at_most": lambda: float(value) <= float(wanted or 0),
            "behind": lambda: run["space_adds"]["true_time"] - float(value) >= float(wanted or 0),
        }
        return checks[self.relation]()


@dataclass(frozen=True, slots=True)
class RemedyStep:
    """One step of a host's remedy: what to do, and the commands that do it."""

    do: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decoy:
    """A wrong cause that a reasonable person would guess, and what speaks against it."""

    cause: str
    why_not: str


@dataclass(frozen=True, slots=True)
class Host:
    """One simulated host: a machine, and the story of its fault."""

    id: str
    title: str  # the complaint in a few words, for a list, without the cause
    summary: str  # the complaint as a visitor reads it before looking, without the cause
    kind: str  # name of the fault, for scoring `tools.diagnosis.diagnose`: "healthy" when there is none
    answer: str  # the cause in one sentence, as short as the decoys', for a list of guesses
    cause: str  # the whole story
    evidence: tuple[FaultEvidence, ...]
    remedy: tuple[RemedyStep, ...]
    hints: tuple[str, ...]  # each gives away a little more
    decoys: tuple[Decoy, ...]
    machine: Machine

    def view(self, now: float) -> HostView:
        """Return the host at one moment, seconds since the epoch."""
        return HostView(self.machine, now)


def load_hosts(folder: Path = HOSTS) -> dict[str, Host]:
    """Return every host by id, the default one first; HostError names the file and the field that is wrong."""
    files = sorted(folder.glob("*.json"), key=lambda path: (path.stem != DEFAULT_HOST, path.stem))
    if not files:
        raise HostError(f"{folder} holds no host; put at least one *.json file there")
    adapter = TypeAdapter(Host)
    return {path.stem: _load(path, adapter) for path in files}


def host_named(text: str, ids: Collection[str]) -> str | None:
    """Return the host that a message names by its id, None where it names none; "healthy" is named as a host only."""
    for host in sorted(ids, key=len, reverse=True):
        name = f"(?:{host} (?:demo )?host|host {host})" if host == DEFAULT_HOST else re.escape(host)
        if re.search(rf"(?<![\w-]){name}(?![\w-])", text, re.IGNORECASE):
            return host
    return None


def get_host(hosts: Mapping[str, Host], host_id: str) -> Host:
    """Return the host of that id; HostError lists the known ones."""
    if host_id not in hosts:
        raise HostError(f"there is no host {host_id!r}; choose one of: {', '.join(hosts)}")
    return hosts[host_id]


def _load(path: Path, adapter: TypeAdapter[Host]) -> Host:
    try:
        host = adapter.validate_json(path.read_bytes(), extra="forbid")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HostError(f"{path}: field {where!r}: {first['msg']}; correct it there") from error
    if host.id != path.stem:
        raise HostError(f"{path}: its id is {host.id!r}; name the file {host.id}.json or change the id")
    return host
