"""Gives messages one spelling: folds case, accents, widths and invisible characters, and finds words."""

import re
import unicodedata

MAX_CHARS = 2_000  # the start and end of a longer message say what it wants; reading all of it would only cost time

_MARKS = re.compile("[\u0300-\u036f\u064b-\u0652\u0640]")  # Latin accents, Arabic vowel signs; not kana voicing
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\u00ad]")
_SPACE = re.compile(r"\s+")
_ARABIC = str.maketrans({"أ": "ا", "إ": "ا", "آ": "ا", "ى": "ي", "ة": "ه"})
# words, with the inner dots, dashes, slashes and colons of names, addresses and paths; or one stretch of CJK
_WORD = re.compile(r"[\w@/~$][\w@/.:~$%+'’-]*[\w/~%]|\w", re.UNICODE)
_TRAILING = ".:'’-+"


def clip(text: str) -> str:
    """Return `text`, its middle cut out when it is longer than MAX_CHARS."""
    if len(text) <= MAX_CHARS:
        return text
    half = MAX_CHARS // 2
    return f"{text[:half]} {text[-half:]}"


def fold(text: str) -> str:
    """Return `text` in the one spelling that lexicon, features and patterns share.

    Lower case, compatibility forms unified, Latin accents, Arabic vowel signs and invisible characters dropped,
    runs of white space made one blank.
    """
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    text = unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFD", text)))
    return _SPACE.sub(" ", text.translate(_ARABIC).replace("’", "'")).strip()


def words(folded: str) -> list[str]:
    """Return the words of a folded text in order; names, addresses and paths stay whole."""
    return [word.rstrip(_TRAILING) for word in _WORD.findall(folded) if word.rstrip(_TRAILING)]


def script(folded: str) -> str:
    """Return the script that decides how words are found: `latin`, `ar`, `ja`, `ko`, `zh` or `other`."""
    counts = {"latin": 0, "ar": 0, "kana": 0, "ko": 0, "han": 0, "other": 0}
    for char in folded:
        if char.isalpha():
            counts[_script_of(ord(char))] += 1
    if counts["kana"]:
        return "ja"
    # half the letters are enough: product names stay Latin in every language
    for name, result in (("ko", "ko"), ("han", "zh"), ("ar", "ar"), ("other", "other")):
        if counts[name] and counts[name] * 4 >= counts["latin"]:
            return result
    return "latin"


def _script_of(code: int) -> str:
    if code < 0x0250 or 0x1E00 <= code < 0x1F00:
        return "latin"
    if 0x0600 <= code < 0x0780 or 0xFB50 <= code < 0xFE00:
        return "ar"
    if 0x3040 <= code < 0x3100 or 0x31F0 <= code < 0x3200:
        return "kana"
    if 0xAC00 <= code < 0xD7B0 or 0x1100 <= code < 0x1200 or 0x3130 <= code < 0x3190:
        return "ko"
    if 0x3400 <= code < 0xA000 or 0xF900 <= code < 0xFB00:
        return "han"
    return "other"
