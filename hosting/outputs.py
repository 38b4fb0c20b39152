"""What an orchestration leaves to its client: an output, or the words for its failure."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from durabletask.client import OrchestrationState, OrchestrationStatus
from durabletask.task import FailureDetails

from hosting.clients import Client
from hosting.errors import SCHEDULER_ERRORS
from hosting.exits import ClientError, Exit
from hosting.failures import culprit, in_words, innermost


def output_of(client: Client, state: OrchestrationState) -> Any:
    """Return the output of an orchestration that has completed.

    Raises:
        ClientError: it has failed or was terminated.
    """
    if state.runtime_status is OrchestrationStatus.COMPLETED:
        return parsed(state.serialized_output)
    if state.failure_details is not None:
        raise ClientError(
            Exit.FAILED, _why_it_failed(client, state.instance_id, state.failure_details)
        )
    reason = f": {state.serialized_output}" if state.serialized_output else ""
    raise ClientError(Exit.FAILED, f"The orchestration was {state.runtime_status}{reason}")


def parsed(output: str | None) -> Any:
    """Return the value that an output stands for; the output itself where it is no JSON."""
    try:
        return json.loads(output, parse_constant=_refuse) if output else None
    except (ValueError, RecursionError):
        return output


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _why_it_failed(client: Client, instance_id: str, failure: FailureDetails) -> str:
    cause = innermost(failure)
    found = None
    with suppress(*SCHEDULER_ERRORS):  # Without its history, the failure still has a message.
        found = culprit(client.sdk.get_orchestration_history, instance_id, cause)
    where = f"{found.activity} failed for {found.item}: " if found else ""
    page = client.page_of(found.instance_id if found else instance_id)
    trace = f" Its stack trace: {page}" if page else " The scheduler's dashboard has its trace."
    return f"The orchestration failed: {where}{in_words(cause)}.{trace}"
