"""The log: one line for each event, with any data in it, and the SDK's complaints once."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Iterator

import durabletask.worker
import grpc
import pytest

from hosting.errors import explain
from hosting.logs import CONNECTED, RETRYING, OneLine, SdkLog
from tests.processes import run
from tests.test_errors import AZURE, call_error

# The format


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
def test_data_in_a_message_begins_no_line_and_moves_no_cursor(message: str, line: str) -> None:
    assert OneLine().format(record(message)) == line


FORGED = "no\n2026-01-01 00:00:00.000 worker INFO: forged\x1b[2J"


@pytest.mark.parametrize(
    "failed",
    [record("failed", ValueError(FORGED)), record("failed", trace=f"ValueError: {FORGED}\n")],
    ids=["here", "in another process"],
)
def test_a_traceback_is_indented_and_its_control_characters_are_escaped(
    failed: logging.LogRecord,
) -> None:
    first, *trace = OneLine().format(failed).splitlines()
    assert first == "failed"
    assert trace == [
        "    ValueError: no",
        "    2026-01-01 00:00:00.000 worker INFO: forged\\x1b[2J",
    ]


def test_each_line_of_one_of_several_workers_has_its_number_and_comes_in_order() -> None:
    code = (
        "import logging; from hosting.logs import configure_logging\n"
        "configure_logging('worker', 'info', in_background=True)\n"
        "logging.getLogger('worker').info('%d items', 'cannot be formatted')\n"
        "for n in range(1000): logging.getLogger('worker').info('line %d', n)"
    )
    ended = run("-c", code, WORKER_NUMBER="2")
    assert ended.status == 0
    lines = [line.split(" ", 2)[2] for line in ended.stderr.splitlines() if " INFO: " in line]
    assert lines == [f"worker[2] INFO: line {n}" for n in range(1000)]


# The SDK's lines

REFUSED = call_error("PERMISSION_DENIED")
DOWN = call_error("UNAVAILABLE")
CONNECTED_LINE = f"{CONNECTED[1]}here. Waiting for work items..."


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[logging.Logger]:
    """Give the SDK's logger with the worker's filter."""
    logger = logging.getLogger("durabletask")
    logger.filters = [SdkLog(AZURE)]
    caplog.set_level(logging.INFO, logger=logger.name)
    yield logger
    logger.filters = []


def complain(log: logging.Logger, error: grpc.RpcError, *more_lines: str) -> None:
    """Log an error as the SDK does: while it handles it, and with all that gRPC prints of it."""
    try:
        raise error
    except grpc.RpcError as raised:
        log.exception(f"Failed: {raised}")
        for line in more_lines:
            log.warning(line)


def test_an_error_is_explained_on_one_line_without_its_traceback(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    complain(log, REFUSED, f"{RETRYING}1.00 seconds (attempt 7)")
    assert caplog.messages == [f"Failed: {explain(REFUSED, AZURE)}"]
    assert caplog.records[0].exc_info is None


def test_a_bug_keeps_its_message_and_its_traceback(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        raise KeyError("a bug")
    except KeyError as raised:
        log.exception(f"Failed: {raised}")
    assert caplog.messages == ["Failed: 'a bug'"]
    assert caplog.records[0].exc_info


def test_an_outage_with_32_results_is_one_line_and_a_number(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    for address in ("ipv4:127.0.0.1:8080", "ipv6:[::1]:8080") * 16:
        complain(log, call_error("UNAVAILABLE", f"{address}: Connection refused"))
    log.info(CONNECTED_LINE)
    _, connected = caplog.messages
    assert connected == f"{CONNECTED_LINE} (31 similar omitted)"


def test_a_long_outage_is_a_line_every_30_seconds(
    log: logging.Logger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    for second in range(70):
        monkeypatch.setattr("hosting.logs.time.monotonic", lambda second=second: now + second)
        complain(log, DOWN)
    explained = f"Failed: {explain(DOWN, AZURE)}"
    assert caplog.messages == [explained, *[f"{explained} (29 similar omitted)"] * 2]


def test_another_error_is_logged_immediately(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    for error in (DOWN, REFUSED):
        complain(log, error)
    assert caplog.messages == [f"Failed: {explain(error, AZURE)}" for error in (DOWN, REFUSED)]


def test_the_end_of_a_stream_that_the_worker_closes_itself_is_not_logged(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    complain(log, call_error("CANCELLED", "Locally cancelled by application!"))
    assert caplog.messages == []


def test_other_lines_of_the_sdk_stay_as_they_are(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ["Orchestrator yielded with 1 task(s)", CONNECTED_LINE, "Orchestrator yielded"]
    for line in lines:
        log.info(line)
    assert caplog.messages == lines


@pytest.mark.parametrize("words", [RETRYING, *CONNECTED])
def test_the_filter_looks_for_words_that_the_sdk_logs(words: str) -> None:
    assert words in inspect.getsource(durabletask.worker)
