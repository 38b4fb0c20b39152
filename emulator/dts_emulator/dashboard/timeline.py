"""Converts an instance's history events into steps.

Pure functions over the SDK's public event classes; no I/O and no web framework.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import singledispatchmethod

from durabletask import history as h
from durabletask.task import FailureDetails

from dts_emulator.dashboard.steps import (
    COMPLETED,
    FAILED,
    RUNNING,
    UNFINISHED,
    WAITING,
    Attempt,
    Step,
)
from dts_emulator.engine.tags import DISPLAY_NAME

DispatchTimes = Mapping[tuple[int, datetime], tuple[datetime, datetime]]
Started = Mapping[str, datetime | None]


def steps_of(
    history: Iterable[h.HistoryEvent],
    *,
    ended: bool,
    dispatch_times: DispatchTimes | None = None,
    started: Started | None = None,
) -> list[Step]:
    """Return the steps in the order in which they were scheduled.

    A retry of the Python SDK schedules the same event ID again after a timer: these attempts
    become one step, without the timer between them. Until then, the history does not show whether
    a failed step will be retried, so it counts as failed.

    Args:
        history: the events.
        ended: whether the instance has ended.
        dispatch_times: when each activity (its number, when it was scheduled) was first
            and last sent to a worker; without it an activity runs from when it was scheduled.
        started: when the first turn of each sub-orchestration was, None before it.
    """
    reader = _Reader(dispatch_times, started or {})
    for event in history:
        reader.read(event)
    steps = [step for step in reader.steps if step is not None]
    if ended:
        going_on = (WAITING, RUNNING)
        steps = [replace(s, status=UNFINISHED) if s.status in going_on else s for s in steps]
    return [replace(step, number=number) for number, step in enumerate(steps, start=1)]


class _Reader:
    """Reads a history once and matches answers with steps."""

    def __init__(self, dispatch_times: DispatchTimes | None, started: Started) -> None:
        self._dispatch_times = dispatch_times
        self._started = started
        self.steps: list[Step | None] = []
        self._index: dict[int | str, int] = {}
        self._turn = 0
        self._turn_of: dict[int | str, int] = {}
        self._fired: dict[tuple[int, int], deque[int]] = {}

    @singledispatchmethod
    def read(self, event: h.HistoryEvent) -> None:
        """Process the next event; types without a rule create no step."""

    @read.register
    def _(self, _event: h.OrchestratorStartedEvent) -> None:
        self._turn += 1

    @read.register
    def _(self, event: h.TaskScheduledEvent) -> None:
        attempt = self._queued(event)
        self._start(
            event.event_id, event, "activity", event.name, event.input, event.tags, attempt=attempt
        )

    @read.register
    def _(self, event: h.TaskCompletedEvent) -> None:
        self._finish(event.task_scheduled_id, event, event.result)

    @read.register
    def _(self, event: h.TaskFailedEvent) -> None:
        self._fail(event.task_scheduled_id, event, event.failure_details)

    @read.register
    def _(self, event: h.SubOrchestrationInstanceCreatedEvent) -> None:
        child, kind = event.instance_id, "sub-orchestration"
        attempt = Attempt(event.timestamp)
        if child in self._started:
            attempt = Attempt(event.timestamp, self._started[child], is_queued=True)
        self._start(
            event.event_id,
            event,
            kind,
            event.name,
            event.input,
            event.tags,
            attempt=attempt,
            child_id=child,
        )

    @read.register
    def _(self, event: h.SubOrchestrationInstanceCompletedEvent) -> None:
        self._finish(event.task_scheduled_id, event, event.result)

    @read.register
    def _(self, event: h.SubOrchestrationInstanceFailedEvent) -> None:
        self._fail(event.task_scheduled_id, event, event.failure_details)

    @read.register
    def _(self, event: h.TimerCreatedEvent) -> None:
        # Any field may be missing in a history from a file.
        due = json.dumps(event.fire_at.isoformat()) if event.fire_at else None
        self._start(event.event_id, event, "timer", "timer", due)
        self._turn_of[event.event_id] = self._turn

    @read.register
    def _(self, event: h.TimerFiredEvent) -> None:
        self._finish(event.timer_id, event, None)
        if event.timer_id in self._turn_of and event.timer_id in self._index:
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
        entity, kind = event.target_instance_id, "entity call"
        name = f"{entity or 'entity'} {event.operation}"
        self._start(event.request_id, event, kind, name, event.input, entity_id=entity)

    @read.register
    def _(self, event: h.EntityOperationCompletedEvent) -> None:
        self._finish(event.request_id, event, event.output)

    @read.register
    def _(self, event: h.EntityOperationFailedEvent) -> None:
        self._fail(event.request_id, event, event.failure_details)

    @read.register
    def _(self, event: h.EntityOperationSignaledEvent) -> None:
        name = f"{event.target_instance_id or 'entity'} {event.operation}"
        self._happen(event, "entity signal", name, event.input, event.target_instance_id)

    @read.register
    def _(self, event: h.EntityLockRequestedEvent) -> None:
        name, entity = ", ".join(event.lock_set), next(iter(event.lock_set), None)
        self._start(event.critical_section_id, event, "entity lock", name, None, entity_id=entity)

    @read.register
    def _(self, event: h.EntityLockGrantedEvent) -> None:
        self._finish(event.critical_section_id, event, None)

    @read.register
    def _(self, event: h.ExecutionSuspendedEvent) -> None:
        self._start("suspension", event, "suspension", "suspended", event.input)

    @read.register
    def _(self, event: h.ExecutionResumedEvent) -> None:
        self._finish("suspension", event, None)

    def _queued(self, event: h.TaskScheduledEvent) -> Attempt:
        """Return the attempt at an activity, with its dispatch times."""
        if self._dispatch_times is None:
            return Attempt(event.timestamp)
        first, last = self._dispatch_times.get((event.event_id, event.timestamp), (None, None))
        again = last if last != first else None
        return Attempt(event.timestamp, first, again, is_queued=True)

    def _start(
        self,
        key: int | str,
        event: h.HistoryEvent,
        kind: str,
        name: str,
        given: str | None,
        tags: Mapping[str, str] | None = None,
        *,
        attempt: Attempt | None = None,
        child_id: str | None = None,
        entity_id: str | None = None,
    ) -> None:
        attempt = attempt or Attempt(event.timestamp)
        status = RUNNING if attempt.begun_at else WAITING
        before = self._step(key)
        if before and before.failure and (before.kind, before.name) == (kind, name):
            attempts = (*before.attempts, attempt)
            self.steps[self._index[key]] = replace(before, status=status, attempts=attempts)
            self._forget_retry_timer(key)
            return
        self._index[key] = len(self.steps)
        self.steps.append(
            Step(
                number=0,
                kind=kind,
                name=name,
                status=status,
                attempts=(attempt,),
                input=given,
                child_id=child_id,
                entity_id=entity_id,
                task_id=key if isinstance(key, int) else None,
                display_name=(tags or {}).get(DISPLAY_NAME),
            )
        )

    def _finish(self, key: int | str, event: h.HistoryEvent, output: str | None) -> None:
        self._answer(key, COMPLETED, ended_at=event.timestamp, output=output)

    def _fail(self, key: int | str, event: h.HistoryEvent, failure: FailureDetails | None) -> None:
        failure = failure or FailureDetails("The history gives no reason.", "Unknown", None)
        self._answer(key, FAILED, ended_at=event.timestamp, failure=failure)
        self._turn_of[key] = self._turn

    def _happen(
        self,
        event: h.HistoryEvent,
        kind: str,
        name: str,
        given: str | None,
        entity_id: str | None = None,
    ) -> None:
        attempt = Attempt(event.timestamp, ended_at=event.timestamp)
        step = Step(0, kind, name, COMPLETED, (attempt,), given, entity_id=entity_id)
        self.steps.append(step)

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
        if step is None or step.status not in (WAITING, RUNNING):
            return
        last = replace(step.attempts[-1], ended_at=ended_at, failure=failure)
        self.steps[self._index[key]] = replace(
            step, status=status, output=output, attempts=(*step.attempts[:-1], last)
        )

    def _step(self, key: int | str) -> Step | None:
        return self.steps[self._index[key]] if key in self._index else None

    def _forget_retry_timer(self, key: int | str) -> None:
        """Drop the timer that was created in the turn of the failure and fired in this one."""
        fired = self._fired.get((self._turn_of[key], self._turn))
        if fired:
            self.steps[fired.popleft()] = None
