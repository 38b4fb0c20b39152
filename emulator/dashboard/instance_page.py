"""What the page of one instance shows: which steps and events, and the chart of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import islice

from durabletask.history import HistoryEvent

from emulator.dashboard.chart import SLICES, Axis, Bar, Group, most_at_once, rows
from emulator.dashboard.json_twin import event_fields, event_type
from emulator.dashboard.links import Pager, page_number
from emulator.dashboard.timeline import Step
from emulator.views import InstanceDetail, InstanceView

STEPS_PER_PAGE = 50
EVENTS_PER_PAGE = 100

_WORK = ("activity", "sub-orchestration")


@dataclass(frozen=True)
class EventRow:
    """One history event as the table shows it."""

    number: int
    type: str
    timestamp: datetime
    fields: Mapping[str, str]


@dataclass(frozen=True)
class InstancePage:
    """Everything that the template needs, worked out from the instance and the query.

    Query: `steps` names the only steps to show, `page` and `events` are page numbers,
    `show` names the one value to show uncut.
    """

    detail: InstanceDetail
    steps: Sequence[Step]
    asked: Mapping[str, str]
    now: datetime

    @property
    def instance(self) -> InstanceView:
        """The instance's own row."""
        return self.detail.instance

    @property
    def live(self) -> bool:
        """Whether the page can still change."""
        return self.instance.completed_at is None

    @property
    def duration(self) -> timedelta:
        """How long it took, or has been going on."""
        return self.axis.end - self.instance.created_at

    @property
    def show(self) -> str | None:
        """The value to show uncut."""
        return self.asked.get("show")

    @property
    def only(self) -> str | None:
        """The name of the only steps to show."""
        return self.asked.get("steps")

    @cached_property
    def axis(self) -> Axis:
        """The time from the instance's creation to its end, or to now."""
        return Axis(self.instance.created_at, self.instance.completed_at or self.now)

    @cached_property
    def chosen(self) -> Sequence[Step]:
        """The steps that the query asks for, on whichever page."""
        return [s for s in self.steps if s.name == self.only] if self.only else self.steps

    @property
    def step_pager(self) -> Pager:
        """Which of these steps the table shows."""
        return Pager(len(self.chosen), STEPS_PER_PAGE, page_number(self.asked.get("page")))

    @property
    def page_steps(self) -> Sequence[Step]:
        """The steps in the table."""
        return self.chosen[self.step_pager.start : self.step_pager.stop]

    @cached_property
    def rows(self) -> list[Bar | Group]:
        """The chart's rows: the table's steps when named, else all, grouped where too many."""
        return rows(self.page_steps if self.only else self.steps, self.axis)

    @property
    def slices(self) -> int:
        """The width of a group's outline."""
        return SLICES

    @property
    def at_once(self) -> int:
        """How many activities and sub-orchestrations were under way at the busiest moment."""
        return most_at_once(step for step in self.steps if step.kind in _WORK)

    @property
    def event_pager(self) -> Pager:
        """Which events the history shows."""
        wanted = page_number(self.asked.get("events"))
        return Pager(len(self.detail.history), EVENTS_PER_PAGE, wanted)

    def events(self) -> Iterator[EventRow]:
        """Make the rows of the history events on this page."""
        pager = self.event_pager
        shown: Iterator[HistoryEvent] = islice(self.detail.history, pager.start, pager.stop)
        for number, event in enumerate(shown, start=pager.start + 1):
            yield EventRow(number, event_type(event), event.timestamp, event_fields(event))
