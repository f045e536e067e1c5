"""Simulate the plugin life cycle: one plugin on a simulated host, and a batch with dependencies.

The order, the states and the quoted messages are those of upstream's core/base_plugin.py, core/plugin_manager.py and
qubinode_cli.py at 15e8c636. A plugin has no status before its result: upstream's PluginStatus also lists not_started,
initializing and running, which no code sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

PLUGIN = "ServicesPlugin"  # of the life cycle; upstream has none of that name
STAGES = ("discover", "initialize", "check", "compare", "apply", "check again", "cleanup")
DESIRED: Mapping[str, str] = {"libvirtd": "enabled", "podman": "installed", "firewalld": "running"}
FRESH: Mapping[str, str] = {"libvirtd": "disabled", "podman": "absent", "firewalld": "running"}
STOPPED = "Failed to initialize plugin manager"


@dataclass(frozen=True, slots=True)
class Lab:
    """A host's state, the plugin's stage and status, and its last message."""

    state: tuple[tuple[str, str], ...] = tuple(FRESH.items())
    refuses: bool = False  # _initialize_plugin raises on this host
    stage: str = ""  # "" before the first step
    status: str = ""  # completed, skipped or failed; "" before there is a result
    said: str = "Press Step."  # by the plugin, or by the page before it runs
    printed: str = ""  # by the command line, on the result
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
            said = "Found in a file under plugins/, and made once with an empty config to read its dependencies."
            return replace(lab, stage=stage, status="", printed="", said=said)
        case "initialize":
            return _refused(lab) if lab.refuses else replace(lab, stage=stage, said="_initialize_plugin() returns.")
        case "check":
            return replace(lab, stage=stage, said=f"check_state(): {_told(dict(lab.state))}")
        case "compare":
            return _compare(lab)
        case "apply":
            return _apply(lab)
        case "check again":
            return replace(lab, stage=stage, said=f"check_state() once more, for the record: {_told(dict(lab.state))}")
    return replace(lab, stage=stage, runs=lab.runs + 1, said="cleanup(), once, as the command ends.")


def drift(lab: Lab) -> Lab:
    """Return the lab after somebody disabled libvirtd by hand, which the next run finds."""
    return replace(lab, state=tuple({**dict(lab.state), "libvirtd": "disabled"}.items()), said="libvirtd was disabled.")


def printed(plugin: str, status: str, message: str, changed: bool = False) -> str:
    """Return the line that upstream's `execute` prints; everything but `completed`, even a skip, gets a cross."""
    return f"{'✅' if status == 'completed' else '❌'} {'🔄' if changed else '⏭️'} {plugin}: {message}"


def not_found(plugin: str) -> str:
    """Return the message of a plugin that was not loaded: upstream looks for it among the loaded ones only."""
    return f"Plugin not found: {plugin}"


def _following(lab: Lab) -> str:
    if lab.stage in ("", "cleanup") or lab.status == "failed":
        return STAGES[0]
    if lab.stage == "compare" and not lab.missing:
        return "cleanup"  # upstream: equal states are skipped, apply_changes is never called
    return STAGES[STAGES.index(lab.stage) + 1]


def _refused(lab: Lab) -> Lab:
    return replace(
        lab,
        stage="initialize",
        status="failed",
        runs=lab.runs + 1,
        said="_initialize_plugin() raises, so the manager does not keep the plugin: nothing is checked or cleaned up.",
        printed=printed(PLUGIN, "failed", not_found(PLUGIN)),
    )


def _compare(lab: Lab) -> Lab:
    if lab.missing:
        return replace(lab, stage="compare", said=f"get_desired_state() differs: {_told(lab.missing)}")
    line = printed(PLUGIN, "skipped", "Already in desired state")
    return replace(lab, stage="compare", status="skipped", said="The two states are equal.", printed=line)


def _apply(lab: Lab) -> Lab:
    changed = lab.missing
    return replace(
        lab,
        stage="apply",
        status="completed",
        state=tuple({**dict(lab.state), **changed}.items()),
        said=f"apply_changes(): {_told(changed)}",
        printed=printed(PLUGIN, "completed", f"Applied {len(changed)} changes", changed=True),
    )


def _told(state: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in state.items())


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """The outcome of one plugin of a batch."""

    plugin: str
    status: str  # completed or failed; "" for a plugin that never had its turn
    message: str


def run_batch(needs: Mapping[str, Sequence[str]], failing: str = "", refusing: str = "") -> list[BatchOutcome]:
    """Run plugins in the order of their dependencies; the first failure ends the batch.

    needs: discovered plugin, in the order of discovery -> names that it depends on. `failing` raises in apply_changes,
    `refusing` in _initialize_plugin. ValueError, in upstream's words, when the manager would stop before any plugin.
    """
    ran: list[BatchOutcome] = []
    for name in _order(needs):
        if ran and ran[-1].status != "completed":
            ran.append(BatchOutcome(name, "", ""))
        elif name == refusing:
            ran.append(BatchOutcome(name, "failed", not_found(name)))
        elif name == failing:
            ran.append(BatchOutcome(name, "failed", "Execution failed: no space left on device"))
        else:
            ran.append(BatchOutcome(name, "completed", "Applied 1 changes"))
    return ran


def _order(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the plugins as upstream's _resolve_dependencies sorts them: depth first, in the order of discovery."""
    order: list[str] = []
    under_way: list[str] = []

    def visit(name: str) -> None:
        if name in under_way:
            raise ValueError(f"{STOPPED}: Circular dependency detected involving {name}")
        if name in order:
            return
        under_way.append(name)
        for need in needs[name]:
            if need not in needs:
                raise ValueError(f"{STOPPED}: Plugin {name} depends on missing plugin: {need}")
            visit(need)
        under_way.remove(name)
        order.append(name)

    for name in needs:
        visit(name)
    return order
