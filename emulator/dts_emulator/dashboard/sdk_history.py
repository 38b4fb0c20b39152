"""The protocol's history events as the SDK's public classes, for the dashboard."""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields
from datetime import datetime, timezone
from typing import Any

from durabletask import history
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.task import FailureDetails
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import StringValue

from dts_emulator.dashboard.models import ORCHESTRATION_STATUSES
from dts_emulator.engine.events import event_type

_BASE = {"event_id", "timestamp"}

# Fields whose protocol name is not the SDK's name in camelCase.
_NAMES = {"span_id": "spanID", "orchestration_span_id": "orchestrationSpanID"}

_CLASSES: dict[str, Any] = {
    "parentInstance": history.ParentInstanceInfo,
    "orchestrationInstance": history.OrchestrationInstance,
    "parentTraceContext": history.TraceContext,
}


def public_event(event: pb.HistoryEvent) -> history.HistoryEvent:
    """Return a history event as the SDK's public class of it."""
    kind = event_type(event)
    # genericEvent is the only type whose name already has the suffix.
    name = f"{kind[0].upper()}{kind[1:]}".removesuffix("Event")
    public: Any = getattr(history, f"{name}Event")
    made: history.HistoryEvent = public(
        event_id=event.eventId,
        timestamp=_utc(event.timestamp),
        **_values(getattr(event, kind), public, _BASE),
    )
    return made


def type_name(event: history.HistoryEvent) -> str:
    """Name an event as the Durable Task protocol does: TaskScheduled."""
    return type(event).__name__.removesuffix("Event")


def event_fields(event: history.HistoryEvent) -> dict[str, str]:
    """Return the set fields of an event as text, without its time."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in named_status(event.to_dict()).items()
        if value is not None and name != "timestamp" and (name, value) != ("event_id", -1)
    }


def named_status(fields: dict[str, Any]) -> dict[str, Any]:
    """Replace the protocol's status numbers by names."""
    return {
        name: ORCHESTRATION_STATUSES.get(value, value) if name == "orchestration_status" else value
        for name, value in fields.items()
    }


def failure_of(failure: pb.TaskFailureDetails | None) -> FailureDetails | None:
    """Return failure details as the SDK's public class, with their chain of causes."""
    if failure is None:
        return None
    chain = [failure]
    while chain[-1].HasField("innerFailure"):
        chain.append(chain[-1].innerFailure)
    made: FailureDetails | None = None
    for one in reversed(chain):
        trace = one.stackTrace.value if one.HasField("stackTrace") else None
        properties = {name: _property(value) for name, value in one.properties.items()}
        made = FailureDetails(one.errorMessage, one.errorType, trace, made, properties or None)
    return made


def _property(value: Value) -> Any:
    """Return a property of an error as a plain value that JSON can express."""
    match value.WhichOneof("kind"):
        case "struct_value":
            return {name: _property(part) for name, part in value.struct_value.fields.items()}
        case "list_value":
            return [_property(part) for part in value.list_value.values]
        case "number_value":
            number = value.number_value
            whole = math.isfinite(number) and number.is_integer()
            return int(number) if whole else number if math.isfinite(number) else str(number)
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
    return None


def _values(message: Message, kind: type[Any], without: set[str]) -> dict[str, Any]:
    """Return the values of a dataclass's fields from the corresponding message."""
    return {
        field.name: _value(message, _protocol_name(field.name))
        for field in fields(kind)
        if field.name not in without
    }


def _protocol_name(name: str) -> str:
    return _NAMES.get(name) or re.sub("_(.)", lambda found: found[1].upper(), name)


def _value(message: Message, name: str) -> Any:
    field = message.DESCRIPTOR.fields_by_name[name]
    value = getattr(message, name)
    if field.is_repeated:
        entries = field.message_type is not None and field.message_type.GetOptions().map_entry
        return (dict(value) or None) if entries else list(value)
    if field.message_type is None:
        return value
    if not message.HasField(name):
        return None
    match value:
        case StringValue():
            return value.value
        case Timestamp():
            return _utc(value)
        case pb.TaskFailureDetails():
            return failure_of(value)
    kind = _CLASSES.get(name)
    return kind(**_values(value, kind, set())) if kind is not None else MessageToDict(value)


def _utc(time: Timestamp) -> datetime:
    return time.ToDatetime(tzinfo=timezone.utc)
