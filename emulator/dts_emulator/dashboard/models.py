"""What the dashboard may see and do of a task hub: plain values, no protobuf, no locks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Protocol

from durabletask.history import ExecutionStartedEvent, HistoryEvent
from durabletask.task import FailureDetails

from dts_emulator.engine.model import StepCounts
from dts_emulator.engine.tags import display_name, listed_tags

STATUSES = ("PENDING", "RUNNING", "SUSPENDED", "COMPLETED", "FAILED", "TERMINATED")
"""Every status an orchestration instance can have, in the order of its life."""

ORCHESTRATION_STATUSES = {
    0: "RUNNING",
    1: "COMPLETED",
    2: "CONTINUED_AS_NEW",
    3: "FAILED",
    4: "CANCELED",
    5: "TERMINATED",
    6: "PENDING",
    7: "SUSPENDED",
}
"""The statuses by the numbers that the protocol gives them (enum OrchestrationStatus)."""

ENDED = frozenset({"COMPLETED", "FAILED", "TERMINATED"})
ACTIVE = frozenset(STATUSES) - ENDED

ALLOWED: Mapping[str, frozenset[str]] = {
    "suspend": frozenset({"PENDING", "RUNNING"}),
    "resume": frozenset({"SUSPENDED"}),
    "terminate": ACTIVE,
    "raise_event": ACTIVE,
    "rewind": frozenset({"FAILED"}),
    "restart": ENDED,
    "purge": ENDED,
}
"""Each action on an instance, with the statuses in which it can be done."""

# Version, trace ID, span ID and flags: https://www.w3.org/TR/trace-context/#traceparent-header
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def datetime_of(time: int) -> datetime:
    """Return a time in nanoseconds since 1970 as the dashboard shows times."""
    seconds, rest = divmod(time, 1_000_000_000)
    return datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=rest // 1000)


class ActionRefusedError(Exception):
    """An action cannot be done now; the message says why, in words for the user."""


@dataclass(frozen=True)
class InstanceQuery:
    """Which instances a list shows; every limit that is set must hold.

    `search` is a part of the ID or of the orchestrator's name, in any case. `tag` is the key or
    the value of a tag, or key=value. Instances were created from `created_from` to just before
    `created_to`.
    """

    status: str | None = None
    search: str = ""
    tag: str = ""
    created_from: datetime | None = None
    created_to: datetime | None = None
    top_level: bool = True


@dataclass(frozen=True)
class InstanceView:
    """One row of the list of orchestration instances. Times are in UTC and aware of it.

    `children` is how many sub-orchestrations it has; `progress` counts its steps and theirs.
    `problem` says why it cannot be read, where the state file is damaged.
    `scheduled_start` is set if its client has asked for a later start.
    """

    instance_id: str
    name: str
    status: str
    created_at: datetime
    last_updated_at: datetime
    completed_at: datetime | None
    version: str | None
    parent_id: str | None
    tags: Mapping[str, str] = field(default_factory=dict)
    children: int = 0
    progress: StepCounts | None = None
    problem: str | None = None
    scheduled_start: datetime | None = None

    @property
    def shown_name(self) -> str:
        """The display name that its tags give it, or else the orchestrator's name."""
        return display_name(self.tags, self.name)

    @property
    def shown_tags(self) -> Mapping[str, str]:
        """Its tags without those of the platform."""
        return listed_tags(self.tags)


@dataclass(frozen=True)
class ChildView:
    """A sub-orchestration as its parent's page shows it; `started_at`: of its first turn."""

    instance_id: str
    status: str
    started_at: datetime | None
    progress: StepCounts


@dataclass(frozen=True)
class InstanceDetail:
    """Everything about one instance. Input, output and custom status are JSON text.

    `arrived` are the events that no turn has delivered, also those that came after a failure.
    `dispatch_times` holds for each activity (its number, when it was scheduled) when it was first
    and last sent to a worker; None where that is unknown, as in a history from a file.
    `has_no_pending_task`: it runs, but nothing is to come of it by itself.
    """

    instance: InstanceView
    input: str | None
    output: str | None
    custom_status: str | None
    failure: FailureDetails | None
    history: Sequence[HistoryEvent]
    arrived: Sequence[HistoryEvent] = ()
    dispatch_times: Mapping[tuple[int, datetime], tuple[datetime, datetime]] | None = None
    children: Mapping[str, ChildView] = field(default_factory=dict)
    has_no_pending_task: bool = False

    @property
    def trace_id(self) -> str | None:
        """The trace that the instance belongs to, None where its client does not trace."""
        started = next((e for e in self.history if isinstance(e, ExecutionStartedEvent)), None)
        if started is None or started.parent_trace_context is None:
            return None
        found = _TRACE_PARENT.match(started.parent_trace_context.trace_parent)
        return found[1] if found else None


@dataclass(frozen=True)
class EntityView:
    """An entity: `waiting` are the operations that wait, `running` those that a worker has."""

    entity_id: str
    name: str
    key: str
    updated_at: datetime
    locked_by: str | None
    state: str | None
    waiting: Sequence[str]
    running: Sequence[str]


@dataclass(frozen=True)
class HeldView:
    """What a worker does of one kind: how many it holds, may hold (None: any), and has done."""

    kind: str
    accepts: Sequence[str] | None
    held: int
    limit: int | None
    completed: int


@dataclass(frozen=True)
class WorkerView:
    """A worker's stream; `silent_since`: since when it owes an answer, or has had nothing to do."""

    number: int
    peer: str
    connected_at: datetime
    silent_since: datetime
    per_second: float
    kinds: Sequence[HeldView]
    is_stuck: bool

    @property
    def is_busy(self) -> bool:
        """Whether it holds any work item."""
        return any(kind.held for kind in self.kinds)


@dataclass(frozen=True)
class WaitingView:
    """Work items of one name that no worker has taken; `accepted`: a connected one would."""

    kind: str
    name: str
    version: str
    count: int
    since: datetime
    accepted: bool


@dataclass(frozen=True)
class Start:
    """An orchestration that is to be started; `input` is JSON text, empty for none.

    Without `start_at` it starts as soon as a worker takes it.
    """

    name: str
    input: str = ""
    instance_id: str = ""
    version: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    start_at: datetime | None = None


class HubView(Protocol):
    """A task hub as the dashboard sees it. Every method may be called from any thread.

    Actions on an unknown instance or entity raise KeyError; one that cannot be done raises
    ActionRefusedError.
    """

    @property
    def name(self) -> str:
        """The task hub's name."""

    def worker_count(self) -> int:
        """How many workers are connected now."""

    def waiting_work_items(self) -> int:
        """How many work items no worker has taken yet."""

    def workers(self) -> list[WorkerView]:
        """Return the workers that are connected, the oldest first."""

    def waiting(self) -> list[WaitingView]:
        """Return the work items that wait for a worker, by kind and name."""

    def count_by_status(self, wanted: InstanceQuery) -> dict[str, int]:
        """How many of the wanted instances have each status, whatever status is wanted."""

    def instances(
        self, wanted: InstanceQuery, *, offset: int = 0, limit: int = 50
    ) -> tuple[list[InstanceView], int]:
        """Return a page of instances, newest first, and how many match in all."""

    def instance(self, instance_id: str) -> InstanceDetail | None:
        """One instance with its history, or None when there is none with this ID."""

    def history_file(self, instance_id: str) -> str:
        """Return an instance's history as the protocol has it in JSON."""

    def entities(self, search: str, after: str, limit: int) -> list[EntityView]:
        """Return entities by ID, those after `after` whose ID begins with `search`."""

    def entity(self, entity_id: str) -> EntityView | None:
        """One entity, or None when nothing is kept of it."""

    def start(self, start: Start) -> str:
        """Start an orchestration; return its instance's ID."""

    def suspend(self, instance_id: str, reason: str) -> None:
        """Suspend a running instance."""

    def resume(self, instance_id: str, reason: str) -> None:
        """Resume a suspended instance."""

    def terminate(self, instance_id: str, reason: str) -> None:
        """Terminate an instance that has not ended, and its sub-orchestrations."""

    def rewind(self, instance_id: str, reason: str) -> None:
        """Run the failed steps of a failed instance again."""

    def restart(self, instance_id: str) -> str:
        """Run an ended instance again under a new ID, with the same input; return that ID."""

    def purge(self, instance_id: str) -> None:
        """Forget an ended instance and its sub-orchestrations."""

    def purge_all(self, wanted: InstanceQuery) -> int:
        """Forget the wanted instances that have ended, and their sub-orchestrations; count them."""

    def raise_event(self, instance_id: str, name: str, data: str) -> None:
        """Send an external event; `data` is JSON text, empty for none."""

    def signal(self, entity_id: str, operation: str, data: str) -> None:
        """Signal an operation to an entity; `data` is JSON text, empty for none."""
