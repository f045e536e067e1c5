"""Reads the exemplars: what people might write, by route, by the tool that answers it, and by what it wants of the page.

A file under exemplars/ is named after its label. `## de` starts the lines of a language, `## de deploy` lines that
belong to another route than the file's usual one. `{a|b}` stands for either; every line is one group, whatever it
unfolds to, and cross-validation never splits a group.
"""

import itertools
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

EXEMPLARS = Path(__file__).parent
MAX_VARIANTS = 8  # per line; more would only repeat its words
NOT_LOOKED_UP = frozenset({"smalltalk", "off_topic", "unsafe"})  # routes on which nothing is looked up
ELSEWHERE = "elsewhere"  # of a message that wants nothing of the page itself
CHATTER = "chatter"  # of small talk of no other kind
OPENINGS = {"thanks", "greeting", "ack"}  # kinds of message that people put before a question
OPENING_WORDS = 3
OPENED = 0.2  # share of the exemplars that get a copy behind an opening
_CHOICE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One way to say something."""

    text: str
    route: str
    tool: str  # a tool's name, `all_tools`, `action`, `knowledge` or `none`
    about: str  # the kind of message about the page: the name of a file under about/, CHATTER or ELSEWHERE
    language: str
    group: int  # the line it comes from
    weight: float  # the variants of a line share its weight


def load_exemplars(folder: Path = EXEMPLARS) -> list[Exemplar]:
    """Return every exemplar, unfolded. Raises ValueError on text before the first language heading."""
    result: list[Exemplar] = []
    group = 0
    for path in sorted(folder.glob("*/*.txt")):
        for language, route, line in _lines(path):
            result += _exemplars(line, language, route, path, group)
            group += 1
    return result


def _lines(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield language, route named in the heading or "", and line."""
    language, route = "", ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            language, _, route = line[3:].strip().partition(" ")
        elif line and not line.startswith("# "):
            if not language:
                raise ValueError(f"{path.name}: {line!r} stands before the first '## language' heading")
            yield language, route, line


def _exemplars(line: str, language: str, route: str, path: Path, group: int) -> list[Exemplar]:
    name, about = path.stem, ELSEWHERE
    if path.parent.name == "checks":
        tool, usual = name, "general_question" if name == "knowledge" else "diagnostics"
    elif path.parent.name == "about":
        tool, usual, about = "knowledge" if route not in {"", "smalltalk"} else "none", "smalltalk", name
    else:
        tool, usual = "none" if name in NOT_LOOKED_UP else "knowledge", name
        about = CHATTER if name == "smalltalk" else ELSEWHERE
    texts = unfold(line)
    weight = len(texts) ** -0.5  # a line with variants counts a little more than a plain one
    return [Exemplar(text, route or usual, tool, about, language, group, weight) for text in texts]


def opened(exemplars: Sequence[Exemplar]) -> list[Exemplar]:
    """Return copies of some exemplars behind a short greeting or thanks in the same language; always the same ones.

    "thanks, and how do i remove it" is a question, whatever it opens with.
    """
    openings: dict[str, list[str]] = defaultdict(list)
    for one in exemplars:
        if one.about in OPENINGS and len(one.text.split()) <= OPENING_WORDS and one.text[-1].isalpha():
            openings[one.language].append(one.text)
    chance = random.Random(len(exemplars))
    openable = (one for one in exemplars if one.about not in {*OPENINGS, CHATTER} and openings[one.language])
    chosen = [one for one in openable if chance.random() < OPENED]
    joints = (", ", "! ", ". ", " - ")
    return [
        replace(one, text=f"{chance.choice(openings[one.language])}{chance.choice(joints)}{one.text}") for one in chosen
    ]


def unfold(line: str) -> list[str]:
    """Return up to MAX_VARIANTS readings of a line with `{a|b}` choices, spread over the choices, always the same."""
    choices = [option.split("|") for option in _CHOICE.findall(line)]
    fixed = _CHOICE.split(line)[::2]
    readings = list(itertools.product(*choices))
    if len(readings) > MAX_VARIANTS:
        readings = random.Random(line).sample(readings, MAX_VARIANTS)
    return ["".join(itertools.chain.from_iterable(itertools.zip_longest(fixed, r, fillvalue=""))) for r in readings]


def misspelt(text: str) -> str:
    """Return `text` with one letter lost, doubled or swapped with the next in one longer word; always the same."""
    chance = random.Random(text)
    found = list(re.finditer(r"[^\W\d_]{5,}", text))
    if not found:
        return text
    word = chance.choice(found)
    at = chance.randrange(word.start() + 1, word.end() - 1)
    slip = chance.choice([text[at + 1], text[at] * 2 + text[at + 1], text[at + 1] + text[at]])
    return text[:at] + slip + text[at + 2 :]
