"""Calls functions at their time, thousands of them on one thread."""

from __future__ import annotations

import logging
import sched
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("emulator")

# The longest sleep between two looks at the clock, so that a clock set forward is noticed.
LONGEST_SLEEP_SECONDS = 60.0


class Timers:
    """Runs callbacks at wall-clock times, in order, on one thread that starts when needed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._additions = 0
        self._closed = False
        self._thread: threading.Thread | None = None
        self._schedule = sched.scheduler(time.time)

    def at(self, when: float, callback: Callable[[], None]) -> None:
        """Call `callback` at `when` (seconds since the epoch), at once if that is past."""
        with self._changed:
            if self._closed:
                return
            self._schedule.enterabs(when, 0, callback)
            self._additions += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="timers", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Stop the thread; what has not run yet never will."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while True:
            seen = self._additions
            wait = self._run_due()
            with self._changed:
                self._changed.wait_for(
                    lambda: self._closed or self._additions != seen,  # noqa: B023
                    LONGEST_SLEEP_SECONDS if wait is None else min(wait, LONGEST_SLEEP_SECONDS),
                )
                if self._closed:
                    return

    def _run_due(self) -> float | None:
        """Run what is due; return the seconds until the next callback, None if there is none."""
        try:
            return self._schedule.run(blocking=False)
        except Exception:
            logger.exception("A timer failed")
            return 0
