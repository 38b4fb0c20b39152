"""Turns an instance's history events into steps: what ran, when, with what and how it ended.

Pure functions over the SDK's public event classes; no I/O and no web framework.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import singledispatchmethod

from durabletask import history as h
from durabletask.task import FailureDetails

RUNNING, COMPLETED, FAILED, UNFINISHED = "RUNNING", "COMPLETED", "FAILED", "UNFINISHED"
"""A step's statuses. UNFINISHED: its instance ended first, so it never will."""


@dataclass(frozen=True)
class Attempt:
    """One try at a step, from being scheduled to its answer."""

    started_at: datetime
    ended_at: datetime | None = None
    failure: FailureDetails | None = None


@dataclass(frozen=True)
class Step:
    """One activity, timer, sub-orchestration, entity call, event or suspension."""

    number: int
    kind: str
    name: str
    status: str
    attempts: tuple[Attempt, ...]
    input: str | None = None
    output: str | None = None
    child_id: str | None = None

    @property
    def started_at(self) -> datetime:
        """When it was first scheduled; the history does not say when a worker took it."""
        return self.attempts[0].started_at

    @property
    def ended_at(self) -> datetime | None:
        """When its last attempt was answered, None while it has not been."""
        return self.attempts[-1].ended_at

    @property
    def failure(self) -> FailureDetails | None:
        """Why the last attempt failed."""
        return self.attempts[-1].failure

    @property
    def duration(self) -> timedelta | None:
        """From the first attempt's start to the last one's end, waits between included."""
        if self.ended_at is None:
            return None
        return max(self.ended_at - self.started_at, timedelta(0))


def steps_of(history: Iterable[h.HistoryEvent], *, ended: bool) -> list[Step]:
    """Return the steps in the order in which they were scheduled; `ended`: the instance has.

    A retry of the Python SDK schedules the same event ID again after a timer: these attempts
    become one step, and the timer between them is no step of its own. Until that happens the
    history cannot tell whether a failed step will be retried, so it counts as failed.
    """
    reader = _Reader()
    for event in history:
        reader.read(event)
    steps = [step for step in reader.steps if step is not None]
    if ended:
        steps = [replace(s, status=UNFINISHED) if s.status == RUNNING else s for s in steps]
    return [replace(step, number=number) for number, step in enumerate(steps, start=1)]


class _Reader:
    """Walks a history once and remembers which step each answer belongs to."""

    def __init__(self) -> None:
        self.steps: list[Step | None] = []
        self._index: dict[int | str, int] = {}
        self._turn = 0
        self._turn_of: dict[int | str, int] = {}
        self._fired: dict[tuple[int, int], deque[int]] = {}

    @singledispatchmethod
    def read(self, event: h.HistoryEvent) -> None:
        """Take in the next event; those without a rule of their own make no step."""

    @read.register
    def _(self, _event: h.OrchestratorStartedEvent) -> None:
        self._turn += 1

    @read.register
    def _(self, event: h.TaskScheduledEvent) -> None:
        self._start(event.event_id, event, "activity", event.name, event.input)

    @read.register
    def _(self, event: h.TaskCompletedEvent) -> None:
        self._finish(event.task_scheduled_id, event, event.result)

    @read.register
    def _(self, event: h.TaskFailedEvent) -> None:
        self._fail(event.task_scheduled_id, event, event.failure_details)

    @read.register
    def _(self, event: h.SubOrchestrationInstanceCreatedEvent) -> None:
        child = event.instance_id
        self._start(event.event_id, event, "sub-orchestration", event.name, event.input, child)

    @read.register
    def _(self, event: h.SubOrchestrationInstanceCompletedEvent) -> None:
        self._finish(event.task_scheduled_id, event, event.result)

    @read.register
    def _(self, event: h.SubOrchestrationInstanceFailedEvent) -> None:
        self._fail(event.task_scheduled_id, event, event.failure_details)

    @read.register
    def _(self, event: h.TimerCreatedEvent) -> None:
        self._start(event.event_id, event, "timer", "timer", json.dumps(event.fire_at.isoformat()))
        self._turn_of[event.event_id] = self._turn

    @read.register
    def _(self, event: h.TimerFiredEvent) -> None:
        self._finish(event.timer_id, event, None)
        if event.timer_id in self._turn_of:
            turns = (self._turn_of[event.timer_id], self._turn)
            self._fired.setdefault(turns, deque()).append(self._index[event.timer_id])

    @read.register
    def _(self, event: h.EventRaisedEvent) -> None:
        self._happen(event, "event", event.name, event.input)

    @read.register
    def _(self, event: h.EventSentEvent) -> None:
        self._happen(event, "event sent", f"{event.name} to {event.instance_id}", event.input)

    @read.register
    def _(self, event: h.EntityOperationCalledEvent) -> None:
        name = f"{event.target_instance_id or 'entity'} {event.operation}"
        self._start(event.request_id, event, "entity call", name, event.input)

    @read.register
    def _(self, event: h.EntityOperationCompletedEvent) -> None:
        self._finish(event.request_id, event, event.output)

    @read.register
    def _(self, event: h.EntityOperationFailedEvent) -> None:
        self._fail(event.request_id, event, event.failure_details)

    @read.register
    def _(self, event: h.EntityOperationSignaledEvent) -> None:
        name = f"{event.target_instance_id or 'entity'} {event.operation}"
        self._happen(event, "entity signal", name, event.input)

    @read.register
    def _(self, event: h.EntityLockRequestedEvent) -> None:
        name = ", ".join(event.lock_set)
        self._start(event.critical_section_id, event, "entity lock", name, None)

    @read.register
    def _(self, event: h.EntityLockGrantedEvent) -> None:
        self._finish(event.critical_section_id, event, None)

    @read.register
    def _(self, event: h.ExecutionSuspendedEvent) -> None:
        self._start("suspension", event, "suspension", "suspended", event.input)

    @read.register
    def _(self, event: h.ExecutionResumedEvent) -> None:
        self._finish("suspension", event, None)

    def _start(
        self,
        key: int | str,
        event: h.HistoryEvent,
        kind: str,
        name: str,
        given: str | None,
        child_id: str | None = None,
    ) -> None:
        attempt = Attempt(event.timestamp)
        before = self._step(key)
        if before and before.failure and (before.kind, before.name) == (kind, name):
            attempts = (*before.attempts, attempt)
            self.steps[self._index[key]] = replace(before, status=RUNNING, attempts=attempts)
            self._forget_retry_timer(key)
            return
        self._index[key] = len(self.steps)
        self.steps.append(Step(0, kind, name, RUNNING, (attempt,), given, child_id=child_id))

    def _finish(self, key: int | str, event: h.HistoryEvent, output: str | None) -> None:
        self._answer(key, COMPLETED, ended_at=event.timestamp, output=output)

    def _fail(self, key: int | str, event: h.HistoryEvent, failure: FailureDetails | None) -> None:
        failure = failure or FailureDetails("The history does not say why.", "Unknown", None)
        self._answer(key, FAILED, ended_at=event.timestamp, failure=failure)
        self._turn_of[key] = self._turn

    def _happen(self, event: h.HistoryEvent, kind: str, name: str, given: str | None) -> None:
        attempt = Attempt(event.timestamp, event.timestamp)
        self.steps.append(Step(0, kind, name, COMPLETED, (attempt,), given))

    def _answer(
        self,
        key: int | str,
        status: str,
        *,
        ended_at: datetime,
        output: str | None = None,
        failure: FailureDetails | None = None,
    ) -> None:
        step = self._step(key)
        if step is None or step.status != RUNNING:
            return
        last = replace(step.attempts[-1], ended_at=ended_at, failure=failure)
        self.steps[self._index[key]] = replace(
            step, status=status, output=output, attempts=(*step.attempts[:-1], last)
        )

    def _step(self, key: int | str) -> Step | None:
        return self.steps[self._index[key]] if key in self._index else None

    def _forget_retry_timer(self, key: int | str) -> None:
        """Drop the timer that was made in the turn of the failure and fired in this one."""
        fired = self._fired.get((self._turn_of[key], self._turn))
        if fired:
            self.steps[fired.popleft()] = None
