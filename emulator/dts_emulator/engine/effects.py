"""What has to happen elsewhere because an instance or an entity has changed."""

from __future__ import annotations

from dataclasses import dataclass

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.model import Activity, Timer


@dataclass(frozen=True)
class OfferTurn:
    """The instance has something to give to a worker."""

    instance_id: str


@dataclass(frozen=True)
class CancelTurn:
    """What was offered to workers for this instance counts no longer."""

    instance_id: str


@dataclass(frozen=True)
class OfferBatch:
    """The entity has operations to give to a worker."""

    entity_id: str


@dataclass(frozen=True)
class OfferActivity:
    """An activity is to be offered to workers, with `version` as its filters see it."""

    activity: Activity
    version: str


@dataclass(frozen=True)
class OrphanActivity:
    """An activity that has been offered is waited for no longer, and runs all the same."""

    activity: Activity
    version: str


@dataclass(frozen=True)
class CancelActivity:
    """An activity that has been offered need not run; what a worker makes of it counts no more."""

    activity: Activity


@dataclass(frozen=True)
class SetTimer:
    """Something happens later."""

    timer: Timer


@dataclass(frozen=True)
class CancelTimers:
    """The timers of this instance count no longer."""

    instance_id: str


@dataclass(frozen=True)
class DeliverEvent:
    """An event for an instance, if it exists.

    `key` names what it answers, None for news; `sender` the sub-orchestration that answers.
    """

    instance_id: str
    event: pb.HistoryEvent
    key: int | str | None = None
    sender: str = ""


@dataclass(frozen=True)
class Terminate:
    """An instance is to be terminated, if it exists and has not ended."""

    instance_id: str
    output: str | None
    recurse: bool


@dataclass(frozen=True)
class TerminateChildren:
    """All sub-orchestrations of an instance are to be terminated, and theirs."""

    parent_id: str
    output: str | None


@dataclass(frozen=True)
class StartChild:
    """A sub-orchestration is to be created for the parent's task `task_id`."""

    parent_id: str
    task_id: int
    started: pb.ExecutionStartedEvent


@dataclass(frozen=True)
class StartDetached:
    """An orchestration that nobody waits for is to be created, if its ID is free."""

    started: pb.ExecutionStartedEvent
    scheduled_start: int | None


@dataclass(frozen=True)
class RewindChild:
    """After a rewind, the sub-orchestration that `created` names is to run, again if it failed."""

    parent_id: str
    created: pb.HistoryEvent
    reason: str


@dataclass(frozen=True)
class DeliverToEntity:
    """An operation, or a request for the lock, is to be queued for an entity."""

    entity_id: str
    event: pb.HistoryEvent


@dataclass(frozen=True)
class Unlock:
    """A critical section has ended: the entity is no longer locked by it, nor wanted by it."""

    entity_id: str
    critical_section: str


@dataclass(frozen=True)
class NotifyWaiters:
    """Clients that wait for the instance may have waited long enough."""

    instance_id: str


# Delivered to another instance or entity, which may cause more.
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

# Work of the task hub: for workers, timers and waiting clients.
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
