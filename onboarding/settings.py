"""Reads the settings of the app from the environment, once; README and docs/operators.md have the tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from model.catalogue.load import DISK, MB, EngineLimits
from model.turn.limits import USUAL_LIMITS, TurnLimits
from onboarding.assistant.parts import PartsSettings
from onboarding.edge.admission import LONGEST_WAIT_S
from onboarding.edge.client_address import trusted
from onboarding.edge.rate_limits import Rates
from onboarding.feedback.service import BadFeedbackSettings, FeedbackSettings, check
from onboarding.usage.scrape import Audience
from rag.reading.links import UPSTREAM

RAM_SHARE = 4  # the prefix cache may take this fraction of its disk limit in RAM


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings that the environment can set."""

    parts: PartsSettings
    host: str = "127.0.0.1"
    port: int = 7860
    asks: int = Rates().asks  # questions an address may ask a minute, 0 for no limits
    longest_wait_s: float = LONGEST_WAIT_S  # of a question in the queue
    trust: str = ""  # networks whose X-Forwarded-For is believed
    metrics: Audience = "nobody"
    log: str = "text"
    feedback: FeedbackSettings = field(default_factory=FeedbackSettings)

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Settings:
        """Read the environment once; SystemExit with one sentence for a value that makes no sense."""
        limits = EngineLimits(
            threads=_number(env, "THREADS", min(2, os.cpu_count() or 1)),
            slots=_number(env, "SLOTS", 4),
            cells=_number(env, "CONTEXT_CELLS", 8192),
            ram_bytes=_number(env, "CACHE_MB", DISK // MB, least=0) * MB // RAM_SHARE,
            disk_bytes=_number(env, "CACHE_MB", DISK // MB, least=0) * MB,
            composed=_switch(env, "COMPOSED"),
        )
        parts = PartsSettings(
            model=env.get("MODEL", "auto"),
            downloads=not _is_offline(env),
            engine=env.get("ENGINE", "local"),
            engine_url=env.get("ENGINE_URL", ""),
            engine_token=env.get("ENGINE_TOKEN", ""),
            data=_writable(Path(env.get("DATA_DIR", ".data"))),
            embedding=env.get("EMBEDDING_MODEL", ""),
            index=Path(env["INDEX"]) if env.get("INDEX") else None,
            upstream=Path(env["UPSTREAM_INDEX"]) if env.get("UPSTREAM_INDEX") else None,
            limits=limits,
            turn=_turn_limits(env),
            abstain_below=_probability(env, "ABSTAIN_BELOW"),
        )
        return cls(
            parts,
            env.get("HOST") or env.get("GRADIO_SERVER_NAME") or "127.0.0.1",  # the second as a Space of the SDK gradio
            _number(env, "PORT", _number(env, "GRADIO_SERVER_PORT", 7860)),
            _number(env, "ASKS_PER_MINUTE", Rates().asks, least=0),
            float(_number(env, "WAIT_SECONDS", round(LONGEST_WAIT_S))),
            _networks(env),
            _metrics(env),
            _log_format(env),
            _feedback(env, parts.data),
        )


def _number(env: Mapping[str, str], name: str, default: int, least: int = 1) -> int:
    text = env.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < least:
        sys.exit(f"{name}={text} is not a whole number of at least {least}.")
    return int(text)


def _switch(env: Mapping[str, str], name: str) -> bool | None:
    text = env.get(name, "")
    if text not in ("", "0", "1"):
        sys.exit(f"{name}={text} is neither 0 nor 1.")
    return bool(int(text)) if text else None


def _is_offline(env: Mapping[str, str]) -> bool:
    """Return True where the Hub's own client is told to stay offline; then MODEL=auto fetches nothing from anywhere."""
    return (env.get("HF_HUB_OFFLINE") or env.get("TRANSFORMERS_OFFLINE") or "").upper() in {"1", "ON", "YES", "TRUE"}


def _turn_limits(env: Mapping[str, str]) -> TurnLimits:
    """Return what a turn may read and write; what a variable leaves open keeps the default."""
    usual = USUAL_LIMITS
    return TurnLimits(
        passages=_number(env, "PASSAGES", usual.passages),
        passage_chars=_number(env, "PASSAGE_CHARS", 0, least=0) or None,
        answer_tokens=_number(env, "ANSWER_TOKENS", usual.answer_tokens),
        question_tokens=_number(env, "QUESTION_TOKENS", usual.question_tokens),
        tool_result_chars=_number(env, "TOOL_RESULT_CHARS", usual.tool_result_chars),
        tool_rounds=_number(env, "TOOL_ROUNDS", usual.tool_rounds),
        deadline_s=float(_number(env, "ANSWER_SECONDS", round(usual.deadline_s))),
    )


def _probability(env: Mapping[str, str], name: str) -> float | None:
    text = env.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        sys.exit(f"{name}={text} is not a number from 0 to 1.")
    return value


def _networks(env: Mapping[str, str]) -> str:
    """Return the proxies that are believed about a client's address; on the Hub its own."""
    text = env.get("TRUST_PROXY", "1" if env.get("SPACE_ID") else "")
    try:
        return trusted(text)
    except ValueError as error:
        sys.exit(f"TRUST_PROXY={text} is neither 1 nor networks separated by commas ({error}).")


def _metrics(env: Mapping[str, str]) -> Audience:
    known: dict[str, Audience] = {"": "nobody", "0": "nobody", "loopback": "loopback", "1": "everybody"}
    text = env.get("METRICS", "")
    if text not in known:
        sys.exit(f"METRICS={text} is not known; use 1 (anybody may read /metrics) or loopback (this machine only).")
    return known[text]


def _log_format(env: Mapping[str, str]) -> str:
    text = env.get("LOG_FORMAT", "") or ("text" if sys.stderr.isatty() else "json")
    if text not in ("json", "text"):
        sys.exit(f"LOG_FORMAT={text} is not known; use json or text.")
    return text


def _feedback(env: Mapping[str, str], data: Path) -> FeedbackSettings:
    """Return the feedback settings. Without a dataset a token is ignored: it may be there for the model."""
    repo = env.get("FEEDBACK_REPO", "")
    given = FeedbackSettings(data, repo, env.get("HF_TOKEN", "") if repo else "", env.get("REPOSITORY_URL") or UPSTREAM)
    try:
        check(given)
    except BadFeedbackSettings as error:
        sys.exit(str(error))
    return given


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".write-test").touch()
        (folder / ".write-test").unlink()
    except OSError as error:
        sys.exit(f"{folder} cannot be written ({error.strerror}); name another folder with DATA_DIR=.")
    return folder.resolve()
