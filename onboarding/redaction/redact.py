"""`redact`: every finding of every detector cut out, each replaced by one word that says what stood there.

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


def redact(text: str) -> str:
    """`text` without credentials and personal data; what is left stands as it was, but for invisible characters."""
    text = visible(text)
    out, at = [], 0
    for span in _merged(text):
        out += [text[at : span.start], f"[{span.kind}]"]
        at = span.end
    return "".join([*out, text[at:]])


def visible(text: str) -> str:
    """Without characters that nobody sees: they would hide a secret from the patterns and be cut out by a reader."""
    return "".join(char for char in text if char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cf", "Cs"})


def _merged(text: str) -> list[Span]:
    """All findings in order; of those that overlap one remains, with the name of the longest."""
    merged: list[Span] = []
    for span in sorted(_spans(text), key=lambda span: (span.start, -span.end)):
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
