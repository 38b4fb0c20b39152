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
from grpc import StatusCode

from hosting.scheduler import Scheduler

# The errors of a call to a scheduler; the last one if a credential lacks its file.
SCHEDULER_ERRORS = (grpc.RpcError, AzureError, FileNotFoundError)

# The scheduler may be starting, restarting or moving.
PASSING = (StatusCode.UNAVAILABLE, StatusCode.CANCELLED, StatusCode.DEADLINE_EXCEEDED)

MESSAGES: dict[StatusCode | str | None, str] = {
    StatusCode.UNAVAILABLE: "No scheduler answers at {endpoint} ({details}). {advice}",
    StatusCode.DEADLINE_EXCEEDED: "{endpoint} accepts connections but does not answer like a "
    "scheduler. Check ENDPOINT, and that the scheduler is not suspended.",
    StatusCode.NOT_FOUND: "Cannot use {hub}: {details}. Check TASKHUB.",
    StatusCode.UNAUTHENTICATED: "Not authenticated for {hub} with Authentication={authentication} "
    "({details}). Use an identity of the scheduler's tenant.",
    StatusCode.PERMISSION_DENIED: "Not authorised for {hub} ({details}). Give this identity the "
    "role 'Durable Task Data Contributor' on the task hub. A new role takes some minutes to work.",
    None: "No token for {hub}: {details}. Run 'az login', or use a managed identity.",
    # A sign in gRPC's message for a failed TLS handshake.
    "CERTIFICATE_VERIFY_FAILED": "Cannot connect safely to {endpoint}: its certificate is not "
    "trusted on this machine. If a proxy or a test has issued it, name its root: "
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=roots.pem",
    "Hostname Verification Check failed": "Cannot connect safely to {endpoint}: its certificate "
    "is for another host. Check ENDPOINT.",
    "WRONG_VERSION_NUMBER": "Cannot connect safely to {endpoint}: it does not use TLS. For an "
    "emulator, ENDPOINT begins with http://",
}


def explain(error: BaseException, scheduler: Scheduler) -> str:
    """Return what failed, why, and what to do."""
    code = code_of(error)
    kind = _tls_failure(error) or code
    name = code.name if code else type(error).__name__
    other = f"The call to {{endpoint}} failed with {name}: {{details}}"
    template = MESSAGES.get(kind, other) if kind or scheduler.is_secure else other
    return template.format(
        endpoint=scheduler.endpoint,
        hub=f"task hub '{scheduler.task_hub}' at {scheduler.endpoint}",
        authentication=scheduler.authentication,
        details=details_of(error),
        advice=advice(scheduler),
    )


def advice(scheduler: Scheduler) -> str:
    """Return what to do about a scheduler that does not answer."""
    if scheduler.is_secure:
        return "Check ENDPOINT and the network."
    return "Start the emulator ('dts-emulator' or 'docker compose up'), or set ENDPOINT."


def code_of(error: BaseException) -> StatusCode | None:
    """Return the status code of an RPC error, None for any other."""
    code: StatusCode | None = getattr(error, "code", lambda: None)()
    return code


def details_of(error: BaseException) -> str:
    """Return the first line of an error's message, without the full stop."""
    details = getattr(error, "details", lambda: None)() or str(error)
    return str(details).strip().partition("\n")[0].rstrip(". ")


def is_passing(error: BaseException) -> bool:
    """Return whether the same call may succeed in a moment."""
    return code_of(error) in PASSING and not _tls_failure(error)


def _tls_failure(error: BaseException) -> str | None:
    details = details_of(error)
    return next((sign for sign in MESSAGES if isinstance(sign, str) and sign in details), None)


def why_it_failed(client: TaskHubGrpcClient, instance_id: str, failure: FailureDetails) -> str:
    """Return the activity that failed, here or one level down, with its item and error."""
    step, error = None, describe(failure)
    with suppress(*SCHEDULER_ERRORS):  # Without the history, the error must do.
        step = _failed_step(client.get_orchestration_history(instance_id), error)
        if isinstance(step, history.SubOrchestrationInstanceCreatedEvent):
            step = _failed_step(client.get_orchestration_history(step.instance_id), error)
    if "PayloadTooLarge" in error:
        error += " For results that are too large together, lower MAX_FAN_OUT."
    if not isinstance(step, history.TaskScheduledEvent):
        return error
    return f"{step.name} failed for {shorten(step.input or 'null')}: {error}"


def _failed_step(events: Sequence[history.HistoryEvent], error: str) -> Any:
    """Return the event that has started the step which failed with `error`."""
    started = {event.event_id: event for event in events}
    failed = (history.TaskFailedEvent, history.SubOrchestrationInstanceFailedEvent)
    for event in events:
        if isinstance(event, failed) and describe(event.failure_details) == error:
            return started.get(event.task_scheduled_id)
    return None


def describe(failure: FailureDetails | None) -> str:
    """Return type and message of the error behind the SDK's TaskFailedErrors; empty for None."""
    while failure and failure.inner_failure and failure.is_caused_by("TaskFailedError"):
        failure = failure.inner_failure
    return f"{failure.error_type.removeprefix('builtins.')}: {failure.message}" if failure else ""


def shorten(text: str) -> str:
    """Return `text`, cut where it is longer than a line can show."""
    return text if len(text) <= 80 else f"{text[:77]}..."
