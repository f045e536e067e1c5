"""Ask what a unit of a page answers: the questions it lists, and what its heading, tables and commands let one ask."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onboarding.instructions.answers import cells_of
from rag.search.segments import segments
from rag.types import Document, Unit

ROWS_ASKED = 3  # questions about single rows of one unit

_INDIRECT = ("Can you tell me {0}?", "I would like to know {0}.", "Please explain {0}.", "Do you know {0}?")
_HOW = ("How do I {0}?", "How can I {0}?", "I want to {0}. How?")
_COMMAND = ("What is the command to {0}?", "Show me how to {0}.", "Which commands do I need to {0}?")
_QUOTED = ("I get {0}. What now?", "What does {0} mean?", "Why do I see {0}?")
_TROUBLED = ("{0}. What can I do?", "Why is it that {1}?")
_STATED = ("Is it true that {1}?", "Somebody told me that {1}. Is that so?")
_ABOUT = ("Tell me about {0}.", "What should I know about {0}?", "What does the documentation say about {0}?")
_DIRECT_START = re.compile(r"^(?:What|Which|Who) (?:is|are|was|were|has|have|can|must|should|does|do|may)\b|^Why not\b")
_SUBJECT = re.compile(  # a question whose subject is its question word: no other word may follow first
    r"^(?:What|Who|Which [\w-]+(?: [\w-]+)?) (?:is|are|was|were|has|have|can|must|changed|happens|needs?|starts|runs"
    r"|mention|work|works|exist|exists|tests|checks|fails|fail|makes|make|opens|reads|read|sets|set)\b"
)
_WHEN = re.compile(r"^When (?!to\b|is\b|does\b|do\b)(.*\b(?:not|no|fails?|refuses?|cannot)\b.*)$")
_CLAUSE = re.compile(
    r"^(?:(?:In|On|At|By|With|From|For) (?:which|what|whom)\b|What|Which|Who|Where|When|Why|How|Whether)\b"
)
_IS_END = re.compile(r"^(What|Where|Who) (.+) (is|are|was|were)$")
_HOW_TO = re.compile(r"^How to (.+)$")
_OF = re.compile(r"^(\S+), (parameters)$|^(Parameters|Settings) of (?:the )?(.+)$")
_STEP = re.compile(r"^(?:Step \d+|[0-9]+[.)]):? +")
_ERROR = re.compile(r"^\"[^\"]+\"$|^\d{3} .+|.*\b(?:Error|error|failed|fails|refused|denied|not found|timed out)\b")
_STATEMENT = re.compile(
    r" (?:is|are|was|were|has|have|cannot|can|needs?|must|does|do|did|only|rejects?|reads?|explodes?|appears?|lacks?"
    r"|runs|ignores?|passes|touches|takes?|overrides?|downloads?|ends?|deletes?|gives?|stays?|merges?|stops?|lies"
    r"|works?|fails|breaks?|listens?|checks|skips?|finds|uses|says|holds|replaces?|shows?|comes?|goes|dies|hangs?"
    r"|serves?) "
)
_NO_STATEMENT = re.compile(r" (?:that|which|who|you|what|how|where|whether) |,| or |:")
_TROUBLE = re.compile(
    r"^no\b|\b(?:not|has no|have no|cannot|never|nothing|lacks?|fails|breaks?|explodes?|ignores?|rejects?|ends|stops"
    r"|hangs?|dies|old|wrong|slow)\b"
)
_SAME_FORM = {
    "default": ("What is the default of {0}?", "Which default does {0} have?"),
    "meaning": ("What does {0} mean?", "Explain the term {0}."),
    "does": ("What does {0} do?", "What is {0} there for?"),
    "what it does": ("What does {0} do?",),
    "effect": ("What effect does {0} have?",),
    "cause": ("What causes {0}?",),
    "parameters": ("Which parameters does {0} take?",),
    "parameters (default)": ("Which parameters does {0} take, and with which defaults?",),
    "values": ("Which values does {0} take?",),
    "used by": ("What is {0} used by?",),
    "says": ("What does {0} say?",),
    "holds": ("What does {0} hold?",),
    "checks": ("What does {0} check?",),
    "needs": ("What does {0} need?",),
    "body (default)": ("What does a request to {0} carry?",),
    "looks at": ("What does {0} look at?",),
}


@dataclass(frozen=True, slots=True)
class AskedOfUnit:
    """A question that a unit answers, and the recipe that it came from."""

    text: str
    recipe: str  # listed, heading, row or command
    row: str = ""  # the table row that answers


@dataclass(frozen=True, slots=True)
class Speech:
    """The words that the pages write small in a sentence, by which a heading's first word is told from a name."""

    common: frozenset[str]

    @classmethod
    def of(cls, documents: Sequence[Document]) -> Speech:
        """Return the words that stand small more often than not where no sentence or code begins."""
        text = re.sub(r"`[^`]*`|```.*?```", "", " ".join(one.text for one in documents), flags=re.DOTALL)
        counts = Counter(re.findall(r"(?<=[a-z,] )[A-Za-z][A-Za-z-]*", text))
        return cls(frozenset(word for word in counts if word.islower() and counts[word] > counts[word.capitalize()]))

    def lowered(self, heading: str) -> str:
        """Return a heading as it stands within a visitor's sentence."""
        first, _, rest = heading.partition(" ")
        is_common = (first[1:].islower() and first.lower() in self.common) or first in ("A", *_VERBS)
        return _mine(f"{first.lower()} {rest}".strip() if is_common else heading)


def _mine(text: str) -> str:
    """Return what a page tells its reader as the reader says it."""
    return re.sub(r"\byour(self)?\b", lambda found: "myself" if found[1] else "my", text)


_VERBS = frozenset(  # that open a heading which tells what to do
    (
        "Add Allow Apply Ask Back Bring Build Change Check Choose Clean Clone Close Configure Connect Copy Create "
        "Delete Deploy Diagnose Disable Enable Find Follow Generate Get Give Import Install Issue Keep Leave Let "
        "List Load Log Look Make Move Open Pick Pin Prepare Preview Put Query Raise Reach Read Register Reload "
        "Remove Renew Repair Repeat Replace Report Reproduce Request Resize Restart Resume Roll Run Save Search See "
        "Send Set Share Snapshot Start Stop Store Subscribe Switch Talk Tell Test Trust Try Turn Undo Unpause "
        "Update Upgrade Use Validate Verify Wait Watch Write"
    ).split()
)


def of_heading(heading: str, speech: Speech, chance: random.Random, *, has_command: bool) -> Iterator[AskedOfUnit]:
    """Yield the questions that a heading itself asks, in the templates of its form; none for a form without one."""
    bare = _STEP.sub("", heading).strip()
    small = speech.lowered(bare)
    if bare.partition(" ")[0] in _VERBS and not re.search(r"[:,?]", bare):
        yield AskedOfUnit(chance.choice(_HOW).format(small), "heading")
        if has_command:
            yield AskedOfUnit(chance.choice(_COMMAND).format(small), "command")
    else:
        yield AskedOfUnit(_asked_clause(bare, small, chance) or _asked_name(bare, small, chance), "heading")


def _asked_clause(bare: str, small: str, chance: random.Random) -> str:
    """Return a heading that is a question or a clause ("What kcli offers") as a question; "" for another form."""
    if bare.endswith("?"):
        return bare
    if match := _OF.match(bare):
        return f"Which {match[2] or match[3].lower()} does {match[1] or match[4]} take?"
    if match := _HOW_TO.match(bare):
        return f"How do I {_mine(match[1])}?"
    if match := _WHEN.match(bare):
        return f"What should I do when {_mine(match[1])}?"
    if not _CLAUSE.match(bare) or ":" in bare:
        return ""
    if _DIRECT_START.match(bare) or (_SUBJECT.match(bare) and not bare.endswith((" is", " are"))):
        return f"{bare}?"
    if match := _IS_END.match(bare):
        return f"{match[1]} {match[3]} {match[2]}?"
    is_bare = len(bare.split()) <= 3 and bare.startswith("Which")  # "Which embedding model"
    return f"{bare}?" if is_bare else chance.choice(_INDIRECT).format(small)


def _asked_name(bare: str, small: str, chance: random.Random) -> str:
    """Return the question for a heading that is an error, a statement or the name of something."""
    is_statement = _STATEMENT.search(f"{bare} ") and not _NO_STATEMENT.search(bare)
    if _ERROR.match(bare) and '"' not in bare[1:-1] and (bare[0] in '"0123456789' or not is_statement):
        quoted = bare if bare.startswith('"') else f'"{bare}"'
        return chance.choice(_QUOTED).format(quoted)
    if is_statement:
        shown = _TROUBLED if _TROUBLE.search(small.lower()) else _STATED
        return chance.choice(shown).format(bare, small)
    if re.search(r"[:,]", bare) or len(bare.split()) > 6 or _STATEMENT.search(f"{bare} "):
        return f"What does the documentation say under \u201c{bare}\u201d?"
    return chance.choice(_ABOUT).format(small)


def of_rows(unit: Unit, chance: random.Random) -> Iterator[AskedOfUnit]:
    """Yield questions about single rows of the unit's tables whose columns have a template."""
    asked: list[AskedOfUnit] = []
    for segment in segments(unit.text, unit.spans):
        if segment.kind != "row":
            continue
        names = [name.lower() for name in cells_of(segment.head.split("\n")[0])]
        cells = cells_of(segment.text)
        column = names[1] if len(names) > 1 and names[1] in _SAME_FORM else ""
        if (
            not column
            or len(cells) != len(names)
            or not cells[0]
            or re.search(r"\]\(|[,;…]", cells[0])
            or len(cells[0]) > 60
        ):
            continue
        form = chance.choice(_SAME_FORM[column] if cells[0][0] not in '"[' else _SAME_FORM[column][:1])
        asked.append(AskedOfUnit(form.format(cells[0]), "row", segment.text))
    yield from chance.sample(asked, min(ROWS_ASKED, len(asked)))
