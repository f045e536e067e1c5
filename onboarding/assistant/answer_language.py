"""Tell whether a model answered in the language it was asked in, by the lexicon that also reads the questions."""

from __future__ import annotations

import re

from onboarding.routing.language.lexicon import Lexicon
from onboarding.routing.language.text import fold, script, words

FEWEST_WORDS = 8  # fewer, and names and figures outweigh what tells a language
FEWEST_LETTERS = 12  # of a script without spaces
_NO_PROSE = re.compile(r"(?s)(`{3,}|~{3,}).*?(?:\1|\Z)|`[^`\n]*`|\[\d+\]|\S+://\S+|\b[A-Z][A-Z0-9]*_\w+")


def is_in_another_language(answer: str, language: str, lexicon: Lexicon) -> bool:
    """Return True where the prose of an answer is surely in another language than `language`, a code of the lexicon."""
    prose = fold(_NO_PROSE.sub(" ", answer))
    spaced = script(prose) in ("latin", "ar", "ko")
    if len(words(prose)) < FEWEST_WORDS if spaced else len(prose) < FEWEST_LETTERS:
        return False
    return lexicon.read(prose).language != language
