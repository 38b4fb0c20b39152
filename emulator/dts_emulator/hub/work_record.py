"""What a worker's stream has done so far: how much of each kind, how fast, and when it last did."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

# Over how long the pace is taken.
PACE_SECONDS = 10


@dataclass
class WorkRecord:
    """The answers of one worker. Times are in seconds since 1970.

    `connected_at` is when its stream began, `answered_at` when its last answer came. `completed`
    counts its answers by the kind of the work item.
    """

    connected_at: float = 0.0
    answered_at: float | None = None
    completed: Counter[str] = field(default_factory=Counter)
    _recent: deque[tuple[int, int]] = field(default_factory=deque)

    def note(self, kind: str, now: float) -> None:
        """Note an answer to a work item of this kind."""
        self.answered_at = now
        self.completed[kind] += 1
        second = int(now)
        count = self._recent.pop()[1] if self._recent and self._recent[-1][0] == second else 0
        self._recent.append((second, count + 1))
        while self._recent[0][0] <= second - PACE_SECONDS:
            self._recent.popleft()

    def per_second(self, now: float) -> float:
        """Return how many answers came per second of late."""
        count = sum(number for second, number in self._recent if second > now - PACE_SECONDS)
        return count / min(PACE_SECONDS, max(now - self.connected_at, 1.0))
