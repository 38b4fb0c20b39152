"""The content of an instance's page: steps, events and chart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from dts_emulator.dashboard.chart import SLICES, Axis, Bar, Group, label_width, most_at_once, rows
from dts_emulator.dashboard.failed import FailedStep, LinkedText, linked
from dts_emulator.dashboard.links import Pager, page_number
from dts_emulator.dashboard.models import InstanceDetail, InstanceView
from dts_emulator.dashboard.progress import Progress, progress_of, throughput
from dts_emulator.dashboard.steps import STEP_STATUSES, Step
from dts_emulator.dashboard.turns import Turn, log_of, turns_of

STEPS_PER_PAGE = 50
EVENTS_PER_PAGE = 40

_WORK = ("activity", "sub-orchestration")


@dataclass(frozen=True)
class InstancePage:
    """The template's values, computed from the instance and the query.

    Query: `steps` limits the steps by name, `status` by status and `find` by a part of the input;
    `page` and `events` are page numbers, `turns` opens the history, `show` names the value to
    show in full.
    """

    detail: InstanceDetail
    steps: Sequence[Step]
    asked: Mapping[str, str]
    now: datetime
    failure_path: Sequence[FailedStep] = field(default_factory=list)
    is_file: bool = False

    @property
    def instance(self) -> InstanceView:
        """The instance's own row."""
        return self.detail.instance

    @property
    def live(self) -> bool:
        """Whether the page can still change."""
        return self.instance.completed_at is None and not self.is_file

    @property
    def duration(self) -> timedelta:
        """How long it took, or has been going on."""
        return self.axis.end - self.instance.created_at

    @property
    def show(self) -> str | None:
        """The value to show uncut."""
        return self.asked.get("show")

    @property
    def progress(self) -> Progress | None:
        """How far the instance is, with its sub-orchestrations."""
        return progress_of(self.instance, self.now)

    @property
    def throughput(self) -> str:
        """How many steps the run has done per second."""
        return throughput(self.instance.progress) if self.instance.progress else ""

    @property
    def no_output(self) -> str:
        """Why there is no output."""
        return {
            "PENDING": "None yet: no worker has started this instance.",
            "RUNNING": "None yet: the instance is running.",
            "SUSPENDED": "None yet: the instance is suspended.",
            "FAILED": "None: the instance failed.",
            "TERMINATED": "None: the instance was terminated.",
        }.get(self.instance.status, "None: the orchestrator returned nothing.")

    @property
    def failure_pieces(self) -> list[LinkedText]:
        """The failure's message, with links to the steps that it names."""
        return linked(self.detail.failure.message, self.failure_path) if self.detail.failure else []

    # Steps

    @property
    def only(self) -> str | None:
        """The name of the only steps to show."""
        return self.asked.get("steps")

    @property
    def step_status(self) -> str | None:
        """The only status of steps to show."""
        status = self.asked.get("status", "")
        return status if status in STEP_STATUSES else None

    @property
    def find(self) -> str:
        """A part of the input of the only steps to show."""
        return self.asked.get("find", "").strip()

    @property
    def is_narrowed(self) -> bool:
        """Whether the query limits the steps."""
        return bool(self.only or self.step_status or self.find)

    @cached_property
    def named(self) -> Sequence[Step]:
        """The steps that match the query's name and search text."""
        wanted = self.find.casefold()
        return [
            step
            for step in self.steps
            if self.only in (None, "", step.name) and (not wanted or wanted in _searched(step))
        ]

    @cached_property
    def step_counts(self) -> Mapping[str, int]:
        """How many of these steps have each status, in the order of a step's life."""
        counts = Counter(step.status for step in self.named)
        return {status: counts[status] for status in STEP_STATUSES if counts[status]}

    @cached_property
    def chosen(self) -> Sequence[Step]:
        """The steps that match the query, on all pages."""
        status = self.step_status
        return [step for step in self.named if step.status == status] if status else self.named

    @property
    def step_pager(self) -> Pager:
        """Which of these steps the table shows."""
        return Pager(len(self.chosen), STEPS_PER_PAGE, page_number(self.asked.get("page")))

    @property
    def page_steps(self) -> Sequence[Step]:
        """The steps in the table."""
        return self.chosen[self.step_pager.start : self.step_pager.stop]

    # Timeline

    @cached_property
    def axis(self) -> Axis:
        """The time from the instance's creation to its end, or to now; of a file, to its last."""
        last = self.instance.last_updated_at if self.is_file else self.now
        return Axis(self.instance.created_at, self.instance.completed_at or last)

    @cached_property
    def rows(self) -> list[Bar | Group]:
        """The chart's rows: the table's steps when narrowed, else all, grouped where too many."""
        return rows(self.page_steps if self.is_narrowed else self.steps, self.axis)

    @property
    def label_width(self) -> str:
        """How wide the chart's labels are, as its CSS names it."""
        return label_width(self.rows)

    @property
    def slices(self) -> int:
        """The width of a group's outline."""
        return SLICES

    @property
    def at_once(self) -> int:
        """How many activities and sub-orchestrations were running at the busiest moment."""
        return most_at_once(step for step in self.steps if step.kind in _WORK)

    @property
    def has_waits(self) -> bool:
        """Whether any step shows how long it waited for a worker."""
        return any(attempt.is_queued for step in self.steps for attempt in step.attempts)

    # History

    @property
    def event_pager(self) -> Pager:
        """Which events the history shows."""
        wanted = page_number(self.asked.get("events"))
        total = len(self.detail.history) + len(self.detail.arrived)
        return Pager(total, EVENTS_PER_PAGE, wanted)

    @cached_property
    def turns(self) -> list[Turn]:
        """The history events on this page, by turns."""
        pager = self.event_pager
        return turns_of(log_of(self.detail), pager.start, pager.stop)

    @property
    def turns_open(self) -> bool:
        """Whether the reader wants to see the events of all turns."""
        return self.asked.get("turns") == "open"


def _searched(step: Step) -> str:
    """Return the searchable text of a step."""
    return "\n".join(filter(None, (step.input, step.child_id, step.display_name))).casefold()
