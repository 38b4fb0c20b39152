"""Lays steps out on a time axis: where each bar begins and ends, and what is grouped.

Pure arithmetic in percent of the axis; the templates draw it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from emulator.dashboard.timeline import COMPLETED, FAILED, RUNNING, UNFINISHED, Step

ROWS_BEFORE_GROUPING = 50
"""A timeline of more steps than this shows one row for each name."""

SLICES = 120
"""Into how many slices of time a group's load is cut."""

_THINNEST = 0.4
_TICKS = 5
_TICK_SECONDS = (
    *(m * 10**e for e in range(-3, 1) for m in (1, 2, 5)),
    *(10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600 * h for h in (1, 2, 3, 6, 12, 24, 48, 120, 240, 720)),
)


@dataclass(frozen=True)
class Axis:
    """The time that a chart spans."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How long it is; never zero, so that one can divide by it."""
        return max(self.end - self.start, timedelta(milliseconds=1))

    def percent(self, moment: datetime) -> float:
        """Where a moment lies, from 0 to 100."""
        return min(max((moment - self.start) / self.length * 100, 0.0), 100.0)

    def ticks(self) -> list[tuple[float, timedelta]]:
        """Round moments as (percent, time since the start)."""
        seconds = self.length.total_seconds()
        step = next((t for t in _TICK_SECONDS if seconds / t <= _TICKS), seconds)
        count = int(seconds / step)
        return [
            (round(i * step / seconds * 100, 3), timedelta(seconds=i * step))
            for i in range(count + 1)
        ]


@dataclass(frozen=True)
class Span:
    """A piece of a bar, in percent of the axis."""

    x: float
    width: float
    status: str


@dataclass(frozen=True)
class Bar:
    """A row that shows one step: a span for each attempt."""

    step: Step
    spans: list[Span]


@dataclass(frozen=True)
class Group:
    """A row that stands for all the steps of one name."""

    kind: str
    name: str
    status: str
    count: int
    started_at: datetime
    at_once: int
    shortest: timedelta | None
    median: timedelta | None
    longest: timedelta | None
    outline: str


def rows(steps: Sequence[Step], axis: Axis) -> list[Bar | Group]:
    """One bar for each step, or one row for each name when there are too many steps."""
    if len(steps) <= ROWS_BEFORE_GROUPING:
        return [_bar(step, axis) for step in steps]
    by_name: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        by_name.setdefault((step.kind, step.name), []).append(step)
    return [
        _bar(members[0], axis) if len(members) == 1 else _group(members, axis)
        for members in by_name.values()
    ]


def most_at_once(steps: Iterable[Step]) -> int:
    """How many steps were under way at the busiest moment."""
    changes: list[tuple[datetime, int]] = []
    for step in steps:
        changes.append((step.started_at, 1))
        if step.ended_at:
            changes.append((step.ended_at, -1))
    running = busiest = 0
    for _, change in sorted(changes):
        running += change
        busiest = max(busiest, running)
    return busiest


def _bar(step: Step, axis: Axis) -> Bar:
    spans = []
    for attempt in step.attempts:
        last = attempt is step.attempts[-1]
        x = axis.percent(attempt.started_at)
        # At the axis's end the thinnest bar stands out a little: moved back, an aggregation of a
        # few milliseconds would begin before the last item is done.
        width = max(axis.percent(attempt.ended_at or axis.end) - x, _THINNEST)
        spans.append(Span(round(x, 3), round(width, 3), step.status if last else FAILED))
    return Bar(step, spans)


def _group(steps: list[Step], axis: Axis) -> Group:
    durations = sorted(step.duration for step in steps if step.duration is not None)
    statuses = {step.status for step in steps}
    return Group(
        kind=steps[0].kind,
        name=steps[0].name,
        status=next(s for s in (FAILED, RUNNING, UNFINISHED, COMPLETED) if s in statuses),
        count=len(steps),
        started_at=steps[0].started_at,
        at_once=most_at_once(steps),
        shortest=durations[0] if durations else None,
        median=timedelta(seconds=median(d.total_seconds() for d in durations))
        if durations
        else None,
        longest=durations[-1] if durations else None,
        outline=_outline(_load(steps, axis)),
    )


def _load(steps: list[Step], axis: Axis) -> list[int]:
    """How many steps were under way in each slice of the axis."""
    changes = [0] * (SLICES + 1)
    for step in steps:
        first = min(int(axis.percent(step.started_at) * SLICES / 100), SLICES - 1)
        last = min(int(axis.percent(step.ended_at or axis.end) * SLICES / 100), SLICES - 1)
        changes[first] += 1
        changes[last + 1] -= 1
    load, running = [], 0
    for change in changes[:SLICES]:
        running += change
        load.append(running)
    return load


def _outline(load: list[int]) -> str:
    """Draw the load as an SVG path in a box of SLICES by 100."""
    busiest = max(load)
    heights = (f"V{round(100 - slice_load / busiest * 100, 1):g}h1" for slice_load in load)
    return f"M0 100{''.join(heights)}V100Z"
