"""The project's rules for workflows, beyond what the general linters know.

    python .github/scripts/workflow_policy.py [ROOT]

Covers: pinned actions and runners, permissions, timeouts, expressions in commands, swallowed failures, scanners
without a verdict, publishing before scanning, one architecture only, secrets within reach of a pull request, tags that
are not computed, and commands that are no `make` target. Does not cover: what an action does inside, or the settings
of the repository (branch protection, required checks, environments' reviewers).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from command_line import ended
from workflow_files import Job, Project, Step, Workflow, WorkflowUnreadable, read_project, targets

_PINNED = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40}$|^docker://.+@sha256:[0-9a-f]{64}$")
_SWALLOWED = re.compile(r"\|\|\s*(true\b|:(?=\s|$)|exit 0|echo\b)|;\s*true\b|\bset \+e\b|--exit-zero\b", re.M)
_IGNORED_RECIPE = re.compile(r"^\t@?-", re.M)
_SCAN = re.compile(r"(?<![\w-])(grype|trivy|vuln_gate\.py|pip-audit)(?![\w-])|/trivy-action@|/scan-action@")
_IMAGE_SCAN = re.compile(r"(?<![\w-])(grype|trivy)(?![\w-])|/trivy-action@|/scan-action@")
_GATE = re.compile(r"vuln_gate\.py|--fail-on[ =]|--exit-code[ =]1")
_PUSHES_IMAGE = re.compile(
    r"skopeo copy[^;|&\n]* docker://\S+[ \t]*($|[;|&\n])|imagetools create|(docker|podman|buildah) push|manifest push"
    r"|crane (copy|tag|push)|registry\.py promote"
)
_BUILDS = re.compile(r"docker/build-push-action@|(docker|podman|buildx) build(?!\w)|buildah (bud|build)(?!\w)")
_LATEST = re.compile(r":latest\b|value=latest\b|latest=true")
_SECRET = re.compile(r"secrets\.(?!GITHUB_TOKEN\b)\w+|secrets\[")
_HARMLESS_WRITES = {"pull-requests", "security-events"}  # a pull request may comment on itself and report alerts


@dataclass(frozen=True, slots=True)
class Finding:
    """One breach of one rule."""

    rule: str
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text} [{self.rule}]"


Rule = Callable[[Workflow, Project], Iterator[Finding]]


def check(project: Project) -> list[Finding]:
    """Return every breach, in the order of files and rules; [] when all is well."""
    found = [finding for workflow in project.workflows for rule in RULES for finding in rule(workflow, project)]
    return [*found, *_makefile(project)]


def _steps(workflow: Workflow) -> Iterator[tuple[Job, Step, str]]:
    for job in workflow.jobs.values():
        for number, step in enumerate(job.steps, 1):
            yield job, step, f"{workflow.name}, job {job.name}, step {number}"


def _pinned(workflow: Workflow, _: Project) -> Iterator[Finding]:
    for reference in (job.calls for job in workflow.jobs.values()):
        if reference and not reference.startswith("./") and not _PINNED.match(reference):
            yield Finding("unpinned", workflow.name, f"{reference} is not pinned to a commit")
    for _job, step, place in _steps(workflow):
        if not step.uses or step.uses.startswith("./"):
            continue
        if not _PINNED.match(step.uses):
            yield Finding("unpinned", place, f"{step.uses} is not pinned to a commit of 40 hexadecimal digits")
        elif not re.search(re.escape(step.uses) + r"\s+#\s*v\d", workflow.text):
            yield Finding("unpinned", place, f"{step.uses} has no version beside it; write # vX.Y.Z")


def _permissions(workflow: Workflow, _: Project) -> Iterator[Finding]:
    if workflow.raw.get("permissions") != {}:
        yield Finding("permissions", workflow.name, "the top level must say permissions: {}")
    for job in workflow.jobs.values():
        if not isinstance(job.raw.get("permissions"), dict):
            yield Finding("permissions", f"{workflow.name}, job {job.name}", "name the job's permissions one by one")


def _timeouts_and_runners(workflow: Workflow, _: Project) -> Iterator[Finding]:
    for job in workflow.jobs.values():
        place = f"{workflow.name}, job {job.name}"
        if not job.calls and not isinstance(job.raw.get("timeout-minutes"), int):
            yield Finding("timeout", place, "set timeout-minutes")
        if "-latest" in str(job.raw.get("runs-on", "")):
            yield Finding("runner", place, "name the runner's version instead of -latest")


def _triggers(workflow: Workflow, _: Project) -> Iterator[Finding]:
    for event in ("pull_request_target", "workflow_run"):
        if event in workflow.triggers:
            yield Finding("trigger", workflow.name, f"{event} runs a stranger's change with this repository's rights")


def _injection(workflow: Workflow, _: Project) -> Iterator[Finding]:
    for _job, step, place in _steps(workflow):
        if "${{" in step.run or "${{" in str(step.inputs.get("script", "")):
            yield Finding("injection", place, "an expression is pasted into a command; hand it over in env")


def _only_make(workflow: Workflow, project: Project) -> Iterator[Finding]:
    for _job, step, place in _steps(workflow):
        if not step.run:
            continue
        lines = step.run.strip().splitlines()
        unknown = [target for target in targets(step.run) if target not in project.recipes]
        if len(lines) != 1 or not targets(step.run) or unknown:
            yield Finding("logic", place, f"a command is one make target of the Makefile, not {lines[0]!r}")


def _swallowed(workflow: Workflow, _: Project) -> Iterator[Finding]:
    for job in workflow.jobs.values():
        if job.raw.get("continue-on-error"):
            yield Finding("swallowed", f"{workflow.name}, job {job.name}", "continue-on-error hides a failure")
    for _job, step, place in _steps(workflow):
        if step.raw.get("continue-on-error"):
            yield Finding("swallowed", place, "continue-on-error hides a failure")
        if hit := _SWALLOWED.search(step.run):
            yield Finding("swallowed", place, f"{hit[0]!r} hides a failure")


def _verdicts(workflow: Workflow, project: Project) -> Iterator[Finding]:
    for job in workflow.jobs.values():
        scans = [step for step in job.steps if _SCAN.search(f"{step.uses}\n{project.commands(step)}")]
        gates = any(_GATE.search(project.commands(step)) or _action_fails(step) for step in job.steps)
        if scans and not gates:
            place = f"{workflow.name}, job {job.name}"
            yield Finding("verdict", place, "the scanner's result decides nothing; put vuln_gate.py behind it")


def _action_fails(step: Step) -> bool:
    return str(step.inputs.get("exit-code", "")) == "1" or str(step.inputs.get("fail-build", "")).lower() == "true"


def _scan_first(workflow: Workflow, project: Project) -> Iterator[Finding]:
    for job in workflow.jobs.values():
        scanned = any(_IMAGE_SCAN.search(project.job_commands(earlier)) for earlier in workflow.before(job.name))
        for step in job.steps:
            commands = f"{step.uses}\n{project.commands(step)}"
            if _pushes(step, project) and not scanned:
                yield Finding("scan-first", f"{workflow.name}, job {job.name}", "it pushes an image nobody scanned")
            scanned = scanned or bool(_IMAGE_SCAN.search(commands))


def _pushes(step: Step, project: Project) -> bool:
    outputs = str(step.inputs.get("outputs", ""))
    by_action = str(step.inputs.get("push", "")).lower() not in {"", "false"} or "push=true" in outputs
    return by_action or bool(_PUSHES_IMAGE.search(project.commands(step)))


def _architectures(workflow: Workflow, project: Project) -> Iterator[Finding]:
    for job in workflow.jobs.values():
        if _BUILDS.search("\n".join([*(s.uses for s in job.steps), *(project.commands(s) for s in job.steps)])):
            missing = [name for name in ("linux/amd64", "linux/arm64") if name not in job.text]
            if missing:
                place = f"{workflow.name}, job {job.name}"
                yield Finding("architecture", place, f"the image is not built for {' and '.join(missing)}")


def _secrets(workflow: Workflow, project: Project) -> Iterator[Finding]:
    if _SECRET.search(str(workflow.raw.get("env", ""))):
        yield Finding("secret", workflow.name, "a secret in the workflow's env reaches every job")
    exposed = {"pull_request", "workflow_call"} & set(workflow.triggers)
    for job in workflow.jobs.values():
        place = f"{workflow.name}, job {job.name}"
        if job.raw.get("secrets") == "inherit":
            yield Finding("secret", place, "secrets: inherit hands over all of them; name the ones it needs")
        guarded = re.search(r"event_name|inputs\.publish", str(job.raw.get("if", "")))
        if exposed and not guarded and (_SECRET.search(job.text) or _writes(job)):
            yield Finding("secret", place, "a pull request reaches a secret or a right to write; add an if")
        if _SECRET.search(job.text) and "environment" not in job.raw and not job.calls:
            yield Finding("secret", place, "secrets belong in jobs with an environment that a person approves")
        if _SECRET.search(job.text) and _SCAN.search(project.job_commands(job)):
            yield Finding("secret", place, "a scanner must not run beside a secret")


def _writes(job: Job) -> set[str]:
    granted = job.raw.get("permissions")
    pairs = granted.items() if isinstance(granted, dict) and not job.calls else ()
    return {name for name, right in pairs if right == "write"} - _HARMLESS_WRITES


def _credentials(workflow: Workflow, _: Project) -> Iterator[Finding]:
    for _job, step, place in _steps(workflow):
        if step.uses.startswith("actions/checkout@") and step.inputs.get("persist-credentials") is not False:
            yield Finding("credentials", place, "checkout leaves its token behind; set persist-credentials: false")


def _computed_tags(workflow: Workflow, project: Project) -> Iterator[Finding]:
    for _job, step, place in _steps(workflow):
        if _LATEST.search(f"{step.inputs}\n{project.commands(step)}"):
            yield Finding("latest", place, "latest is written by hand and would move for a pre-release; use tags.py")
    if not (workflow.triggers.get("push") or {}).get("tags"):
        return
    for job in workflow.jobs.values():
        checked = any("tags.py check" in project.job_commands(one) for one in [*workflow.before(job.name), job])
        if not checked and not job.calls:
            place = f"{workflow.name}, job {job.name}"
            yield Finding("version", place, "nothing compares the tag with the version before this job")


def _makefile(project: Project) -> Iterator[Finding]:
    for number, line in enumerate(project.makefile.splitlines(), 1):
        if (hit := _SWALLOWED.search(line)) and "exit 1" not in line:
            yield Finding("swallowed", f"Makefile line {number}", f"{hit[0]!r} hides a failure")
        elif _IGNORED_RECIPE.match(line):
            yield Finding("swallowed", f"Makefile line {number}", "a leading - hides a failure")


RULES: tuple[Rule, ...] = (
    _pinned, _permissions, _timeouts_and_runners, _triggers, _injection, _only_make, _swallowed, _verdicts,
    _scan_first, _architectures, _secrets, _credentials, _computed_tags,
)  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Print the breaches; 1 when there is one, 2 when the workflows cannot be read."""
    root = Path(argv[0]) if argv else Path(__file__).parents[2]
    try:
        project = read_project(root)
        findings = check(project)
    except WorkflowUnreadable as error:
        print(error)
        return 2
    print(*findings, f"{len(project.workflows)} workflows, {len(findings)} findings", sep="\n")
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
