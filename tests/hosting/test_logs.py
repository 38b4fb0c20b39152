"""The log's format: what a reader of stderr sees."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from io import StringIO

import pytest

from hosting import logs
from hosting.logs import InBackground, OneLine
from tests.processes import PATIENCE_SECONDS, wait_until


def record(message: str, error: Exception | None = None, **extra: str) -> logging.LogRecord:
    exc_info = (type(error), error, None) if error is not None else None
    made = logging.LogRecord("worker", logging.WARNING, "", 0, message, (), exc_info)
    vars(made).update(extra)
    return made


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("Processing work item: 1", "Processing work item: 1"),
        ("Processing work item: a\nforged", "Processing work item: a\\nforged"),
        ("Processing work item: a\r\u2028\x1b[2J", "Processing work item: a\\r\\u2028\\x1b[2J"),
    ],
)
def test_what_a_message_quotes_begins_no_line_of_its_own(message: str, line: str) -> None:
    assert OneLine().format(record(message)) == line


@pytest.mark.parametrize(
    "failed",
    [record("it went wrong", KeyError("a bug")), record("it went wrong", trace="KeyError: a bug")],
    ids=["here", "in another process"],
)
def test_a_traceback_stands_below_its_line(failed: logging.LogRecord) -> None:
    lines = OneLine().format(failed).splitlines()
    assert lines[0] == "it went wrong"
    assert lines[-1].startswith("KeyError: ")


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, StringIO]]:
    """Give a logger that writes in the background, and what it writes to."""
    stream = StringIO()
    handler = InBackground(stream)
    handler.setFormatter(OneLine("%(levelname)s: %(message)s"))
    logger = logging.Logger("background")
    logger.addHandler(handler)
    yield logger, stream
    handler.close()


def test_lines_in_the_background_are_written_once_and_in_order(
    log: tuple[logging.Logger, StringIO],
) -> None:
    logger, stream = log
    for number in range(1000):
        logger.info("line %d", number)
    wait_until(lambda: "line 999\n" in stream.getvalue(), "the last line is written")
    assert stream.getvalue().splitlines() == [f"INFO: line {number}" for number in range(1000)]


def test_a_flush_writes_what_is_left(log: tuple[logging.Logger, StringIO]) -> None:
    logger, stream = log
    logger.info("the last words")
    logger.handlers[0].flush()
    assert stream.getvalue() == "INFO: the last words\n"


def test_a_message_that_cannot_be_formatted_is_reported_and_stops_nothing(
    log: tuple[logging.Logger, StringIO], capsys: pytest.CaptureFixture[str]
) -> None:
    logger, stream = log
    logger.info("%d items", "many")
    logger.info("next")
    logger.handlers[0].flush()
    assert stream.getvalue() == "INFO: next\n"
    assert "%d format" in capsys.readouterr().err


def test_a_log_that_nobody_reads_any_more_stops_nothing(
    log: tuple[logging.Logger, StringIO],
) -> None:
    logger, stream = log
    stream.close()
    logger.info("into the void")
    logger.handlers[0].flush()


class Unread(StringIO):
    """A pipe that nobody reads: a write to it does not return before the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.reader_comes = threading.Event()

    def write(self, text: str) -> int:
        self.reader_comes.wait(PATIENCE_SECONDS)
        return super().write(text)


@pytest.fixture
def unread() -> Iterator[tuple[logging.Logger, Unread]]:
    """Give a logger whose stream nobody reads until the test says so."""
    stream = Unread()
    logger = logging.Logger("unread")
    logger.addHandler(InBackground(stream))
    yield logger, stream
    stream.reader_comes.set()


def test_a_flush_that_nobody_reads_ends(unread: tuple[logging.Logger, Unread]) -> None:
    logger, stream = unread
    logger.info("into the void")
    begin = time.monotonic()
    logger.handlers[0].flush()
    assert time.monotonic() - begin < 10 * logs.FLUSH_SECONDS
    assert stream.getvalue() == ""


def test_a_log_that_nobody_reads_does_not_grow_and_says_later_what_is_missing(
    unread: tuple[logging.Logger, Unread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MAX_WAITING_LINES", 10)
    logger, stream = unread
    for number in range(100):
        logger.info("line %d", number)
    stream.reader_comes.set()
    wait_until(lambda: "missing" in stream.getvalue(), "the log says that lines are missing")
    lines = stream.getvalue().splitlines()
    assert lines[:10] == [f"line {number}" for number in range(10)]
    assert len(lines) < 50
