"""Workflows and Makefile targets as data, for the rules in workflow_policy.py."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

_TARGET = re.compile(r"^([A-Za-z0-9_.$()/ -]+):(?!=)([^=#\n]*)", re.M)
_VARIABLE = re.compile(r"^(\w+) *[:?]?= *(.*)$", re.M)
_MAKE = re.compile(r"^make\s+(.*)$", re.M)

Tree = Mapping[str, Any]


class WorkflowUnreadable(ValueError):
    """A workflow is not what GitHub would accept; the message names the file."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a job: an action (`uses`) or a command (`run`)."""

    raw: Tree

    @property
    def uses(self) -> str:
        """The action with its reference, or ""."""
        return str(self.raw.get("uses", ""))

    @property
    def run(self) -> str:
        """The command, or ""."""
        return str(self.raw.get("run", ""))

    @property
    def inputs(self) -> Tree:
        """What stands under `with`."""
        return self.raw.get("with") or {}


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a workflow."""

    name: str
    raw: Tree

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in order; none for a job that calls another workflow."""
        return tuple(Step(raw) for raw in self.raw.get("steps", ()))

    @property
    def calls(self) -> str:
        """The workflow that is called, or ""."""
        return str(self.raw.get("uses", ""))

    @property
    def needs(self) -> tuple[str, ...]:
        """The jobs that come before this one."""
        needs = self.raw.get("needs", ())
        return (needs,) if isinstance(needs, str) else tuple(needs)

    @property
    def text(self) -> str:
        """Everything in the job, as one line of JSON."""
        return json.dumps(self.raw, ensure_ascii=False)


@dataclass(frozen=True)
class Workflow:
    """One file of `.github/workflows`."""

    name: str  # the file's name
    text: str

    @cached_property
    def raw(self) -> Tree:
        """The file as YAML. Raises WorkflowUnreadable."""
        try:
            tree = yaml.safe_load(self.text)
        except yaml.YAMLError as error:
            raise WorkflowUnreadable(f"{self.name} is no YAML: {error}") from error
        if not isinstance(tree, dict) or not isinstance(tree.get("jobs"), dict):
            raise WorkflowUnreadable(f"{self.name} has no jobs")
        return tree

    @cached_property
    def jobs(self) -> dict[str, Job]:
        """The jobs by name."""
        return {name: Job(name, raw) for name, raw in self.raw["jobs"].items()}

    @cached_property
    def triggers(self) -> Tree:
        """Events and their filters; YAML 1.1 reads the key `on` as true."""
        on = self.raw.get("on", self.raw.get(True))  # type: ignore[call-overload]
        if isinstance(on, str):
            return {on: {}}
        return {event: {} for event in on} if isinstance(on, list) else {k: v or {} for k, v in (on or {}).items()}

    def before(self, name: str) -> Iterator[Job]:
        """Every job that has succeeded before job `name` starts."""
        seen: set[str] = set()
        waiting = list(self.jobs[name].needs)
        while waiting:
            needed = waiting.pop()
            if needed not in seen and needed in self.jobs:
                seen.add(needed)
                waiting.extend(self.jobs[needed].needs)
                yield self.jobs[needed]


@dataclass(frozen=True)
class Project:
    """All workflows, and the Makefile that their commands call."""

    workflows: tuple[Workflow, ...]
    makefile: str

    @cached_property
    def recipes(self) -> dict[str, str]:
        """Target -> its recipe together with those of its prerequisites."""
        own: dict[str, tuple[list[str], str]] = {}
        text = self._plain()
        starts = list(_TARGET.finditer(text))
        for hit, following in zip(starts, [*starts[1:], None], strict=True):
            body = text[hit.end() : following.start() if following else None]
            for target in hit[1].split():
                own[target] = (hit[2].replace("|", " ").split(), body)
        return {target: self._expanded(target, own, frozenset()) for target in own}

    def _plain(self) -> str:
        """The Makefile without comments, with lines joined and variables put in, except what a shell computes."""
        lines = [line for line in self.makefile.splitlines() if not line.lstrip().startswith("#")]
        text = "\n".join(lines).replace("\\\n", " ")
        for name, value in _VARIABLE.findall(text):
            text = text if "$(shell" in value else text.replace(f"$({name})", value)
        return text

    def _expanded(self, target: str, own: Mapping[str, tuple[list[str], str]], seen: frozenset[str]) -> str:
        if target in seen or target not in own:
            return ""
        before, body = own[target]
        return "\n".join([*(self._expanded(one, own, seen | {target}) for one in before), body])

    def commands(self, step: Step) -> str:
        """What a step runs, `make` targets written out."""
        return "\n".join([step.run, *(self.recipes.get(target, "") for target in targets(step.run))])

    def job_commands(self, job: Job) -> str:
        """What a job runs, with the names of its actions, and with the workflow that it calls written out."""
        called = [w for w in self.workflows if job.calls.removeprefix("./.github/workflows/") == w.name]
        inner = [self.job_commands(one) for workflow in called for one in workflow.jobs.values()]
        return "\n".join([*(f"{step.uses}\n{self.commands(step)}" for step in job.steps), *inner])


def targets(run: str) -> list[str]:
    """The targets of the `make` calls in a command."""
    words = [word for call in _MAKE.findall(run) for word in call.split()]
    return [word for word in words if "=" not in word and not word.startswith(("-", '"', "$"))]


def read_project(root: Path) -> Project:
    """Read workflows, Makefile and what it includes. Raises WorkflowUnreadable when there are no workflows."""
    files = sorted((root / ".github" / "workflows").glob("*.y*ml"))
    if not files:
        raise WorkflowUnreadable(f"no workflow lies in {root}/.github/workflows")
    makefiles = [root / "Makefile", *sorted((root / ".github").glob("*.mk"))]
    makefile = "\n".join(file.read_text("utf-8") for file in makefiles if file.is_file())
    return Project(tuple(Workflow(file.name, file.read_text("utf-8")) for file in files), makefile)
