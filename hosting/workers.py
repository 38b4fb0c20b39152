"""What surrounds the SDK's worker: signals, failures in the log, errors that it cannot send."""

from __future__ import annotations

import argparse
import functools
import inspect
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import grpc
from durabletask.grpc_options import GrpcWorkerResiliencyOptions

from hosting.errors import shorten
from hosting.logs import SdkLog, configure_logging, finish_logging
from hosting.scheduler import ConfigurationError, Scheduler

logger = logging.getLogger("worker")

# For the work in progress after a signal: less than the 10 s that Docker gives.
SHUTDOWN_SECONDS = 8.0
MAX_PAYLOAD_BYTES = 1024 * 1024  # of an input or output: docs/azure.md


@contextmanager
def usage_errors() -> Iterator[None]:
    """End the process with one line and status 2 if the configuration is invalid."""
    try:
        yield
    except ConfigurationError as error:
        logger.error(error)
        raise SystemExit(2) from None


def start_program(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Configure the log and return the arguments: `concurrency`, a number of work items."""
    parser = argparse.ArgumentParser(description="Process the work items of orchestrations.")
    what = "number of work items to process simultaneously, 1 to 10000 (default 1000)"
    parser.add_argument("--concurrency", type=int, default=1000, metavar="N", help=what)
    levels = ("debug", "info", "warning", "error")
    parser.add_argument("--log-level", choices=levels, default="info", help="default info")
    args = parser.parse_args(argv)
    if not 1 <= args.concurrency <= 10_000:
        parser.error("--concurrency must be from 1 to 10000")
    configure_logging("worker", args.log_level, in_background=True)
    return args


def worker_options(scheduler: Scheduler) -> dict[str, Any]:
    """Return arguments for the SDK's worker of a scheduler: reconnection and logs."""
    if sys.platform == "linux":
        # A thousand threads wake one another. With this policy none interrupts the one that
        # holds the interpreter's lock: a tenth less time. A sandbox may forbid it.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    sdk_logger = logging.getLogger("durabletask")
    sdk_logger.filters = [SdkLog(scheduler)]
    resilience = GrpcWorkerResiliencyOptions(
        hello_timeout_seconds=5,
        reconnect_backoff_base_seconds=0.25,
        reconnect_backoff_cap_seconds=4,
    )
    return {"resiliency_options": resilience, "interceptors": [FailureLog()], "logger": sdk_logger}


class FailureLog(grpc.UnaryUnaryClientInterceptor):
    """Logs each orchestration that fails, whoever raised the error, when the worker reports it."""

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """Pass a call on."""
        if details.method.endswith("/CompleteOrchestratorTask"):
            for action in request.actions:
                if (size := action.ByteSize()) > MAX_PAYLOAD_BYTES:
                    size_error = f"PayloadTooLarge: an input or output has {size:,} bytes"
                    logger.error(f"Orchestration {request.instanceId} failed: {size_error}")
                if action.completeOrchestration.HasField("failureDetails"):
                    self._log(request.instanceId, action.completeOrchestration.failureDetails)
        return continuation(details, request)

    def _log(self, instance_id: str, failure: Any) -> None:
        while failure.HasField("innerFailure") and failure.errorType.endswith("TaskFailedError"):
            failure = failure.innerFailure
        error = f"{failure.errorType.removeprefix('builtins.')}: {failure.errorMessage}"
        trace = failure.stackTrace.value and f"{failure.stackTrace.value}{error}"
        logger.error(f"Orchestration {instance_id} failed: {error}", extra={"trace": trace})


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return an orchestrator or activity whose errors the SDK can always send; log its input.

    Without it, SystemExit and the like end the SDK's thread or leave the item hanging, and an
    error whose message is not valid UTF-8 is tried forever. The SDK does not await `async`
    functions: they raise ConfigurationError.
    """
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        advice = "An activity has its own thread and may block; an orchestrator waits with 'yield'."
        raise ConfigurationError(f"'{function.__name__}' is an async function: use def. {advice}")

    @functools.wraps(function)
    def orchestrator(ctx: Any, work: Any) -> Generator[Any, Any, Any]:
        try:
            return (yield from function(ctx, work))
        except BaseException as error:
            trace = error.__traceback__
            if isinstance(error, GeneratorExit) and trace and not trace.tb_next:
                raise  # Not its own: the SDK drops the generator at the end of a turn.
            failure = sendable(error)
        raise failure

    @functools.wraps(function)
    def activity(ctx: Any, item: Any) -> Any:
        try:
            return function(ctx, item)
        except BaseException as error:
            failure = sendable(error)
        error_text = f"{type(failure).__name__}: {failure}"
        logger.warning(f"{function.__name__} failed for {shorten(repr(item))}: {error_text}")
        raise failure

    return orchestrator if inspect.isgeneratorfunction(function) else activity


def sendable(error: BaseException) -> Exception:
    """Return `error`, or an Exception of the same name with a message that is valid UTF-8."""
    chain = [error]
    while len(chain) <= 10 and (cause := chain[-1].__cause__ or chain[-1].__context__):
        chain.append(cause)  # The SDK sends as many.
    if isinstance(error, Exception) and all(_message(each)[1] for each in chain):
        return error
    kind = type(error)
    twin = type(kind.__name__, (Exception,), {"__module__": kind.__module__})
    failure: Exception = twin(_message(error)[0])
    return failure.with_traceback(error.__traceback__)


def _message(error: BaseException) -> tuple[str, bool]:
    """Return the message of an error as valid UTF-8, and whether it is the error's own."""
    try:
        message = str(error)
    except Exception as problem:
        return f"(its message cannot be read: {type(problem).__name__})", False
    text = message.encode("utf-8", "backslashreplace").decode()
    return text, text == message


def wait_for_signal() -> None:
    """Return after SIGINT or SIGTERM; then stopping the worker may take SHUTDOWN_SECONDS.

    A second signal, more time, or the end of the SDK's thread ends the process with status 1.
    """
    stopping = threading.Event()

    def stop(*_: object) -> None:
        if stopping.is_set():
            _end_now("Worker stopped before its work in progress was done")
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    while not stopping.wait(0.5):  # Windows handles no signal during a wait without an end.
        # The SDK does not tell that its thread has ended. Python names it after its function,
        # run_loop. When an error ends its loop, asyncio may wait forever for _do_shutdown.
        threads = str([thread.name for thread in threading.enumerate()])
        if "run_loop" not in threads or "_do_shutdown" in threads:
            _end_now("The SDK's worker thread has ended: other workers take its items")
    logger.info("Worker shutdown initiated")
    limit = threading.Timer(SHUTDOWN_SECONDS, stop)
    limit.daemon = True
    limit.start()


def _end_now(message: str) -> None:
    logger.error(message)
    finish_logging()
    os._exit(1)
