"""Extract what a page claims of upstream: paths, variables, ports, containers, names, commands and their options."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from markdown_it import MarkdownIt
from markdown_it.token import Token

from rag.reading import frontmatter

_PARSER = MarkdownIt("commonmark").enable("table")
_SUFFIX = r"\.(?:sh|py|ya?ml|md|markdown|j2|service|timer|conf|cfg|ini|toml|json|txt|env|log)"
_URL = re.compile(r"\b\w+://\S*")
_LOCAL_PORT = re.compile(r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0|HOST):(\d{2,5})\b")
_TEXT_PORT = re.compile(r"\bports?\b(?:(?:[\s`:,]|and\b|or\b|to\b|\([^)]*\))*\d{2,5}\b(?!\.?\d|-))+", re.I)
_KNOWN_PORTS = {22, 53, 80, 443}
_ADR = re.compile(r"\bADR[- ](\d{4})\b")
_USED = re.compile(r"\$\{?([A-Z][A-Z0-9]*_[A-Z0-9_]+)|\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)=")
_PATH = rf"[\w.~$<>{{}}*…-]*/[\w.~$<>{{}}*…/@:+=-]*\w[\w.~$<>{{}}*…/@:+=-]*|[\w<>{{}}*-][\w.<>{{}}*-]*{_SUFFIX}"
_NO_PATH = re.compile(r"\*|\^|\.\*|\d+\.\d+\.\d+\.\d+")  # patterns and addresses
_SED = re.compile(r"(\bsed\b[^|;&\n]*?\s)(['\"]).*?\2")
_NAME = re.compile(r"[A-Za-z]\w*(?:[_-]\w+)+-?|[a-z]\w*_|[A-Z][a-z0-9]+(?:[A-Z]\w*)+")
_CONTAINER = re.compile(r"\b[a-z]+_[a-z-]+_\d\b")
_SHAPES = {  # the first that fits
    "option": re.compile(r"--[a-z][\w-]+"),
    "variable": re.compile(r"_?[A-Z][A-Z0-9]*_[A-Z0-9_]*\*?"),
    "container": _CONTAINER,
    "plugin": re.compile(r"[A-Z]\w+Plugin"),
    "port": re.compile(r"\d+/(?:tcp|udp)"),
    "path": re.compile(rf"(?=.*\w\w)(?:{_PATH})"),
}
_SCRIPT = re.compile(r"(?=.*/)[\w.~$<>{}/-]+|[\w.-]+\.(?:sh|py)")
_BEFORE = set("sudo env time ! if then do else elif while until exec nohup { }".split())
_WITH_VALUE = set("-u -e -w -n --user --env --tail --since --format --name --filter -f".split())
_IN_CONTAINER = set("exec logs restart stop start rm inspect port top stats kill".split())
_SHELLS = set("bash sh python3 python source .".split())
_HEREDOC = re.compile(r"<<-?\s*['\"]?(\w+)")


@dataclass(frozen=True, slots=True)
class Claim:
    """Something of upstream that a page names."""

    page: str
    line: int
    heading: str
    kind: str  # path, script, variable, port, container, name, plugin, adr, command, target, argument or option
    value: str
    owner: str = ""  # the script of an argument or an option, the folder of a make target
    said: str = ""  # the sentence around it; "" in a fence

    @property
    def full(self) -> str:
        """The value, behind the script's name when it is a word of a script."""
        return f"{PurePosixPath(self.owner).name} {self.value}" if self.owner else self.value


def claims_of(page: str, text: str, programs: frozenset[str]) -> list[Claim]:
    """Return the claims of a page in the order of its lines, each once a line.

    `programs` are the words that make a code span with blanks a command line.
    """
    body = frontmatter.split(text)[1]
    found: dict[Claim, None] = {}
    heading, header, column, previous = "", list[str](), 0, ""
    for token in _PARSER.parse(body):
        made: Iterator[Claim] = iter(())
        if token.type == "tr_open":
            column, header = 0, header if previous != "thead_open" else []
        elif token.type == "fence":
            made = _of_fence(token, programs)
        elif token.type == "inline":
            heading = token.content if previous == "heading_open" else heading
            header += [token.content] if previous == "th_open" else []
            cell = header[column] if previous == "td_open" and column < len(header) else ""
            column += previous == "td_open"
            made = _of_block(token, cell, programs)
        found |= {replace(one, page=page, heading=heading): None for one in made}
        previous = token.type
    scripts = {(one.line, one.value) for one in found if one.kind == "script"}
    return sorted(
        (one for one in found if one.kind != "path" or (one.line, one.value) not in scripts), key=lambda one: one.line
    )


def _claim(line: int, kind: str, value: str, owner: str = "", said: str = "") -> Claim:
    return Claim("", line, "", kind, value, owner, said)


def _of_block(token: Token, column: str, programs: frozenset[str]) -> Iterator[Claim]:
    first = token.map[0] + 1 if token.map else 1
    text = token.content
    for hit in _ADR.finditer(text):
        yield _claim(first + text[: hit.start()].count("\n"), "adr", f"ADR-{hit[1]}")
    for number, line in _ports(text, column):
        yield _claim(first + line, "port", number)
    line = first
    sentences = re.split(r"(?<=[.;!?])\s", text)
    for child in token.children or []:
        line += child.type in {"softbreak", "hardbreak"}
        if child.type == "code_inline":
            said = next((one for one in sentences if child.content in one), text)
            about = "port" in (text + column).lower()
            for one in _of_span(child.content, about, programs):
                yield replace(one, line=line, said=said)


def _ports(text: str, column: str) -> Iterator[tuple[str, int]]:
    hits = [*_TEXT_PORT.finditer(text), *_LOCAL_PORT.finditer(text)]
    if column.strip("` ").lower() in {"port", "ports"}:
        hits += re.finditer(r"^.*$", text)
    for hit in hits:
        for number in re.findall(r"(?<![\w.])\d{2,5}\b(?!\.\d)", hit[0]):
            if _is_port(number):
                yield number, text[: hit.start()].count("\n")


def _is_port(number: str) -> bool:
    return number.isdigit() and (1024 <= int(number) <= 65535 or int(number) in _KNOWN_PORTS)


def _of_span(text: str, about_ports: bool, programs: frozenset[str]) -> Iterator[Claim]:
    if about_ports and _is_port(text):
        yield _claim(0, "port", text)
    words = text.split()
    if len(words) > 1 and (words[0] in programs or words[0] == "sudo" or _SCRIPT.fullmatch(words[0])):
        yield from _of_commands(text, 0, programs)
    for word in _split(text):
        yield from _of_word(word, len(words) == 1)


def _split(text: str) -> Iterator[str]:
    """Yield the words of a piece of code; NAME=VALUE is two."""
    for word in re.split(r"[\s'\"`,;()|\[\]&]+", _URL.sub(" ", _SED.sub(r"\1", text))):
        pair = re.fullmatch(r"([\w-]+)=(.*)", word)
        yield from pair.groups() if pair else [word]


def _of_word(word: str, alone: bool = False) -> Iterator[Claim]:
    """Classify one word of code; a word among others is no option, and a name only with an underscore."""
    word = re.sub(r"\{[^}]*$", "", word)
    word = word.rstrip(".:,") if not word.endswith("...") else word
    if _NO_PATH.match(word):
        return
    if word.startswith(("/", "./", "~/", "$")) and re.search(r":/?\w", word) and not re.search(r":\d+$", word):
        for part in word.split(":"):  # HOST:CONTAINER:z
            yield from _of_word(part)
        return
    word = re.sub(r"^\$?\{?(\w+)\}?$", r"\1", word)
    kind = next((kind for kind, shape in _SHAPES.items() if shape.fullmatch(word)), "")
    if kind == "port":
        yield from (_claim(0, kind, number) for number in [word.partition("/")[0]] if _is_port(number))
    elif kind and (alone or kind != "option"):
        yield _claim(0, kind, word)
    elif not kind:
        parts = word.removesuffix("()").split(".")
        yield from (_claim(0, "name", part) for part in parts if _NAME.fullmatch(part) and (alone or "_" in part))


def _of_fence(token: Token, programs: frozenset[str]) -> Iterator[Claim]:
    first = token.map[0] + 2 if token.map else 1
    shell = token.info.strip() in {"bash", "sh", "shell", "console"}
    own = set(re.findall(r"\b(?:def|class)\s+(\w+)", token.content))
    if shell:
        yield from _of_commands(token.content, first, programs)
    for number, text in enumerate(token.content.splitlines(), first):
        text = re.sub(r"(^|\s)#.*", "", text)
        for port in _LOCAL_PORT.findall(text):
            yield _claim(number, "port", port)
        for container in _CONTAINER.findall(text):
            yield _claim(number, "container", container)
        for hit in _USED.finditer(text):
            yield _claim(number, "variable", hit[1] or hit[2])
        for one in (one for word in _split(text) for one in _of_word(word.lstrip("<>"))):
            if one.kind in {"path", "plugin", "port"} or (one.kind == "name" and not shell and one.value not in own):
                yield replace(one, line=number)


def _of_commands(text: str, first: int, programs: frozenset[str]) -> Iterator[Claim]:
    """Yield the claims of a piece of shell, whose lines count from `first`."""
    folder = ""
    own = set(re.findall(r"^\s*(\w+)\s*\(\)", text, re.M))
    for line, words in _commands(text):
        words = _without_prefix(words)
        if words[:1] == ["cd"] and len(words) > 1:
            folder = words[1]
        elif words and words[0] not in own:
            yield from (replace(one, line=first + line) for one in _of_command(words, folder, programs))


def _of_command(words: list[str], folder: str, programs: frozenset[str]) -> Iterator[Claim]:
    name, *rest = words
    arguments = _arguments(rest)
    if "airflow" in words and "dags" in words:
        yield from (_claim(0, "name", word) for word in rest if re.fullmatch(r"[a-z]\w*_\w+(?<!_\d)", word))
    if name in {"podman", "docker"} and len(arguments) > 1 and arguments[0] in _IN_CONTAINER:
        yield from (_claim(0, "container", one) for one in arguments[1:2] if re.fullmatch(r"[a-z][\w.-]+", one))
    elif name == "make":
        yield from _of_make(rest, folder)
    elif name in _SHELLS:
        yield from _of_shell(name, rest, programs)
    elif _SCRIPT.fullmatch(name):
        yield from _of_script(words)
    elif name not in programs and re.fullmatch(r"[a-z][\w.+-]*", name):
        yield _claim(0, "command", name)


def _of_make(words: list[str], folder: str) -> Iterator[Claim]:
    if "-C" in words[:-1]:
        folder = words[words.index("-C") + 1]
    targets = [one for one in _arguments(words) if one != folder and re.fullmatch(r"[a-z][\w-]*", one)]
    yield from (_claim(0, "target", one, folder) for one in targets)


def _of_shell(name: str, words: list[str], programs: frozenset[str]) -> Iterator[Claim]:
    """Yield the claims of bash SCRIPT, python SCRIPT or bash -c COMMANDS."""
    script = next(iter(_arguments(words)), "")
    if "-c" in words[:-1]:
        yield from _of_commands(words[words.index("-c") + 1] if name in {"bash", "sh"} else "", 0, programs)
    elif _SCRIPT.fullmatch(script) and "-m" not in words:
        yield from _of_script(words[words.index(script) :])


def _of_script(words: list[str]) -> Iterator[Claim]:
    script, *rest = words
    yield _claim(0, "script", script)
    yield from (_claim(0, "option", word.partition("=")[0], script) for word in rest if word.startswith("--"))
    if rest and re.fullmatch(r"[a-z][\w-]*", rest[0]):
        yield _claim(0, "argument", rest[0], script)


def _arguments(words: list[str]) -> list[str]:
    """Return the words that are neither options nor the values of options."""
    return [
        word
        for before, word in zip(["", *words], words, strict=False)
        if not word.startswith("-") and before not in _WITH_VALUE
    ]


def _without_prefix(words: list[str]) -> list[str]:
    """Drop sudo, env and assignments with their options, and the words of shell before a command."""
    at, prefixed = 0, False
    while at < len(words):
        word = words[at]
        if word in _BEFORE or re.match(r"[A-Za-z_]\w*\+?=", word):
            prefixed = word in {"sudo", "env"}
        elif prefixed and word.startswith("-"):
            at += word in {"-u", "-g", "-U"}
        else:
            break
        at += 1
    return words[at:]


def _commands(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, words) of each simple command; ;, &, |, brackets and ends of lines part them."""
    for line, words in _statements(text):
        command: list[str] = []
        for word in [*words, ";"]:
            if word and set(word) <= set(";&|()"):
                if command:
                    yield line, command
                command = []
            elif not set(word) <= set("<>"):
                command.append(word)


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, words) of lines joined where a quote or a backslash goes on, without the text of here-documents."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        first, piece = at, lines[at]
        at += 1
        while at < len(lines) and (piece.endswith("\\") or _words(piece) is None):
            piece = (f"{piece[:-1]} " if piece.endswith("\\") else f"{piece}\n") + lines[at]
            at += 1
        if end := _HEREDOC.search(piece):
            at = next((n + 1 for n in range(at, len(lines)) if lines[n].strip() == end[1]), len(lines))
        yield first, _words(piece) or []  # a quote that nothing closes: prose


def _words(piece: str) -> list[str] | None:
    """Split a line of shell; None while a quote is open."""
    lexer = shlex.shlex(piece, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:
        return None
