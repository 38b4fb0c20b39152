"""Histories as files: in the protocol's own JSON form, or as the SDK's history export writes them.

The protocol's form is one HistoryChunk. The export (durabletask.extensions.history_export) is one
JSON document, or JSON lines in gzip: a first line about the instance, then one for each event.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from durabletask.history import HistoryEvent
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.json_format import MessageToJson, ParseDict, ParseError

from dts_emulator.engine.errors import InvalidError
from dts_emulator.engine.events import check_readable, event_type

# The maximum size, after decompression.
MAX_BYTES = 256 * 1024 * 1024

_GZIP = b"\x1f\x8b"

# Fields whose protocol name is not the export's name in camelCase.
_NAMES = {
    "span_id": "spanID",
    "orchestration_span_id": "orchestrationSpanID",
    "message": "errorMessage",
}


def history_json(events: Iterable[pb.HistoryEvent]) -> str:
    """Return history events in the protocol's JSON form."""
    return MessageToJson(pb.HistoryChunk(events=events))


def read_history(content: bytes) -> list[pb.HistoryEvent]:
    """Return the events of a history file of any of the known forms.

    Raises:
        ValueError: the content is not a history.
    """
    text = _text(content)
    try:
        document = _document(text)
    except RecursionError:
        raise ValueError("Not a history: nested too deeply.") from None
    if not isinstance(document, dict):
        raise ValueError("Not a history: expected a JSON object with 'events'.")
    events = document.get("events", [])
    if not isinstance(events, list):
        raise ValueError("Not a history: 'events' is not a list.")
    if "schema_version" in document:
        return _exported(events, document.get("instance_id"))
    return _parsed(document)


def protocol_events(events: Sequence[HistoryEvent]) -> list[pb.HistoryEvent]:
    """Return history events of the SDK's public classes, as a client returns them.

    Raises:
        ValueError: one of them is of an unknown class.
    """
    return _exported([{"event_type": type(e).__name__, **e.to_dict()} for e in events], None)


def _text(content: bytes) -> str:
    try:
        if content.startswith(_GZIP):
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"The file has more than {MAX_BYTES:,} bytes.")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("The file is not text.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"The file is not valid gzip: {error}.") from None


def _document(text: str) -> Any:
    """Return a file's JSON document; JSON lines become one."""
    head, _, rest = text.partition("\n")
    try:
        first = json.loads(head)
    except ValueError:
        first = None
    try:
        if isinstance(first, dict) and first.get("kind") == "metadata":
            return {**first, "events": [json.loads(line) for line in rest.splitlines() if line]}
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"Not a history in JSON: {error}") from None


def _parsed(document: dict[str, Any]) -> list[pb.HistoryEvent]:
    try:
        events = ParseDict(document, pb.HistoryChunk()).events
    except (ParseError, AttributeError, RecursionError) as error:
        raise ValueError(f"Not a history in the protocol's JSON form: {error}") from None
    return [_checked(event) for event in events]


def _exported(events: list[Any], instance_id: object) -> list[pb.HistoryEvent]:
    try:
        found = [_exported_event(event) for event in events]
    except (ParseError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"Not an exported history: {type(error).__name__}: {error}") from None
    for event in found:
        started = event.executionStarted
        if event.HasField("executionStarted") and not started.orchestrationInstance.instanceId:
            started.orchestrationInstance.instanceId = str(instance_id or "")
    return found


def _exported_event(values: dict[str, Any]) -> pb.HistoryEvent:
    kind = values["event_type"].removesuffix("Event")
    body = {name: value for name, value in values.items() if name not in _HEAD}
    message = {
        "eventId": values["event_id"],
        "timestamp": values["timestamp"],
        # GenericEvent is the only one whose field keeps the suffix.
        {"Generic": "genericEvent"}.get(kind, f"{kind[0].lower()}{kind[1:]}"): _protocol(body),
    }
    return _checked(ParseDict(message, pb.HistoryEvent()))


_HEAD = ("event_type", "event_id", "timestamp")

# Objects with keys of the user, or already of the protocol.
_AS_IS = ("tags", "properties", "orchestration_state")


def _protocol(values: dict[str, Any]) -> dict[str, Any]:
    """Return an object of an export as the protocol's JSON form has it."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if value is None:
            continue
        if isinstance(value, dict) and name not in _AS_IS:
            value = _protocol(value)
        found[_NAMES.get(name) or re.sub("_(.)", lambda hit: hit[1].upper(), name)] = value
    return found


def _checked(event: pb.HistoryEvent) -> pb.HistoryEvent:
    if not event_type(event):
        raise ValueError("An event of this history has no type.")
    try:
        check_readable(event)
    except InvalidError as error:
        raise ValueError(f"An event of this history is invalid: {error}") from None
    return event
