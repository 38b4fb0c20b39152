"""Counts an instance's activities as its history grows: how many there are, are done, failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from durabletask.internal import orchestrator_service_pb2 as pb

from emulator.engine.events import is_task_result, nanoseconds


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
        for event in history[self._read :]:
            if event.HasField("taskScheduled"):
                self._ask(event.eventId, event.taskScheduled.name)
            elif is_task_result(event):
                self._answer(self._tally, event, is_kept=True)
        self._read = len(history)
        tally = Tally()
        tally.add(self._tally)
        for event in inbox:
            if is_task_result(event):
                self._answer(tally, event, is_kept=False)
        return tally

    def _ask(self, number: int, name: str) -> None:
        self._open[number] = name
        # A retry of the Python SDK asks again under the same number: it is the same step.
        if self._lost.pop(number, None) == name:
            self._tally.failed[name] -= 1
        else:
            self._tally.asked[name] += 1

    def _answer(self, tally: Tally, event: pb.HistoryEvent, *, is_kept: bool) -> None:
        is_failure = event.HasField("taskFailed")
        number = (event.taskFailed if is_failure else event.taskCompleted).taskScheduledId
        name = self._open.get(number)
        if name is None:
            return
        (tally.failed if is_failure else tally.done)[name] += 1
        tally.last_at = nanoseconds(event.timestamp)
        tally.first_at = tally.first_at or tally.last_at
        if is_kept:
            del self._open[number]
            if is_failure:
                self._lost[number] = name
