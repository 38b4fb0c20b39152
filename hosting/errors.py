"""Errors of a scheduler, and of an orchestration, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import grpc
from azure.core.exceptions import AzureError
from durabletask import history
from durabletask.client import TaskHubGrpcClient
from durabletask.task import FailureDetails

from hosting.scheduler import Scheduler

# The errors of a call to a scheduler; the last one if a credential lacks its file.
SCHEDULER_ERRORS = (grpc.RpcError, AzureError, FileNotFoundError)

# The scheduler may be starting, restarting or moving.
PASSING = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)

FAILED = (history.TaskFailedEvent, history.SubOrchestrationInstanceFailedEvent)

# A sign in gRPC's message for a failed TLS handshake, and its explanation.
TLS_FAILURES = {
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not trusted on this machine. If a proxy or a "
    "test has issued it, name its root: GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=roots.pem",
    "Hostname Verification Check failed": "its certificate is for another host. Check ENDPOINT.",
    "WRONG_VERSION_NUMBER": "it does not use TLS. For an emulator, ENDPOINT begins with http://",
}


def explain(error: BaseException, scheduler: Scheduler) -> str:
    """Return what failed, why, and what to do."""
    where = f"task hub '{scheduler.task_hub}' at {scheduler.endpoint}"
    details = details_of(error)
    if failure := _tls_failure(details):
        return f"Cannot connect safely to {scheduler.endpoint}: {failure}"
    match code_of(error):
        case None if scheduler.is_secure:
            return f"No token for {where}: {details}. Run 'az login', or use a managed identity."
        case grpc.StatusCode.UNAVAILABLE:
            return f"No scheduler answers at {scheduler.endpoint} ({details}). {advice(scheduler)}"
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return (
                f"{scheduler.endpoint} accepts connections but does not answer like a scheduler. "
                "Check ENDPOINT, and that the scheduler is not suspended."
            )
        case grpc.StatusCode.NOT_FOUND:
            return f"Cannot use {where}: {details}. Check TASKHUB."
        case grpc.StatusCode.UNAUTHENTICATED:
            return (
                f"Not authenticated for {where} with Authentication={scheduler.authentication} "
                f"({details}). Use an identity of the scheduler's tenant."
            )
        case grpc.StatusCode.PERMISSION_DENIED:
            return (
                f"Not authorised for {where} ({details}). Give this identity the role 'Durable "
                "Task Data Contributor' on the task hub. A new role takes some minutes to work."
            )
        case code:
            kind = code.name if code else type(error).__name__
            return f"The call to {scheduler.endpoint} failed with {kind}: {details}"


def advice(scheduler: Scheduler) -> str:
    """Return what to do about a scheduler that does not answer."""
    if scheduler.is_secure:
        return "Check ENDPOINT and the network."
    return "Start the emulator ('dts-emulator' or 'docker compose up'), or set ENDPOINT."


def code_of(error: BaseException) -> grpc.StatusCode | None:
    """Return the status code of an RPC error, None for any other."""
    code: grpc.StatusCode | None = getattr(error, "code", lambda: None)()
    return code


def details_of(error: BaseException) -> str:
    """Return the first line of an error's message, without the full stop."""
    details = getattr(error, "details", lambda: None)() or str(error)
    return str(details).strip().partition("\n")[0].rstrip(". ")


def is_passing(error: BaseException) -> bool:
    """Return whether the same call may succeed in a moment."""
    return code_of(error) in PASSING and _tls_failure(details_of(error)) is None


def _tls_failure(details: str) -> str | None:
    return next((meaning for sign, meaning in TLS_FAILURES.items() if sign in details), None)


def is_refused_input(error: BaseException) -> bool:
    """Return whether the scheduler, or gRPC before it, refuses the data of a call."""
    code = code_of(error)
    is_too_large = "larger than max" in details_of(error)  # gRPC's words for its own limit.
    return code is grpc.StatusCode.INVALID_ARGUMENT or (
        code is grpc.StatusCode.RESOURCE_EXHAUSTED and is_too_large
    )


def why_it_failed(client: TaskHubGrpcClient, instance_id: str, failure: FailureDetails) -> str:
    """Return the activity and the item that made an orchestration fail, and their error.

    A failed sub-orchestration is followed one level down.
    """
    step = None
    with suppress(*SCHEDULER_ERRORS):  # Without the history, the error must do.
        step = _failed_step(client.get_orchestration_history(instance_id), describe(failure))
        if isinstance(step, history.SubOrchestrationInstanceCreatedEvent):
            step = _failed_step(
                client.get_orchestration_history(step.instance_id), describe(failure)
            )
    if not isinstance(step, history.TaskScheduledEvent):
        return describe(failure)
    return f"{step.name} failed for {shorten(step.input or 'null')}: {describe(failure)}"


def _failed_step(events: Sequence[history.HistoryEvent], error: str) -> Any:
    """Return the event that has started the step which failed with `error`."""
    started = {event.event_id: event for event in events}
    for event in events:
        if not isinstance(event, FAILED) or event.failure_details is None:
            continue
        if describe(event.failure_details) == error:
            return started.get(event.task_scheduled_id)
    return None


def cause_of(failure: FailureDetails) -> FailureDetails:
    """Return the failure behind the SDK's TaskFailedErrors, one for each orchestration."""
    while failure.inner_failure is not None and failure.is_caused_by("TaskFailedError"):
        failure = failure.inner_failure
    return failure


def describe(failure: FailureDetails) -> str:
    """Return type and message of the cause, as Python writes them."""
    cause = cause_of(failure)
    return f"{cause.error_type.removeprefix('builtins.')}: {cause.message}"


def shorten(text: str, length: int = 80) -> str:
    """Return `text`, cut where it is longer than a line can show."""
    return text if len(text) <= length else f"{text[: length - 3]}..."
