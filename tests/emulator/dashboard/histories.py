"""Writes histories as the Python SDK's worker and a task hub would, on a clock of their own."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from durabletask import history as h
from durabletask.task import FailureDetails

START = datetime(2026, 11, 24, 3, 0, 0, tzinfo=timezone.utc)

FAN_OUT_SECONDS = (1.21, 0.74, 1.9, 0.52, 1.44, 1.02, 1.7, 0.91, 1.33, 0.63)
OUTPUT = '{"total_items": 10, "sum": 385, "average": 38.5}'


def at(seconds: float) -> datetime:
    """Return the moment so many seconds after the start."""
    return START + timedelta(seconds=seconds)


class History:
    """A history under construction; every method adds one event at the given second."""

    def __init__(self) -> None:
        self.events: list[h.HistoryEvent] = []

    def started(self, name: str = "orchestrator", given: str | None = None) -> History:
        return self._add(h.ExecutionStartedEvent(-1, START, name, input=given))

    def turn(self, seconds: float) -> History:
        return self._add(h.OrchestratorStartedEvent(-1, at(seconds)))

    def scheduled(
        self, seconds: float, event_id: int, name: str = "work", given: str | None = None
    ) -> History:
        return self._add(h.TaskScheduledEvent(event_id, at(seconds), name, input=given))

    def completed(self, seconds: float, event_id: int, result: str | None = None) -> History:
        return self._add(h.TaskCompletedEvent(-1, at(seconds), event_id, result))

    def failed(self, seconds: float, event_id: int, message: str = "no luck") -> History:
        failure = FailureDetails(message, "ValueError", 'File "worker.py", line 7')
        return self._add(h.TaskFailedEvent(-1, at(seconds), event_id, failure))

    def timer(self, seconds: float, event_id: int, fires: float) -> History:
        return self._add(h.TimerCreatedEvent(event_id, at(seconds), at(fires)))

    def fired(self, seconds: float, timer_id: int) -> History:
        return self._add(h.TimerFiredEvent(-1, at(seconds), at(seconds), timer_id))

    def ended(self, seconds: float, result: str | None = None, status: int = 1) -> History:
        return self._add(h.ExecutionCompletedEvent(-1, at(seconds), status, result))

    def add(self, event: h.HistoryEvent) -> History:
        return self._add(event)

    def _add(self, event: h.HistoryEvent) -> History:
        self.events.append(event)
        return self


def fan_out_fan_in(items: int = 10, *, unfinished: int = 0) -> list[h.HistoryEvent]:
    """Write what the quickstart's orchestrator leaves behind; `unfinished` items still run."""
    numbers = range(1, items + 1)
    seconds = {n: FAN_OUT_SECONDS[n % len(FAN_OUT_SECONDS)] for n in numbers}
    history = History().turn(0.01).started("fan_out_fan_in_orchestrator", str(list(numbers)))
    for n in numbers:
        history.scheduled(0.02, n, "process_work_item", str(n))
    finished = sorted(numbers, key=lambda n: seconds[n])[: items - unfinished]
    for n in finished:
        result = f'{{"item": {n}, "result": {n * n}}}'
        history.turn(seconds[n] + 0.02).completed(seconds[n] + 0.02, n, result)
    if unfinished:
        return history.events
    results = [f'{{"item": {n}, "result": {n * n}}}' for n in numbers]
    history.scheduled(1.95, items + 1, "aggregate_results", f"[{', '.join(results)}]")
    history.turn(2.05).completed(2.05, items + 1, OUTPUT).ended(2.06, OUTPUT)
    return history.events
