"""Simulate the plugin life cycle: one plugin on a simulated host, and a batch with dependencies.

The module mirrors upstream's core/base_plugin.py and core/plugin_manager.py: a plugin skips equal states and reads the
state again after a change; the manager sorts dependencies and stops a batch at the first failure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter

STAGES = ("discover", "initialize", "check", "compare", "apply", "check again", "cleanup")
DESIRED: Mapping[str, str] = {"libvirtd": "enabled", "podman": "installed", "firewalld": "running"}
FRESH: Mapping[str, str] = {"libvirtd": "disabled", "podman": "absent", "firewalld": "running"}


@dataclass(frozen=True, slots=True)
class Lab:
    """A host's state, the plugin's stage and status, and its last message."""

    state: tuple[tuple[str, str], ...] = tuple(FRESH.items())
    stage: str = ""  # "" before the first step
    status: str = "not_started"  # as upstream's PluginStatus
    said: str = "Press Step."  # by the plugin, or by the page before it runs
    runs: int = 0  # finished runs

    @property
    def missing(self) -> dict[str, str]:
        """Return service -> desired state, for each service that differs from it."""
        return {name: want for name, want in DESIRED.items() if dict(self.state).get(name) != want}


def advance(lab: Lab) -> Lab:
    """Return the lab at the next stage; after the last one the plugin begins again on the host as it is now."""
    stage = _following(lab)
    match stage:
        case "discover":
            return replace(lab, stage=stage, status="not_started", said="Found in plugins/, read with an empty config.")
        case "initialize":
            return replace(lab, stage=stage, status="initializing", said="_initialize_plugin() accepts this host.")
        case "check":
            return replace(lab, stage=stage, status="running", said=f"check_state(): {_told(dict(lab.state))}")
        case "compare":
            return _compare(lab)
        case "apply":
            return _apply(lab)
        case "check again":
            return replace(lab, stage=stage, said=f"check_state() once more: {_told(dict(lab.state))}")
    status = "skipped" if lab.status == "skipped" else "completed"
    return replace(lab, stage=stage, status=status, runs=lab.runs + 1, said="Done; what was opened is closed.")


def drift(lab: Lab) -> Lab:
    """Return the lab after somebody disabled libvirtd by hand, which the next run finds."""
    return replace(lab, state=tuple({**dict(lab.state), "libvirtd": "disabled"}.items()), said="libvirtd was disabled.")


def _following(lab: Lab) -> str:
    if lab.stage in ("", "cleanup"):
        return STAGES[0]
    if lab.stage == "compare" and not lab.missing:
        return "cleanup"  # upstream: equal states are skipped, apply_changes is never called
    return STAGES[STAGES.index(lab.stage) + 1]


def _compare(lab: Lab) -> Lab:
    if not lab.missing:
        return replace(lab, stage="compare", status="skipped", said="Already in desired state; nothing is applied.")
    return replace(lab, stage="compare", said=f"Differs from the desired state: {_told(lab.missing)}")


def _apply(lab: Lab) -> Lab:
    changed = lab.missing
    return replace(
        lab,
        stage="apply",
        state=tuple({**dict(lab.state), **changed}.items()),
        said=f"apply_changes(): {_told(changed)}",
    )


def _told(state: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in state.items())


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """The outcome of one plugin of a batch."""

    plugin: str
    status: str  # "completed", "failed", or "not run"
    message: str


def run_batch(needs: Mapping[str, Sequence[str]], failing: str = "") -> list[BatchOutcome]:
    """Run plugins in the order of their dependencies; the first failure ends the batch.

    needs: plugin -> names that it depends on. ValueError for a cycle, or for a dependency that is no plugin of the
    batch.
    """
    unknown = {name for names in needs.values() for name in names} - needs.keys()
    if unknown:
        raise ValueError(f"Missing dependency: {', '.join(sorted(unknown))}; enable it, or take it out of the list.")
    try:
        order = list(TopologicalSorter({name: sorted(names) for name, names in needs.items()}).static_order())
    except CycleError as error:
        raise ValueError(f"Circular dependency: {' -> '.join(error.args[1])}; break the circle.") from error
    ran: list[BatchOutcome] = []
    for name in order:
        if ran and ran[-1].status != "completed":
            ran.append(BatchOutcome(name, "not run", "the batch stopped before it"))
        elif name == failing:
            ran.append(BatchOutcome(name, "failed", "its apply_changes raised an error"))
        else:
            ran.append(BatchOutcome(name, "completed", "state reached"))
    return ran
