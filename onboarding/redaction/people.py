"""Finds personal data in a text: e-mail addresses, telephone numbers, payment cards, user names in home paths.

Does not cover: names, postal addresses, numbers of documents, and national telephone numbers without a word such as
"call" before them, except in the form (212) 555-0100.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import phonenumbers

from onboarding.redaction.domain_names import is_example, is_public
from rag.secrets.formats import Span

_EMAIL = re.compile(
    r"(?<![\w.+%-])(?P<local>[\w+%-][\w.+%-]{0,63})@(?P<domain>(?:[\w-]{1,63}\.){1,6}[^\W\d_]{2,24})(?![\w-])"
)
_ROLES = frozenset({"git"})  # the account of a forge, in addresses to clone from

_CUE = (
    r"call|phone|tel|telephone|mobile|cell|fax|whatsapp|signal|sms|ruf|telefon|handy|mobil|teléfono|móvil|celular"
    r"|téléphone|portable|telefone|電話|携帯"
)
_CUED = re.compile(
    rf"(?:(?<![a-z])(?:{_CUE})(?![a-z]))(?:[^\d\n+(]{{0,20}}?)(?P<n>[+(]?\d[\d ()/.-]{{5,22}}\d(?:[ ]?(?:x|ext\.?)[ ]?\d{{1,6}})?)(?![\d.]\d|\w)",
    re.I,
)
_INTERNATIONAL = re.compile(r"(?<![\w.+-])(?P<n>(?:\+|00)[1-9]\d{0,3}[\d ()/.-]{5,20}\d)(?![\w])")
_AMERICAN = re.compile(r"(?<![\w.])(?P<n>\([2-9]\d\d\)[ -]?[2-9]\d\d[ -]\d{4})(?![\w-])")
_LEAST_DIGITS = 7

_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){11,18}(?![\w-])(?!\.\d)")
_ISSUERS = re.compile(
    r"4\d{15}(?:\d{3})?|5[1-5]\d{14}|2[2-7]\d{14}|6\d{15,18}|35\d{14}|3[47]\d{13}|3[0689]\d{12,14}|(?:1800|2131)\d{11}"
)
_SHORT_ISSUERS = re.compile(r"4\d{12}|(?:5[0678]|6\d)\d{10,13}")  # as many numbers of other kinds: they need a cue
_CARD_CUE = re.compile(r"(?:card|karte|tarjeta|carte|cartão|カード|visa|maestro|\bpan)[^\d]{0,30}$", re.I)

_HOME = re.compile(
    r"(?<![\w.])(?P<root>/(?:var/|export/|mnt/)?home/|/Users/|[a-z]:[\\/]{1,2}(?:users|documents and settings)[\\/]{1,2})"
    r"(?P<name>[^\s/\\:;,\"'<>`|(){}\[\]$*%]{1,64})",
    re.I,
)
_NOBODY = frozenset(
    "user users username you your-user youruser me name lab-user cloud-user vagrant core ec2-user admin runner ubuntu"
    " fedora rocky centos almalinux debian opc root public shared default app qubinode lab ansible user-name".split()
)


def people_spans(text: str) -> Iterator[Span]:
    """Yield the span of every piece of personal data found; spans may overlap."""
    yield from (Span("e-mail", *hit.span()) for hit in _EMAIL.finditer(text) if _is_personal(hit))
    yield from _phones(text)
    yield from (Span("card", *hit.span()) for hit in _CARD.finditer(text) if _is_card(hit, text))
    for hit in _HOME.finditer(text):
        name = hit["name"].rstrip(".")
        if name.strip(".") and name.casefold() not in _NOBODY:
            yield Span("user", hit.start("name"), hit.start("name") + len(name))


def _is_personal(hit: re.Match[str]) -> bool:
    domain = hit["domain"].casefold()
    return hit["local"] not in _ROLES and not is_example(domain) and is_public(domain)


def _phones(text: str) -> Iterator[Span]:
    for hit in _INTERNATIONAL.finditer(text):
        number = hit["n"] if hit["n"].startswith("+") else "+" + hit["n"][2:]
        if _is_possible(number, None):
            yield Span("phone", *hit.span("n"))
    yield from (Span("phone", *hit.span("n")) for hit in _AMERICAN.finditer(text) if _is_possible(hit["n"], "US"))
    yield from (Span("phone", *hit.span("n")) for hit in _CUED.finditer(text) if _may_be_national(hit["n"]))


def _may_be_national(number: str) -> bool:
    """Return True for a national number after a cue: grouped digits, or a run that begins like a dialled number."""
    if re.fullmatch(r"[\d.]+", number):
        return bool(re.fullmatch(r"\d{9,13}|[2-9]\d\d\.\d{3}\.\d{4}|0\d(?:\.\d\d){4}", number))
    return sum(map(str.isdigit, number)) >= _LEAST_DIGITS


def _is_possible(number: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False


def _is_card(hit: re.Match[str], text: str) -> bool:
    digits = [int(char) for char in hit[0] if char.isdigit()]
    number = "".join(map(str, digits))
    is_cued = _SHORT_ISSUERS.fullmatch(number) and _CARD_CUE.search(text[max(0, hit.start() - 50) : hit.start()])
    if not (is_cued or _ISSUERS.fullmatch(number)):
        return False
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]  # the check of Luhn
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
