"""The log's format: what a reader of stderr sees."""

from __future__ import annotations

import logging

import grpc
import pytest

from logs import OneLine

RPC_ERROR = """Failed to create connection: <_InactiveRpcError of RPC that terminated with:
\tstatus = StatusCode.UNAVAILABLE
\tdetails = "connection refused"
\tdebug_error_string = "UNKNOWN:Error received {grpc_status:14}"
> - will retry"""


def record(message: str, error: Exception | None = None) -> logging.LogRecord:
    exc_info = (type(error), error, None) if error is not None else None
    return logging.LogRecord("worker", logging.WARNING, "", 0, message, None, exc_info)


def test_an_rpc_error_is_shortened_to_its_status_and_details() -> None:
    shortened = record(RPC_ERROR)
    OneLine().filter(shortened)
    assert shortened.getMessage() == (
        "Failed to create connection: UNAVAILABLE: connection refused - will retry"
    )


@pytest.mark.parametrize(
    ("error", "has_traceback"), [(grpc.RpcError(), False), (KeyError("a bug"), True)]
)
def test_only_an_rpc_error_loses_its_traceback(error: Exception, has_traceback: bool) -> None:
    logged = record("it went wrong", error)
    OneLine().filter(logged)
    assert bool(logged.exc_info) is has_traceback


def test_any_other_message_stays_as_it_is() -> None:
    plain = record("Processing work item: 1")
    assert OneLine().filter(plain)
    assert plain.getMessage() == "Processing work item: 1"


def test_the_warning_of_a_stream_that_the_worker_closes_itself_is_dropped() -> None:
    assert not OneLine().filter(record("Error: Locally cancelled by application!"))
