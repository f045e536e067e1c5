"""Sets up the logs: one JSON object a line for machines, or plain lines for a terminal, without visitors' texts.

Covers: the project's own events carry names, counts and timings only; in JSON an exception is its type and its frames
without its message, because a message may quote its cause; lines that a library prints to the error stream become
records, and tracebacks among them lose their message too. What a library logs without a logger of its own loses its
message, for such lines quote what came in. No line is a target: each is cut, its line ends are escaped, and of lines
alike only so many a minute are written, with the number of the others. Does not cover: a library that logs, at level
warning or above, a sentence with a visitor's words in it (tests/onboarding/test_canaries.py looks for that), and what
native code writes to the file descriptor itself.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

# They name every address that they fetch, or write several lines for each request or file.
QUIET = ("gguf", "httpx", "httpx2", "huggingface_hub", "mcp", "sentence_transformers")
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
FRAME = re.compile(r'^\s+File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<name>\S+)')
HEAD = "Traceback (most recent call last):"
KIND = re.compile(r"^[A-Za-z_][\w.]*")
MARGIN = re.compile(r"^\s*[+|] ?")  # of an exception group's traceback
LINE_CHARS = 400  # of a printed line
MESSAGE_CHARS = 2_000
ALIKE = 60  # lines a minute of one logger and template; a full house refuses and answers fewer
ALIKE_KEYS = 500  # of which something is remembered: libraries log whole sentences as templates
MINUTE_S = 60.0
CONTROLS = {number: repr(chr(number))[1:-1] for number in (*range(32), *range(127, 160), 0x2028, 0x2029)}


def event(logger: logging.Logger, name: str, **fields: object) -> None:
    """Log an event with its figures. Never pass a text that a visitor wrote."""
    logger.info(name, extra={"fields": {"event": name, **fields}})


def set_up_logging(form: str, stream: TextIO | None = None) -> None:
    """Send every logger's records, and Python's warnings, to `stream` (standard error) as "json" or "text"."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text("%(asctime)s %(name)s: %(message)s"))
    handler.addFilter(Sparing())
    handler.setLevel(logging.INFO)  # for libraries that lower their own logger's level
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for library in QUIET:
        logging.getLogger(library).setLevel(logging.ERROR)


class Sparing(logging.Filter):
    """Lets a record pass unless many like it have passed this minute; withholds what libraries say without a name."""

    def __init__(self, alike: int = ALIKE, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._alike = alike
        self._clock = clock
        self._lock = threading.Lock()  # a handler's filters run before its own lock is taken
        self._passed: dict[tuple[str, str], tuple[float, int]] = {}  # what is alike -> when its minute began, how many

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record passes, with what is added to it or withheld."""
        with self._lock:
            count, dropped = self._count(record)
        if count > self._alike:
            return False
        fields, message = dict(getattr(record, "fields", None) or {}), _message(record)[:MESSAGE_CHARS]
        if record.name == "root":  # nothing of the project logs there
            message = f"withheld, from {_short(record.pathname)}:{record.lineno}"
        if dropped:
            message, fields = f"{message} (and {dropped} more like it)", fields and fields | {"more": dropped}
        record.msg, record.args, record.__dict__["fields"] = message, (), fields
        return True

    def _count(self, record: logging.LogRecord) -> tuple[int, int]:
        """Count a record: how many like it came this minute, itself included, and how many were dropped before.

        When too much is remembered, what is new counts together, by its logger.
        """
        now, key = self._clock(), (record.name, str(record.msg)[:LINE_CHARS])
        if key not in self._passed and len(self._passed) >= ALIKE_KEYS:
            self._passed = {key: value for key, value in self._passed.items() if now - value[0] < MINUTE_S}
            key = key if len(self._passed) < ALIKE_KEYS else (record.name, "")
        began, count = self._passed.get(key, (now, 0))
        dropped = 0
        if now - began >= MINUTE_S:
            began, count, dropped = now, 0, max(0, count - self._alike)
        self._passed[key] = (began, count + 1)
        return count + 1, dropped


def _message(record: logging.LogRecord) -> str:
    """Return a record's message, its template where a library gave arguments that do not fit it."""
    try:
        return record.getMessage()
    except Exception:  # an argument's own __str__ may raise anything, and whoever logs must not fail over it
        return str(record.msg)


class _Json(JsonFormatter):
    """Writes time, level and logger, then an event's fields or a message."""

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "name", "message"],
            rename_fields={"levelname": "level", "name": "logger", "timestamp": "time"},
            reserved_attrs=[*logging.LogRecord("", 0, "", 0, "", (), None).__dict__, "message", "asctime", "fields"],
            timestamp=True,
        )

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Add an event's fields and drop its message, which repeats the name under `event`."""
        super().add_fields(log_data, record, message_dict)
        fields = getattr(record, "fields", None)
        if fields:
            log_data.pop("message", None)
            log_data.update(fields)
        if record.name == "asyncio":  # its further lines show the task, exception and message included
            log_data["message"] = record.getMessage().partition("\n")[0]

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802  the name is logging's
        """Return frames, innermost last, and the type; no message."""
        kind, _, trace = ei
        frames = [f"{_short(f.filename)}:{f.lineno} {f.name}" for f in traceback.extract_tb(trace)]
        return " > ".join([*frames, kind.__name__ if kind else "unknown"])


class _Text(logging.Formatter):
    """Writes plain lines; an event's fields follow its name."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        fields = getattr(record, "fields", None) or {}
        said = " ".join(f"{name}={value}" for name, value in fields.items() if name != "event")
        return f"{line} {said}" if said else line

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name is logging's
        return super().formatMessage(record).translate(CONTROLS)

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802  the name is logging's
        """Return the traceback, indented: a message with line ends makes no lines that look like ours."""
        return super().formatException(ei).replace("\n", "\n  ")


class PrintedLines:
    """Stands in for the error stream where logs are JSON: printed lines become records of the logger "stderr"."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self._logger = logging.getLogger("stderr")
        self._rest = ""
        self._frames: list[str] | None = None  # of the traceback under way

    def write(self, text: str) -> int:
        """Take text; log a record at each end of a line."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if self._take(line.rpartition("\r")[2]):
                break  # an exception's message may have further lines; they come in the same piece
        self._rest = self._rest.rpartition("\r")[2][-10 * LINE_CHARS :]  # a progress bar overwrites itself
        return len(text)

    def _take(self, line: str) -> bool:
        """Log a line or collect a traceback's frame; return True at the end of a traceback."""
        line, in_group = MARGIN.subn("", line)
        if not line.strip("+- 0123456789" if in_group else None):
            return False
        if line.strip().endswith(HEAD):
            self._frames = []
        elif self._frames is None and not in_group:
            self._logger.info("%s", line[:LINE_CHARS])
        elif found := FRAME.match(line):
            self._frames = [*(self._frames or []), f"{_short(found['file'])}:{found['line']} {found['name']}"]
        elif not line[0].isspace():
            kind = KIND.match(line)
            self._logger.error("%s", " > ".join([*(self._frames or []), kind[0] if kind else "unknown"]))
            self._frames = None
            return True
        return False

    def flush(self) -> None:
        """Do nothing: only an unfinished line is held back."""

    def isatty(self) -> bool:
        """Return False, so that libraries draw no progress."""
        return False


def _short(path: str) -> str:
    """Return the last three parts of a path: enough to find the line, without the machine's folders."""
    return "/".join(path.replace("\\", "/").split("/")[-3:])
