"""Reads the settings of the app from the environment, once; README and docs/operators.md have the tables."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import NoReturn

from model.catalogue.choice import chosen_model
from model.catalogue.load import DISK, MB, EngineLimits
from model.engine.llama import ContextOptions
from model.engine.local import EngineOptions
from model.engine.protocol import ModelUnusable
from model.engine.remote import checked_url
from model.turn.limits import USUAL_LIMITS, TurnLimits
from onboarding.assistant.parts import PartsSettings
from onboarding.edge.admission import LONGEST_WAIT_S
from onboarding.edge.client_address import trusted
from onboarding.edge.rate_limits import Rates
from onboarding.feedback.service import BadFeedbackSettings, FeedbackSettings, check
from onboarding.usage.scrape import Audience
from rag.command_line import shown
from rag.reading.links import UPSTREAM

RAM_SHARE = 4  # the prefix cache may take this fraction of its disk limit in RAM
SMALLEST_PROMPT = 704  # tokens: the system prompt, one passage of our pages and a short question in any model's tokens
MOST_THREADS, MOST_CELLS, MOST_CACHE_MB = 512, 1 << 20, 10_000_000
MOST_SLOTS = ContextOptions().sequences * 2 // 3  # the others keep what was read, see `model.engine.sequences`
MOST_REMOTE_SLOTS = 128
MOST_SECONDS = 86_400
WINDOW = EngineOptions().window  # tokens
MOST_PASSAGES, MOST_ROUNDS, MOST_CHARS = 20, 10, 4 * WINDOW  # about four characters are a token
MOST_ASKS = 100_000
_HOST = r"[\w.-]+(:\d{1,5})?"
YES, NO = ("1", "on", "yes", "true"), ("", "0", "off", "no", "false")  # as the Hub's own client reads them


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
    hosts: tuple[str, ...] = ()  # names by which the page may be asked for, () for every one
    api_token: str = ""  # what programs and MCP clients have to bring, "" for nothing
    root_path: str = ""  # the path or address below which a proxy serves the page
    feedback: FeedbackSettings = field(default_factory=FeedbackSettings)

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Settings:
        """Read the environment once; SystemExit with one sentence for a value that makes no sense."""
        turn = _turn_limits(env)
        engine = _choice(env, "ENGINE", ("local", "scripted"))
        cache_mb = _number(env, "CACHE_MB", DISK // MB, 0, MOST_CACHE_MB)
        limits = EngineLimits(
            threads=_number(env, "THREADS", min(2, os.cpu_count() or 1), 1, MOST_THREADS),
            slots=_number(env, "SLOTS", 4, 1, MOST_REMOTE_SLOTS if env.get("ENGINE_URL") else MOST_SLOTS),
            cells=_number(env, "CONTEXT_CELLS", 8192, turn.answer_tokens + SMALLEST_PROMPT, MOST_CELLS),
            ram_bytes=cache_mb * MB // RAM_SHARE,
            disk_bytes=cache_mb * MB,
            composed=_switch(env, "COMPOSED"),
        )
        parts = PartsSettings(
            model=_model(env, engine),
            downloads=not _is_offline(env),
            engine=engine,
            engine_url=_server(env),
            engine_token=_token(env, "ENGINE_TOKEN"),
            engine_is_own=_switch(env, "ENGINE_OWN") or False,
            data=_writable(_path(env, "DATA_DIR") or Path(".data")),
            embedding=_embedding(env),
            index=_index(env, "INDEX"),
            upstream=_index(env, "UPSTREAM_INDEX"),
            limits=limits,
            turn=turn,
            abstain_below=_probability(env, "ABSTAIN_BELOW"),
        )
        return cls(
            parts,
            _host(env),
            _number(env, "PORT", _number(env, "GRADIO_SERVER_PORT", 7860, 1, 65_535), 1, 65_535),
            _number(env, "ASKS_PER_MINUTE", Rates().asks, 0, MOST_ASKS),
            float(_number(env, "WAIT_SECONDS", round(LONGEST_WAIT_S), 1, MOST_SECONDS)),
            _networks(env),
            _metrics(env),
            _choice(env, "LOG_FORMAT", ("text", "json") if sys.stderr.isatty() else ("json", "text")),
            _names(env),
            _token(env, "API_TOKEN"),
            _root_path(env),
            _feedback(env, parts.data),
        )


def _number(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = env.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or len(text) > len(str(most)) or not least <= int(text) <= most:
        _refuse(name, text, f"is not a whole number of at least {least} and at most {most}")
    return int(text)


def _refuse(name: str, text: str, why: str) -> NoReturn:
    """End with one sentence about a setting."""
    sys.exit(f"{name}={shown(text)} {why}.")


def _choice(env: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    """Return one of the known words, the first where nothing is given."""
    text = env.get(name, "") or known[0]
    if text not in known:
        _refuse(name, text, f"is not known; use {' or '.join(sorted(known))}")
    return text


def _switch(env: Mapping[str, str], name: str) -> bool | None:
    text = env.get(name, "")
    if text not in ("", "0", "1"):
        _refuse(name, text, "is neither 0 nor 1")
    return bool(int(text)) if text else None


def _server(env: Mapping[str, str]) -> str:
    """Return the address of the model server, "" for none."""
    text = env.get("ENGINE_URL", "").strip()
    try:
        return str(checked_url(text)) if text else ""
    except ModelUnusable as error:
        sys.exit(str(error))


def _is_offline(env: Mapping[str, str]) -> bool:
    """Return True where the Hub's own client is told to stay offline; then MODEL=auto fetches nothing from anywhere."""
    said = [(name, env.get(name, "")) for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")]
    for name, text in said:
        if text.lower() not in (*YES, *NO):
            _refuse(name, text, "is neither 0 nor 1")
    return any(text.lower() in YES for _, text in said)


def _model(env: Mapping[str, str], engine: str) -> str:
    """Return the model's name or path; a name has to be known, a path may wait for its file, which is judged later."""
    text = env.get("MODEL", "") or "auto"
    is_elsewhere = engine == "scripted" or env.get("ENGINE_URL")  # where a name means something else, or nothing
    if not is_elsewhere and text != "auto":
        try:
            chosen_model(text)
        except ModelUnusable as error:
            sys.exit(str(error))
    return text


def _token(env: Mapping[str, str], name: str) -> str:
    text = env.get(name, "")
    if not re.fullmatch(r"[\x21-\x7e]*", text):
        sys.exit(f"{name} holds blanks or characters that no HTTP header takes; set it to the token alone.")
    return text


def _host(env: Mapping[str, str]) -> str:
    name = "HOST" if env.get("HOST") else "GRADIO_SERVER_NAME"  # the second as a Space of the SDK gradio
    text = env.get(name) or "127.0.0.1"
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not re.fullmatch(r"[\w.:%-]{1,253}", host, re.ASCII) or (":" in host and not _is_ipv6(host)):
        _refuse(name, text, "is neither an address nor a name of this machine; the port goes into PORT")
    return host


def _is_ipv6(text: str) -> bool:
    try:
        return isinstance(ip_address(text), IPv6Address)
    except ValueError:
        return False


def _path(env: Mapping[str, str], name: str) -> Path | None:
    text = env.get(name, "")
    try:
        return Path(text).expanduser() if text else None
    except RuntimeError:
        _refuse(name, text, "names a home folder that is not here; give the whole path")


def _index(env: Mapping[str, str], name: str) -> Path | None:
    """Return the folder of an index. It may be built while the app runs; what is no folder never becomes one."""
    folder = _path(env, name)
    try:
        is_wrong = folder is not None and (folder.exists() or folder.is_symlink()) and not folder.is_dir()
    except OSError:
        is_wrong = True
    if is_wrong:
        _refuse(name, env[name], "is not a folder; name the one that `python -m rag build --out` wrote")
    return folder


def _embedding(env: Mapping[str, str]) -> str:
    text = env.get("EMBEDDING_MODEL", "")
    folder = _path(env, "EMBEDDING_MODEL")
    with suppress(OSError):  # a name that is too long for one
        if folder and folder.is_dir():
            return str(folder)
    if text and not re.fullmatch(r"[\w.-]{1,96}(/[\w.-]{1,96})?", text, re.ASCII):
        _refuse("EMBEDDING_MODEL", text, "is neither a folder nor the name of a model on the Hub; use user/name")
    return text


def _root_path(env: Mapping[str, str]) -> str:
    """Return the path below which a proxy serves the page, or its whole address, without a slash at the end."""
    text = env.get("GRADIO_ROOT_PATH", "")
    path = text.rstrip("/")
    if not re.fullmatch(rf"((https?://{_HOST})?(/[\w.~-]+)*)?", path, re.ASCII) or "/.." in path:
        _refuse(
            "GRADIO_ROOT_PATH",
            text,
            "is neither a path such as /navigator nor an address such as https://host/navigator",
        )
    return path


def _turn_limits(env: Mapping[str, str]) -> TurnLimits:
    """Return what a turn may read and write; what a variable leaves open keeps the default."""
    usual = USUAL_LIMITS
    return TurnLimits(
        passages=_number(env, "PASSAGES", usual.passages, 1, MOST_PASSAGES),
        passage_chars=_number(env, "PASSAGE_CHARS", 0, 0, MOST_CHARS) or None,
        answer_tokens=_number(env, "ANSWER_TOKENS", usual.answer_tokens, 1, WINDOW - SMALLEST_PROMPT),
        question_tokens=_number(env, "QUESTION_TOKENS", usual.question_tokens, 1, WINDOW),
        tool_result_chars=_number(env, "TOOL_RESULT_CHARS", usual.tool_result_chars, 1, MOST_CHARS),
        tool_rounds=_number(env, "TOOL_ROUNDS", usual.tool_rounds, 1, MOST_ROUNDS),
        deadline_s=float(_number(env, "ANSWER_SECONDS", round(usual.deadline_s), 1, MOST_SECONDS)),
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
        _refuse(name, text, "is not a number from 0 to 1")
    return value


def _networks(env: Mapping[str, str]) -> str:
    """Return the proxies that are believed about a client's address; on the Hub its own."""
    text = env.get("TRUST_PROXY", "1" if env.get("SPACE_ID") else "")
    try:
        return trusted(text)
    except ValueError as error:
        _refuse(
            "TRUST_PROXY", text, f"is neither 1 nor networks separated by commas ({' '.join(str(error).split())[:99]})"
        )


def _names(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names, without port, by which the page may be asked for; on the Hub nothing has to be set."""
    text = env.get("ALLOWED_HOSTS", "")
    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    if not all(re.fullmatch(r"[a-z0-9_.-]{1,253}|\[[0-9a-f:.]+\]", name) for name in names):
        _refuse("ALLOWED_HOSTS", text, "is not a list of names separated by commas; leave out scheme, port and path")
    return names


def _metrics(env: Mapping[str, str]) -> Audience:
    known: dict[str, Audience] = {"": "nobody", "0": "nobody", "loopback": "loopback", "1": "everybody"}
    text = env.get("METRICS", "")
    if text not in known:
        _refuse("METRICS", text, "is not known; use 1 (anybody may read /metrics) or loopback (this machine only)")
    return known[text]


def _feedback(env: Mapping[str, str], data: Path) -> FeedbackSettings:
    """Return the feedback settings. Without a dataset a token is ignored: it may be there for the model."""
    repo = env.get("FEEDBACK_REPO", "")
    repository = env.get("REPOSITORY_URL") or UPSTREAM
    if not re.fullmatch(rf"https?://{_HOST}(/[\w.~-]+)+/?", repository, re.ASCII):
        _refuse("REPOSITORY_URL", repository, "is not the address of a repository; use https://github.com/user/name")
    given = FeedbackSettings(data, repo, _token(env, "HF_TOKEN") if repo else "", repository.rstrip("/"))
    try:
        check(given)
    except BadFeedbackSettings as error:
        sys.exit(str(error).replace(repo, shown(repo)))
    return given


def _writable(folder: Path) -> Path:
    """Return the folder by its whole name. A full disk is no reason to refuse it: it costs cached states only."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        return folder.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        why = getattr(error, "strerror", None) or "its links lead nowhere"
        sys.exit(f"{shown(str(folder))} cannot be written ({why}); name another folder with DATA_DIR=.")
