"""Redacts a text: replaces every finding of every detector with a word that says what stood there.

Does not cover: names of persons, street addresses, secrets that are spelled out or split, text inside images, and
passwords in prose without a cue ("it is hunter2"). Figures: python -m tests.evals redaction.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from onboarding.redaction.credentials import credential_spans
from onboarding.redaction.hosts import host_spans
from onboarding.redaction.people import people_spans
from rag.secrets.formats import Span

_STOPS = str.maketrans("\u3002\uff61", "..")  # dots in a host's name, as RFC 3490 has them


def redact(text: str) -> str:
    """Return `text` without credentials, personal data and invisible characters; the rest stays as it was."""
    text = visible(text)
    out, at = [], 0
    for span in _merged(text):
        out += [text[at : span.start], f"[{span.kind}]"]
        at = span.end
    return "".join([*out, text[at:]])


def visible(text: str) -> str:
    """Return `text` without invisible characters: they hide a secret from the patterns, and a reader drops them."""
    return "".join(char for char in text if char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cf", "Cs"})


def _folded(text: str) -> str:
    """Return `text`, as long as it is, in the letters that the patterns know: full-width signs are typed in Asia."""
    forms = (unicodedata.normalize("NFKC", char) for char in text)
    return "".join(form if len(form) == 1 else char for form, char in zip(forms, text, strict=True)).translate(_STOPS)


def _merged(text: str) -> list[Span]:
    """Return all findings in order; overlapping ones become one, named after the longest."""
    merged: list[Span] = []
    for span in sorted(_spans(_folded(text)), key=lambda span: (span.start, -span.end)):
        last = merged[-1] if merged else None
        if last is None or span.start >= last.end:
            merged.append(span)
        else:
            kind = span.kind if span.end - span.start > last.end - last.start else last.kind
            merged[-1] = Span(kind, last.start, max(last.end, span.end))
    return merged


def _spans(text: str) -> Iterator[Span]:
    yield from credential_spans(text)
    yield from people_spans(text)
    yield from host_spans(text)
