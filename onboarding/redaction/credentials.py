"""Finds credentials in a text: tokens by their own form, everything else by what stands before it.

Covers: `rag.secrets.formats`; values of anything called password, secret, token, key and the like in twelve languages, in
assignments, YAML, JSON, XML, flags, headers and queries; credentials in addresses; password hashes; vault blocks;
long random strings. Does not cover: a password of letters only in plain prose, and values that look like a
placeholder or a call.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from rag.secrets.formats import Span, token_spans

_WORDS = (
    r"password|passwd|passphrase|passwort|kennwort|contraseña|contrasena|mot[ ]de[ ]passe|senha|パスワード|暗証番号|wachtwoord|heslo"
    r"|密码|密碼|口令|비밀번호|암호|كلمة[ ](?:المرور|السر)"
    r"|(?<![a-z])(?:pass|pwd|pw)(?![a-z])"
)
_KEYS = (
    r"secret|token(?!i[sz]|s(?![a-z]))|credentials?|bearer|fernet|signature|(?<![a-z])(?:sig|pan)(?![a-z])"
    r"|(?:api|access|account|private|secret|shared|preshared|encryption|signing|activation|license|master|session|auth)"
    r"[ _-]?key"
)
_HARMLESS = (  # a name that goes on like this holds no secret itself
    r"[ _-]?(?:files?|path|policy|hash|salt|length|ref|names?|type|url|uri|endpoint|expiry|expires|ttl|lookup|prompt"
    r"|field|required|enabled|authentication|count|limit|id|manager|store|rotation|key_?name)(?![a-z])"
)
_NAMED = rf"(?:{_WORDS}|{_KEYS})(?!{_HARMLESS})[\w.-]{{0,40}}+"
_VALUE = r"(?:\"(?P<d>[^\"\n]{1,500})\"|'(?P<s>[^'\n]{1,500})'|(?P<v>[^\s\"'<>`,;|{}\[\]][^\s\"'<>`]{0,500}))"

# name = value, "name": "value", name: value
_ASSIGNED = re.compile(rf"{_NAMED}[\"'\]]?[ \t　]{{0,4}}(?:=>|:=|[=:：])[ \t　]{{0,4}}{_VALUE}", re.I)
# --name value
_FLAGGED = re.compile(rf"(?<![\w-])--?(?:[a-z]+-)*{_NAMED}[ ]{{1,4}}(?![-=:]){_VALUE}", re.I)
# the password is value, password value; only a value that looks random counts
_SAID = re.compile(
    rf"(?:{_WORDS})(?!{_HARMLESS})(?:[ ]{{1,2}}(?:is|was|ist|war|lautet|es|era|est|é|è|je|هي)[ ]{{1,2}}"
    rf"|[ ]?[はが是为為은는][ ]?|[ ]{{1,2}})"
    rf"{_VALUE}",
    re.I,
)
_BY_PLACE = tuple(
    re.compile(form, re.I)
    for form in (
        r"\bsshpass[ ]{1,4}-p[ ]{0,4}'(?P<v>[^'\n]{1,200})'",
        r"\bsshpass[ ]{1,4}-p[ ]{0,4}(?P<v>[^\s']{1,200})",
        r"\b(?:mysql|mysqldump|mysqladmin|mariadb)\b[^\n]{0,200}?[ ]-p(?P<v>[^\s]{1,200})",
        r"\bipmitool\b[^\n]{0,200}?[ ]-P[ ]{0,4}(?P<v>[^\s]{1,200})",
        r"\bredis-cli\b[^\n]{0,200}?[ ]-a[ ]{0,4}(?P<v>[^\s]{1,200})",
        r"(?<![\w-])(?:-u|--user)[ =]{1,4}[\"']?[^\s:\"']{1,64}:(?P<v>[^\s\"']{1,200})",
        r"\brootpw[ ](?:--\w{1,20}[ ]){0,3}(?P<v>(?!--)[^\s]{1,200})",
        r"\b[\w.-]{1,32}:(?P<v>[^\s:\"']{1,128})[\"']?[ ]{0,4}\|[ ]{0,4}(?:sudo[ ])?chpasswd",
        r"\bpassword:(?P<v>[^\s:\"']{1,200})",
        r"<(?:[\w-]{0,30})(?:password|passwd|secret|token|apikey)(?:[\w-]{0,30})>(?P<v>[^<\n]{1,300})<",
        r"\bauthorization[\"']?[ ]{0,4}[:=][ ]{0,4}[\"']?(?:bearer|basic|token|digest|apikey)[ ]{1,4}(?P<v>[^\s\"']{4,2000})",
        r"\bbearer[ ]{1,4}(?P<v>[A-Za-z0-9._~+/=-]{16,2000})",
        r"\b(?:set-)?cookie[ ]{0,4}:[ ]{0,4}(?P<v>[^\n]{3,4000})",
        r"[\"']auth[\"'][ ]{0,4}:[ ]{0,4}[\"'](?P<v>[A-Za-z0-9+/=]{12,2000})[\"']",
        r"(?<![a-z0-9])(?P<v>[a-z0-9]{6}\.[a-z0-9]{16})(?![a-z0-9])",
        r"(?P<v>\$(?:1|2[abxy]|5|6|y|7|argon2\w{0,3})\$[./A-Za-z0-9$,=+]{20,300})",
        r"\$ANSIBLE_VAULT;[^\n]{1,60}\n(?P<v>(?:[ \t>]{0,20}[0-9a-f]{10,120}\s?)+)",
    )
)
_USERINFO = re.compile(
    r"(?<![A-Za-z0-9+.-])[a-z][a-z0-9+.-]{1,20}://(?P<v>[^\s/@\"'<>]{0,100}:[^\s/\"'<>]{1,300}|[^\s/@:\"'<>]{8,300})@",
    re.I,
)
_RANDOM = re.compile(r"(?<![A-Za-z0-9_/+.:-])[A-Za-z0-9_+-]{32,500}={0,2}(?![A-Za-z0-9_/+-])")
_UUID_OR_HEX = re.compile(r"[0-9a-f-]+|[0-9A-F-]+")

_PLACEHOLDER = re.compile(
    r"<.*|\([a-z]*[),.:]*|\{\{?.*|\$[{(].*|(?-i:\$(?:[A-Z_][A-Z0-9_]*|[a-z_]+))|%\(\w+\)s|%\{\w+\}|%[sd]|%[A-Z_]{2,40}%|\w{0,12}[*xX]{5,}|\[.*|[*xX.…_-]+|.*(?:_here|-here)|(?:your|my|change|the|some)[_-].*|\.\.\..*"
    r"|(?:true|false|yes|no|on|off|none|null|nil|required|optional|empty|unset|missing|wrong|invalid|expired|prompt"
    r"|is|and|or|in|for|der|das|die|falsch|nötig|incorrecta|faux|errada|it|to|of|from|with|the|a|an|not|was|has|by)[.,:;!?)]*",
    re.I | re.S,
)
_CODE = re.compile(r"[A-Za-z_][\w.]{0,80}(?:\([^()]{0,200}\)|\[[^\[\]]{0,200}\]|[(\[])")
_GOES_ON = re.compile(r"[ ][a-z]")
_COUNT = re.compile(r"\d{1,3}[,.;)]*")
_ENTROPY = 3.9  # bits a character; identifiers made of English words stay below


def credential_spans(text: str) -> Iterator[Span]:
    """Yield the span of every credential found; spans may overlap."""
    yield from token_spans(text)
    for form in (_ASSIGNED, _FLAGGED):
        yield from (
            _value(hit) for hit in form.finditer(text) if not _is_harmless(_text(hit)) and not _is_prose(hit, text)
        )
    yield from (_value(hit) for hit in _SAID.finditer(text) if _looks_made_up(_text(hit)))
    for form in _BY_PLACE:
        yield from (_value(hit) for hit in form.finditer(text) if not _is_harmless(hit["v"]))
    for hit in _USERINFO.finditer(text):
        if ":" in hit["v"] or _looks_made_up(hit["v"]):
            yield Span("credential", *hit.span("v"))
    yield from (Span("key", *hit.span()) for hit in _RANDOM.finditer(text) if _is_random(hit[0]))


def _group(hit: re.Match[str]) -> str:
    return next(name for name in ("d", "s", "v") if name in hit.groupdict() and hit[name] is not None)


def _text(hit: re.Match[str]) -> str:
    return hit[_group(hit)]


def _value(hit: re.Match[str]) -> Span:
    return Span("secret", *hit.span(_group(hit)))


def _is_prose(hit: re.Match[str], text: str) -> bool:
    """Return True where a sentence goes on after a colon: "treat it like a password: never commit it"."""
    return bool(_text(hit).isalpha() and _text(hit).islower() and _GOES_ON.match(text, hit.end()))


def _is_harmless(value: str) -> bool:
    return bool(_PLACEHOLDER.fullmatch(value) or _CODE.fullmatch(value) or _COUNT.fullmatch(value))


def _looks_made_up(value: str) -> bool:
    """Return True for a value unlike a word of prose: digits or signs inside, or capitals after small letters."""
    word = value.rstrip(".,:;!?)")
    if len(word) < 5 or _is_harmless(word):
        return False
    return bool(re.search(r"\d|[a-z][A-Z]|\w[!#$%&*+=?@^~]\w?", word)) and not re.fullmatch(r"\d+", word)


def _is_random(value: str) -> bool:
    if _UUID_OR_HEX.fullmatch(value):
        return False
    kinds = [sum(map(test, value)) for test in (str.isdigit, str.isupper, str.islower)]
    counts = Counter(value)
    bits = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return min(kinds) >= 3 and bits >= _ENTROPY
