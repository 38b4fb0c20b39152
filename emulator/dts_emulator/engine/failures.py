"""Failures: those that the scheduler detects, and limits on their size."""

from __future__ import annotations

from collections.abc import Iterable

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Value

from dts_emulator.engine.errors import InvalidError
from dts_emulator.engine.events import check_readable, event_type

# Each orchestration wraps the failure of its sub-orchestration, and protobuf reads no message
# that is nested more than 100 deep: https://protobuf.dev/programming-guides/proto-limits/
MAX_CAUSES = 30
MAX_TEXT = 64 * 1024
MAX_PROPERTY_DEPTH = 5

LEFT_OUT = "CausesLeftOut"


def failure(kind: str, message: str) -> pb.TaskFailureDetails:
    """Return a failure that must not be retried."""
    return pb.TaskFailureDetails(errorType=kind, errorMessage=message, isNonRetriable=True)


def shorten(details: pb.TaskFailureDetails) -> None:
    """Limit the length of a failure's texts and of its chain of causes.

    The first causes stay, and the last one, the root cause. A cause in between says how many
    were left out.
    """
    chain = _chain(details)
    for one in chain:
        _shorten_texts(one)
    if len(chain) <= MAX_CAUSES:
        return
    last = pb.TaskFailureDetails()
    last.CopyFrom(chain[-1])
    cut = chain[MAX_CAUSES - 3]
    left_out = sum(_weight(one) for one in chain[MAX_CAUSES - 2 : -1])
    cut.innerFailure.CopyFrom(failure(LEFT_OUT, f"{left_out:,} causes were left out here."))
    cut.innerFailure.innerFailure.CopyFrom(last)


def shorten_in(news: pb.HistoryEvent) -> None:
    """Limit the size of the failure that an event reports, if it reports one."""
    kind = event_type(news)
    body: Message = getattr(news, kind) if kind else news
    if "failureDetails" in body.DESCRIPTOR.fields_by_name and body.HasField("failureDetails"):
        shorten(getattr(body, "failureDetails"))  # noqa: B009, not every event has it


def check_events(events: Iterable[pb.HistoryEvent]) -> None:
    """Validate events from a worker and limit the size of their failures.

    Raises:
        InvalidError: an event has no type, or is unreadable.
    """
    for item in events:
        if not event_type(item):
            raise InvalidError("A history event has no type.")
        shorten_in(item)
        check_readable(item)


def _chain(details: pb.TaskFailureDetails) -> list[pb.TaskFailureDetails]:
    chain = [details]
    while chain[-1].HasField("innerFailure"):
        chain.append(chain[-1].innerFailure)
    return chain


def _weight(one: pb.TaskFailureDetails) -> int:
    """Return how many causes one stands for: more than one if earlier ones were left out."""
    number = one.errorMessage.partition(" ")[0].replace(",", "")
    is_count = one.errorType == LEFT_OUT and number.isascii() and number.isdecimal()
    return int(number[:9]) if is_count else 1


def _shorten_texts(one: pb.TaskFailureDetails) -> None:
    one.errorType = _shortened(one.errorType)
    one.errorMessage = _shortened(one.errorMessage)
    if one.HasField("stackTrace"):
        one.stackTrace.value = _shortened(one.stackTrace.value)
    if any(_is_deep(value, MAX_PROPERTY_DEPTH) for value in one.properties.values()):
        one.ClearField("properties")


def _is_deep(value: Value, room: int) -> bool:
    inner = [*value.struct_value.fields.values(), *value.list_value.values]
    return bool(inner) and (room == 0 or any(_is_deep(part, room - 1) for part in inner))


def _shortened(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}... ({len(text) - MAX_TEXT:,} characters were left out)"


def fail_turn(answer: pb.OrchestratorResponse, reason: pb.TaskFailureDetails) -> None:
    """Replace all actions of an orchestrator by its failure."""
    answer.ClearField("customStatus")
    del answer.actions[:]
    failed = pb.CompleteOrchestrationAction(
        orchestrationStatus=pb.ORCHESTRATION_STATUS_FAILED, failureDetails=reason
    )
    answer.actions.add(id=-1, completeOrchestration=failed)


def fail_activity(answer: pb.ActivityResponse, reason: pb.TaskFailureDetails) -> None:
    """Replace an activity's result by a failure."""
    answer.ClearField("result")
    answer.failureDetails.CopyFrom(reason)


def fail_batch(
    answer: pb.EntityBatchResult, state: str | None, reason: pb.TaskFailureDetails
) -> None:
    """Replace the result of every operation in a batch by a failure, and keep the old state."""
    for result in answer.results:
        result.failure.failureDetails.CopyFrom(reason)
    del answer.actions[:]
    answer.ClearField("entityState")
    if state is not None:
        answer.entityState.value = state
