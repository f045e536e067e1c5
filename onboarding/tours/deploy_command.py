"""Build the deployment command from a visitor's answers, and check them as upstream's script does.

Source of names, defaults and rules: scripts/development/deploy-qubinode.sh at commit 03ce8239.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

MODES = ("production", "development")
_DOMAIN = re.compile(r"(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9][a-z0-9-]{0,61}[a-z0-9]", re.I)
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_CLUSTER = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,52}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers that a visitor filled in."""

    domain: str
    admin_user: str
    cluster: str = "qubinode"
    mode: str = "production"
    assistant: bool = True
    airflow: bool = True


def problems(answers: Answers) -> list[str]:
    """Return one sentence for each answer that is wrong; [] when `command` can build the command."""
    found = []
    if not _DOMAIN.fullmatch(answers.domain):
        found.append("QUBINODE_DOMAIN must be a domain name with at least one dot, such as lab.example.com.")
    if not _USER.fullmatch(answers.admin_user):
        found.append(
            "QUBINODE_ADMIN_USER must be a Linux user name: lower case, digits, - and _, at most 32 characters."
        )
    if answers.admin_user == "root":
        found.append("QUBINODE_ADMIN_USER should not be root; name the user who will administer the host.")
    if not _CLUSTER.fullmatch(answers.cluster):
        found.append(
            "QUBINODE_CLUSTER_NAME may hold lower-case letters, digits and inner dashes, at most 54 characters."
        )
    if answers.mode not in MODES:
        found.append(f"QUBINODE_DEPLOYMENT_MODE is one of {', '.join(MODES)}.")
    return found


def environment(answers: Answers) -> dict[str, str]:
    """Return the variables for a .env file."""
    return {
        "QUBINODE_DOMAIN": answers.domain,
        "QUBINODE_ADMIN_USER": answers.admin_user,
        "QUBINODE_CLUSTER_NAME": answers.cluster,
        "QUBINODE_DEPLOYMENT_MODE": answers.mode,
        "QUBINODE_ENABLE_AI_ASSISTANT": str(answers.assistant).lower(),
        "QUBINODE_ENABLE_AIRFLOW": str(answers.airflow).lower(),
    }


def command(answers: Answers) -> str:
    """Return the commands to paste; ValueError when `problems` finds any."""
    if found := problems(answers):
        raise ValueError(" ".join(found))
    exports = [f"export {name}={shlex.quote(value)}" for name, value in environment(answers).items()]
    return "\n".join(
        [*exports, "./scripts/preflight-check.sh --fix", "sudo -E ./scripts/development/deploy-qubinode.sh"]
    )
