"""Read tools' results for a question by rules: its first sentence, with yes or no, and what may not be said after it.

Understands English: questions that a yes or no answers about a subject of `tools.diagnosis.observations` ("is the disk
full?"), and questions that take a state for granted ("why is the disk full?"). For any other question and language the
sentence says what the result shows, or nothing. Does not understand: conditions, comparisons but with a percentage, two
questions in one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tools.diagnosis.diagnose import diagnose
from tools.diagnosis.observations import Observation, observations
from tools.diagnosis.summary import is_whole_run
from tools.registry import report
from tools.types import ToolResult

_NOTHING = r"(?!)"  # matches nowhere
# state -> (words that affirm it, words that deny it)
STATES = {
    "full": (
        r"full|used up|exhausted|filled(?: up)?|out of (?:disk|memory|space|ram|cpu)\w*|overloaded|saturated|pegged"
        r"|maxed(?: out)?|overcommitted|running out|(?:no|not? enough) (?:disk |free |more )?(?:space|room|memory|ram)",
        r"enough|sufficient|plenty|(?:still |any )?free|left|available|room|spare|to spare|idle",
    ),
    "high": (
        r"(?:almost|nearly|close to|about to be) full|high|low on|too much|filling up|busy|heavy|heavily|under load",
        r"normal|low|fine|ok|okay",
    ),
    "working": (
        r"running|runs?|up|active|alive|start(?:ed)?|on|online|working|works?|healthy|fine|ok|okay|responding|responds?"
        r"|answers?|answering|reachable|reach|ping|resolves?|resolving|loaded|available|ready|set up|supported"
        r"|supports?|in order|connect(?:ed|ion)|have (?:an? )?(?:internet|network)|well|good",
        r"stopped|down|inactive|dead|broken|off|offline|unreachable|not available|missing|wrong|hung|hanging"
        r"|problems?|issues?|faults?|unhealthy|trouble|unloaded",
    ),
    "up": (r"up|online|on|alive|running", r"down|off|offline|dead"),
    "enabled": (r"enabled|switched on|turned on", r"disabled|switched off|turned off"),
    "healthy": (r"healthy|fine|ok|okay|in order|good|well", r"wrong|problems?|issues?|faults?|unhealthy|trouble"),
    "paused": (r"paused|suspended", _NOTHING),
    "failed": (r"failed|failing|crash(?:ed)?|died", _NOTHING),
    "installed": (r"installed|present|there|exists?", r"absent|uninstalled|missing"),
}
_STATE = {name: (re.compile(rf"\b(?:{yes})\b"), re.compile(rf"\b(?:{no})\b")) for name, (yes, no) in STATES.items()}
_POLITE = r"(?:(?:please|hey|hi|hello|so|and|ok|okay|well|tell me|then|now),? )*"
_ASKED = re.compile(
    rf"^{_POLITE}(?:(?:is|are|was|were|does|do|did|has|have|isn't|aren't|doesn't|hasn't|am|will)\b"
    r"|(?:can|could) (?:the|this|it|my|(?:i|you|we) (?:reach|resolve|ping))\b)"
    r"|\b(?:check|see|tell me|know|verify|find out|wonder|test|look) (?:if|whether)\b|\b(?:right|correct|yes or no)\?$"
)
_ELLIPTICAL = re.compile(
    r"(?!(?:what|which|who|when|where|why|how|show|list|give|tell)\b)(?:\S+ ){0,5}\S*\?$"
)  # "disk ok?"
_CHOICE = re.compile(r"\bor\b(?! not)")  # "stopped or running?"
_COUNT = re.compile(r"(?<![\w.:/-])(?:\d+|two|three|four|five|six|seven|eight|nine|ten)(?![\w.:/-]| ?(?:%|percent))")
_GRANTED = re.compile(rf"^{_POLITE}(?:why|how come|since when|what makes)\b")
_PURPOSE = re.compile(r"\benough\b.*\b(?:for|to)\b")  # enough for what, no result says
_NOT = re.compile(
    r"\b(?:not|no longer|never|cannot|can't|no|none|nothing|neither|without)\b"
    r"|\b(?:is|are|does|do|has|have|was|were)n't\b"
)
_OPENING_NOT = re.compile(rf"^{_POLITE}(?:is|are|does|do|has|have|was|were)n't\b")  # "isn't it up?" asks whether it is
_UNSURE = re.compile(
    r"\b(?:if|whether|unless|when|once|until|would|could|should|might|may|check|see|verify|ensure|make sure|e\.g)\b"
)
_MORE = re.compile(
    r"\b(?P<way>more|over|above|greater|less|below|under|at least) ?(?:than)? ?(?P<than>\d+(?:\.\d+)?) ?(?:%|percent)"
)
_RELEASE = re.compile(r"\b(?:rhel|el|rocky|centos(?: stream)?|alma(?:linux)?)[ -]?(\d+)")
_YES, _NO = re.compile(r"^\W*yes\b"), re.compile(r"^\W*no\b(?! (?:longer|other))")
_NO_NAMES = frozenset("the no name memory hardware this all systemd none".split())  # first words that take a capital
_BROAD = frozenset(
    "host machine server system it what all there something anything everything service".split()
)  # names
_CLAUSE = re.compile(
    r"[.;!?]\s+|,\s+(?:but|and|so|while|because|although)\s+|\s+(?:but|because|since|although|while)\s+"
)


@dataclass(frozen=True, slots=True)
class ResultReading:
    """What the rules read in results for a question. answer: yes or no, None for a question that asks neither."""

    text: str = ""  # the first sentence; "" where the rules have none
    answer: bool | None = None
    seen: tuple[Observation, ...] = ()

    def denies(self, sentence: str) -> bool:
        """Return True for a sentence of an explanation that says the opposite of what the rules read."""
        low = sentence.lower()
        if self.answer is not None and (_NO if self.answer else _YES).search(low):
            return True
        return any(_holds(clause, self.seen) is False for clause in _CLAUSE.split(low) if not _UNSURE.search(clause))


def read(question: str, results: Sequence[ToolResult], now: float) -> ResultReading:
    """Return the reading of `results` for a question in English; "" in another language reads what they show.

    now: as for `tools.diagnosis.summary.summary`.
    """
    whole = is_whole_run(results)
    seen = _whole(results, now) if whole else tuple(observations(results))
    if not seen:
        return ResultReading()
    low = " ".join(question.lower().split())
    about = _about(low, seen, asked=True)
    unread = _PURPOSE.search(low) or _CHOICE.search(low) or _COUNT.search(_RELEASE.sub("", low))
    holds = None if unread else _holds(low, seen, asked=True)
    diagnosed = whole and about[:1] == list(seen[:1])  # the diagnosis itself follows
    if holds is not None and about and (_ASKED.search(low) or _ELLIPTICAL.match(low)):
        answer = "Yes" if holds else "No"
        return ResultReading(f"{answer}." if diagnosed else f"{answer}: {about[0].says}.", holds, seen)
    if holds is False and about and _GRANTED.search(low):
        return ResultReading("It is not so." if diagnosed else f"It is not so: {about[0].says}.", None, seen)
    if whole:  # its diagnosis says more than the first field that happens to be named
        return ResultReading("", None, seen)
    general = [one for one in seen if one.general]
    told = [one for one in general if one in about] or about[:1] or general
    says = "; ".join(one.says for one in told)
    return ResultReading(_capital(says) + "." if says else "", None, seen)


def _capital(says: str) -> str:
    """Return a sentence's words with a capital where they do not begin with a name."""
    return says[0].upper() + says[1:] if says.partition(" ")[0] in _NO_NAMES else says


def _whole(results: Sequence[ToolResult], now: float) -> tuple[Observation, ...]:
    """Return the diagnosis of a whole run as the first observation, then all others."""
    found = diagnose(report({result.tool_name: result for result in results}, now))
    names = (*_BROAD, "setup", "problem", "problems", "issue", "issues", "fault", "faults")
    states = {"working": found.kind == "healthy"} if found.kind != "unknown" else {}
    cause = found.cause.rstrip(".")
    cause = cause[0].lower() + cause[1:] if cause.partition(" ")[0].lower() in _NO_NAMES else cause
    others = (replace(one, general=False) for one in observations(results))
    return (Observation(names, cause, states, general=False), *others)


def _about(low: str, seen: Sequence[Observation], *, asked: bool) -> list[Observation]:
    """Return the observations that a sentence names, the one with the longest name first, or the only one there is."""
    broad = frozenset[str]() if asked else _BROAD  # "the host runs RHEL" states nothing of its network
    named = [
        (max((len(name) for name in one.names if name not in broad and _names(name, low)), default=0), one)
        for one in seen
    ]
    found = [(length, -at, one) for at, (length, one) in enumerate(named) if length]
    if not found:
        only = [one for one in seen if one.general] if asked else list(seen)
        return only if len(only) == 1 else []
    return [one for _, _, one in sorted(found, key=lambda item: item[:2], reverse=True)]


def _names(name: str, low: str) -> bool:
    return re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w/-]|\.\w)", low) is not None


def _holds(low: str, seen: Sequence[Observation], *, asked: bool = False) -> bool | None:
    """Return whether what a sentence affirms of a subject holds; None where it affirms nothing that the rules know."""
    for one in _about(low, seen, asked=asked):
        if one.percent is not None and (more := _MORE.search(low)):
            above = one.percent > float(more["than"])
            return above == (more["way"] not in ("less", "below", "under")) if not _denied(low, asked=asked) else None
        if one.numbers and (release := _RELEASE.search(low)) and not _STATE["working"][0].search(low):
            return (release[1] in one.numbers) != _denied(low, asked=asked)
        if "itself" in one.states:
            return one.states["itself"] != _denied(low, asked=asked)
        state = _state(low, one)
        if state is not None:
            holds, rest = state
            return holds != _denied(rest, asked=asked)
    return None


def _state(low: str, one: Observation) -> tuple[bool, str] | None:
    """Return whether the state that a sentence names holds of its subject, and the sentence without its name."""
    states = dict(one.states)
    if "any running" in states:
        whole = re.search(r"\b(?:all|every|both)\b", low)
        states["working"] = states["all running" if whole else "any running"]
    for name in ("high", "full", "failed", "paused", "installed", "enabled", "up", "healthy", "working"):
        if name not in states:
            continue
        affirmed, denied = _STATE[name]
        if affirmed.search(low):
            return states[name], affirmed.sub("", low, count=1)
        if denied.search(low):
            return not states[name], denied.sub("", low, count=1)
    return None


def _denied(low: str, *, asked: bool) -> bool:
    """Return True for an odd number of denials; "isn't it running?" asks the same as "is it running?"."""
    bare = _OPENING_NOT.sub("", low) if asked else re.sub(r"^\W*(?:yes|no)\b\W*", "", low)
    return len(_NOT.findall(bare)) % 2 == 1
