"""Play "find the fault" on a simulated host: judge a guess among plausible causes, then show the proof."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from tools.simulation.hosts import FaultEvidence, Host
from tools.types import Json, Report

MOST_SHOWN = 60  # characters of an observed value
SHOWN_BEFORE = 20  # of them, before the words that prove something


@dataclass(frozen=True, slots=True)
class RoundVerdict:
    """The verdict on a guess."""

    right: bool
    why: str  # one sentence


@dataclass(frozen=True, slots=True)
class Proof:
    """One line of evidence, with the value that the tool reports at this moment."""

    where: str  # "tool: field.path"
    observed: str
    says: str


def causes(host: Host) -> list[str]:
    """Return the true cause among the decoys, in an order that stays the same and gives nothing away."""
    every = [host.answer, *(decoy.cause for decoy in host.decoys)]
    return sorted(every, key=lambda cause: hashlib.blake2b(f"{host.id} {cause}".encode(), digest_size=8).digest())


def judge(host: Host, guess: str) -> RoundVerdict:
    """Return the verdict on `guess`; ValueError unless it is one of `causes`."""
    if guess == host.answer:
        return RoundVerdict(True, host.cause)
    for decoy in host.decoys:
        if decoy.cause == guess:
            return RoundVerdict(False, decoy.why_not)
    raise ValueError(f"{guess!r} is not among the causes of {host.id}; choose one that is shown.")


def proofs(host: Host, run: Report) -> Iterator[Proof]:
    """Yield the evidence of the cause, as a comprehensive run shows it."""
    for evidence in host.evidence:
        shown = "absent" if evidence.relation == "absent" else _close_up(evidence, evidence.observed(run))
        yield Proof(f"{evidence.tool}: {'.'.join(evidence.field)}", shown, evidence.says)


def _close_up(evidence: FaultEvidence, observed: Json) -> str:
    """Return the observed value on one line, a long one cut to the part that proves something."""
    if not isinstance(observed, str):
        observed = json.dumps(observed, ensure_ascii=False, default=str)
    line = " ".join(observed.split())
    wanted = str(evidence.value) if evidence.relation == "contains" else ""
    start = max(0, line.find(wanted) - SHOWN_BEFORE) if len(line) > MOST_SHOWN else 0
    shown = line[start : start + MOST_SHOWN]
    return f"{'…' if start else ''}{shown}{'…' if start + MOST_SHOWN < len(line) else ''}"
