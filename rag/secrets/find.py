"""Find credentials and personal data in a text before it is indexed or published.

Covers: the token formats and private keys of `rag.secrets.formats`, and, when `strict`, high-entropy strings, password
assignments, public IP addresses, e-mail addresses and phone numbers.
Does not cover: passwords in prose, secrets split over lines, names of persons, images.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from detect_secrets.plugins.base import BasePlugin
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.high_entropy_strings import (
    Base64HighEntropyString,
    HexHighEntropyString,
    HighEntropyStringsPlugin,
)
from detect_secrets.plugins.keyword import KeywordDetector

from rag.secrets.formats import token_spans

_EMAIL = re.compile(r"\b[\w.+-]+@(?!example\.)[\w-]+\.(?!(?:local|lan|lab|service|socket)\b)[a-z]{2,}\b", re.I)
_PHONE = re.compile(r"(?<![\w./:-])\+\d{1,3}[ -]?\(?\d{2,4}\)?(?:[ -]?\d{2,4}){2,4}\b")
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_PLACEHOLDER = re.compile(r"[<>$\{\}*]|your|change|example|placeholder|xxx|redacted|\.\.\.|dummy|sample", re.I)
_KNOWN_ADDRESSES = {"1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9"}  # public resolvers


@dataclass(frozen=True, slots=True)
class Secret:
    """The kind and line of something secret; never its value."""

    kind: str
    line: int  # counted from 1


def find_secrets(text: str, *, strict: bool = False) -> list[Secret]:
    """Return the likely credentials in `text`; with `strict` also the possible ones, and personal data.

    Indexing takes the plain form, because a page skipped for a false alarm loses answers; publishing the strict one.
    """
    found = [
        Secret(hit.kind, text.count("\n", 0, hit.start) + 1)
        for hit in token_spans(text)
        if not _PLACEHOLDER.search(text[hit.start : hit.end]) or hit.kind == "private key"
    ]
    if strict:
        detectors = [BasicAuthDetector(), KeywordDetector(), Base64HighEntropyString(4.5), HexHighEntropyString(3.0)]
        for number, line in enumerate(text.splitlines(), 1):
            found.extend(Secret(kind, number) for kind in _kinds(line, detectors))
    return list(dict.fromkeys(found))


def _kinds(line: str, detectors: list[BasePlugin]) -> Iterator[str]:
    for detector in detectors:
        for value in detector.analyze_string(line):
            if not _PLACEHOLDER.search(value) and _is_random(detector, value):
                yield detector.secret_type
    yield from _personal(line)


def _is_random(detector: BasePlugin, value: str) -> bool:
    """Return True when a string is random enough for an entropy detector; the others judge by form alone."""
    if not isinstance(detector, HighEntropyStringsPlugin):
        return True
    return bool(detector.calculate_shannon_entropy(value) > detector.entropy_limit)


def _personal(line: str) -> Iterator[str]:
    if _EMAIL.search(line):
        yield "e-mail address"
    if _PHONE.search(line):
        yield "phone number"
    for hit in _IPV4.finditer(line):
        if hit[0] not in _KNOWN_ADDRESSES and _is_public(hit[0]):
            yield "public IP address"


def _is_public(address: str) -> bool:
    try:
        return ip_address(address).is_global
    except ValueError:
        return False  # a version number such as 1.2.3.999
