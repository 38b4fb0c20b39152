"""The steps of a run as the dashboard shows them, and their attempts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from durabletask.task import FailureDetails

WAITING, RUNNING, COMPLETED = "WAITING", "RUNNING", "COMPLETED"
FAILED, UNFINISHED = "FAILED", "UNFINISHED"
STEP_STATUSES = (WAITING, RUNNING, COMPLETED, FAILED, UNFINISHED)
"""A step's statuses. WAITING: not dispatched to a worker yet. UNFINISHED: its instance ended before
it did."""


@dataclass(frozen=True)
class Attempt:
    """One attempt at a step, from its schedule to its answer.

    `dispatched_at` is when it was sent to a worker, None before that; `again_at` when it was sent
    to another one because the first was lost. `is_queued`: a worker runs it, and these times are
    known; any other step runs from when it was scheduled.
    """

    scheduled_at: datetime
    dispatched_at: datetime | None = None
    again_at: datetime | None = None
    ended_at: datetime | None = None
    failure: FailureDetails | None = None
    is_queued: bool = False

    @property
    def begun_at(self) -> datetime | None:
        """When it began to run, None while it waits for a worker."""
        if not self.is_queued:
            return self.scheduled_at
        if self.ended_at is None or self.dispatched_at is None:
            return self.dispatched_at or self.ended_at
        return min(self.dispatched_at, self.ended_at)

    @property
    def ran_from(self) -> datetime | None:
        """When the last, decisive run began."""
        if self.again_at is None or (self.ended_at and self.again_at > self.ended_at):
            return self.begun_at
        return self.again_at


@dataclass(frozen=True)
class Step:
    """One activity, timer, sub-orchestration, entity call, event or suspension."""

    number: int
    kind: str
    name: str
    status: str
    attempts: tuple[Attempt, ...]
    input: str | None = None
    output: str | None = None
    child_id: str | None = None
    entity_id: str | None = None
    task_id: int | None = None
    display_name: str | None = None

    @property
    def shown_name(self) -> str:
        """The display name in its tags, else its name."""
        return self.display_name or self.name

    @property
    def scheduled_at(self) -> datetime:
        """When it was first scheduled."""
        return self.attempts[0].scheduled_at

    @property
    def started_at(self) -> datetime | None:
        """When it first began to run, None while it waits for a worker."""
        return self.attempts[0].begun_at

    @property
    def ended_at(self) -> datetime | None:
        """When its last attempt was answered, None while it has not been."""
        return self.attempts[-1].ended_at

    @property
    def failure(self) -> FailureDetails | None:
        """Why the last attempt failed."""
        return self.attempts[-1].failure

    @property
    def waited(self) -> timedelta | None:
        """How long its attempts waited for a worker; None while it waits, or if unknown."""
        if not all(a.is_queued and a.begun_at for a in self.attempts):
            return None
        return _total((a.scheduled_at, a.begun_at) for a in self.attempts)

    @property
    def ran(self) -> timedelta | None:
        """How long its attempts ran, without the waits between; None while it has not ended."""
        if self.ended_at is None:
            return None
        return _total((a.ran_from, a.ended_at) for a in self.attempts)


def _total(spans: Iterable[tuple[datetime | None, datetime | None]]) -> timedelta:
    """Add up durations; negative ones, after a clock was set back, count as zero."""
    lengths = (max(end - start, timedelta(0)) for start, end in spans if start and end)
    return sum(lengths, timedelta(0))
