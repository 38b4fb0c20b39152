"""Says when something is due, thousands of things on one thread.

What is due is data; what to do about it the owner knows. Of what is dropped nothing is kept.
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

# The longest sleep between two looks at the clock, so that a clock set forward is noticed.
LONGEST_SLEEP_SECONDS = 60.0


class Timers:
    """Calls `fire(what)` for each thing at its time, in order, on a thread that starts when needed.

    Args:
        fire: called without a lock held; an error in it is logged and stops nothing.
        clock: returns the time in nanoseconds since 1970.
        changed: called when something was set, and when all that was due has been fired.
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
        """Fire `what` at `due` (nanoseconds since 1970), at once if that is past.

        Whoever drops `target` drops this too.
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
        """Forget all that was set for a target."""
        with self._changed:
            for number in self._of_target.pop(target, ()):
                del self._things[number]
            if len(self._heap) > 2 * len(self._things) + 64:
                self._heap = [entry for entry in self._heap if entry[1] in self._things]
                heapq.heapify(self._heap)

    def next_due(self) -> int | None:
        """Return when the next thing is due, in nanoseconds since 1970; None if nothing is."""
        with self._changed:
            self._skip_dropped()
            return self._heap[0][0] if self._heap else None

    def is_idle(self) -> bool:
        """Return whether nothing is due and nothing is being fired."""
        with self._changed:
            due = self.next_due()
            return not self._is_firing and (due is None or due > self._clock())

    def wake(self) -> None:
        """Look at the clock now: it may have been set forward."""
        with self._changed:
            self._changed.notify()

    def close(self) -> None:
        """Stop the thread; what has not fired yet never will."""
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
