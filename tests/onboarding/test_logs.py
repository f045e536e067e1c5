"""The shape of a log line, and what it leaves out."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from onboarding.operation.logs import ALIKE_KEYS, MESSAGE_CHARS, PrintedLines, Sparing, _Text, event, set_up_logging

CANARY = "canary-7f3a"


@contextlib.contextmanager
def logged(form: str) -> Iterator[io.StringIO]:
    """Yield what is logged in that form; restore the test run's own logging afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    # A server that another test started, with uvicorn's own logging, leaves its loggers apart and quieter.
    servers = [logging.getLogger(name) for name in ("uvicorn", "uvicorn.error")]
    apart = [(server.propagate, server.level) for server in servers]
    for server in servers:
        server.propagate = True
        server.setLevel(logging.NOTSET)
    stream = io.StringIO()
    try:
        set_up_logging(form, stream)
        yield stream
    finally:
        logging.captureWarnings(False)
        root.handlers[:] = before
        root.setLevel(level)
        for server, (server.propagate, quiet) in zip(servers, apart, strict=True):
            server.setLevel(quiet)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    with logged("json") as stream:
        yield stream


def last(lines: io.StringIO) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lines.getvalue().splitlines()[-1])
    return found


def test_an_event_is_its_name_and_its_figures(lines: io.StringIO) -> None:
    event(logging.getLogger("usage"), "turn", route="rhel10", reason="stop", first_token_s=1.25)
    found = last(lines)
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "level": "INFO", "logger": "usage", "event": "turn", "route": "rhel10", "reason": "stop", "first_token_s": 1.25,
    }  # fmt: skip


def test_libraries_speak_the_same_form(lines: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert (last(lines)["logger"], last(lines)["message"]) == ("uvicorn.error", "Invalid HTTP request received.")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old and gone", stacklevel=1)
    assert last(lines)["logger"] == "py.warnings"


def broken(text: str) -> None:
    raise ValueError(f"cannot read {text}\nnor its second line {text}")


def test_a_library_that_lowers_its_own_level_still_says_nothing_below_info(lines: io.StringIO) -> None:
    library = logging.getLogger("a-talkative-library")
    library.setLevel(logging.DEBUG)
    library.debug("Building index")
    library.info("Built")
    assert "Building" not in lines.getvalue()
    assert "Built" in lines.getvalue()


def test_an_exception_is_its_type_and_place_without_its_message(lines: io.StringIO) -> None:
    try:
        broken(CANARY)
    except ValueError:
        logging.getLogger("app").exception("the handler failed")
    found = last(lines)
    assert found["exc_info"].endswith("broken > ValueError")
    assert "test_logs.py:" in found["exc_info"]
    assert CANARY not in lines.getvalue()


def test_a_printed_traceback_becomes_one_record_without_its_message(lines: io.StringIO) -> None:
    printed = PrintedLines()
    with contextlib.redirect_stderr(printed):
        try:
            try:
                broken(CANARY)
            except ValueError as error:
                raise KeyError(CANARY) from error
        except KeyError:
            traceback.print_exc()
        try:
            raise ExceptionGroup(CANARY, [ValueError(CANARY), TypeError(CANARY)])
        except ExceptionGroup:
            traceback.print_exc()
    assert CANARY not in lines.getvalue()
    said = [json.loads(line)["message"] for line in lines.getvalue().splitlines()]
    assert any(message.endswith("broken > ValueError") for message in said)
    assert any(message.endswith("> KeyError") for message in said)
    assert any("ExceptionGroup" in message for message in said)


def test_an_uncaught_exception_of_a_task_is_named_without_its_message(lines: io.StringIO) -> None:
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: <Task exception=%r>", CANARY)
    assert last(lines)["message"] == "Task exception was never retrieved"


def test_other_printed_lines_are_kept_and_progress_bars_are_not_a_flood(lines: io.StringIO) -> None:
    printed = PrintedLines()
    print("a library says so", file=printed)
    for percent in range(100):
        printed.write(f"\r{percent} %")
    printed.write("\rdone\n")
    said = [json.loads(line)["message"] for line in lines.getvalue().splitlines()]
    assert said == ["a library says so", "done"]


def test_in_a_terminal_lines_are_plain() -> None:
    with logged("text") as stream:
        event(logging.getLogger("usage"), "turn", route="rhel10", reason="stop")
    assert stream.getvalue().endswith("usage: turn route=rhel10 reason=stop\n")


def test_a_library_without_a_logger_of_its_own_says_where_it_spoke_and_not_what(lines: io.StringIO) -> None:
    code = compile(
        f"import logging\nlogging.warning('Failed to read: {CANARY}')", "/lib/site-packages/some/where.py", "exec"
    )
    exec(code, {})
    assert last(lines)["message"] == "withheld, from site-packages/some/where.py:2"


def test_lines_alike_are_counted_and_no_longer_written_until_their_minute_ends() -> None:
    now = [0.0]
    sparing = Sparing(alike=3, clock=lambda: now[0])

    def passes(template: str, *args: object) -> logging.LogRecord | None:
        record = logging.LogRecord("library", logging.WARNING, __file__, 1, template, args, None)
        return record if sparing.filter(record) else None

    assert [bool(passes("slow %d", number)) for number in range(9)] == [True] * 3 + [False] * 6
    assert passes("something else")
    now[0] = 61.0
    first = passes("slow %d", 9)
    assert first and first.getMessage() == "slow 9 (and 6 more like it)"
    for number in range(2_000):
        passes(f"a template of its own {number}")
    assert len(sparing._passed) <= ALIKE_KEYS + 1
    assert [bool(passes(f"and one more {number}")) for number in range(9)] == [False] * 9  # they count together


def test_threads_that_log_at_once_break_nothing() -> None:
    sparing, failed = Sparing(clock=lambda: 0.0), []

    def log(thread: int) -> None:
        try:
            for number in range(ALIKE_KEYS):
                sparing.filter(logging.LogRecord("library", 20, __file__, 1, f"{thread} {number}", (), None))
        except RuntimeError as error:  # a dictionary that changes while it is looked through
            failed.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=log, args=(thread,)) for thread in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    finally:
        sys.setswitchinterval(before)
    assert not failed


def test_a_library_that_logs_wrongly_does_not_fail_over_it(lines: io.StringIO) -> None:
    logging.getLogger("library").warning("slow %d", "not a number")
    assert last(lines)["message"] == "slow %d"


def test_a_line_of_text_stays_one_line_of_bounded_length() -> None:
    stream, logger = io.StringIO(), logging.getLogger("one-line")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Text("%(asctime)s %(name)s: %(message)s"))
    handler.addFilter(Sparing())
    logger.addHandler(handler)
    logger.propagate = False
    logger.warning("name %s", "a\n2026-01-01 app: forged\r\x1b[2J\u2028" + "x" * 10_000)
    try:
        raise ValueError("a\n2026-01-01 app: forged")
    except ValueError:
        logger.exception("broke")
    logger.removeHandler(handler)
    first, *rest = stream.getvalue().splitlines()
    assert "forged" in first and len(first) < MESSAGE_CHARS + 100 and "\x1b" not in first
    assert rest and not any(line.startswith("2026-01-01") for line in rest)
