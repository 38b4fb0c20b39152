"""The state of a task hub: orchestration instances, entities and timers, as plain data.

Every time is in nanoseconds since 1970, UTC. Payloads are JSON text, as workers send it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from durabletask.internal import orchestrator_service_pb2 as pb

ENDED = frozenset(
    {
        pb.ORCHESTRATION_STATUS_COMPLETED,
        pb.ORCHESTRATION_STATUS_FAILED,
        pb.ORCHESTRATION_STATUS_TERMINATED,
    }
)


@dataclass(eq=False)
class Turn:
    """A dispatched turn: the first `count` events of the inbox.

    `chunks` are the parts of an answer that comes in several messages, `size` is their bytes.
    `first_answer` is the answer that a second run of the turn must give again.
    """

    started: pb.HistoryEvent
    count: int
    chunks: list[pb.OrchestratorResponse] = field(default_factory=list)
    size: int = 0
    first_answer: pb.OrchestratorResponse | None = None

    def reset_chunks(self) -> None:
        """Discard the chunks received so far."""
        self.chunks.clear()
        self.size = 0


@dataclass
class StepCounts:
    """The activities of an instance, and of the sub-orchestrations that are counted in, by name.

    `first_at` and `last_at` are when the first and the last of them ended (nanoseconds since
    1970, 0 before that). `parts` is how many sub-orchestrations are counted in, `parts_ended`
    how many of these have ended; `unstarted` ones have not had a first turn.
    """

    asked: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    first_at: int = 0
    last_at: int = 0
    parts: int = 0
    parts_ended: int = 0
    unstarted: int = 0

    def add(self, other: StepCounts) -> None:
        """Add other counts."""
        self.asked.update(other.asked)
        self.done.update(other.done)
        self.failed.update(other.failed)
        self.first_at = min(filter(None, (self.first_at, other.first_at)), default=0)
        self.last_at = max(self.last_at, other.last_at)
        self.parts += other.parts
        self.parts_ended += other.parts_ended
        self.unstarted += other.unstarted


@dataclass(frozen=True)
class Summary:
    """The counts of one instance without sub-orchestrations, and the time of its first turn."""

    counts: StepCounts
    first_turn_at: int | None


@dataclass(eq=False)
class Instance:
    """An orchestration instance.

    `history` is what its orchestrator has processed, `inbox` what has arrived since.
    `pending_tasks` holds the events of all requests that have no answer yet, by the key that the
    answer will name: a task's number, an entity request's or critical section's ID. `starts_at`
    is set until that time has come. `rewind` is the event that the next turn rewinds the history
    with; `owes_turn` says that a turn is owed even if nothing has arrived. `dispatch_times` holds
    for each activity (its task's number, when it was scheduled) when it was first and last sent
    to a worker. Once the instance has ended and has no pending task, `summary` replaces its
    history in lists. `problem` says why an ended instance is unreadable: its record is damaged.
    """

    instance_id: str
    name: str
    execution_id: str
    created_at: int
    updated_at: int
    version: str | None = None
    input: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    parent_id: str | None = None
    parent_task: int = 0
    scheduled_start: int | None = None
    starts_at: int | None = None
    status: pb.OrchestrationStatus = pb.ORCHESTRATION_STATUS_PENDING
    output: str | None = None
    custom_status: str | None = None
    failure: pb.TaskFailureDetails | None = None
    completed_at: int | None = None
    history: list[pb.HistoryEvent] = field(default_factory=list)
    inbox: list[pb.HistoryEvent] = field(default_factory=list)
    pending_tasks: dict[int | str, pb.HistoryEvent] = field(default_factory=dict)
    turn: Turn | None = None
    rewind: pb.HistoryEvent | None = None
    owes_turn: bool = False
    trace: pb.OrchestrationTraceContext | None = None
    dispatch_times: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    summary: Summary | None = None
    problem: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it has completed, failed or been terminated."""
        return self.status in ENDED

    @property
    def never_dispatched(self) -> bool:
        """Whether no turn of this execution was ever dispatched."""
        return not self.history and self.turn is None


@dataclass(eq=False)
class Entity:
    """An entity: its state, its lock, and the operations that wait for it.

    `batch` holds the dispatched operations. `queue` may contain lock requests between operations;
    they are processed in order.
    """

    entity_id: str
    updated_at: int
    state: str | None = None
    locked_by: str | None = None
    critical_section: str | None = None
    queue: list[pb.HistoryEvent] = field(default_factory=list)
    batch: list[pb.HistoryEvent] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The entity's name: the part of its ID that names its code."""
        return self.entity_id[1:].partition("@")[0]

    @property
    def is_empty(self) -> bool:
        """Whether it has no state, no lock and no operations, so that it can be deleted."""
        return self.state is None and not self.locked_by and not self.queue and not self.batch


@dataclass(frozen=True)
class Activity:
    """A pending activity of an instance; `scheduled` is the event that scheduled it."""

    instance_id: str
    scheduled: pb.HistoryEvent


@dataclass(eq=False)
class Timer:
    """At `due`, `target` (an instance or an entity) gets `event`.

    An instance that is scheduled for later gets the event of its start.
    """

    due: int
    target: str
    event: pb.HistoryEvent
