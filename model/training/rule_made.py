"""Make labelled sentences from the pages themselves: true ones shortened or reported, false ones turned by rule.

Each rule makes one of the mistakes that small models make in a passage's own words: yes and no turned round, another
figure, name or setting of the same passages, another subject, a condition left out.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from model.statements.evidence import Given
from model.training.cases import Case, sections
from rag.chunking.markdown import blocks
from rag.search.segments import sentences

MADE = "rule"  # stands for a model
PASSAGES = 3  # sections of a page that a sentence is judged by
WORDS = (7, 32)  # of a sentence that is worth turning

_CODE = re.compile(r"`[^`\n]+`")
_FIGURE = re.compile(r"(?<![\w.`/-])\d+(?:\.\d+)?(?![\w`/-]|\.\d)")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][A-Za-z]+[A-Za-z0-9-]*")
_VERB = re.compile(
    r" (is|are|can|has|needs|must|does|runs|uses|reads|stops|asks|deletes|creates|sets|gives|means|ends|opens) "
)
_DENIED = re.compile(
    r"\b(is|are|does|do|can|could|has|was|were) (?:not|no longer) |\b(can)not |\b(?:no|never|without) "
)
_CONDITION = re.compile(r",? (?:if|unless|only when|only if|when|until|except) [^,.;]+")
_ASIDE = re.compile(r" \([^)]*\)|\[([^\]]*)\]\([^)]*\)")
_TURNED = {
    "before": "after", "after": "before", "first": "last", "below": "above", "enabled": "disabled",
    "disabled": "enabled",
    "refuses": "accepts", "accepts": "refuses", "refused": "accepted", "accepted": "refused", "required": "optional",
    "optional": "required", "deletes": "keeps", "removes": "keeps", "keeps": "deletes", "opens": "closes",
    "closes": "opens", "local": "remote", "public": "private", "fails": "works", "works": "fails", "ignores": "reads",
    "reads": "ignores", "stops": "continues", "supported": "refused", "always": "never", "missing": "present",
    "unprotected": "protected", "same": "different", "all": "none", "automatically": "by hand",
}  # fmt: skip


def rule_made(pages: Path, most: int, seed: int = 0) -> list[Case]:
    """Return `most` cases made from the Markdown pages in a folder; as many hold as do not, as far as rules go."""
    chance = random.Random(seed)  # noqa: S311 - no secrets
    found = [case for path in sorted(pages.glob("*.md")) for case in _of_page(path, chance)]
    chance.shuffle(found)
    return found[:most]


def _of_page(path: Path, chance: random.Random) -> Iterator[Case]:
    title, texts = sections(path)
    heads = list(texts)
    for at, head in enumerate(heads):
        others = chance.sample([n for n in range(len(heads)) if n != at], min(PASSAGES - 1, len(heads) - 1))
        numbers = [at, *others]
        chance.shuffle(numbers)
        passages = tuple(f"{title} > {heads[n]}\n## {heads[n]}\n\n{texts[heads[n]]}" for n in numbers)
        given = Given(passages)
        said = [
            _ASIDE.sub(r"\1", sentence)
            for block in blocks(texts[head])
            if block.kind == "text"
            for sentence in sentences(block.text)
            if WORDS[0] <= len(sentence.split()) <= WORDS[1] and not sentence.endswith((":", "?"))
        ]
        for sentence in said:
            yield from _of_sentence(sentence, said, "\n".join(passages), given, path.stem, chance)


def _of_sentence(
    sentence: str, said: Sequence[str], text: str, given: Given, page: str, chance: random.Random
) -> Iterator[Case]:
    true = chance.choice([_shortened, _reported, _joined])(sentence, said, text, chance)
    if true and true != sentence:
        yield Case(true, "", "", "text", "holds", "", False, MADE, page, given)
    rules: dict[str, Callable[[str, Sequence[str], str, random.Random], str]] = {
        "polarity": _denied, "opposite": _opposite, "count": _other_figure, "parameter": _other_code,
        "name": _other_name, "subject": _other_subject, "condition": _unconditional,
    }  # fmt: skip
    kinds = list(rules)
    chance.shuffle(kinds)
    for kind in kinds:
        false = rules[kind](sentence, said, text, chance)
        if false and false != sentence and false.rstrip(".") not in text:
            yield Case(false, "", "", "text", "against", kind, False, MADE, page, given)
            return


def _shortened(sentence: str, _said: Sequence[str], _text: str, _chance: random.Random) -> str:
    parts = re.split(r"(?:;|:|, (?:but|so|and|which|because|since)) ", sentence)
    return f"{parts[0].rstrip('.')}." if len(parts) > 1 and len(parts[0].split()) >= WORDS[0] else ""


def _reported(sentence: str, _said: Sequence[str], _text: str, chance: random.Random) -> str:
    opening = chance.choice(
        ["Yes, ", "In short, ", "According to the documentation, ", "The documentation states that "]
    )
    first = sentence if sentence[:2].isupper() or sentence.startswith("`") else sentence[0].lower() + sentence[1:]
    return opening.replace("Yes, ", "So ") + first


def _joined(sentence: str, said: Sequence[str], _text: str, _chance: random.Random) -> str:
    at = said.index(sentence)
    return f"{sentence.rstrip('.')}, and {said[at + 1][0].lower()}{said[at + 1][1:]}" if at + 1 < len(said) else ""


def _denied(sentence: str, _said: Sequence[str], _text: str, _chance: random.Random) -> str:
    if found := _DENIED.search(sentence):
        verb = found[1] or found[2] or ""
        return sentence[: found.start()] + (f"{verb} " if verb else "") + sentence[found.end() :]
    if found := re.search(r" (is|are|can|has been|was|must) ", sentence):
        return sentence[: found.end()] + "not " + sentence[found.end() :]
    return ""


def _opposite(sentence: str, _said: Sequence[str], _text: str, chance: random.Random) -> str:
    held = [word for word in _TURNED if re.search(rf"\b{word}\b", sentence)]
    if not held:
        return ""
    word = chance.choice(held)
    return re.sub(rf"\b{word}\b", _TURNED[word], sentence, count=1)


def _swapped(sentence: str, text: str, pattern: re.Pattern[str], chance: random.Random) -> str:
    own = list(pattern.finditer(sentence))
    held = {found[0] for found in own}
    others = sorted({found[0] for found in pattern.finditer(text)} - held)
    if not own or not others:
        return ""
    place = chance.choice(own)
    return sentence[: place.start()] + chance.choice(others) + sentence[place.end() :]


def _other_figure(sentence: str, _said: Sequence[str], text: str, chance: random.Random) -> str:
    return _swapped(sentence, text, _FIGURE, chance)


def _other_code(sentence: str, _said: Sequence[str], text: str, chance: random.Random) -> str:
    return _swapped(sentence, text, _CODE, chance)


def _other_name(sentence: str, _said: Sequence[str], text: str, chance: random.Random) -> str:
    return _swapped(sentence, text, _NAME, chance)


def _other_subject(sentence: str, said: Sequence[str], _text: str, chance: random.Random) -> str:
    verb = _VERB.search(sentence)
    others = [other for other in said if other != sentence and _VERB.search(other)]
    if not verb or not others:
        return ""
    other = chance.choice(others)
    found = _VERB.search(other)
    return other[: found.start()] + sentence[verb.start() :] if found else ""


def _unconditional(sentence: str, _said: Sequence[str], _text: str, _chance: random.Random) -> str:
    found = _CONDITION.search(sentence)
    rest = sentence[: found.start()] + sentence[found.end() :] if found else ""
    return rest if len(rest.split()) >= WORDS[0] else ""
