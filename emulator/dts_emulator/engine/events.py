"""History events: how they are made, and what can be read off them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import StringValue

from dts_emulator.engine.errors import InvalidError

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
MICROSECOND = 1_000

# The last second that a Timestamp can say: the end of the year 9999.
# https://protobuf.dev/reference/protobuf/google.protobuf/#timestamp
LAST_SECOND = 253_402_300_799

# Protobuf reads no message that is nested more than 100 deep. An event lies in a work item.
MAX_DEPTH = 80


def timestamp(time: int) -> Timestamp:
    """Return a time in nanoseconds since 1970 as protobuf has it."""
    return Timestamp(seconds=time // SECOND, nanos=time % SECOND)


def nanoseconds(time: Timestamp) -> int:
    """Return a protobuf timestamp as nanoseconds since 1970."""
    return time.seconds * SECOND + time.nanos


def time_of(message: Message, field: str) -> int | None:
    """Return a timestamp of a message as nanoseconds since 1970, None if it is not set.

    Raises:
        InvalidError: it is none that the protocol knows (years 1 to 9999).
    """
    if not message.HasField(field):
        return None
    value: Timestamp = getattr(message, field)
    _check_time(value, field)
    return nanoseconds(value)


def check_readable(message: Message, room: int = MAX_DEPTH) -> None:
    """Refuse what a worker has made up and nobody could read: at any depth, and that itself.

    Raises:
        InvalidError: a time in it is none that the protocol knows, or it is nested too deep.
    """
    if not room:
        raise InvalidError(f"A message is nested more than {MAX_DEPTH} deep.")
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for part in value if field.is_repeated else [value]:
            if isinstance(part, Timestamp):
                _check_time(part, field.name)
            else:
                check_readable(part, room - 1)


def _check_time(value: Timestamp, field: str) -> None:
    if not (-62_135_596_800 <= value.seconds <= LAST_SECOND and 0 <= value.nanos < SECOND):
        raise InvalidError(f"'{field}' is not a valid time.")


def string_value(value: str | None) -> StringValue | None:
    """Return text as protobuf has it where it may be missing."""
    return None if value is None else StringValue(value=value)


def optional_string(message: Message, field: str) -> str | None:
    """Return an optional text of a message."""
    value: str | None = getattr(message, field).value if message.HasField(field) else None
    return value


def event(now: int, event_id: int = -1, **kind: Any) -> pb.HistoryEvent:
    """Return a history event of `now`; `kind` is its one field, e.g. timerFired=..."""
    return pb.HistoryEvent(eventId=event_id, timestamp=timestamp(now), **kind)


def copy_fields(source: Message, target: Message, *names: str) -> None:
    """Copy the named messages from one protobuf message to another, as far as they are set."""
    for name in names:
        if source.HasField(name):
            getattr(target, name).CopyFrom(getattr(source, name))


def event_type(item: pb.HistoryEvent) -> str:
    """Return the name of the field that says what has happened."""
    return item.WhichOneof("eventType") or ""


def execution_started(events: Iterable[pb.HistoryEvent]) -> pb.ExecutionStartedEvent:
    """Return what has started the execution to which `events` belong.

    Raises:
        InvalidError: they do not say; no history of an instance is without it.
    """
    for item in events:
        if item.HasField("executionStarted"):
            return item.executionStarted
    raise InvalidError("The history does not say how the orchestration has started.")


# The field of an answer that names what it answers.
_KEYS = {
    "taskCompleted": "taskScheduledId",
    "taskFailed": "taskScheduledId",
    "subOrchestrationInstanceCompleted": "taskScheduledId",
    "subOrchestrationInstanceFailed": "taskScheduledId",
    "timerFired": "timerId",
    "entityOperationCompleted": "requestId",
    "entityOperationFailed": "requestId",
    "entityLockGranted": "criticalSectionId",
}


def key_of(item: pb.HistoryEvent) -> int | str | None:
    """Return what an event is the answer to, None for an event that answers nothing."""
    kind = event_type(item)
    key: int | str | None = getattr(getattr(item, kind), _KEYS[kind]) if kind in _KEYS else None
    return key


def is_task_result(item: pb.HistoryEvent) -> bool:
    """Return whether an event is the result of an activity, good or bad."""
    return item.HasField("taskCompleted") or item.HasField("taskFailed")


def asks_key(item: pb.HistoryEvent) -> int | str | None:
    """Return the key that the answer to an event will name, None where none is to come."""
    match event_type(item):
        case "taskScheduled" | "timerCreated" | "subOrchestrationInstanceCreated":
            return item.eventId
        case "entityOperationCalled":
            return item.entityOperationCalled.requestId
        case "entityLockRequested":
            return item.entityLockRequested.criticalSectionId
    return None


def unanswered(events: Iterable[pb.HistoryEvent]) -> dict[int | str, pb.HistoryEvent]:
    """Return what `events` have asked for without an answer among them, by its key."""
    open_requests: dict[int | str, pb.HistoryEvent] = {}
    for item in events:
        asked, answered = asks_key(item), key_of(item)
        if asked is not None:
            open_requests[asked] = item
        elif answered is not None:
            open_requests.pop(answered, None)
    return open_requests
