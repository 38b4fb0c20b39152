"""What a run consists of, as the dashboard shows it: steps, and the attempts at each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from durabletask.task import FailureDetails

WAITING, RUNNING, COMPLETED = "WAITING", "RUNNING", "COMPLETED"
FAILED, UNFINISHED = "FAILED", "UNFINISHED"
STEP_STATUSES = (WAITING, RUNNING, COMPLETED, FAILED, UNFINISHED)
"""A step's statuses. WAITING: no worker has been given it yet. UNFINISHED: its instance ended
first, so it never will."""


@dataclass(frozen=True)
class Attempt:
    """One try at a step, from being scheduled to its answer.

    `dispatched_at` is when a worker was given it, None before that; `again_at` when another one was
    given it because the first was lost. `is_queued`: it is work for a worker, and these times
    are known; anything else runs from when it was scheduled.
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
        """When the run that counts began: the last one."""
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
        """The display name that its tags give it, or else its name."""
        return self.display_name or self.name

    @property
    def scheduled_at(self) -> datetime:
        """When it was first asked for."""
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
        """How long its attempts waited for a worker; None while it waits, or where nobody knows."""
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
    """Add up spans of time; one that runs backwards, as clocks may be set back, has no length."""
    lengths = (max(end - start, timedelta(0)) for start, end in spans if start and end)
    return sum(lengths, timedelta(0))
