"""Counts an instance's activities as its history grows: how many there are, are done, failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.events import is_task_result, kind_of, nanoseconds
from dts_emulator.engine.model import Instance, Summary, Tally

Events = Sequence[pb.HistoryEvent]

_ASKED, _DONE, _FAILED = "taskScheduled", "taskCompleted", "taskFailed"
_ANSWERS = frozenset({_DONE, _FAILED})
_HEARD = _ANSWERS | {_ASKED}


def summarized(instance: Instance, counting: Counting | None = None) -> Summary:
    """Return the summary of an instance, whose history `counting` may have read a part of."""
    tally = (counting or Counting()).read(instance.history, instance.inbox)
    return Summary(tally, _first_turn_at(instance))


def _first_turn_at(instance: Instance) -> int | None:
    """Return when a worker was given an instance's first turn, None before that."""
    if instance.history and instance.history[0].HasField("orchestratorStarted"):
        return nanoseconds(instance.history[0].timestamp)
    return None if instance.turn is None else nanoseconds(instance.turn.started.timestamp)


class Counting:
    """Reads a history that grows, each event once.

    A large run is read at one look, so it takes the short way where there is one: successes are
    counted, not matched with the steps that they are of.
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
        """Return whether it has read more than there is: the history is another one."""
        return self._read > len(history)

    def read(self, history: Events, inbox: Iterable[pb.HistoryEvent]) -> Tally:
        """Count what is new in a history; what is in the inbox is on its way there."""
        news = history[self._read :]
        self._read = len(history)
        kinds = list(map(kind_of, news))
        arrived = list(filter(is_task_result, inbox))
        self._note_times(news, kinds)
        tally = self._counted(news, kinds, arrived) if self._steps is None else None
        if tally is None:
            if self._steps is None:
                self._steps, news = Steps(), history
            self._steps.read(news)
            tally = self._steps.tally(arrived)
        tally.first_at, tally.last_at = self._first_at, self._last_at
        if arrived:
            tally.first_at = tally.first_at or nanoseconds(arrived[0].timestamp)
            tally.last_at = nanoseconds(arrived[-1].timestamp)
        return tally

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

    def _counted(self, news: Events, kinds: Sequence[str], arrived: Events) -> Tally | None:
        """Return the counts, None where it matters which step has succeeded."""
        pairs = list(zip(news, kinds, strict=True))
        asked = {one.eventId: one.taskScheduled.name for one, kind in pairs if kind == _ASKED}
        is_tried_again = len(asked) < kinds.count(_ASKED) or asked.keys() & self._names.keys()
        if is_tried_again:
            return None
        self._names |= asked
        self._asked.update(asked.values())
        self._done += kinds.count(_DONE)
        self._failed.update(_number(one, kind) for one, kind in pairs if kind == _FAILED)
        failed = self._failed | {_number(e, _FAILED) for e in arrived if kind_of(e) == _FAILED}
        done = self._done + sum(kind_of(event) == _DONE for event in arrived)
        if not failed <= self._names.keys() or done + len(failed) > len(self._names):
            return None
        tally = Tally(Counter(self._asked), failed=Counter(self._names[n] for n in failed))
        if done + len(failed) == len(self._names):
            tally.done = tally.asked - tally.failed
        elif len(tally.asked) == 1 or not done:
            tally.done = Counter(dict.fromkeys(tally.asked, done))
        else:
            return None
        return tally


class Steps:
    """The steps of a history by their numbers: how they are called, what was last heard of each.

    A retry of the Python SDK asks again under the same number: it is the same step.
    """

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._last: dict[int, str] = {}

    def read(self, news: Events) -> None:
        """Take note of more events."""
        found = [(event, kind) for event in news if (kind := kind_of(event)) in _HEARD]
        self._names |= {e.eventId: e.taskScheduled.name for e, kind in found if kind == _ASKED}
        self._last |= {_number(event, kind): kind for event, kind in found}

    def tally(self, arrived: Events) -> Tally:
        """Return the counts, with the answers counted in that have arrived since."""
        last = self._last | {_number(event, kind_of(event)): kind_of(event) for event in arrived}
        # A history that a worker has rewritten may answer what it does not ask for.
        known = [number for number in last if number in self._names]
        found = Counter((self._names[number], last[number]) for number in known)
        tally = Tally()
        for (name, kind), count in found.items():
            tally.asked[name] += count
            if kind == _DONE:
                tally.done[name] += count
            elif kind == _FAILED:
                tally.failed[name] += count
        return tally


def _number(event: pb.HistoryEvent, kind: str) -> int:
    if kind == _ASKED:
        return event.eventId
    answer = event.taskCompleted if kind == _DONE else event.taskFailed
    return answer.taskScheduledId
