"""History events: creation, and the values that they carry."""

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

# The last second of a valid Timestamp: the end of the year 9999.
# https://protobuf.dev/reference/protobuf/google.protobuf/#timestamp
LAST_SECOND = 253_402_300_799

# Protobuf rejects messages nested more than 100 levels deep, and an event is part of a work item.
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
        InvalidError: it is invalid (years 1 to 9999 are allowed).
    """
    if not message.HasField(field):
        return None
    value: Timestamp = getattr(message, field)
    _check_time(value, field)
    return nanoseconds(value)


def check_readable(message: Message, room: int = MAX_DEPTH) -> None:
    """Reject a worker's message that no reader could process.

    Raises:
        InvalidError: it contains an invalid timestamp at any depth, or is nested too deeply.
    """
    if not room:
        raise InvalidError(f"A message is nested more than {MAX_DEPTH} levels deep.")
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
    """Return optional text as a protobuf wrapper."""
    return None if value is None else StringValue(value=value)


def optional_string(message: Message, field: str) -> str | None:
    """Return an optional text field of a message."""
    value: str | None = getattr(message, field).value if message.HasField(field) else None
    return value


def event(now: int, event_id: int = -1, **kind: Any) -> pb.HistoryEvent:
    """Return a history event of `now`; `kind` is its one field, e.g. timerFired=..."""
    return pb.HistoryEvent(eventId=event_id, timestamp=timestamp(now), **kind)


def copy_fields(source: Message, target: Message, *names: str) -> None:
    """Copy the named message fields that are set."""
    for name in names:
        if source.HasField(name):
            getattr(target, name).CopyFrom(getattr(source, name))


def event_type(item: pb.HistoryEvent) -> str:
    """Return the name of the field that holds the event's body, '' if there is none."""
    return item.WhichOneof("eventType") or ""


def execution_started(events: Iterable[pb.HistoryEvent]) -> pb.ExecutionStartedEvent:
    """Return the start of the execution to which `events` belong.

    Raises:
        InvalidError: it is missing, which makes a history invalid.
    """
    for item in events:
        if item.HasField("executionStarted"):
            return item.executionStarted
    raise InvalidError("The history has no ExecutionStarted event.")


# The field of an answer that identifies its request.
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
    """Return the key of the request that an event answers, None if it answers none."""
    kind = event_type(item)
    key: int | str | None = getattr(getattr(item, kind), _KEYS[kind]) if kind in _KEYS else None
    return key


def is_task_result(item: pb.HistoryEvent) -> bool:
    """Return whether an event reports an activity's success or failure."""
    return item.HasField("taskCompleted") or item.HasField("taskFailed")


def asks_key(item: pb.HistoryEvent) -> int | str | None:
    """Return the key that the answer to an event will carry, None if there is no answer."""
    match event_type(item):
        case "taskScheduled" | "timerCreated" | "subOrchestrationInstanceCreated":
            return item.eventId
        case "entityOperationCalled":
            return item.entityOperationCalled.requestId
        case "entityLockRequested":
            return item.entityLockRequested.criticalSectionId
    return None


def unanswered(events: Iterable[pb.HistoryEvent]) -> dict[int | str, pb.HistoryEvent]:
    """Return the requests among `events` that have no answer among them, by key."""
    open_requests: dict[int | str, pb.HistoryEvent] = {}
    for item in events:
        asked, answered = asks_key(item), key_of(item)
        if asked is not None:
            open_requests[asked] = item
        elif answered is not None:
            open_requests.pop(answered, None)
    return open_requests
