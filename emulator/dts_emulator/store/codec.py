"""Converts instances and entities to rows of a state file, and back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import IntEnum
from itertools import chain
from struct import iter_unpack, pack
from types import NoneType
from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.message import Message

from dts_emulator.engine.model import ENDED, Entity, Instance, StepCounts, Summary
from dts_emulator.store import search_text

# An activity's number, when it was scheduled, and when it was first and last sent to a worker.
Dispatch = tuple[int, int, int, int]

INSTANCE_COLUMNS = (
    "number", "hub", "id", "status", "created_at", "updated_at", "completed_at", "name", "search",
    "version", "parent_id", "parent_task", "execution_id", "scheduled_start", "starts_at",
    "custom_status", "tags", "failure", "trace", "rewind", "is_due", "is_active", "history_from",
    "inbox_from", "summary",
)  # fmt: skip
ENTITY_COLUMNS = (
    "number", "hub", "id", "updated_at", "locked_by", "critical_section", "is_active",
    "queue_from", "state",
)  # fmt: skip
PART_COLUMNS = ("owner", "kind", "until", "body")

# The types of an instance's columns; an empty value of the last one replaces a damaged value.
_PLAIN_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("status", "created_at", "updated_at", "parent_task"), (int,)),
    **dict.fromkeys(("name", "execution_id"), (str,)),
    **dict.fromkeys(("version", "parent_id", "custom_status"), (str, NoneType)),
    **dict.fromkeys(("scheduled_start", "starts_at"), (int, NoneType)),
    "completed_at": (NoneType, int),
}


class Part(IntEnum):
    """The kind of content in a row of `parts`."""

    HISTORY = 0
    INBOX = 1
    QUEUE = 2
    DISPATCH_TIMES = 3
    INPUT = 4
    OUTPUT = 5


def is_active(item: Instance | Entity) -> bool:
    """Return whether something is still to come of an instance or entity."""
    if isinstance(item, Instance):
        return not item.has_ended or bool(item.pending_tasks)
    return bool(item.queue or item.batch)


def instance_row(instance: Instance, number: int, hub: int, trails: tuple[int, int]) -> list[Any]:
    """Return the values of INSTANCE_COLUMNS, messages not yet serialised."""
    return [
        number, hub, instance.instance_id, int(instance.status), instance.created_at,
        instance.updated_at, instance.completed_at, instance.name, "", instance.version,
        instance.parent_id, instance.parent_task, instance.execution_id,
        stored_time(instance.scheduled_start), stored_time(instance.starts_at),
        instance.custom_status, instance.tags,
        instance.failure, instance.trace, instance.rewind,
        # After a restart, a leased turn is offered again.
        int(instance.owes_turn or instance.turn is not None), int(is_active(instance)), *trails,
        instance.summary,
    ]  # fmt: skip


def entity_row(entity: Entity, number: int, hub: int, queue_from: int) -> list[Any]:
    """Return the values of ENTITY_COLUMNS."""
    return [
        number, hub, entity.entity_id, entity.updated_at, entity.locked_by,
        entity.critical_section, int(is_active(entity)), queue_from, entity.state,
    ]  # fmt: skip


def finished_row(row: list[Any]) -> list[Any]:
    """Serialise the values of an instance's row. Called without the task hub's lock."""
    tags = row[INSTANCE_COLUMNS.index("tags")]
    row[INSTANCE_COLUMNS.index("search")] = search_text(row[2], row[7], tags)
    return [_value(value) for value in row]


def _value(value: Any) -> Any:
    if isinstance(value, Message):
        return value.SerializeToString()
    if isinstance(value, Summary):
        # The file format's keys are older than the fields' names.
        return json.dumps({"tally": vars(value.counts), "first_turn_at": value.first_turn_at})
    return json.dumps(value) if isinstance(value, dict) else value


def body_of(kind: Part, content: Any) -> bytes:
    """Return the bytes of a part: events, dispatch times or text."""
    if kind in (Part.INPUT, Part.OUTPUT):
        return str(content).encode()
    if kind is Part.DISPATCH_TIMES:
        return pack(f"<{4 * len(content)}q", *chain.from_iterable(map(_stored_dispatch, content)))
    return pb.HistoryChunk(events=content).SerializeToString()


def events_of(chunks: Iterable[tuple[int, bytes]], first: int) -> list[pb.HistoryEvent]:
    """Return the events of chunks, each with the number after its last; none below `first`."""
    events: list[pb.HistoryEvent] = []
    for until, body in chunks:
        chunk = pb.HistoryChunk.FromString(body).events
        events += chunk[max(0, first - (until - len(chunk))) :]
    return events


def dispatch_times_of(bodies: Iterable[bytes]) -> dict[tuple[int, int], tuple[int, int]]:
    """Return the dispatch times in parts; later ones replace earlier ones."""
    times: dict[tuple[int, int], tuple[int, int]] = {}
    for body in bodies:
        for values in iter_unpack("<4q", body):
            task, scheduled, first, last = _dispatch_of_stored(*values)
            times.pop((task, scheduled), None)  # The latest entry comes last.
            times[task, scheduled] = first, last
    return times


def _stored_dispatch(times: Dispatch) -> Dispatch:
    """Return four 64-bit numbers; excess bits of a time lie above the task's 32 bits."""
    task, scheduled, first, last = times
    beyond, time = _split(scheduled, 64)
    return (beyond << 32) + task, time, first, last


def _dispatch_of_stored(task: int, scheduled: int, first: int, last: int) -> Dispatch:
    beyond, task = _split(task, 32)
    return task, (beyond << 64) + scheduled, first, last


def _split(number: int, bits: int) -> tuple[int, int]:
    """Return a number as a multiple of 2**bits, and a signed number of `bits` bits to be added."""
    beyond = (number + (1 << (bits - 1))) >> bits
    return beyond, number - (beyond << bits)


def stored_time(time: int | None) -> int | bytes | None:
    """Return a time for SQLite, as bytes if it exceeds 64 bits.

    Bytes do not compare with numbers: this is for times that no query uses.
    """
    if time is None or within_64_bits(time) == time:
        return time
    return time.to_bytes(16, "big", signed=True)


def time_of_stored(value: int | bytes | None) -> int | None:
    """Return the time of a value of `stored_time`."""
    return int.from_bytes(value, "big", signed=True) if isinstance(value, bytes) else value


def within_64_bits(time: int) -> int:
    """Return the nearest 64-bit time: queries compare only times within that range."""
    return max(-(2**63), min(time, 2**63 - 1))


def event_of(body: bytes) -> pb.HistoryEvent:
    """Return one event."""
    return pb.HistoryEvent.FromString(body)


def instance_values(row: Sequence[Any]) -> dict[str, Any]:
    """Return the fields of an instance that INSTANCE_COLUMNS hold."""
    values = _plain_values(row)
    values["tags"] = _tags_of(values["tags"])
    for name, message in (
        ("failure", pb.TaskFailureDetails),
        ("trace", pb.OrchestrationTraceContext),
        ("rewind", pb.HistoryEvent),
    ):
        if values[name] is not None:
            values[name] = message.FromString(values[name])
    if values["summary"] is not None:
        values["summary"] = _summary_of(values["summary"])
    return values


def damaged_values(row: Sequence[Any], problem: str) -> dict[str, Any]:
    """Return the fields of an ended instance whose row contains unreadable values."""
    values = _fields_of(row)
    for name, types in _PLAIN_TYPES.items():
        if not isinstance(values[name], types):
            values[name] = types[-1]()
    if values["status"] not in ENDED:
        values["status"] = pb.ORCHESTRATION_STATUS_FAILED
    unreadable = dict.fromkeys(("failure", "trace", "rewind", "summary"))
    return {**values, **unreadable, "tags": {}, "problem": problem}


def readable_status(value: Any) -> int:
    """Return a status from the file; a damaged one counts as failed."""
    known = pb.OrchestrationStatus.values()
    return int(value) if value in known else pb.ORCHESTRATION_STATUS_FAILED


def _plain_values(row: Sequence[Any]) -> dict[str, Any]:
    values = _fields_of(row)
    for name, types in _PLAIN_TYPES.items():
        if not isinstance(values[name], types):
            raise TypeError(f"'{name}' is {values[name]!r}")
    if values["status"] not in pb.OrchestrationStatus.values():
        raise ValueError(f"'status' is {values['status']}")
    return values


def _fields_of(row: Sequence[Any]) -> dict[str, Any]:
    values = dict(zip(INSTANCE_COLUMNS, row, strict=True))
    for name in ("number", "hub", "search", "is_active", "history_from", "inbox_from"):
        del values[name]
    values["instance_id"] = values.pop("id")
    values["owes_turn"] = bool(values.pop("is_due"))
    for name in ("scheduled_start", "starts_at"):
        values[name] = time_of_stored(values[name])
    return values


def _tags_of(text: str) -> dict[str, str]:
    tags = json.loads(text)
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise TypeError(f"'tags' is {text!r}")
    return tags


def _summary_of(text: str) -> Summary:
    values = json.loads(text)
    counts = values["tally"]
    for name in ("asked", "done", "failed"):
        counts[name] = Counter(counts[name])
    return Summary(StepCounts(**counts), values["first_turn_at"])
