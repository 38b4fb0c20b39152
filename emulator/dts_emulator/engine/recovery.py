"""The pending tasks of an instance: offered, orphaned, cancelled, and restored after a restart."""

from __future__ import annotations

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from dts_emulator.engine.effects import (
    CancelActivity,
    Effect,
    OfferActivity,
    OfferTurn,
    OrphanActivity,
    SetTimer,
)
from dts_emulator.engine.events import MILLISECOND, event, nanoseconds
from dts_emulator.engine.model import Activity, Instance, Timer


def activity_version(instance: Instance, scheduled: pb.TaskScheduledEvent) -> str:
    """Return the version that filters match: the activity's, else its orchestration's."""
    version = scheduled.version.value if scheduled.HasField("version") else instance.version
    return version or ""


def offer_activity(instance: Instance, asked: pb.HistoryEvent) -> OfferActivity:
    """Offer the activity that an event of the instance requests."""
    version = activity_version(instance, asked.taskScheduled)
    return OfferActivity(Activity(instance.instance_id, asked), version)


def timer_of(instance_id: str, timer_id: int, fire_at: Timestamp) -> Timer:
    """Return the timer that ends an orchestrator's wait until `fire_at`.

    It fires strictly after that time: SDKs that truncate times to milliseconds would otherwise
    consider it early and set another one.
    """
    due = nanoseconds(fire_at) + MILLISECOND
    fired = pb.TimerFiredEvent(fireAt=fire_at, timerId=timer_id)
    return Timer(due, instance_id, event(due, timerFired=fired))


def orphan_activities(instance: Instance) -> list[Effect]:
    """Let the open activities run although the instance no longer waits for them."""
    return [
        OrphanActivity(one, activity_version(instance, one.scheduled.taskScheduled))
        for one in _open_activities(instance)
    ]


def cancel_activities(instance: Instance) -> list[Effect]:
    """Cancel the open activities of an instance that is terminated."""
    return [CancelActivity(one) for one in _open_activities(instance)]


def _open_activities(instance: Instance) -> list[Activity]:
    return [
        Activity(instance.instance_id, asked)
        for asked in instance.pending_tasks.values()
        if asked.HasField("taskScheduled")
    ]


def effects_after_restart(instance: Instance) -> list[Effect]:
    """Return the effects that restore an instance's pending work after a restart."""
    effects: list[Effect] = []
    if instance.starts_at is not None:
        effects.append(SetTimer(Timer(instance.starts_at, instance.instance_id, instance.inbox[0])))
    elif not instance.has_ended and (instance.inbox or instance.rewind or instance.owes_turn):
        effects.append(OfferTurn(instance.instance_id))
    for asked in instance.pending_tasks.values():
        if asked.HasField("taskScheduled"):
            effects.append(offer_activity(instance, asked))
        elif asked.HasField("timerCreated"):
            fire_at = asked.timerCreated.fireAt
            effects.append(SetTimer(timer_of(instance.instance_id, asked.eventId, fire_at)))
    return effects
