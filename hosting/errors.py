"""What an error of the scheduler means, in words for the user."""

from __future__ import annotations

import grpc
from azure.core.exceptions import AzureError

from scheduler import CREDENTIALS, Scheduler

# What a call to a scheduler can end with; the last when a credential lacks its file.
SCHEDULER_ERRORS = (grpc.RpcError, AzureError, FileNotFoundError)

PASSING = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)

# What gRPC says when TLS does not come about, and what it means.
TLS_FAILURES = {
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not trusted on this machine. If a proxy or a "
    "test has issued it, name its root: GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=roots.pem",
    "Hostname Verification Check failed": "its certificate is for another host. Check ENDPOINT.",
    "WRONG_VERSION_NUMBER": "it does not speak TLS. An emulator's ENDPOINT begins with http://",
}


def explain(error: Exception, target: Scheduler) -> str:
    """Say what is wrong with the scheduler and what to do about it."""
    where = f"task hub '{target.task_hub}' at {target.endpoint}"
    details = details_of(error)
    if (tls_failure := _tls_failure(error)) is not None:
        return f"Cannot connect safely to {target.endpoint}: {tls_failure}"
    match code_of(error):
        case None if target.authentication in CREDENTIALS:
            return f"No token for {where}: {details}. {CREDENTIALS[target.authentication].advice}"
        case grpc.StatusCode.UNAVAILABLE:
            return f"No scheduler answers at {target.endpoint} ({details}). {advice(target)}"
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return (
                f"No scheduler answers at {target.endpoint}, though connections are taken there. "
                "Check that ENDPOINT is a scheduler's, and that it is not stopped."
            )
        case grpc.StatusCode.NOT_FOUND:
            return f"Cannot use {where}: {details}. Set TASKHUB."
        case grpc.StatusCode.UNAUTHENTICATED:
            return (
                f"Not authenticated for {where} with Authentication={target.authentication} "
                f"({details}). Use an identity of the tenant that the scheduler is in."
            )
        case grpc.StatusCode.PERMISSION_DENIED:
            return (
                f"Not authorised for {where} ({details}). Give this identity the role "
                "'Durable Task Data Contributor' with the task hub, or its scheduler, as scope. "
                "A new role takes some minutes to work."
            )
        case code:
            kind = code.name if code else type(error).__name__
            return f"The call to {target.endpoint} failed with {kind}: {details}"


def advice(target: Scheduler) -> str:
    """Say what to do about a scheduler that cannot be reached."""
    if target.is_secure:
        return "Check ENDPOINT and the network."
    return "Start the emulator with 'python -m emulator', or set ENDPOINT."


def code_of(error: Exception) -> grpc.StatusCode | None:
    """Return the status code of an RPC error, None for any other."""
    code: grpc.StatusCode | None = getattr(error, "code", lambda: None)()
    return code


def details_of(error: Exception) -> str:
    """Return the first line of what an error says, without the full stop."""
    details = getattr(error, "details", lambda: None)() or str(error)
    return str(details).strip().partition("\n")[0].rstrip(". ")


def is_passing(error: Exception) -> bool:
    """Return whether the scheduler may be only starting, restarting or moving."""
    return code_of(error) in PASSING and _tls_failure(error) is None


def is_refused_input(error: Exception) -> bool:
    """Return whether the scheduler, or gRPC on the way, does not take what was sent."""
    is_too_large = "larger than max" in details_of(error)  # gRPC's words for its own limit.
    return code_of(error) is grpc.StatusCode.INVALID_ARGUMENT or (
        code_of(error) is grpc.StatusCode.RESOURCE_EXHAUSTED and is_too_large
    )


def _tls_failure(error: Exception) -> str | None:
    details = details_of(error)
    return next((meaning for sign, meaning in TLS_FAILURES.items() if sign in details), None)
