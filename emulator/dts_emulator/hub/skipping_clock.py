"""A clock for tests: it skips idle time, unless time is held."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from dts_emulator.engine.events import LAST_SECOND, SECOND

if TYPE_CHECKING:
    from dts_emulator.hub.task_hub import TaskHub

# Timers later than this do not fire. No timestamp represents a time after the year 9999; the last
# year remains for the work that follows the last timer.
LATEST = (LAST_SECOND - 365 * 24 * 3600) * SECOND


class SkippingClock:
    """A clock that skips to the next timer whenever all task hubs of its emulator are idle.

    Idle: no work item is queued or leased, no turn is about to be offered, no timer is about to
    fire. The clock never goes back.
    """

    def __init__(self) -> None:
        self._start = time.time_ns() - time.monotonic_ns()
        self._skipped = 0
        self._hubs: list[TaskHub] = []
        self._holds = 0
        self._is_closed = False
        # Held while the clock checks the hubs and moves, so that no hub is added in between.
        self._mutex = threading.Lock()
        # Counts the calls of `refresh`. Held briefly, and with no other lock but a hub's.
        self._refreshes = 0
        self._refreshed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)
        self._thread.start()

    def now(self) -> int:
        """Return the time in nanoseconds since 1970."""
        return self._start + self._skipped + time.monotonic_ns()

    def add(self, hub: TaskHub) -> None:
        """Add a task hub, whose activity stops the skipping."""
        with self._mutex:
            self._hubs.append(hub)
        self.refresh()

    def refresh(self) -> None:
        """Check again whether all task hubs are idle. Called under any hub's lock."""
        with self._refreshed:
            self._refreshes += 1
            self._refreshed.notify_all()

    def close(self) -> None:
        """Stop skipping."""
        self._is_closed = True
        self.refresh()
        self._thread.join()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Skip no time within a block. Blocks may be nested."""
        with self._mutex:
            self._holds += 1
        try:
            yield
        finally:
            with self._mutex:
                self._holds -= 1
            self.refresh()

    def advance(self, by: timedelta, *, wait: bool, timeout: float) -> None:
        """Move the clock forward; see `Emulator.advance`."""
        target = self.now() + by // timedelta(microseconds=1) * 1000
        if by < timedelta(0) or target > LATEST:
            raise ValueError(f"The clock cannot move by {by}.")
        if not wait:
            with self._mutex:
                self._move_to(target)
            return
        end = time.monotonic() + timeout
        seen = self._refreshes
        while not self._has_reached(target):
            before, seen = seen, self._wait_for_refresh(seen, max(0, end - time.monotonic()))
            if seen == before:
                raise TimeoutError(
                    f"The clock waits for work in progress: {self._work()}. Check that a worker "
                    "that knows it is connected, or pass wait=False to move the clock immediately."
                )

    def _has_reached(self, target: int) -> bool:
        """Move to the next timer, or to the target; return whether the target is reached."""
        with self._mutex, ExitStack() as locks:
            for hub in self._hubs:
                locks.enter_context(hub.lock)
            if self._is_closed:
                raise RuntimeError("The emulator has stopped.")
            if not all(hub.is_idle for hub in self._hubs):
                return False
            due = self._next_due()
            self._move_to(target if due is None else min(due, target))
            return due is None or due > target

    def _work(self) -> str:
        found = set()
        for hub in self._hubs:
            with hub.lock:
                found |= {f"{item.kind.value} '{item.name}'" for item in hub.leases.items()}
        return ", ".join(sorted(found)[:5]) or "a timer is about to fire"

    def _run(self) -> None:
        seen = -1
        while not self._is_closed:
            seen = self._wait_for_refresh(seen)
            self._skip()

    def _wait_for_refresh(self, seen: int, timeout: float | None = None) -> int:
        """Wait for the next call of `refresh` after the first `seen` ones; return their number."""
        with self._refreshed:
            self._refreshed.wait_for(lambda: self._refreshes != seen, timeout)
            return self._refreshes

    def _skip(self) -> None:
        with self._mutex, ExitStack() as locks:
            # No other code holds two of them.
            for hub in self._hubs:
                locks.enter_context(hub.lock)
            if self._is_closed or self._holds or not all(hub.is_idle for hub in self._hubs):
                return
            # From here on only timers fire that the clock itself reaches.
            due = self._next_due()
            if due is not None and due <= LATEST:
                self._move_to(due)

    def _next_due(self) -> int | None:
        due = [hub.timers.next_due() for hub in self._hubs]
        return min((time for time in due if time is not None), default=None)

    def _move_to(self, moment: int) -> None:
        self._skipped += max(0, moment - self.now())
        for hub in self._hubs:
            hub.timers.wake()
