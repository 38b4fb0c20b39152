"""A task hub in memory, as the dashboard sees one; it notes the actions asked of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from durabletask.history import HistoryEvent
from durabletask.task import FailureDetails

from emulator.views import ActionRefusedError, InstanceDetail, InstanceView
from tests.emulator.dashboard.histories import OUTPUT, at, fan_out_fan_in

_ENDED = ("COMPLETED", "FAILED", "TERMINATED")


def make_instance(
    instance_id: str = "run-1",
    *,
    name: str = "fan_out_fan_in_orchestrator",
    status: str = "COMPLETED",
    created: float = 0,
    took: float = 2.06,
    input: str | None = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]",  # noqa: A002, the view's own word
    output: str | None = None,
    custom_status: str | None = None,
    failure: FailureDetails | None = None,
    history: Sequence[HistoryEvent] = (),
    parent_id: str | None = None,
    created_at: datetime | None = None,
) -> InstanceDetail:
    """Make an instance that started `created` seconds after the histories' start."""
    begin = created_at or at(created)
    end = begin + (at(took) - at(0))
    view = InstanceView(
        instance_id=instance_id,
        name=name,
        status=status,
        created_at=begin,
        last_updated_at=end,
        completed_at=end if status in _ENDED else None,
        version=None,
        parent_id=parent_id,
    )
    return InstanceDetail(view, input, output, custom_status, failure, history)


def finished_run(instance_id: str = "run-1", items: int = 10) -> InstanceDetail:
    """Make the instance that the quickstart's reader looks at."""
    numbers = str(list(range(1, items + 1)))
    return make_instance(instance_id, input=numbers, output=OUTPUT, history=fan_out_fan_in(items))


class FakeHub:
    """Implements `HubView` over a dict."""

    def __init__(
        self, *instances: InstanceDetail, name: str = "default", workers: int = 1, waiting: int = 0
    ) -> None:
        self.name = name
        self.workers = workers
        self.waiting = waiting
        self.actions: list[tuple[str, ...]] = []
        self.refuse_with: str | None = None
        self.details = {detail.instance.instance_id: detail for detail in instances}

    def put(self, detail: InstanceDetail) -> None:
        """Add or replace an instance."""
        self.details[detail.instance.instance_id] = detail

    def worker_count(self) -> int:
        return self.workers

    def waiting_work_items(self) -> int:
        return self.waiting

    def count_by_status(self) -> dict[str, int]:
        return dict(Counter(detail.instance.status for detail in self.details.values()))

    def instances(
        self, *, status: str | None = None, search: str = "", offset: int = 0, limit: int = 50
    ) -> tuple[list[InstanceView], int]:
        wanted = search.lower()
        views = [detail.instance for detail in self.details.values()]
        found = [
            view
            for view in sorted(views, key=lambda v: v.created_at, reverse=True)
            if status in (None, view.status)
            and (wanted in view.instance_id.lower() or wanted in view.name.lower())
        ]
        return found[offset : offset + limit], len(found)

    def instance(self, instance_id: str) -> InstanceDetail | None:
        return self.details.get(instance_id)

    def suspend(self, instance_id: str, reason: str) -> None:
        self._act("suspend", instance_id, reason, status="SUSPENDED")

    def resume(self, instance_id: str, reason: str) -> None:
        self._act("resume", instance_id, reason, status="RUNNING")

    def terminate(self, instance_id: str, reason: str) -> None:
        self._act("terminate", instance_id, reason, status="TERMINATED")

    def restart(self, instance_id: str) -> str:
        self._act("restart", instance_id)
        copy = self.details[instance_id]
        self.put(replace(copy, instance=replace(copy.instance, instance_id="again")))
        return "again"

    def purge(self, instance_id: str) -> None:
        self._act("purge", instance_id)
        del self.details[instance_id]

    def raise_event(self, instance_id: str, name: str, data: str) -> None:
        self._act("raise_event", instance_id, name, data)

    def _act(self, action: str, instance_id: str, *words: str, status: str | None = None) -> None:
        detail = self.details[instance_id]
        if self.refuse_with:
            raise ActionRefusedError(self.refuse_with)
        self.actions.append((action, instance_id, *words))
        if status:
            ended = detail.instance.last_updated_at if status in _ENDED else None
            view = replace(detail.instance, status=status, completed_at=ended)
            self.put(replace(detail, instance=view))


def many() -> FakeHub:
    """Make a task hub with 120 instances, of which 12 have failed."""
    return FakeHub(
        *(
            make_instance(f"run-{i}", created=i, status="FAILED" if i % 10 == 0 else "COMPLETED")
            for i in range(120)
        )
    )
