"""A terminal escape that is spelt out comes out of an answer only where its evidence holds it."""

from __future__ import annotations

import shutil
import subprocess
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.checking.terminal_escapes import REACH, TerminalEscapes, harmless, lenders
from rag.types import Passage
from tools.types import ToolCall, ToolResult

SURE = [r"\x1b", r"\X1B", r"\x{1b}", r"\033", r"\0033", r"\u001b", r"\u001B", r"\u{1b}", r"\u{001B}",
        r"\U0000001b", r"\N{ESC}", r"\N{ESCAPE}"]  # fmt: skip
UNSURE = [r"\e", r"\E", r"\c[", r"\33"]
FUNCTIONS = [
    "[31m",
    "[2J",
    "]0;title",
    "]52;c;cm0=",
    "P1$q",
    "_Gi=1",
    "c",
    "7",
    "(0",
    "#8",
    r"\x5b2J",
    r"\133m",
    r"\[1m",
]
NEEDLES = [*SURE, *(f"{escape}{begin}" for escape, begin in product([*UNSURE, r"\27"], "[]"))]  # none may be left
HONEST = [
    r"C:\e", r"'C:\e'", r"C:\etc\emacs C:\ePub \\host\e$", r"\epsilon \emph{x} \e^{2}", r"the `\e` escape", r"\Q$x\E(\d+)",
    r"^[0-9]+$ ^[[:alpha:]]", r"\1 \27 \33 \d \w", r"a\nb\tc\\", r"100 %1b 90 %", r"b'\xe2\x80\x9d \xc3\x9b'", r"\x41\x9",
    r"\u001c \u1b2c \x1", "日本語 ❤️ \N{SYMBOL FOR ESCAPE}", "printf '%s\\n' \"$x\"", "\\",
]  # fmt: skip
EVIDENCE = [r"Run printf '\e[31mred\e[0m\n', echo -e '\033[1m' or '\x9b4m', and \e]8;;http://ok.example\e\\.", r"\x1b"]


def shown(text: str, cuts: tuple[int, ...] = (), evidence: list[str] | None = None) -> str:
    escapes = TerminalEscapes(evidence or [])
    at, out = 0, ""
    for cut in (*sorted(cut % (len(text) + 1) for cut in cuts), len(text)):
        out += escapes.feed(text[at:cut])
        at = cut
    return out + escapes.flush()


@pytest.mark.parametrize("begin", FUNCTIONS)
@pytest.mark.parametrize("escape", [*SURE, *UNSURE])
def test_every_spelling_becomes_the_symbol_and_the_rest_stays_to_be_read(escape: str, begin: str) -> None:
    assert harmless(f"a {escape}{begin} b") == f"a ␛{begin} b"


@pytest.mark.parametrize("escape", SURE)
def test_a_spelling_of_nothing_else_goes_whatever_follows(escape: str) -> None:
    assert harmless(f"printf '{escape}'; printf '[2J' {escape}") == "printf '␛'; printf '[2J' ␛"


@pytest.mark.parametrize(
    ("written", "left"),
    [
        (r"\x9b31m \x9d0;t", "␛[31m ␛]0;t"),
        (r"\u009b1m \U0000009b1m \u{9b}1m \x{90}", "␛[1m ␛[1m ␛[1m ␛P"),
        (r"\302\2331m \0302\02331m", "␛[1m ␛[1m"),
        (r"\xc2\x9b1m \x90\x9b1m", r"\xc2␛[1m ␛P␛[1m"),
        (r"\27[3m \27]0;t %1b[1m %1B%5b1m", "␛[3m ␛]0;t ␛[1m ␛%5b1m"),
        (r"$'\e''[31m' '\e'$x \e${x}[1m", "$'␛''[31m' '␛'$x ␛${x}[1m"),
        (r"\u1b[1m \u1b \u1bc \u01bx", r"␛[1m ␛ \u1bc ␛x"),
        (r"echo -e \\e[31m", r"echo -e \␛[31m"),
        ("\x1b[31mred\x9b0m\x07\x08\x00\x7f\r\n\tend", "␛[31mred␛[0m\n\tend"),
    ],
)
def test_other_forms(written: str, left: str) -> None:
    assert harmless(written) == left


@pytest.mark.parametrize("text", HONEST)
def test_what_is_no_escape_is_left_byte_for_byte(text: str) -> None:
    assert harmless(text) == text
    assert harmless(f"{text} ") == f"{text} "


@pytest.mark.parametrize(
    ("written", "left"),
    [
        (EVIDENCE[0], EVIDENCE[0]),
        (r"'\e[31mblue\e[0m'", r"'\e[31mblue\e[0m'"),  # the words between may be the writer's
        (r"'\e[32m' '\e[3' '\e[31;1m' '\E[31m' '\x1b[31m'", r"'␛[32m' '␛[3' '␛[31;1m' '␛[31m' '␛[31m'"),
        (r"\e]8;;http://evil.example\e\\", r"␛]8;;http://evil.example\e\\"),  # what is left ends a string, no more
        (r"'\x9b4m' '\x9b5m'", r"'\x9b4m' '␛[5m'"),
        (r"\x1b", r"\x1b"),
        ("\x1b[31m", "␛[31m"),
    ],
)
def test_evidence_lends_a_whole_control_function_and_no_other(written: str, left: str) -> None:
    assert shown(written, evidence=[*EVIDENCE, "\x1b[31m"]) == left


BITS = st.sampled_from(
    [*SURE, *UNSURE, r"\27", r"\x9b", r"\xe2", r"\x9d", "%1b", *FUNCTIONS, *HONEST, *EVIDENCE, *EVIDENCE[0].split()]
)
TEXTS = st.lists(BITS | st.text(r"\xXuUeEcN{}[]0123bB9%'; m" + "\n", max_size=5) | st.text(max_size=4), max_size=12)


@settings(deadline=None, max_examples=300)
@given(TEXTS.map("".join), st.lists(st.integers(0, 10_000), max_size=12).map(tuple), st.booleans())
def test_cutting_makes_no_difference_and_a_second_time_changes_nothing(
    text: str, cuts: tuple[int, ...], lent: bool
) -> None:
    evidence = EVIDENCE if lent else []
    whole = shown(text, (), evidence)
    assert shown(text, cuts, evidence) == whole
    assert shown(text, tuple(range(len(text))), evidence) == whole
    assert shown(whole, (), evidence) == whole
    if not lent:
        assert not [needle for needle in NEEDLES if needle in whole]


@settings(deadline=None, max_examples=300)
@given(st.text(st.characters(min_codepoint=0xA0) | st.sampled_from("\t\n '`[]();e1xZ"), max_size=200))
def test_text_without_a_backslash_is_unchanged_and_never_held_back(text: str) -> None:
    assert TerminalEscapes().feed(text) == text


def test_no_more_than_a_few_characters_are_held_back() -> None:
    escapes, out = TerminalEscapes(EVIDENCE), ""
    written = r"C:\etc and \x1b[2J and \e[31mred, then \n and 90 % " * 5
    for at, character in enumerate(written, start=1):
        out += escapes.feed(character)
        assert len(written[:at].replace(r"\x1b[2J", "␛[2J")) - len(out) <= REACH + len(r"\x1b")


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize("write", ["printf '%b' \"$1\"", 'printf "$1"', 'echo -e "$1"', "eval \"printf '%s' $'$1'\""])
def test_bash_writes_no_control_character_from_what_is_left(write: str) -> None:
    bash = [shutil.which("bash") or "", "-c", write, "-"]
    escapes = [escape for escape in SURE if "N{" not in escape and "{" not in escape]
    for text in [f"{escape}{begin}" for escape, begin in product([*escapes, *UNSURE, r"\x9b"], ["[31m", "]0;t"])]:
        left = subprocess.run([*bash, harmless(text).replace("'", "")], capture_output=True, check=True).stdout
        assert b"\x1b" not in left
        assert b"\x9b" not in left.replace("␛".encode(), b"")  # which has that byte within
    assert b"\x1b" in subprocess.run([*bash, r"\x1b[31m"], capture_output=True, check=True).stdout


def test_passages_and_tools_lend_but_not_the_words_that_a_tool_was_asked_with() -> None:
    page = Passage("p", r"text \e[1m", r"title \e[2m", (r"head \e[3m",), "a.md", (1, 2), "", 1.0, "")
    result = ToolResult("service_status", True, {"services": [{"name": r"\e[4m", "log": [r"log \e[5m"]}]}, r"no \e[4m")
    call = ToolCall("service_status", {"services": [r"\e[4m"]}, "healthy")
    evidence = lenders([page], [call], [result])
    asked = " ".join(rf"\e[{n}m" for n in range(1, 6))
    assert shown(asked, evidence=evidence) == r"\e[1m \e[2m \e[3m ␛[4m \e[5m"
