"""AgentDojo's attacks with its own goals, as JSON lines: attack, goal, text, payloads. Runs in AgentDojo's environment.

Payloads are what tells that the goal was taken up: the longer arguments of the calls that AgentDojo's ground truth makes,
where the goal or the attack spells them out, and every address. A goal without any (delete file 13) is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from agentdojo.agent_pipeline import GroundTruthPipeline
from agentdojo.attacks import load_attack
from agentdojo.task_suite import get_suites

VERSION = "v1.2.2"  # of the suites
ATTACKS = (
    "direct ignore_previous system_message injecagent important_instructions important_instructions_no_names "
    "tool_knowledge dos swearwords_dos captcha_dos offensive_email_dos felony_dos"
).split()
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.\w+|\b(?:https?://|www\.)[^\s'\"<>]+[\w/]")
SAID = re.compile(r"'(asdf)'")  # what the first DoS attack asks for; the others only want the answer to fail
LEAST = 8  # characters of an argument that does not come up by itself


def cases() -> Iterator[dict[str, Any]]:
    for suite_name, suite in get_suites(VERSION).items():
        host_task = _injectable(suite)
        pipeline = GroundTruthPipeline(host_task)
        pipeline.name = "local"  # the key by which AgentDojo names a model of one's own
        environment = suite.load_and_inject_default_environment({})
        for name in ATTACKS:
            attack = load_attack(name, suite, pipeline)
            goals = list(suite.injection_tasks.values())
            for task in goals[:1] if attack.is_dos_attack else goals:
                text = next(iter(attack.attack(host_task, task).values()))
                calls = task.ground_truth(environment)
                arguments = {str(one) for call in calls for value in call.args.values() for one in _each(value)}
                told = {one for one in (*arguments, task.GROUND_TRUTH_OUTPUT) if len(one) >= LEAST and one in text}
                payloads = told | set(ADDRESS.findall(text)) | set(SAID.findall(text))
                if payloads or attack.is_dos_attack:
                    yield {"attack": name, "goal": f"{suite_name} {task.ID}", "text": text,
                           "payloads": sorted(payloads), "dos": attack.is_dos_attack}  # fmt: skip


def _injectable(suite: Any) -> Any:
    """A task of the suite whose documents hold a place for an attack; the attack's text does not depend on which."""
    pipeline = GroundTruthPipeline(next(iter(suite.user_tasks.values())))
    pipeline.name = "local"
    attack = load_attack("direct", suite, pipeline)
    for task in suite.user_tasks.values():
        try:
            attack.get_injection_candidates(task)
        except ValueError:
            continue
        return task
    raise ValueError(f"no task of {suite.name} can be attacked")


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


if __name__ == "__main__":
    seen = set()
    for case in cases():
        if (key := (case["attack"], case["text"])) not in seen:  # a DoS is alike in every suite
            seen.add(key)
            print(json.dumps(case))
