"""Counts an instance's activities as its history grows: how many there are, are done, failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from durabletask.internal import orchestrator_service_pb2 as pb

from emulator.engine.events import kind_of, nanoseconds

_RESULTS = frozenset({"taskCompleted", "taskFailed"})


@dataclass
class Tally:
    """The activities of an instance, and of the sub-orchestrations that are counted in, by name.

    `first_at` and `last_at` are when the first and the last of them ended (nanoseconds since
    1970, 0 before that). `parts` is how many sub-orchestrations are counted in, `parts_ended`
    how many of these have ended; those that are `unstarted` have not said what they will do.
    """

    asked: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    first_at: int = 0
    last_at: int = 0
    parts: int = 0
    parts_ended: int = 0
    unstarted: int = 0

    def add(self, other: Tally) -> None:
        """Count another tally's activities in."""
        self.asked.update(other.asked)
        self.done.update(other.done)
        self.failed.update(other.failed)
        self.first_at = min(filter(None, (self.first_at, other.first_at)), default=0)
        self.last_at = max(self.last_at, other.last_at)
        self.parts += other.parts
        self.parts_ended += other.parts_ended
        self.unstarted += other.unstarted


class Counting:
    """Reads a history that grows, each event once."""

    def __init__(self) -> None:
        self._read = 0
        self._tally = Tally()
        self._open: dict[int, str] = {}
        self._lost: dict[int, str] = {}

    def is_past(self, history: Sequence[pb.HistoryEvent]) -> bool:
        """Return whether it has read more than there is: the history is another one."""
        return self._read > len(history)

    def read(self, history: Sequence[pb.HistoryEvent], inbox: Iterable[pb.HistoryEvent]) -> Tally:
        """Count what is new in a history; what is in the inbox is on its way there."""
        last: pb.HistoryEvent | None = None
        for event in history[self._read :]:
            kind = kind_of(event)
            if kind == "taskScheduled":
                self._ask(event.eventId, event.taskScheduled.name)
            elif kind in _RESULTS:
                self._answer(self._tally, event, kind, is_kept=True)
                last = event
        self._read = len(history)
        if last is not None:
            self._tally.last_at = nanoseconds(last.timestamp)
        tally = Tally()
        tally.add(self._tally)
        for event in inbox:
            kind = kind_of(event)
            if kind in _RESULTS:
                self._answer(tally, event, kind, is_kept=False)
                tally.last_at = nanoseconds(event.timestamp)
        return tally

    def _ask(self, number: int, name: str) -> None:
        self._open[number] = name
        # A retry of the Python SDK asks again under the same number: it is the same step.
        if self._lost.pop(number, None) == name:
            self._tally.failed[name] -= 1
        else:
            self._tally.asked[name] += 1

    def _answer(self, tally: Tally, event: pb.HistoryEvent, kind: str, *, is_kept: bool) -> None:
        is_failure = kind == "taskFailed"
        number = (event.taskFailed if is_failure else event.taskCompleted).taskScheduledId
        name = self._open.get(number)
        if name is None:
            return
        (tally.failed if is_failure else tally.done)[name] += 1
        if not tally.first_at:
            tally.first_at = nanoseconds(event.timestamp)
        if is_kept:
            del self._open[number]
            if is_failure:
                self._lost[number] = name
