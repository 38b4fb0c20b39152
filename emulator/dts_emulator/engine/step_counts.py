"""Counts an instance's activities as its history grows: scheduled, completed, failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.events import event_type, is_task_result, nanoseconds
from dts_emulator.engine.model import Instance, StepCounts, Summary

Events = Sequence[pb.HistoryEvent]

_ASKED, _DONE, _FAILED = "taskScheduled", "taskCompleted", "taskFailed"
_ANSWERS = frozenset({_DONE, _FAILED})
_HEARD = _ANSWERS | {_ASKED}


def summarize(instance: Instance, counter: StepCounter | None = None) -> Summary:
    """Return the summary of an instance, whose history `counting` may have read a part of."""
    counts = (counter or StepCounter()).read(instance.history, instance.inbox)
    return Summary(counts, _first_turn_at(instance))


def _first_turn_at(instance: Instance) -> int | None:
    """Return when an instance's first turn was dispatched, None before that."""
    if instance.history and instance.history[0].HasField("orchestratorStarted"):
        return nanoseconds(instance.history[0].timestamp)
    return None if instance.turn is None else nanoseconds(instance.turn.started.timestamp)


class StepCounter:
    """Reads a history that grows, each event once.

    Runs can be large: where possible, it counts successes without matching them with their steps.
    """

    def __init__(self) -> None:
        self._read = 0
        self._names: dict[int, str] = {}
        self._asked: Counter[str] = Counter()
        self._failed: set[int] = set()
        self._done = 0
        self._first_at = 0
        self._last_at = 0
        self._steps: Steps | None = None

    def is_past(self, history: Events) -> bool:
        """Return whether the history is shorter than the part already read, hence another one."""
        return self._read > len(history)

    def read(self, history: Events, inbox: Iterable[pb.HistoryEvent]) -> StepCounts:
        """Count the new events of a history and the results in the inbox."""
        news = history[self._read :]
        self._read = len(history)
        kinds = list(map(event_type, news))
        arrived = list(filter(is_task_result, inbox))
        self._note_times(news, kinds)
        counts = self._counted(news, kinds, arrived) if self._steps is None else None
        if counts is None:
            if self._steps is None:
                self._steps, news = Steps(), history
            self._steps.read(news)
            counts = self._steps.counts(arrived)
        counts.first_at, counts.last_at = self._first_at, self._last_at
        if arrived:
            counts.first_at = counts.first_at or nanoseconds(arrived[0].timestamp)
            counts.last_at = nanoseconds(arrived[-1].timestamp)
        return counts

    def _note_times(self, news: Events, kinds: Sequence[str]) -> None:
        def is_answer(index: int) -> bool:
            return kinds[index] in _ANSWERS

        last = next(filter(is_answer, reversed(range(len(news)))), None)
        if last is None:
            return
        self._last_at = nanoseconds(news[last].timestamp)
        if not self._first_at:
            first = next(filter(is_answer, range(len(news))))
            self._first_at = nanoseconds(news[first].timestamp)

    def _counted(self, news: Events, kinds: Sequence[str], arrived: Events) -> StepCounts | None:
        """Return the counts, None if they require matching successes with steps."""
        pairs = list(zip(news, kinds, strict=True))
        asked = {one.eventId: one.taskScheduled.name for one, kind in pairs if kind == _ASKED}
        is_tried_again = len(asked) < kinds.count(_ASKED) or asked.keys() & self._names.keys()
        if is_tried_again:
            return None
        self._names |= asked
        self._asked.update(asked.values())
        self._done += kinds.count(_DONE)
        self._failed.update(_number(one, kind) for one, kind in pairs if kind == _FAILED)
        failed = self._failed | {_number(e, _FAILED) for e in arrived if event_type(e) == _FAILED}
        done = self._done + sum(event_type(event) == _DONE for event in arrived)
        if not failed <= self._names.keys() or done + len(failed) > len(self._names):
            return None
        counts = StepCounts(Counter(self._asked), failed=Counter(self._names[n] for n in failed))
        if done + len(failed) == len(self._names):
            counts.done = counts.asked - counts.failed
        elif len(counts.asked) == 1 or not done:
            counts.done = Counter(dict.fromkeys(counts.asked, done))
        else:
            return None
        return counts


class Steps:
    """The steps of a history by number, each with its name and its last event.

    A retry of the Python SDK reuses the number, so it counts as the same step.
    """

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._last: dict[int, str] = {}

    def read(self, news: Events) -> None:
        """Record more events."""
        found = [(event, kind) for event in news if (kind := event_type(event)) in _HEARD]
        self._names |= {e.eventId: e.taskScheduled.name for e, kind in found if kind == _ASKED}
        self._last |= {_number(event, kind): kind for event, kind in found}

    def counts(self, arrived: Events) -> StepCounts:
        """Return the counts, including results that have arrived since."""
        last = self._last | {
            _number(event, event_type(event)): event_type(event) for event in arrived
        }
        # A rewritten history may contain answers without their requests.
        known = [number for number in last if number in self._names]
        found = Counter((self._names[number], last[number]) for number in known)
        counts = StepCounts()
        for (name, kind), count in found.items():
            counts.asked[name] += count
            if kind == _DONE:
                counts.done[name] += count
            elif kind == _FAILED:
                counts.failed[name] += count
        return counts


def _number(event: pb.HistoryEvent, kind: str) -> int:
    if kind == _ASKED:
        return event.eventId
    answer = event.taskCompleted if kind == _DONE else event.taskFailed
    return answer.taskScheduledId
