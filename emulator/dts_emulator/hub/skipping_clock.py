"""The time: the machine's, or one that skips the hours in which a test would only wait."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dts_emulator.engine.events import LAST_SECOND, SECOND

if TYPE_CHECKING:
    from dts_emulator.hub.task_hub import TaskHub


# Timers later than this do not fire. A clock beyond the year 9999 could not be told to anybody;
# the year before that leaves time for what follows the last timer.
LATEST = (LAST_SECOND - 365 * 24 * 3600) * SECOND


class SkippingClock:
    """A clock that jumps to the next timer whenever no task hub of its emulator has anything to do.

    Nothing to do: no work item is offered or held, no turn is about to be offered, no timer is
    about to fire. The clock never goes back.
    """

    def __init__(self) -> None:
        self._start = time.time_ns() - time.monotonic_ns()
        self._skipped = 0
        self._hubs: list[TaskHub] = []
        # Held while the clock looks at the hubs: none joins in the middle of that.
        self._mutex = threading.Lock()
        self._changed = threading.Event()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)
        self._thread.start()

    def now(self) -> int:
        """Return the time in nanoseconds since 1970."""
        return self._start + self._skipped + time.monotonic_ns()

    def add(self, hub: TaskHub) -> None:
        """Skip only the time in which this task hub too only waits."""
        with self._mutex:
            self._hubs.append(hub)
        self.look()

    def look(self) -> None:
        """Say that a task hub may have nothing to do any more. Called under any lock."""
        self._changed.set()

    def close(self) -> None:
        """Skip no more."""
        self._is_closed = True
        self._changed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_closed:
            self._changed.wait()
            self._changed.clear()
            self._skip()

    def _skip(self) -> None:
        with self._mutex, ExitStack() as locks:
            # Nobody else holds two of them.
            for hub in self._hubs:
                locks.enter_context(hub.lock)
            if self._is_closed or not all(hub.only_waits for hub in self._hubs):
                return
            # From here on nothing fires but what the clock itself reaches.
            due = [hub.timers.next_due() for hub in self._hubs]
            first = min((time for time in due if time is not None), default=0)
            if first > LATEST:
                return
            self._skipped += max(0, first - self.now())
        for hub in self._hubs:
            hub.timers.look()
