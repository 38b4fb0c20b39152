"""The log's format: what a reader of stderr sees."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import StringIO

import grpc
import pytest

from logs import InBackground, OneLine, is_news
from tests.processes import wait_until

RPC_ERROR = """Failed to create connection: <_InactiveRpcError of RPC that terminated with:
\tstatus = StatusCode.UNAVAILABLE
\tdetails = "connection refused"
\tdebug_error_string = "UNKNOWN:Error received {grpc_status:14}"
> - will retry"""


def record(message: str, error: Exception | None = None, *args: object) -> logging.LogRecord:
    exc_info = (type(error), error, None) if error is not None else None
    return logging.LogRecord("worker", logging.WARNING, "", 0, message, args, exc_info)


def test_an_rpc_error_is_shortened_to_its_status_and_details() -> None:
    assert OneLine().format(record(RPC_ERROR)) == (
        "Failed to create connection: UNAVAILABLE: connection refused - will retry"
    )


@pytest.mark.parametrize(
    ("error", "line_count"), [(grpc.RpcError(), 1), (KeyError("a bug"), 2)], ids=["RPC", "other"]
)
def test_only_an_rpc_error_loses_its_traceback(error: Exception, line_count: int) -> None:
    line = OneLine().format(record("it went wrong", error))
    assert len(line.splitlines()) == line_count


def test_any_other_message_stays_as_it_is() -> None:
    plain = record("Processing work item: %d", None, 1)
    assert is_news(plain)
    assert OneLine().format(plain) == "Processing work item: 1"


def test_the_warning_of_a_stream_that_the_worker_closes_itself_is_dropped() -> None:
    assert not is_news(record("Error: Locally cancelled by application!"))


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
