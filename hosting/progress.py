"""A client's progress bar: counts finished steps while it waits on a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from durabletask import history
from durabletask.client import TaskHubGrpcClient

POLL_SECONDS = 0.5

# How many sub-orchestrations are looked into each time: a history has up to a megabyte.
CHILDREN_AT_ONCE = 4

Events = Sequence[history.HistoryEvent]


@contextmanager
def progress_bar(
    client: TaskHubGrpcClient, instance_id: str, total: int | None = None, step: str | None = None
) -> Iterator[None]:
    """Show how many steps of the instance have finished, as long as the block runs.

    Shows nothing where stderr is not a terminal.

    Args:
        client: what to ask for histories.
        instance_id: the orchestration. Of its sub-orchestrations, the steps are counted.
        total: how many steps there are, if that is known before the first of them.
        step: the name of the activities that count; without it, the parallel ones do.
    """
    if not sys.stderr.isatty():
        yield
        return
    # Imported here because only terminals need it.
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    stop = threading.Event()
    steps = Steps(client.get_orchestration_history, instance_id, step)
    with logging_redirect_tqdm(), tqdm(total=total, unit=" items", leave=False) as bar:

        def follow() -> None:
            while not stop.wait(POLL_SECONDS):
                try:
                    steps.look()
                except grpc.RpcError:
                    continue  # The wait itself says what is wrong.
                bar.n, bar.total = steps.finished, total or steps.total
                bar.refresh()

        thread = threading.Thread(target=follow, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=5)


class Steps:
    """The steps of an instance and of its sub-orchestrations, as far as they were looked at.

    Args:
        history_of: returns the history of an instance.
        instance_id: the orchestration.
        step: the name of the activities that count; without it, the parallel ones do.
    """

    def __init__(
        self, history_of: Callable[[str], Events], instance_id: str, step: str | None = None
    ) -> None:
        self._history_of = history_of
        self._id = instance_id
        self._step = step
        self._own = Counted()
        self._children: dict[str, Steps] = {}
        self._waiting: list[str] = []

    @property
    def finished(self) -> int:
        """How many steps have finished."""
        return self._own.finished + sum(child.finished for child in self._children.values())

    @property
    def total(self) -> int | None:
        """How many steps there are; None if none has begun."""
        return self._own.total + sum(child.total or 0 for child in self._children.values()) or None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self._own.has_ended

    def look(self) -> None:
        """Count again: the instance's own steps, and those of a few sub-orchestrations."""
        self._own = count(self._history_of(self._id), self._step)
        for instance_id in self._own.children:
            if instance_id not in self._children:
                self._children[instance_id] = Steps(self._history_of, instance_id, self._step)
                self._waiting.append(instance_id)
        turn, self._waiting = self._waiting[:CHILDREN_AT_ONCE], self._waiting[CHILDREN_AT_ONCE:]
        moved: list[str] = []
        idle: list[str] = []
        for instance_id in turn:
            child = self._children[instance_id]
            before = child.finished
            child.look()
            if not child.has_ended:
                (moved if child.finished > before else idle).append(instance_id)
        # What moves is looked at again next time, what does not stands behind all others.
        self._waiting = moved[: CHILDREN_AT_ONCE - 1] + self._waiting
        self._waiting += moved[CHILDREN_AT_ONCE - 1 :] + idle


@dataclass
class Counted:
    """What the history of one instance tells."""

    finished: int = 0
    total: int = 0
    children: list[str] = field(default_factory=list)
    has_ended: bool = False


def count(events: Events, step: str | None = None) -> Counted:
    """Count the activities named `step`, or those of the turn that has begun the most of them.

    An activity that is tried again counts once.
    """
    turns: list[set[int]] = [set()]
    named: set[int] = set()
    completed: set[int] = set()
    counted = Counted()
    seen: set[int] = set()
    for event in events:
        if isinstance(event, history.OrchestratorStartedEvent):
            turns.append(set())
        elif isinstance(event, history.TaskScheduledEvent) and event.event_id not in seen:
            seen.add(event.event_id)
            turns[-1].add(event.event_id)
            if event.name == step:
                named.add(event.event_id)
        elif isinstance(event, history.TaskCompletedEvent):
            completed.add(event.task_scheduled_id)
        elif isinstance(event, history.SubOrchestrationInstanceCreatedEvent):
            counted.children.append(event.instance_id)
        elif isinstance(event, history.ExecutionCompletedEvent):
            counted.has_ended = True
    # Beside sub-orchestrations, an activity is not what runs in parallel.
    parallel = set() if counted.children else max(turns, key=len)
    steps = named if step else parallel
    counted.total, counted.finished = len(steps), len(steps & completed)
    return counted
