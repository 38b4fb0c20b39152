"""Effects of a change to an instance or entity: on others, and on the task hub's work."""

from __future__ import annotations

from dataclasses import dataclass

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.model import Activity, Timer


@dataclass(frozen=True)
class OfferTurn:
    """Offer the instance's next turn to workers."""

    instance_id: str


@dataclass(frozen=True)
class CancelTurn:
    """Withdraw the instance's offered or leased turn."""

    instance_id: str


@dataclass(frozen=True)
class OfferBatch:
    """Offer the entity's next operations to workers."""

    entity_id: str


@dataclass(frozen=True)
class OfferActivity:
    """Offer an activity to workers; their filters match `version`."""

    activity: Activity
    version: str


@dataclass(frozen=True)
class OrphanActivity:
    """Let an offered activity run although no instance waits for it any more."""

    activity: Activity
    version: str


@dataclass(frozen=True)
class CancelActivity:
    """Withdraw an offered activity; ignore its result if it is already running."""

    activity: Activity


@dataclass(frozen=True)
class SetTimer:
    """Set a timer."""

    timer: Timer


@dataclass(frozen=True)
class CancelTimers:
    """Cancel all timers of the instance."""

    instance_id: str


@dataclass(frozen=True)
class DeliverEvent:
    """Deliver an event to an instance, if it exists.

    `key` names the task that it answers, None if it answers none; `sender` is the
    sub-orchestration that answers.
    """

    instance_id: str
    event: pb.HistoryEvent
    key: int | str | None = None
    sender: str = ""


@dataclass(frozen=True)
class Terminate:
    """Terminate an instance, if it exists and has not ended."""

    instance_id: str
    output: str | None
    recurse: bool


@dataclass(frozen=True)
class TerminateChildren:
    """Terminate all descendants of an instance."""

    parent_id: str
    output: str | None


@dataclass(frozen=True)
class StartChild:
    """Create a sub-orchestration for the parent's task `task_id`."""

    parent_id: str
    task_id: int
    started: pb.ExecutionStartedEvent


@dataclass(frozen=True)
class StartDetached:
    """Create an orchestration without a parent, if its ID is free."""

    started: pb.ExecutionStartedEvent
    scheduled_start: int | None


@dataclass(frozen=True)
class RewindChild:
    """After a rewind, run the sub-orchestration that `created` names, again if it failed."""

    parent_id: str
    created: pb.HistoryEvent
    reason: str


@dataclass(frozen=True)
class DeliverToEntity:
    """Queue an operation, or a lock request, for an entity."""

    entity_id: str
    event: pb.HistoryEvent


@dataclass(frozen=True)
class Unlock:
    """End a critical section: release its lock on the entity, or its request for it."""

    entity_id: str
    critical_section: str


@dataclass(frozen=True)
class NotifyWaiters:
    """Answer the clients whose condition the instance now meets."""

    instance_id: str


# Changes to other instances and entities, which may cause more; hub/delivery.py applies them.
StateEffect = (
    DeliverEvent
    | Terminate
    | TerminateChildren
    | StartChild
    | StartDetached
    | RewindChild
    | DeliverToEntity
    | Unlock
)

# Changes to work items, timers and waiting clients; TaskHub.apply applies them.
HubEffect = (
    OfferTurn
    | CancelTurn
    | OfferBatch
    | OfferActivity
    | OrphanActivity
    | CancelActivity
    | SetTimer
    | CancelTimers
    | NotifyWaiters
)

Effect = StateEffect | HubEffect
