"""The settings of the app, read from the environment once; README has the table."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from model.catalogue.load import MB, EngineLimits
from onboarding.assistant.parts import PartsSettings
from onboarding.edge.client_address import trusted
from onboarding.feedback.desk import BadFeedbackSettings, FeedbackSettings, check
from onboarding.usage.scrape import Audience
from rag.reading.links import UPSTREAM

RAM_SHARE = 4  # the prefix cache may take this fraction of its disk limit in RAM


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the environment can say."""

    parts: PartsSettings
    host: str = "127.0.0.1"
    port: int = 7860
    asks: int = 12  # questions an address may ask a minute, 0 for no limits
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
            ram_bytes=_number(env, "CACHE_MB", 2000, least=0) * MB // RAM_SHARE,
            disk_bytes=_number(env, "CACHE_MB", 2000, least=0) * MB,
        )
        parts = PartsSettings(
            model=env.get("MODEL", "auto"),
            engine=env.get("ENGINE", "local"),
            engine_url=env.get("ENGINE_URL", ""),
            engine_token=env.get("ENGINE_TOKEN", ""),
            data=_writable(Path(env.get("DATA_DIR", ".data"))),
            embedding=env.get("EMBEDDING_MODEL", ""),
            index=Path(env["INDEX"]) if env.get("INDEX") else None,
            limits=limits,
        )
        return cls(
            parts,
            env.get("HOST", "127.0.0.1"),
            _number(env, "PORT", 7860),
            _number(env, "ASKS_PER_MINUTE", 12, least=0),
            _networks(env),
            _metrics(env),
            _log_format(env),
            _feedback(env, parts.data),
        )


def _number(env: Mapping[str, str], name: str, default: int, least: int = 1) -> int:
    text = env.get(name, "")
    if not text:
        return default
    if not text.isdigit() or int(text) < least:
        sys.exit(f"{name}={text} is not a whole number of at least {least}.")
    return int(text)


def _networks(env: Mapping[str, str]) -> str:
    """Whom to believe about a client's address; on the Hub its own proxies, which name every visitor there."""
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
    """The token is only looked at where a dataset is named: it may be there for the model alone."""
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
