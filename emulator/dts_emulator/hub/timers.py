"""Fires thousands of timers on one thread.

A timer is data; its owner decides what happens. Cancelled timers need no memory.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator

logger = logging.getLogger("emulator")

SECOND = 1_000_000_000

# The longest sleep between two checks of the clock, so that a clock set forward is noticed.
LONGEST_SLEEP_SECONDS = 60.0


class Timers:
    """Calls `fire(what)` for each due timer, in order, on a thread that starts on demand.

    Args:
        fire: called without a lock held; its errors are logged.
        clock: returns the time in nanoseconds since 1970.
        changed: called after a timer is set, and after all due timers have fired.
    """

    def __init__(
        self,
        fire: Callable[[object], None],
        clock: Callable[[], int],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._fire = fire
        self._clock = clock
        self._tell = changed
        self._is_firing = False
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._heap: list[tuple[int, int, str]] = []
        self._things: dict[int, object] = {}
        self._of_target: defaultdict[str, set[int]] = defaultdict(set)
        self._closed = False
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._things)

    def __iter__(self) -> Iterator[object]:
        """Yield what has not been fired yet."""
        return iter([*self._things.values()])

    def set(self, due: int, target: str, what: object) -> None:
        """Fire `what` at `due` (nanoseconds since 1970), immediately if that is past.

        `drop(target)` cancels it.
        """
        with self._changed:
            if self._closed:
                return
            number = next(self._numbers)
            self._things[number] = what
            self._of_target[target].add(number)
            heapq.heappush(self._heap, (due, number, target))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="timers", daemon=True)
                self._thread.start()
            if self._heap[0][1] == number:
                self._changed.notify()
        self._tell()

    def drop(self, target: str) -> None:
        """Cancel all timers of a target."""
        with self._changed:
            for number in self._of_target.pop(target, ()):
                del self._things[number]
            if len(self._heap) > 2 * len(self._things) + 64:
                self._heap = [entry for entry in self._heap if entry[1] in self._things]
                heapq.heapify(self._heap)

    def next_due(self) -> int | None:
        """Return when the next timer is due, in nanoseconds since 1970; None if there is none."""
        with self._changed:
            self._skip_dropped()
            return self._heap[0][0] if self._heap else None

    def is_idle(self) -> bool:
        """Return whether no timer is due or being fired."""
        with self._changed:
            due = self.next_due()
            return not self._is_firing and (due is None or due > self._clock())

    def wake(self) -> None:
        """Check the clock now: it may have been set forward."""
        with self._changed:
            self._changed.notify()

    def close(self) -> None:
        """Stop the thread; timers that have not fired are lost."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                due = self._take_due()
                while not due and not self._closed:
                    self._changed.wait(self._seconds_to_next())
                    due = self._take_due()
                if self._closed:
                    return
                self._is_firing = True
            for what in due:
                self._fire_one(what)
            with self._changed:
                self._is_firing = False
            self._tell()

    def _fire_one(self, what: object) -> None:
        try:
            self._fire(what)
        except Exception:
            logger.exception("A timer failed")

    def _skip_dropped(self) -> None:
        while self._heap and self._heap[0][1] not in self._things:
            heapq.heappop(self._heap)

    def _seconds_to_next(self) -> float:
        if not self._heap:
            return LONGEST_SLEEP_SECONDS
        return min(max(0, self._heap[0][0] - self._clock()) / SECOND, LONGEST_SLEEP_SECONDS)

    def _take_due(self) -> list[object]:
        now = self._clock()
        taken: list[object] = []
        self._skip_dropped()
        while self._heap and self._heap[0][0] <= now:
            _, number, target = heapq.heappop(self._heap)
            taken.append(self._things.pop(number))
            self._of_target[target].discard(number)
            if not self._of_target[target]:
                del self._of_target[target]
            self._skip_dropped()
        return taken
