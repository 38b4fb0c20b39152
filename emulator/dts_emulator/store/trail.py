"""What of a list is on disk already, so that only the rest is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from operator import is_

from durabletask.internal import orchestrator_service_pb2 as pb

Dispatch = tuple[int, int, int, int]


class SavedPrefix:
    """Events on disk, of a list that grows at its end, shrinks at its front, or is replaced.

    Each event has a number; those below `first` are gone from the list.
    """

    def __init__(self, events: Iterable[pb.HistoryEvent] = (), first: int = 0) -> None:
        self._on_disk = deque(events)
        self.first = first

    @property
    def until(self) -> int:
        """The number of the next event."""
        return self.first + len(self._on_disk)

    def advance(
        self, events: Sequence[pb.HistoryEvent], *, may_reorder: bool = False
    ) -> list[pb.HistoryEvent]:
        """Take note that `events` is the list now, and return those of it to be written.

        With `may_reorder`, events may have changed places between others that have not.
        """
        known = self._on_disk
        while known and not (events and events[0] is known[0]):
            known.popleft()
            self.first += 1
        if known and not self._goes_on(events, may_reorder):
            self.first += len(known)
            known.clear()
        news = list(events[len(known) :])
        known.extend(news)
        return news

    def _goes_on(self, events: Sequence[pb.HistoryEvent], may_reorder: bool) -> bool:
        known = self._on_disk
        if len(events) < len(known) or events[len(known) - 1] is not known[-1]:
            return False
        return not may_reorder or all(map(is_, known, events))


class SavedDispatchTimes:
    """What is on disk of `Instance.dispatch_times`, in which what is noted last comes last."""

    def __init__(self, times: dict[tuple[int, int], tuple[int, int]], until: int = 0) -> None:
        self._times = times
        self._last = times[next(reversed(times))] if times else None
        self.first, self.until = 0, until

    def advance(self, times: dict[tuple[int, int], tuple[int, int]]) -> list[Dispatch]:
        """Take note of what is times now, and return what of it is to be written."""
        if times is not self._times:
            self._times, self._last, self.first = times, None, self.until
        news: list[Dispatch] = []
        for key in reversed(times):
            if times[key] is self._last:
                break
            news.append((*key, *times[key]))
        if news:
            self._last = times[next(reversed(times))]
            self.until += 1
        return news[::-1]
