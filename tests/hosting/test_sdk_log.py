"""What the SDK logs of its connection: in words, once, and only what turns out to be true."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator

import durabletask.worker
import grpc
import pytest

from hosting import sdk_log
from hosting.errors import explain
from hosting.sdk_log import CONNECTED, RETRYING, SdkLog, sdk_logger
from tests.hosting.test_errors import AZURE, call_error
from tests.processes import wait_until

REFUSED = call_error("PERMISSION_DENIED")
DOWN = call_error("UNAVAILABLE")
CONNECTED_LINE = f"{CONNECTED[1]}here. Waiting for work items..."


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[logging.Logger]:
    """Give the SDK's logger as the worker sets it up."""
    logger = sdk_logger(AZURE)
    caplog.set_level(logging.INFO, logger=logger.name)
    yield logger
    logger.filters = []


def complain(log: logging.Logger, error: grpc.RpcError, *more_lines: str) -> None:
    """Log an error as the SDK does: while it handles it, and with all that gRPC prints of it."""
    try:
        raise error
    except grpc.RpcError as raised:
        log.warning(f"Failed: {raised}")
        for line in more_lines:
            log.warning(line)


def test_an_error_is_put_into_words(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    complain(log, REFUSED)
    assert caplog.messages == [f"Failed: {explain(REFUSED, AZURE)}"]


def test_an_error_that_gets_words_loses_its_traceback(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        raise REFUSED
    except grpc.RpcError as raised:
        log.exception(f"Failed to deliver: {raised}")
    assert caplog.records[0].exc_info is None
    assert "\n" not in caplog.text.strip()


def test_a_bug_stays_as_it_is(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError("a bug")
    except KeyError as raised:
        log.exception(f"Failed: {raised}")
    assert caplog.messages == ["Failed: 'a bug'"]
    assert caplog.records[0].exc_info


def test_the_same_complaint_comes_again_after_growing_pauses(
    log: logging.Logger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("hosting.sdk_log.time.monotonic", lambda: now)
    shown_at: list[float] = []
    for _ in range(200):
        before = len(caplog.messages)
        complain(log, DOWN, f"{RETRYING}1.00 seconds (attempt 7)")
        new = len(caplog.messages) - before
        assert new in (0, 2)  # Each complaint says that it is tried again, or neither is said.
        if new:
            shown_at.append(now - 1000)
        now += 1
    assert shown_at == [0, 5, 15, 35, 75, 155]


def test_another_complaint_is_made_at_once(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    complain(log, DOWN)
    complain(log, REFUSED)
    complain(log, DOWN)
    assert caplog.messages == [f"Failed: {explain(error, AZURE)}" for error in (DOWN, REFUSED)]


def test_the_same_trouble_at_another_address_of_the_host_is_no_other_complaint(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    for address in ("ipv4:127.0.0.1:8080", "ipv6:[::1]:8080"):
        complain(log, call_error("UNAVAILABLE", f"{address}: Connection refused"))
    assert len(caplog.messages) == 1


def test_work_that_comes_proves_the_connection(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    complain(log, DOWN)
    log.info(CONNECTED_LINE)
    log.info("Orchestrator yielded with 1 task(s)")
    assert caplog.messages[1:] == [CONNECTED_LINE, "Orchestrator yielded with 1 task(s)"]


def test_a_connection_that_is_refused_is_not_called_successful(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        complain(log, REFUSED)
        log.info(CONNECTED_LINE)
    complain(log, REFUSED)
    assert caplog.messages == [f"Failed: {explain(REFUSED, AZURE)}"]


def test_a_connection_that_lasts_is_told_and_ends_the_trouble(
    log: logging.Logger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk_log, "PROOF_SECONDS", 0.05)
    complain(log, DOWN)
    log.info(CONNECTED_LINE)
    wait_until(lambda: CONNECTED_LINE in caplog.messages, "the connection is told")
    complain(log, DOWN)
    assert caplog.messages[-1] == f"Failed: {explain(DOWN, AZURE)}"


def test_the_first_connection_is_told_at_once(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    log.info(CONNECTED_LINE)
    assert caplog.messages == [CONNECTED_LINE]


def test_the_end_of_a_stream_that_the_worker_closes_itself_is_no_news(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    complain(log, call_error("CANCELLED", "Locally cancelled by application!"))
    assert caplog.messages == []


@pytest.mark.parametrize("words", [RETRYING, *CONNECTED])
def test_the_sdk_says_what_is_looked_for(words: str) -> None:
    assert words in inspect.getsource(durabletask.worker)


def test_a_worker_that_is_made_again_gets_one_filter() -> None:
    assert [type(each) for each in sdk_logger(AZURE).filters] == [SdkLog]
    assert len(sdk_logger(AZURE).filters) == 1
    sdk_logger(AZURE).filters = []
