"""Finding credentials and personal data before text is indexed or published.

Covers: the formats of detect-secrets' token detectors, Hub tokens, private keys with a body, AWS keys, and, when
`strict`, high-entropy strings, password assignments, public IP addresses, e-mail addresses and phone numbers.
Does not cover: passwords in prose, secrets split over lines, names of persons, images.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.base import BasePlugin
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.high_entropy_strings import (
    Base64HighEntropyString,
    HexHighEntropyString,
    HighEntropyStringsPlugin,
)
from detect_secrets.plugins.keyword import KeywordDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.stripe import StripeDetector

_HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")
_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*\n\s*[A-Za-z0-9+/=]{40,}")
_EMAIL = re.compile(r"\b[\w.+-]+@(?!example\.)[\w-]+\.(?!(?:local|lan|lab|service|socket)\b)[a-z]{2,}\b", re.I)
_PHONE = re.compile(r"(?<![\w./:-])\+\d{1,3}[ -]?\(?\d{2,4}\)?(?:[ -]?\d{2,4}){2,4}\b")
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_PLACEHOLDER = re.compile(r"[<>$\{\}*]|your|change|example|placeholder|xxx|redacted|\.\.\.|dummy|sample", re.I)
_KNOWN_ADDRESSES = {"1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9"}  # public resolvers, nobody's own


@dataclass(frozen=True, slots=True)
class Secret:
    """Where something secret was found; the value itself is never kept."""

    kind: str
    line: int  # counted from 1


def find_secrets(text: str, *, strict: bool = False) -> list[Secret]:
    """Return what looks like a credential in `text`; with `strict` also what might be one, and personal data.

    Indexing uses the plain form, since skipping a page for a false alarm loses answers; publishing the strict one.
    """
    found = [Secret("private key", text.count("\n", 0, hit.start()) + 1) for hit in _PRIVATE_KEY.finditer(text)]
    detectors = _detectors(strict)
    for number, line in enumerate(text.splitlines(), 1):
        found.extend(Secret(kind, number) for kind in dict.fromkeys(_kinds(line, detectors, strict)))
    return found


def _detectors(strict: bool) -> list[BasePlugin]:
    plain: list[BasePlugin] = [
        AWSKeyDetector(),
        GitHubTokenDetector(),
        GitLabTokenDetector(),
        NpmDetector(),
        OpenAIDetector(),
        PypiTokenDetector(),
        SlackDetector(),
        StripeDetector(),
    ]
    if not strict:
        return plain
    return [*plain, BasicAuthDetector(), KeywordDetector(), Base64HighEntropyString(4.5), HexHighEntropyString(3.0)]


def _kinds(line: str, detectors: list[BasePlugin], strict: bool) -> Iterator[str]:
    if _HUB_TOKEN.search(line):
        yield "Hugging Face token"
    for detector in detectors:
        for value in detector.analyze_string(line):
            if not _PLACEHOLDER.search(value) and _is_random(detector, value):
                yield detector.secret_type
    if strict:
        yield from _personal(line)


def _is_random(detector: BasePlugin, value: str) -> bool:
    """Tell whether a string is random enough for the entropy detectors; the others judge by form alone."""
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
