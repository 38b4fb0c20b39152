"""What an error of the scheduler means, in words for the user."""

from __future__ import annotations

import grpc
from azure.core.exceptions import AzureError

from scheduler import Scheduler


def explain(error: Exception, target: Scheduler) -> str:
    """Say what is wrong with the scheduler and what to do about it."""
    where = f"task hub '{target.task_hub}' at {target.endpoint}"
    if isinstance(error, AzureError):
        first_line = str(error).strip().splitlines()[0]
        return (
            f"No token for {where}: {first_line} "
            "Sign in with 'az login', or check the identity of this machine."
        )
    code, details = code_of(error), getattr(error, "details", lambda: "")()
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            return (
                f"No scheduler answers at {target.endpoint} ({details}). Start the emulator with "
                "'python -m emulator', or set ENDPOINT."
            )
        case grpc.StatusCode.NOT_FOUND:
            return f"Cannot use {where}: {details} Set TASKHUB."
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            return (
                f"Not authorised for {where} ({details}). Give this identity the role "
                "'Durable Task Data Contributor' with the task hub as its scope."
            )
        case _:
            return f"The scheduler at {target.endpoint} answered {code}: {details}"


def code_of(error: Exception) -> grpc.StatusCode | None:
    """Return the status code of an RPC error."""
    code: grpc.StatusCode | None = getattr(error, "code", lambda: None)()
    return code


def is_passing(error: Exception) -> bool:
    """Return whether the scheduler may be only starting, restarting or moving."""
    return code_of(error) in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
