"""What the dashboard may see and do of a task hub: plain values, no protobuf, no locks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Protocol

from durabletask.history import ExecutionStartedEvent, HistoryEvent
from durabletask.task import FailureDetails

STATUSES = ("PENDING", "RUNNING", "SUSPENDED", "COMPLETED", "FAILED", "TERMINATED")
"""Every status an orchestration instance can have, in the order of its life."""

# Version, trace ID, span ID and flags: https://www.w3.org/TR/trace-context/#traceparent-header
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def datetime_of(time: int) -> datetime:
    """Return a time in nanoseconds since 1970 as the dashboard shows times."""
    seconds, rest = divmod(time, 1_000_000_000)
    return datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=rest // 1000)


class ActionRefusedError(Exception):
    """An action cannot be done now; the message says why, in words for the user."""


@dataclass(frozen=True)
class InstanceView:
    """One row of the list of orchestration instances. Times are in UTC and aware of it."""

    instance_id: str
    name: str
    status: str
    created_at: datetime
    last_updated_at: datetime
    completed_at: datetime | None
    version: str | None
    parent_id: str | None


@dataclass(frozen=True)
class InstanceDetail:
    """Everything about one instance. Input, output and custom status are JSON text."""

    instance: InstanceView
    input: str | None
    output: str | None
    custom_status: str | None
    failure: FailureDetails | None
    history: Sequence[HistoryEvent]

    @property
    def trace_id(self) -> str | None:
        """The trace that the instance belongs to, None where its client does not trace."""
        started = next((e for e in self.history if isinstance(e, ExecutionStartedEvent)), None)
        if started is None or started.parent_trace_context is None:
            return None
        found = _TRACE_PARENT.match(started.parent_trace_context.trace_parent)
        return found[1] if found else None


class HubView(Protocol):
    """A task hub as the dashboard sees it. Every method may be called from any thread.

    Actions on an unknown instance raise KeyError; one that the instance's status
    forbids raises ActionRefusedError.
    """

    @property
    def name(self) -> str:
        """The task hub's name."""

    def worker_count(self) -> int:
        """How many workers are connected now."""

    def waiting_work_items(self) -> int:
        """How many work items no worker has taken yet."""

    def count_by_status(self) -> dict[str, int]:
        """How many instances have each status; statuses without instances are left out."""

    def instances(
        self, *, status: str | None = None, search: str = "", offset: int = 0, limit: int = 50
    ) -> tuple[list[InstanceView], int]:
        """Return a page of instances, newest first, and how many match in all.

        `search` matches a part of the ID or of the orchestrator's name, in any case.
        """

    def instance(self, instance_id: str) -> InstanceDetail | None:
        """One instance with its history, or None when there is none with this ID."""

    def suspend(self, instance_id: str, reason: str) -> None:
        """Suspend a running instance."""

    def resume(self, instance_id: str, reason: str) -> None:
        """Resume a suspended instance."""

    def terminate(self, instance_id: str, reason: str) -> None:
        """Terminate an instance that has not ended, and its sub-orchestrations."""

    def restart(self, instance_id: str) -> str:
        """Run an ended instance again under a new ID, with the same input; return that ID."""

    def purge(self, instance_id: str) -> None:
        """Forget an ended instance and its sub-orchestrations."""

    def raise_event(self, instance_id: str, name: str, data: str) -> None:
        """Send an external event; `data` is JSON text, empty for none."""
