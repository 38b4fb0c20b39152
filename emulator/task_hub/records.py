"""What a task hub knows of an orchestration instance beyond what the backend keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import durabletask.internal.orchestrator_service_pb2 as pb
from durabletask.testing.in_memory_backend import OrchestrationInstance
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from emulator.leases import WorkItem


@dataclass(frozen=True)
class Watcher:
    """A parent's execution that waits for a sub-orchestration, as its task `task_id`."""

    parent_id: str
    execution: int
    task_id: int


@dataclass(eq=False)
class Record:
    """An instance's place among the others, and what is under way for it.

    `execution` tells runs under one ID apart: a restart or continue-as-new is a new one, and
    what an earlier one has scheduled no longer concerns it. `held_back` is what arrives while
    no turn can take it: after a failure, until a rewind asks for it, and during the rewind.
    `activities_out` counts the activities of this execution whose results are still to come.
    """

    instance: OrchestrationInstance
    execution: int
    parent_id: str | None = None
    children: set[str] = field(default_factory=set)
    watchers: list[Watcher] = field(default_factory=list)
    work_item: WorkItem | None = None
    held_back: list[pb.HistoryEvent] = field(default_factory=list)
    trace_context: pb.OrchestrationTraceContext | None = None
    activities_out: int = 0
    is_paused: bool = False
    pause_is_over: bool = False
    waits_for_start: bool = False
    is_rewinding: bool = False
    is_known_as_large: bool = False

    @property
    def is_untouched(self) -> bool:
        """Whether no worker has been given any part of this execution."""
        return not self.instance.history and not self.instance.dispatched_events


def stamp(events: Sequence[pb.HistoryEvent]) -> None:
    """Give the current time to the newest of `events`, as far back as they have none."""
    now = Timestamp()
    now.GetCurrentTime()
    for event in reversed(events):
        if event.timestamp.seconds:
            return
        event.timestamp.CopyFrom(now)


def copy_fields(source: Message, target: Message, *names: str) -> None:
    """Copy the named messages from one protobuf message to another, as far as they are set."""
    for name in names:
        if source.HasField(name):
            getattr(target, name).CopyFrom(getattr(source, name))


def execution_started(events: Sequence[pb.HistoryEvent]) -> pb.ExecutionStartedEvent:
    """Return the event that started the execution to which `events` belong."""
    return next(event.executionStarted for event in events if event.HasField("executionStarted"))


def is_task_result(event: pb.HistoryEvent) -> bool:
    """Return whether an event is the result of an activity, good or bad."""
    return event.HasField("taskCompleted") or event.HasField("taskFailed")


def is_about_execution(event: pb.HistoryEvent) -> bool:
    """Return whether an event concerns the execution as a whole: a start, a termination, ..."""
    return str(event.WhichOneof("eventType")).startswith(("execution", "orchestrator"))


def starts_rewind(event: pb.HistoryEvent) -> bool:
    """Return whether an event belongs to the turn in which a worker rewinds the history."""
    return event.HasField("executionRewound") or event.HasField("orchestratorStarted")
