"""Play a push, a fork's pull request, a tag and a night as far as this machine can: `make rehearsal`.

    python -m tests.ci.rehearsal [--plan] [--only TARGET ...]

Reads the workflows, decides by trigger, `if` and `needs` which jobs run, and calls their `make` targets in that order in
a clean clone, with registries on loopback in the places of GHCR and Quay, archives nested as buildx may write them, and
a stand-in for the Hub. --plan prints the order and runs nothing; --only plays the named targets alone. What it could not
play it prints with the reason: actions, and targets that ask a service or a program that is not here. Knows the part of
GitHub's expressions that the workflows use, and refuses the rest.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from workflows import Tree, read, targets

from tests.ci.registry import index, nested, serving
from tests.hub_stand_in import TOKEN, serve

ROOT = Path(__file__).parents[2]
OURS, FORK = "Owner/space", "stranger/space"
EVENTS: dict[str, dict[str, Any]] = {
    "first push": {"event_name": "push", "ref": "refs/heads/main", "event": {"before": "0" * 40, "created": True}},
    "push": {"event_name": "push", "ref": "refs/heads/main", "event": {"before": "HEAD~1", "created": False}},
    "pull request": {
        "event_name": "pull_request", "ref": "refs/pull/1/merge",
        "event": {"number": 1, "pull_request": {"base": {"sha": "HEAD~1"}, "head": {"sha": "HEAD", "repo": {"full_name": FORK}}}},
    },
    "tag": {"event_name": "push", "ref": "refs/tags/v0.1.0", "ref_name": "v0.1.0", "event": {"created": True}},
    "night": {"event_name": "schedule", "event": {"schedule": "43 2 * * *"}},
    "dispatch": {"event_name": "workflow_dispatch", "ref": "refs/heads/main", "event": {}},
}  # fmt: skip
PLAYED = ("push", "pull request", "tag", "night")
# Programs that ask a service which this machine has no stand-in for, and programs that it may lack.
OUTSIDE = {"gh": "GitHub", "python3 .github/scripts/nightly_report.py": "GitHub", "git ls-remote": "GitHub", 'test -n "$GH_TOKEN"': "GitHub", "cosign": "Sigstore", "curl": "a service",
           "grype": "today's vulnerabilities", "pip-audit": "today's vulnerabilities", "python -m model fetch granite": "the Hub",
           "git -C .data/ci/upstream fetch": "GitHub"}  # fmt: skip
LOCAL = ("docker", "podman", "skopeo", "syft", "jq")
_PROGRAM = r"(?:^|[;|&({]|\bdo\b|\bthen\b)\s*(?:[A-Z_]+=\S* )*(?:\S*/)?%s(?=\s|$)"
_TOKEN = re.compile(r"\s*(?:(?P<op>&&|\|\||==|!=|!|[(),])|'(?P<text>[^']*)'|(?P<name>[A-Za-z_][\w.-]*)(?P<call>\()?)")
_PYTHON = {"&&": " and ", "||": " or ", "!": " not "}


@dataclass(frozen=True, slots=True)
class Step:
    """One step that runs: `what` is a target of make with its environment, or the name of an action."""

    job: str
    what: str
    env: Mapping[str, str]
    rights: frozenset[str]  # what the job may write

    @property
    def is_target(self) -> bool:
        """Whether make runs it."""
        return "@" not in self.what


def evaluate(expression: str, context: Mapping[str, Any]) -> Any:
    """The value of an expression of GitHub's. Raises ValueError for what this does not know."""
    source, place, values = "", 0, list[Any]()
    expression = expression.strip().removeprefix("${{").removesuffix("}}").strip()
    while place < len(expression):
        token = _TOKEN.match(expression, place)
        if not token:
            raise ValueError(f"cannot read {expression[place:]!r}")
        place = token.end()
        if token["op"]:
            source += _PYTHON.get(token["op"], token["op"])
        elif token["call"]:
            source += f"f_{token['name']}("
        else:
            values.append(token["text"] if token["name"] is None else _looked_up(token["name"], context))
            source += f" v[{len(values) - 1}] "
    calls = {"f_always": lambda: True, "f_toJSON": str, "f_format": lambda text, *words: str(text).format(*words)}
    return eval(source, {"__builtins__": {}, "v": values, **calls})  # our own tokens alone


def _looked_up(name: str, context: Mapping[str, Any]) -> Any:
    value: Any = {"true": True, "false": False}.get(name, context)
    for part in name.split(".") if value is context else ():
        value = value.get(part, "") if isinstance(value, Mapping) else ""
    return value


def triggers(workflow: Tree) -> dict[str, Tree]:
    """Event -> its filters; YAML 1.1 reads the key `on` as true."""
    on = workflow.get("on", workflow.get(True))  # type: ignore[call-overload]
    names = [on] if isinstance(on, str) else on
    return {name: (names[name] or {}) if isinstance(names, dict) else {} for name in names}


def starts(workflow: Mapping[str, Any], github: Mapping[str, Any]) -> bool:
    """Whether the event starts the workflow; filters by path are taken as met."""
    on = triggers(workflow)
    if github["event_name"] not in on:
        return False
    filters, ref = on[github["event_name"]], github.get("ref", "")
    if github["event_name"] == "schedule":
        return github["event"]["schedule"] in [one["cron"] for one in filters]  # type: ignore[index]
    if github["event_name"] != "push":
        return True
    kind, patterns = (
        ("tags", filters.get("tags")) if ref.startswith("refs/tags/") else ("branches", filters.get("branches"))
    )
    return any(fnmatch(ref, f"refs/{'tags' if kind == 'tags' else 'heads'}/{one}") for one in patterns or ())


def plan(root: Path, event: Mapping[str, Any]) -> list[Step]:
    """Every step that runs, in an order in which GitHub may run it. Raises ValueError for needs that cannot be met."""
    github = {"repository": OURS, "sha": "HEAD", "actor": "somebody", "token": "", "ref_name": "main", **event}
    workflows = read(root)
    steps: list[Step] = []
    for name, workflow in workflows.items():
        if starts(workflow, github):
            steps += _of_workflow(name, workflow, {"github": github, "vars": {}, "inputs": {}}, workflows, None)
    return steps


def _of_workflow(
    name: str, workflow: Mapping[str, Any], context: dict[str, Any], all_: Mapping[str, Any], given: Any
) -> Iterator[Step]:
    ran: dict[str, bool] = {}
    waiting = dict(workflow["jobs"])
    while waiting:
        ready = [job for job, tree in waiting.items() if set(_listed(tree.get("needs"))) <= ran.keys()]
        if not ready:
            raise ValueError(f"{name}: {', '.join(waiting)} need what is not there")
        for job in ready:
            tree = waiting.pop(job)
            condition = str(tree.get("if", "true"))
            follows = all(ran[one] for one in _listed(tree.get("needs"))) or "always()" in condition
            ran[job] = follows and bool(evaluate(condition, context))
            if ran[job]:
                yield from _of_job(f"{name}/{job}", tree, context, all_, tree.get("permissions", given))


def _of_job(
    name: str, tree: Mapping[str, Any], context: dict[str, Any], all_: Mapping[str, Any], rights: Any
) -> Iterator[Step]:
    if called := str(tree.get("uses", "")):
        inner = {**context, "inputs": {key: _text(value, context) for key, value in tree.get("with", {}).items()}}
        yield from _of_workflow(f"{name}/{Path(called).stem}", all_[Path(called).stem], inner, all_, rights)
        return
    first = {key: rows[0] for key, rows in tree.get("strategy", {}).get("matrix", {}).items()}
    here = {**context, "matrix": {**first, **first.pop("include", {})}}
    writes = frozenset(right for right, level in (rights or {}).items() if level == "write")
    for step in tree["steps"]:
        if evaluate(str(step.get("if", "true")), here):
            env = {
                key: str(_text(value, here)) for key, value in {**tree.get("env", {}), **step.get("env", {})}.items()
            }
            for what in targets(str(step.get("run", ""))) or [str(step.get("uses", step.get("run")))]:
                yield Step(name, what, env, writes)


def _listed(needs: object) -> list[str]:
    return [needs] if isinstance(needs, str) else list(needs or ())  # type: ignore[call-overload]


def _text(value: object, context: Mapping[str, Any]) -> Any:
    """A value with its expressions put in; a whole expression keeps its type."""
    text = str(value)
    if not isinstance(value, str) or not re.search(r"\$\{\{", text):
        return value
    whole = re.fullmatch(r"\$\{\{(.*)\}\}", text)
    if whole and "}}" not in whole[1]:
        return evaluate(whole[1], context)
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: str(evaluate(found[1], context)), text)


def lacking(target: str, folder: Path, env: Mapping[str, str]) -> str:
    """Why a target cannot be played here, or ""; read from what make would run."""
    done = subprocess.run(
        ["make", "-n", target], cwd=folder, env=dict(env), capture_output=True, text=True, check=False
    )
    if done.returncode:
        return done.stderr.strip().splitlines()[-1]
    called = [one for one in (*OUTSIDE, *LOCAL) if re.search(_PROGRAM % re.escape(one), done.stdout, re.MULTILINE)]
    missing = [f"asks {OUTSIDE[one]}" for one in called if one in OUTSIDE]
    missing += [f"needs {one}" for one in called if one in LOCAL and not shutil.which(one)]
    if "docker" in called and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        missing.append("needs a docker daemon")
    return ", ".join(sorted(set(missing)))


def play(steps: Sequence[Step], folder: Path, env: Mapping[str, str], only: Sequence[str]) -> bool:
    """Run the targets in order and print what came of each; whether all that ran ended well."""
    well, seen = True, set[tuple[str, str]]()
    for step in steps:
        if not step.is_target or (only and step.what not in only) or (step.what, str(step.env)) in seen:
            continue
        seen.add((step.what, str(step.env)))
        around = {**env, **{key: value for key, value in step.env.items() if value and key not in env}}
        if why := lacking(step.what, folder, around):
            print(f"  not played  {step.job}: make {step.what}: {why}")
            continue
        done = subprocess.run(["make", step.what], cwd=folder, env=around, capture_output=True, text=True, check=False)
        well = well and not done.returncode
        print(f"  {'FAILED' if done.returncode else 'well':10}  {step.job}: make {step.what}", flush=True)
        if done.returncode:
            print(*f"{done.stdout}\n{done.stderr}".strip().splitlines()[-12:], sep="\n")
    return well


def world(stack: ExitStack, folder: Path, commit: str) -> dict[str, str]:
    """The environment of a run: registries, archives and a Hub on loopback, and the checkout's own packages."""
    hub = stack.enter_context(serve())
    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "GITHUB_REPOSITORY": OURS, "COMMIT": commit}
    env |= {"GITHUB_OUTPUT": str(folder / "output"), "SPACE": "someone/space", "SINCE": "HEAD~1", "BASE_REF": "HEAD~1"}
    env.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))  # what pip keeps; HOME changes with the registry
    nested(folder / "image-amd64.tar", "amd64")
    if shutil.which("docker-registry") and shutil.which("skopeo"):
        address = stack.enter_context(serving(folder / "registry", env))
        env |= {"IMAGE": f"{address}/owner/space", "QUAY": f"{address}/quay/space"}
        env["DIGEST"] = index(f"{env['IMAGE']}:sha-{commit}", folder / "layout", env)
    return env


def main(argv: Sequence[str]) -> int:
    """Print the plans, play them; 1 when something that was played failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    options = parser.parse_args(argv)
    well = True
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "clone"
        env: dict[str, str] = {}
        if not options.plan:
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
            if (ROOT / ".venv").is_dir():
                (folder / ".venv").symlink_to(ROOT / ".venv")
            head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True)
            env = world(stack, folder, head.stdout.strip())
        for name in EVENTS if options.plan else PLAYED:
            steps = plan(ROOT, EVENTS[name])
            print(
                f"{name}: {sum(step.is_target for step in steps)} targets, {sum(not s.is_target for s in steps)} actions"
            )
            if options.plan:
                print(*(f"  {step.job}: {step.what}" for step in steps), sep="\n")
            else:
                well = play(steps, folder, env, options.only) and well
    return int(not well)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
