"""Build the deployment command from a visitor's answers, and check their form.

Source of names and defaults: scripts/development/deploy-qubinode.sh at 15e8c636. Of these checks upstream has one, the
domain's form; it also asks `id USER` on the host, and lets any cluster name and mode pass.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

MODES = ("production", "development")
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")  # upstream's
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_CLUSTER = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,52}[a-z0-9])?")


# upstream's pre-flight check counts with ((PASS++)) under `set -e`, which ends it at the first result
MEND_PREFLIGHT = r"sed -i -E 's/^( *)\(\((PASS|FAIL|WARN|FIXED)\+\+\)\)/\1\2=$((\2 + 1))/' scripts/preflight-check.sh"
# upstream's get_qubinode_navigator runs `rm -rf /opt/qubinode_navigator` when that is a folder and no link
DEPLOY = """\
if [ -d /opt/qubinode_navigator ] && [ ! -L /opt/qubinode_navigator ]; then
  echo "Stop: the script would delete /opt/qubinode_navigator. Move it away first."
else
  sudo -E ./scripts/development/deploy-qubinode.sh
fi"""
DEVELOPMENT = (
    "**Mode development** writes the known password `defaultpassword` to `~/.vault_password` and "
    "`/root/.vault_password`, unless the file is there already; your secrets are encrypted with it. Take production "
    "for anything that others can reach."
)


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


def warning(answers: Answers) -> str:
    """Return Markdown to stand next to the command; "" when there is nothing to warn of."""
    return DEVELOPMENT if answers.mode == "development" else ""


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
    return "\n".join([*exports, MEND_PREFLIGHT, "sudo ./scripts/preflight-check.sh --fix", DEPLOY])
