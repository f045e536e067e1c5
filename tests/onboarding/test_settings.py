"""The table of limits in docs/operators.md: each variable has the default that stands there, and turns its own limit."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from onboarding.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"
LIMITS: dict[str, Callable[[Settings], object]] = {
    "PASSAGES": lambda s: s.parts.turn.passages,
    "PASSAGE_CHARS": lambda s: s.parts.turn.passage_chars,
    "ANSWER_TOKENS": lambda s: s.parts.turn.answer_tokens,
    "ANSWER_SECONDS": lambda s: s.parts.turn.deadline_s,
    "QUESTION_TOKENS": lambda s: s.parts.turn.question_tokens,
    "TOOL_RESULT_CHARS": lambda s: s.parts.turn.tool_result_chars,
    "TOOL_ROUNDS": lambda s: s.parts.turn.tool_rounds,
    "ABSTAIN_BELOW": lambda s: s.parts.abstain_below,
    "WAIT_SECONDS": lambda s: s.longest_wait_s,
    "SLOTS": lambda s: s.parts.limits.slots,
    "ASKS_PER_MINUTE": lambda s: s.asks,
}


def documented() -> dict[str, str]:
    section = PAGE.read_text("utf-8").split("## Limits that you can turn")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `([A-Z_]+)` \| ([^|]*?) ?\|", section, re.MULTILINE))


def settings(folder: Path, **env: str) -> Settings:
    return Settings.from_env({"DATA_DIR": str(folder), **env})


def test_the_table_names_every_limit_with_its_default(tmp_path: Path) -> None:
    table, usual = documented(), settings(tmp_path)
    assert table.keys() == LIMITS.keys()
    for name, default in table.items():
        value = LIMITS[name](usual)
        assert value == (float(default) if default else None), name


@pytest.mark.parametrize(("value", "composed"), [("", None), ("0", False), ("1", True)])
def test_whether_passages_are_laid_can_be_said_for_any_model(tmp_path: Path, value: str, composed: bool | None) -> None:
    assert settings(tmp_path, COMPOSED=value).parts.limits.composed is composed


@pytest.mark.parametrize("name", LIMITS)
def test_a_variable_of_the_table_turns_its_limit_and_nothing_else(tmp_path: Path, name: str) -> None:
    value = "0.5" if name == "ABSTAIN_BELOW" else "7"
    usual, turned = settings(tmp_path), settings(tmp_path, **{name: value})
    assert LIMITS[name](turned) == float(value)
    before, after = asdict(usual), asdict(turned)
    changed = {(part, key) for part in ("parts",) for key in before[part] if before[part][key] != after[part][key]} | {
        ("", key) for key in before if key != "parts" and before[key] != after[key]
    }
    assert len(changed) == 1
    others = {other for other in LIMITS if other != name and LIMITS[other](turned) != LIMITS[other](usual)}
    assert others == set()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ABSTAIN_BELOW", "nan", "is not a number from 0 to 1"),
        ("PASSAGES", "²", "is not a whole number of at least 1"),
        ("CONTEXT_CELLS", "1023", "is not a whole number of at least 1024"),
        ("ENGINE_URL", "127.0.0.1:8099/v1", "is not the address of a server; write it like http"),
        ("ENGINE_URL", "ftp://host/v1", "is not the address of a server; write it like http"),
        ("ENGINE_URL", "http://", "is not the address of a server; write it like http"),
        *[(name, "odd", "") for name in ("PORT", "SLOTS", "COMPOSED", "TRUST_PROXY", "METRICS", "LOG_FORMAT")],
    ],
)
def test_a_senseless_value_is_shown_with_what_would_make_sense(
    tmp_path: Path, name: str, value: str, said: str
) -> None:
    with pytest.raises(SystemExit, match=f"{name}={value} ?{said}"):
        settings(tmp_path, **{name: value})


def test_white_space_around_an_address_is_nothing(tmp_path: Path) -> None:
    assert settings(tmp_path, ENGINE_URL=" http://host:8000/v1\n").parts.engine_url.startswith("http://host:8000/v1")
    assert settings(tmp_path, ENGINE_URL=" ").parts.engine_url == ""
