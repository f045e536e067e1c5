"""Finds the command a visitor could run themselves where an action is refused. The rules are data, in remedies.toml."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from onboarding.routing.arguments import ArgumentGrammar
from onboarding.routing.reading import Reading

REMEDIES = Path(__file__).with_name("remedies.toml")
_DIGITS = re.compile(r"\d+$")


@dataclass(frozen=True, slots=True)
class Remedy:
    """One rule: what it fits, what it needs of the message, and the command."""

    when: re.Pattern[str]
    needs: str  # "services", or "" for nothing but the pattern
    language: str  # the only language it is for, or "" for any
    command: Template


def load_remedies(path: Path = REMEDIES) -> tuple[Remedy, ...]:
    """Read the rules in their order."""
    rules = tomllib.loads(path.read_text(encoding="utf-8"))["rule"]
    return tuple(
        Remedy(re.compile(rule["when"]), rule.get("needs", ""), rule.get("language", ""), Template(rule["command"]))
        for rule in rules
    )


def command_for(reading: Reading, grammar: ArgumentGrammar, remedies: tuple[Remedy, ...]) -> str:
    """Return the command for what a message asks, or "" when no rule fits.

    The names put into a command come from the grammar of known names or match a narrow pattern, so that a command
    never carries a stranger's shell syntax.
    """
    services = " ".join(grammar.services(reading))
    for remedy in remedies:
        match = remedy.when.search(reading.gloss) if remedy.language in {"", reading.language} else None
        if match and (services or remedy.needs != "services"):
            return remedy.command.substitute(_names(match), services=services)
    return ""


def _names(match: re.Match[str]) -> Mapping[str, str]:
    """Return the filled groups; port2 and port3 are other places of port."""
    return {_DIGITS.sub("", name): value for name, value in match.groupdict().items() if value}
