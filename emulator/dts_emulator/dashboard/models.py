"""The dashboard's view of a task hub: plain values without protobuf and locks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

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
    """An action is rejected; the message tells the user why."""


@dataclass(frozen=True)
class InstanceQuery:
    """Selects the instances of a list; all conditions that are set must hold.

    `search` is a part of the ID or the name, case-insensitive. `tag` is the key or
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
    """One row of the list of orchestration instances. Times are in UTC, with a time zone.

    `children` is how many sub-orchestrations it has; `progress` counts its steps and theirs.
    `problem` says why it is unreadable, if the state file is damaged.
    `scheduled_start` is set if its client has scheduled it.
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
        """The display name in its tags, else the orchestrator's name."""
        return display_name(self.tags, self.name)

    @property
    def shown_tags(self) -> Mapping[str, str]:
        """Its tags without the platform's own."""
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
    `has_no_pending_task`: it runs, but only an external event can wake it.
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
        """The ID of the instance's trace, None if its client does not trace."""
        started = next((e for e in self.history if isinstance(e, ExecutionStartedEvent)), None)
        if started is None or started.parent_trace_context is None:
            return None
        found = _TRACE_PARENT.match(started.parent_trace_context.trace_parent)
        return found[1] if found else None


@dataclass(frozen=True)
class EntityView:
    """An entity: `waiting` are its queued operations, `running` those with a worker."""

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
    """A worker's work items of one kind: held, maximum (None: unlimited), and completed."""

    kind: str
    accepts: Sequence[str] | None
    held: int
    limit: int | None
    completed: int


@dataclass(frozen=True)
class WorkerView:
    """A worker's stream; `silent_since`: its last completion, or when it became idle or busy."""

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
    """Queued work items of one name; `accepted`: a connected worker accepts them."""

    kind: str
    name: str
    version: str
    count: int
    since: datetime
    accepted: bool


@dataclass(frozen=True)
class Start:
    """The parameters of a new orchestration; `input` is JSON text, empty for none.

    Without `start_at` it starts immediately.
    """

    name: str
    input: str = ""
    instance_id: str = ""
    version: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    start_at: datetime | None = None
