"""The "find the fault" round over a simulated host: hints, a guess among plausible causes, then what proves it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from tools.hosts import Host
from tools.registry import Report

CLOSE = 60  # characters of an observed value that are shown


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of a guess."""

    right: bool
    why: str  # one sentence


@dataclass(frozen=True, slots=True)
class Proof:
    """One line of evidence, with what the tool reports at this moment."""

    where: str  # "tool: field.path"
    observed: str
    says: str


def causes(host: Host) -> list[str]:
    """The true cause among the decoys, in an order that tells nothing and stays the same."""
    every = [host.answer, *(decoy.cause for decoy in host.decoys)]
    return sorted(every, key=lambda cause: hashlib.blake2b(f"{host.id} {cause}".encode(), digest_size=8).digest())


def judge(host: Host, guess: str) -> Verdict:
    """Whether `guess`, one of `causes`, is the cause; ValueError when it is none of them."""
    if guess == host.answer:
        return Verdict(True, host.cause)
    for decoy in host.decoys:
        if decoy.cause == guess:
            return Verdict(False, decoy.why_not)
    raise ValueError(f"{guess!r} is not among the causes of {host.id}; choose one that is shown.")


def proofs(host: Host, run: Report) -> Iterator[Proof]:
    """The evidence of the cause, as a comprehensive run shows it."""
    for evidence in host.evidence:
        observed = json.dumps(evidence.observed(run), ensure_ascii=False, default=str)
        shown = observed if len(observed) <= CLOSE else observed[:CLOSE] + "…"
        path = ".".join(evidence.field)
        absent = "absent" if evidence.relation == "absent" else shown
        yield Proof(f"{evidence.tool}: {path}", absent, evidence.says)
