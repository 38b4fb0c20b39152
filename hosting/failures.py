"""What made an orchestration fail: which activity, with which item, in which instance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from durabletask import history
from durabletask.task import FailureDetails

# An item is shown as far as a line can show it.
MAX_SHOWN = 80

# Sub-orchestrations of sub-orchestrations: deeper than any that people write by hand.
MAX_DEPTH = 10

Events = Sequence[history.HistoryEvent]


@dataclass(frozen=True)
class Culprit:
    """The activity that failed for good, its input as JSON, and the instance that called it."""

    activity: str
    item: str
    instance_id: str


def innermost(failure: FailureDetails) -> FailureDetails:
    """Return the failure that has caused all the others."""
    while failure.inner_failure is not None:
        failure = failure.inner_failure
    return failure


def in_words(failure: FailureDetails) -> str:
    """Return the type and the message of an error, as Python shows them."""
    return f"{failure.error_type.removeprefix('builtins.')}: {failure.message}"


def shortened(text: str) -> str:
    """Return `text` as far as a line can show it."""
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def culprit(
    history_of: Callable[[str], Events], instance_id: str, cause: FailureDetails
) -> Culprit | None:
    """Follow a failure from the instance down to the activity.

    Args:
        history_of: returns the history of an instance.
        instance_id: the orchestration that has failed.
        cause: the innermost failure of it.

    Returns:
        None if no activity has failed: the orchestrator itself did.
    """
    for _ in range(MAX_DEPTH):
        step = _failed_step(history_of(instance_id), cause)
        if isinstance(step, history.TaskScheduledEvent):
            return Culprit(step.name, shortened(step.input or "null"), instance_id)
        if not isinstance(step, history.SubOrchestrationInstanceCreatedEvent):
            break
        instance_id = step.instance_id
    return None


def _failed_step(events: Events, cause: FailureDetails) -> history.HistoryEvent | None:
    """Return how the step began that failed with `cause`, or else any that failed for good."""
    steps: dict[int, history.HistoryEvent] = {}
    failures: dict[int, FailureDetails | None] = {}
    for event in events:
        if isinstance(
            event, (history.TaskScheduledEvent, history.SubOrchestrationInstanceCreatedEvent)
        ):
            steps[event.event_id] = event
        elif isinstance(
            event, (history.TaskFailedEvent, history.SubOrchestrationInstanceFailedEvent)
        ):
            failures[event.task_scheduled_id] = event.failure_details
        elif isinstance(
            event, (history.TaskCompletedEvent, history.SubOrchestrationInstanceCompletedEvent)
        ):
            failures.pop(event.task_scheduled_id, None)
    by_cause = [
        number
        for number, failure in failures.items()
        if failure and in_words(innermost(failure)) == in_words(cause)
    ]
    for number in (*by_cause, *failures):
        if number in steps:
            return steps[number]
    return None
