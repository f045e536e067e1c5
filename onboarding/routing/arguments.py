"""Finds tool arguments in a message: systemd units, addresses, process names and counts, by a grammar of known names.

The names and their synonyms in twelve languages are data, in names.toml. Names that are not listed are found by the
words around them ("the foo service", "processes named foo") or by their form (an address, `foo.service`).
"""

import ipaddress
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from rapidfuzz import process
from rapidfuzz.distance import OSA

from onboarding.routing.language.lexicon import ENGLISH, Gloss, Lexicon
from onboarding.routing.language.text import fold, words
from onboarding.routing.reading import Reading

NAMES = Path(__file__).with_name("names.toml")
MAX_NAMES = 8  # services or targets in one call; a longer list is not something a person types
MAX_TOP = 500
MIN_NUMBER = 4  # letters of a number word that is taken as such in any language
MIN_MISSPELT = 6  # letters of a word that may be a known name with one slip; shorter words are near too much
MIN_SWAPPED = 5  # letters of one that may be a name with two letters swapped
_UNSPACED = {"ja", "ko", "zh"}
_UNIT = re.compile(r"(?<![\w@./-])([a-z][\w@-]*(?:\.[\w@-]+)*?)\.(service|socket|timer)\b")
_ADDRESS = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})(?![\w:]|\.\d)")
_HOST = re.compile(r"(?<![\w@./-])(?:https?://)?((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,})(?![\w-])")
_FILE_ENDINGS = frozenset("py yml yaml md sh json conf log txt toml cfg ini env service socket timer target so".split())
_PINGED = re.compile(r"\b(?:ping|reach|pinging|nslookup|dig|resolve)\s+(?:to\s+|the\s+|host\s+)*([a-z][\w-]*)")
_DAEMON = re.compile(r"^[a-z][a-z0-9_-]{2,}d$")
# a name joined to what it is, as German and Dutch write it: qemu-prozess, ssh-dienst
_JOINED = re.compile(r"(?<=[a-z0-9])-(?=(?:pro[cz]es|dienst|service|daemon|server)[a-z]*)")
_LONG_WORD = re.compile(rf"(?<![\w./-])[a-z][a-z0-9-]{{{MIN_SWAPPED - 1},}}(?![\w./-])")
_TOP = re.compile(r"\btop[ -]?(\d{1,3})(?!\d)")
# not \w: Chinese, Japanese and Korean write no blank between a number and the next word
_NUMBER = re.compile(r"(?<![a-z0-9_.:/-])(\d{1,3})(?![a-z0-9_.:%/-]| ?(?:gb|mb|gib|%|percent))")
_PID = re.compile(r"\b(?:pid|port|code)\s*\d+")
_NAMED = re.compile(
    r"\b(?:named|called|matching|like|grep|containing|filter(?:ed)?(?: by)?|name|look for)\s+[\"'`]?([a-z][\w.-]+)"
)
_BEFORE_PROCESS = re.compile(r"[\"'`]?([a-z][\w.-]+)[\"'`]?\s+(?:process(?:es)?|procs?)\b")
_QUOTED = re.compile(r"[\"'`“„«「]([a-z][\w.-]+)[\"'`”“»」]")
# words that stand before "process" or "service" without being a name
_NO_NAME = frozenset(
    """running run top busiest biggest heaviest largest active all any other many few some zombie stuck runaway hungry
    hanging leftover dead failed stopped systemd system host machine server cpu memory ram disk network current
    important usual default main core needed broken down list show find check more most first last single which
    consuming intensive background user root child parent linux demo hypervisor virtualization modular critical
    essential key related running. five ten three two four number count resource heavy same each every status state
    web vm virtual kernel total sort sorted consumer usage worst expensive greedy slow local remote key name""".split()
)


@dataclass(frozen=True, slots=True)
class Names:
    """Known names by what they are called, and number words by language."""

    services: dict[str, str]
    processes: dict[str, str]
    targets: dict[str, str]
    numbers: dict[str, dict[str, int]]


class ArgumentGrammar:
    """Finds the arguments of each tool that takes some."""

    def __init__(self, lexicon: Lexicon, names: Names) -> None:
        """`names` comes from load_names."""
        self._lexicon = lexicon
        self._names = names

    def arguments(self, tool: str, reading: Reading) -> dict[str, Any]:
        """Return the arguments of `tool` that a message names; what it leaves open is left out, so defaults apply."""
        said = self._said(reading)
        if tool == "service_status":
            services = self._services(said)
            return {"services": services} if services else {}
        if tool == "network_diagnostics":
            targets = self._targets(said)
            return {"targets": targets} if targets else {}
        if tool == "process_info":
            return self._process_arguments(said)
        return {}

    def services(self, reading: Reading) -> list[str]:
        """Return the systemd units a message names, in its order, without the ending `.service`."""
        return self._services(Gloss(reading.folded, reading.language, reading.gloss))

    def _said(self, reading: Reading) -> Gloss:
        """Return the message with joined names taken apart, read anew only where there are any."""
        folded = _JOINED.sub(" ", reading.folded)
        return (
            Gloss(folded, reading.language, reading.gloss) if folded == reading.folded else self._lexicon.read(folded)
        )

    def _services(self, said: Gloss) -> list[str]:
        folded = said.folded
        found = dict(_spelled_out(folded))
        found.update({at: name for at, name in _known(folded, self._names.services) if not _inside(at, found)})
        found.update({at: name for at, name in self._misspelt(folded, self._names.services) if not _inside(at, found)})
        if not found:
            found = dict(enumerate(self._unlisted_services(said)))
        return _in_order(found)

    def _targets(self, said: Gloss) -> list[str]:
        """Return the addresses and host names a message names, in its order."""
        folded = said.folded
        found = dict(_addresses(folded))
        found.update({at: name for at, name in _hosts(folded) if not _inside(at, found)})
        found.update({at: name for at, name in _known(folded, self._names.targets) if not _inside(at, found)})
        if not found:
            found = dict(enumerate(self._pinged(said)))
        return _in_order(found)

    def _process_arguments(self, said: Gloss) -> dict[str, Any]:
        result: dict[str, Any] = {}
        name = self._process(said)
        if name:
            result["filter_name"] = name
        count = self._count(said)
        if count:
            result["top_n"] = count
        return result

    def _process(self, said: Gloss) -> str:
        """Return the process name to filter by, or "" when the message wants all."""
        folded, gloss = said.folded, said.text
        for pattern in (_QUOTED, _NAMED):
            match = pattern.search(folded) or pattern.search(gloss)
            if match and match[1] not in _NO_NAME and match[1] not in self._lexicon.english:
                return match[1]
        names = self._names.processes
        known = _in_order(dict(_known(folded, names))) or _in_order(dict(self._misspelt(folded, names)))
        if known:
            return known[0]
        if said.language != ENGLISH:
            return ""  # elsewhere the word before "process" may be any adjective the lexicon does not know
        before = [match[1] for match in _BEFORE_PROCESS.finditer(gloss)]
        return next((name for name in before if self._is_name(name) and not self._is_adjective(name)), "")

    def _count(self, said: Gloss) -> int:
        """Return how many processes the message asks for, or 0."""
        folded, language = said.folded, said.language
        rest = _PID.sub(" ", folded)
        match = _TOP.search(rest) or _NUMBER.search(rest)
        if match:
            return min(int(match[1]), MAX_TOP)
        spoken = self._names.numbers.get(language, {})
        if language in _UNSPACED:
            return next((value for word, value in spoken.items() if word in folded), 0)
        if language == ENGLISH:  # so few words of a short request may be known that it passes for English
            everywhere = [table for code, table in self._names.numbers.items() if code not in _UNSPACED]
            spoken = {word: n for table in everywhere for word, n in table.items() if len(word) >= MIN_NUMBER} | spoken
        return next((spoken[word] for word in words(folded) if word in spoken), 0)

    def _unlisted_services(self, said: Gloss) -> Iterator[str]:
        """Yield names that only their neighbours or their form make a service."""
        found = words(said.text)
        is_english = said.language == ENGLISH  # elsewhere any adjective may stand before "service"
        for left, right in pairwise(found if is_english else ()):
            if right in {"service", "services", "daemon", "unit"} and self._is_name(left):
                yield left
        for word in found:
            if _DAEMON.match(word) and not word.endswith(("ed", "nd", "ld", "ad")) and self._is_name(word):
                yield word

    def _misspelt(self, folded: str, names: dict[str, str]) -> Iterator[tuple[int, str]]:
        """Yield place and name of each long word that is one slip (a letter lost, added, changed, swapped) off one."""
        forms = [form for form in names if len(form) >= MIN_SWAPPED and form.isascii()]
        for match in _LONG_WORD.finditer(folded):
            if match[0] not in names and not self._lexicon.knows(match[0]):
                near = process.extractOne(match[0], forms, scorer=OSA.distance, score_cutoff=1)
                if near and (len(match[0]) >= MIN_MISSPELT or sorted(match[0]) == sorted(near[0])):
                    yield match.start(), names[near[0]]

    def _pinged(self, said: Gloss) -> Iterator[str]:
        for match in _PINGED.finditer(said.text):
            if self._is_name(match[1]):
                yield match[1]

    def _is_adjective(self, word: str) -> bool:
        """Return whether `word` is built like "hungriest" or is a number word; names of programs rarely are."""
        return word.endswith(("est", "ing", "ed", "ous", "ive", "ful")) or word in self._names.numbers["en"]

    def _is_name(self, word: str) -> bool:
        return word.isascii() and word not in _NO_NAME and word not in self._lexicon.english


def load_names(path: Path = NAMES) -> Names:
    """Read the grammar of known names; every name and synonym is folded like the messages are."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    numbers = data.pop("numbers")
    values = numbers.pop("values")
    tables = {kind: _synonyms(table) for kind, table in data.items()}
    spoken = {language: _spoken(row.split(), values) for language, row in numbers.items()}
    return Names(tables["services"], tables["processes"], tables["targets"], spoken)


def _synonyms(table: dict[str, list[str]]) -> dict[str, str]:
    """Return name by folded synonym, the longest first, so that it wins where several fit."""
    pairs = [(fold(form), name) for name, forms in table.items() for form in (name, *forms)]
    return dict(sorted(pairs, key=lambda pair: -len(pair[0])))


def _spoken(row: list[str], values: list[int]) -> dict[str, int]:
    return {
        fold(form.replace("_", " ")): value
        for cell, value in zip(row, values, strict=True)
        for form in cell.split("/")
        if form != "-"
    }


def _spelled_out(folded: str) -> Iterator[tuple[int, str]]:
    for match in _UNIT.finditer(folded):
        known = {"networkmanager": "NetworkManager", "modemmanager": "ModemManager"}.get(match[1], match[1])
        yield match.start(), known if match[2] == "service" else match[0]


def _known(folded: str, names: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Yield place and name of every known form; a place belongs to the longest form that covers it."""
    free = folded
    for form, name in names.items():
        at = free.find(form)
        while at >= 0:
            if _stands_alone(free, at, at + len(form)):
                yield at, name
                free = free[:at] + "\0" * len(form) + free[at + len(form) :]
            at = free.find(form, at + 1)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Return whether text[start:end] is no part of a longer Latin name; other scripts write no gaps."""
    before, after = text[start - 1 : start], text[end : end + 1]
    joined = "-_.@/"
    if text[start].isascii() and before and before.isascii() and (before.isalnum() or before in joined):
        return False
    if not (text[end - 1].isascii() and after and after.isascii()):
        return True
    return not (after.isalnum() or (after in joined and text[end + 1 : end + 2].isalnum()))


def _addresses(folded: str) -> Iterator[tuple[int, str]]:
    for match in _ADDRESS.finditer(folded):
        try:
            yield match.start(), str(ipaddress.ip_address(match[0]))
        except ValueError:
            continue  # four numbers that are no address, or a time


def _hosts(folded: str) -> Iterator[tuple[int, str]]:
    for match in _HOST.finditer(folded):
        if match[1].rsplit(".", 1)[-1] not in _FILE_ENDINGS:
            yield match.start(1), match[1]


def _inside(at: int, found: dict[int, str]) -> bool:
    """Return whether place `at` lies within a name found already; names are at most a little longer than written."""
    return any(start <= at < start + len(name) for start, name in found.items())


def _in_order(found: dict[int, str]) -> list[str]:
    ordered = dict.fromkeys(name for _, name in sorted(found.items()))
    return list(ordered)[:MAX_NAMES]
