"""Instances and entities to be kept, and all that can be compared of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.message import Message

from dts_emulator.engine.events import event
from dts_emulator.engine.model import Entity, Instance
from dts_emulator.store import Store

TIME = 1_700_000_000_000_000_000

Reopen = Callable[[], Store]


def named(text: str) -> pb.HistoryEvent:
    """Return an event that can be told from others."""
    return event(TIME, eventRaised=pb.EventRaisedEvent(name=text))


def asked(number: int) -> pb.HistoryEvent:
    """Return the event that asks for an activity."""
    return event(TIME, number, taskScheduled=pb.TaskScheduledEvent(name="a"))


def names(events: list[pb.HistoryEvent]) -> list[str]:
    return [item.eventRaised.name for item in events]


def instance(instance_id: str = "i", **values: Any) -> Instance:
    """Return an instance that runs."""
    values.setdefault("name", "orchestrator")
    values.setdefault("created_at", TIME)
    values.setdefault("status", pb.ORCHESTRATION_STATUS_RUNNING)
    return Instance(
        instance_id=instance_id, execution_id=f"{instance_id}-1", updated_at=TIME + 1, **values
    )


def ended(instance_id: str = "i", **values: Any) -> Instance:
    """Return an instance that has completed."""
    values.setdefault("completed_at", TIME + 5)
    values.setdefault("status", pb.ORCHESTRATION_STATUS_COMPLETED)
    return instance(instance_id, **values)


def contents(item: Instance | Entity) -> dict[str, Any]:
    """Return all of an instance or entity in a form that can be compared.

    What a worker has is owed to another one once the emulator has ended. An instance to which
    something has come is owed a turn in any case.
    """
    values = {field.name: comparable(getattr(item, field.name)) for field in fields(item)}
    if isinstance(item, Entity):
        values["queue"] = values.pop("batch") + values["queue"]
    else:
        is_owed = item.owes_turn or item.turn is not None
        del values["turn"]
        values["owes_turn"] = is_owed and not item.inbox and item.rewind is None
    return values


def comparable(value: Any) -> Any:
    match value:
        case Message():
            return value.SerializeToString(deterministic=True)
        case list():
            return [comparable(one) for one in value]
        case dict():
            return {key: comparable(one) for key, one in value.items()}
    return value


def ids(found: list[Instance]) -> list[str]:
    return [one.instance_id for one in found]
