"""Histories are read from every form of file that the dashboard and the SDK's export write."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from durabletask.extensions.history_export.models import ExportFormat, ExportFormatKind
from durabletask.extensions.history_export.serialization import serialize_history
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from dts_emulator.dashboard.sdk_history import public_event
from dts_emulator.engine.history_json import history_json, protocol_events, read_history

KINDS = [field.name for field in pb.HistoryEvent.DESCRIPTOR.oneofs_by_name["eventType"].fields]
MOMENT = Timestamp(seconds=1_800_000_000, nanos=123_456_000)


def filled(message: Any, depth: int = 3) -> Any:
    """Fill all fields of a message with values of the right type, as deep as it matters."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type is None:
            value: Any = {9: "text", 8: True}.get(field.type, 7)
            value = 1 if field.enum_type is not None else value
        elif field.message_type.GetOptions().map_entry:
            if field.name == "tags":
                getattr(message, field.name)["a key"] = "a value"
            continue
        elif field.message_type.full_name == Timestamp.DESCRIPTOR.full_name:
            getattr(message, field.name).CopyFrom(MOMENT)
            continue
        elif depth:
            if not field.is_repeated:
                filled(getattr(message, field.name), depth - 1)
            continue
        else:
            continue
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
    return message


def whole_event(kind: str) -> pb.HistoryEvent:
    event = pb.HistoryEvent(eventId=3, timestamp=MOMENT)
    body: Message = getattr(event, kind)
    body.SetInParent()
    filled(body)
    return event


EVENTS = [whole_event(kind) for kind in KINDS if kind != "historyState"]
EXPORTS = {
    kind: serialize_history(
        [public_event(event) for event in EVENTS], instance_id="id", fmt=ExportFormat(kind, "1.0")
    )
    for kind in ExportFormatKind
}
EXPORTS_UNPACKED = gzip.decompress(EXPORTS[ExportFormatKind.JSONL_GZIP])


def test_the_dashboards_form_is_read_as_it_was() -> None:
    assert read_history(history_json(EVENTS).encode()) == EVENTS
    assert read_history(gzip.compress(history_json(EVENTS).encode())) == EVENTS


@pytest.mark.parametrize(
    "content", [*EXPORTS.values(), EXPORTS_UNPACKED], ids=["json", "gzipped lines", "lines"]
)
def test_an_export_says_as_much_as_the_sdk_does(content: bytes) -> None:
    events = read_history(content)
    assert [public_event(event) for event in events] == [public_event(event) for event in EVENTS]


def test_events_of_a_client_are_those_of_the_protocol() -> None:
    public = [public_event(event) for event in EVENTS]
    assert [public_event(event) for event in protocol_events(public)] == public


def test_an_export_gives_its_instance_id_to_a_start_without_one() -> None:
    started = {"event_type": "ExecutionStartedEvent", "event_id": -1, "name": "o"}
    started["timestamp"] = "2026-01-01T00:00:00+00:00"
    document = {"schema_version": "1.0", "instance_id": "mine", "events": [started]}
    (event,) = read_history(json.dumps(document).encode())
    assert event.executionStarted.orchestrationInstance.instanceId == "mine"


EXPORTED = '{"schema_version": "1.0", "events": [%s]}'
WRONG = {
    "nothing": (b"", "Not a history in JSON"),
    "text": (b"hello", "Not a history in JSON"),
    "bytes": (b"\xff\xfe\x00", "not text"),
    "broken gzip": (b"\x1f\x8b\x08 and more", "not valid gzip"),
    "cut gzip": (EXPORTS[ExportFormatKind.JSONL_GZIP][:-20], "not valid gzip"),
    "a list": (b"[]", "expected a JSON object with 'events'"),
    "events that are none": (b'{"events": {}}', "'events' is not a list"),
    "an unknown event": (b'{"events": [{"unknown": {}}]}', "protocol's JSON form"),
    "an event without a kind": (b'{"events": [{"eventId": 1}]}', "has no type"),
    "an exported event without a kind": (EXPORTED.encode() % b"{}", "Not an exported history"),
    "an unknown exported event": (
        EXPORTED.encode() % b'{"event_type": "NewEvent", "event_id": 1, "timestamp": ""}',
        "Not an exported history",
    ),
    "nesting": (b"[" * 100_000, "nested too deeply"),
    "a year": (
        b'{"events": [{"timerFired": {"fireAt": "2026-13-01T00:00:00Z"}}]}',
        "protocol's JSON form",
    ),
}


@pytest.mark.parametrize(("content", "why"), WRONG.values(), ids=WRONG.keys())
def test_anything_else_is_refused_with_a_reason(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_history(content)
