"""Writes histories as the Python SDK's worker and a task hub would, on a clock of their own."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from durabletask import history as h
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.dashboard.sdk_history import public_event
from dts_emulator.engine.events import event, string_value, timestamp

START = datetime(2026, 11, 24, 3, 0, 0, tzinfo=timezone.utc)

FAN_OUT_SECONDS = (1.21, 0.74, 1.9, 0.52, 1.44, 1.02, 1.7, 0.91, 1.33, 0.63)
OUTPUT = '{"total_items": 10, "sum": 385, "average": 38.5}'


def at(seconds: float) -> datetime:
    """Return the moment so many seconds after the start."""
    return START + timedelta(seconds=seconds)


def ns(seconds: float) -> int:
    """Return the same moment in nanoseconds since 1970."""
    return int(START.timestamp()) * 10**9 + round(seconds * 10**6) * 1000


def failed_with(
    message: str = "no luck",
    kind: str = "ValueError",
    stack: str | None = 'File "program.py", line 7',
    inner: pb.TaskFailureDetails | None = None,
) -> pb.TaskFailureDetails:
    """Return failure details, with their cause if there is one."""
    return pb.TaskFailureDetails(
        errorType=kind, errorMessage=message, stackTrace=string_value(stack), innerFailure=inner
    )


class History:
    """A history under construction; every method adds one event at the given second.

    `dispatch_times` says when a worker was given each activity; by default at once.
    """

    def __init__(self) -> None:
        self.raw: list[pb.HistoryEvent] = []
        self.dispatch_times: dict[tuple[int, int], tuple[int, int]] = {}

    @property
    def events(self) -> list[h.HistoryEvent]:
        """The events as the dashboard reads them."""
        return [public_event(item) for item in self.raw]

    def started(self, name: str = "orchestrator", given: str | None = None) -> History:
        started = pb.ExecutionStartedEvent(name=name, input=string_value(given))
        return self.add(0, executionStarted=started)

    def turn(self, seconds: float) -> History:
        return self.add(seconds, orchestratorStarted=pb.OrchestratorStartedEvent())

    def scheduled(
        self,
        seconds: float,
        event_id: int,
        name: str = "work",
        given: str | None = None,
        *,
        shown: str | None = None,
        waited: float | None = 0,
        waited_again: float | None = None,
    ) -> History:
        """Schedule an activity that a worker is given `waited` seconds later, None: not yet.

        `shown` is its display name.
        """
        if waited is not None:
            last = waited if waited_again is None else waited_again
            self.dispatch_times[event_id, ns(seconds)] = ns(seconds + waited), ns(seconds + last)
        tags = {} if shown is None else {"durabletask.displayName": shown}
        scheduled = pb.TaskScheduledEvent(name=name, input=string_value(given), tags=tags)
        return self.add(seconds, event_id, taskScheduled=scheduled)

    def completed(self, seconds: float, event_id: int, result: str | None = None) -> History:
        done = pb.TaskCompletedEvent(taskScheduledId=event_id, result=string_value(result))
        return self.add(seconds, taskCompleted=done)

    def failed(self, seconds: float, event_id: int, message: str = "no luck") -> History:
        failed = pb.TaskFailedEvent(taskScheduledId=event_id, failureDetails=failed_with(message))
        return self.add(seconds, taskFailed=failed)

    def child(
        self,
        seconds: float,
        event_id: int,
        child_id: str,
        given: str | None = None,
        *,
        name: str = "part",
    ) -> History:
        created = pb.SubOrchestrationInstanceCreatedEvent(
            instanceId=child_id, name=name, input=string_value(given)
        )
        return self.add(seconds, event_id, subOrchestrationInstanceCreated=created)

    def child_completed(self, seconds: float, event_id: int, result: str | None = None) -> History:
        done = pb.SubOrchestrationInstanceCompletedEvent(
            taskScheduledId=event_id, result=string_value(result)
        )
        return self.add(seconds, subOrchestrationInstanceCompleted=done)

    def child_failed(
        self, seconds: float, event_id: int, reason: str | pb.TaskFailureDetails
    ) -> History:
        details = failed_with(reason) if isinstance(reason, str) else reason
        failed = pb.SubOrchestrationInstanceFailedEvent(
            taskScheduledId=event_id, failureDetails=details
        )
        return self.add(seconds, subOrchestrationInstanceFailed=failed)

    def timer(self, seconds: float, event_id: int, fires: float) -> History:
        created = pb.TimerCreatedEvent(fireAt=timestamp(ns(fires)))
        return self.add(seconds, event_id, timerCreated=created)

    def fired(self, seconds: float, timer_id: int) -> History:
        fired = pb.TimerFiredEvent(fireAt=timestamp(ns(seconds)), timerId=timer_id)
        return self.add(seconds, timerFired=fired)

    def ended(self, seconds: float, result: str | None = None, status: int = 1) -> History:
        completed = pb.ExecutionCompletedEvent(
            orchestrationStatus=status,  # type: ignore[arg-type]  # the number of a status
            result=string_value(result),
        )
        return self.add(seconds, executionCompleted=completed)

    def add(self, seconds: float, event_id: int = -1, **kind: object) -> History:
        """Add any event, e.g. timerFired=..."""
        self.raw.append(event(ns(seconds), event_id, **kind))
        return self


def fan_out_fan_in(items: int = 10, *, unfinished: int = 0, waited: float = 0) -> History:
    """Write what the quickstart's orchestrator leaves behind; `unfinished` items still run."""
    numbers = range(1, items + 1)
    seconds = {n: FAN_OUT_SECONDS[n % len(FAN_OUT_SECONDS)] for n in numbers}
    history = History().turn(0.01).started("fan_out_fan_in_orchestrator", str(list(numbers)))
    for n in numbers:
        history.scheduled(0.02, n, "process_work_item", str(n), waited=waited)
    finished = sorted(numbers, key=lambda n: seconds[n])[: items - unfinished]
    for n in finished:
        result = f'{{"item": {n}, "result": {n * n}}}'
        history.turn(seconds[n] + 0.02).completed(seconds[n] + 0.02, n, result)
    if unfinished:
        return history
    results = [f'{{"item": {n}, "result": {n * n}}}' for n in numbers]
    history.scheduled(1.95, items + 1, "aggregate_results", f"[{', '.join(results)}]")
    return history.turn(2.05).completed(2.05, items + 1, OUTPUT).ended(2.06, OUTPUT)
