"""Lays steps out on a time axis: bars and groups of steps.

Pure arithmetic in percent of the axis; the templates draw it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from statistics import median

from dts_emulator.dashboard.steps import (
    COMPLETED,
    FAILED,
    RUNNING,
    UNFINISHED,
    WAITING,
    Attempt,
    Step,
)
from dts_emulator.dashboard.text import short_label

ROWS_BEFORE_GROUPING = 50
"""A timeline with more steps than this shows one row per name."""

SLICES = 120
"""The number of time slices for a group's load."""

# The widths of --label in dashboard.css, and the space between and after the texts.
_LABEL_WIDTHS = (("short", 255), ("long", 345))
_LABEL_GAPS = 24

_THINNEST = 0.4
_LABEL = 24

# The minimum height of a group's failures, of 100: one in a thousand must be visible.
_LEAST_FAILED = 15
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
        """Its length; never zero, as it is a divisor."""
        return max(self.end - self.start, timedelta(milliseconds=1))

    def percent(self, moment: datetime) -> float:
        """Return the position of a moment, from 0 to 100."""
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
    """A piece of a bar, in percent of the axis. The status WAITING is drawn as a thin lead."""

    x: float
    width: float
    status: str


@dataclass(frozen=True)
class Bar:
    """A row that shows one step: for each attempt its wait and its run.

    The label distinguishes it from others of its name, if it `has_namesakes`.
    """

    step: Step
    label: str
    has_namesakes: bool
    spans: list[Span]


@dataclass(frozen=True)
class Group:
    """A row that stands for all the steps of one name; `outlines`: (status, SVG path)."""

    kind: str
    name: str
    shown_name: str
    counts: dict[str, int]
    at_once: int
    shortest: timedelta | None
    median: timedelta | None
    longest: timedelta | None
    lead: Span | None
    outlines: list[tuple[str, str]]

    @property
    def count(self) -> int:
        """How many steps it stands for."""
        return sum(self.counts.values())


def rows(steps: Sequence[Step], axis: Axis) -> list[Bar | Group]:
    """Return one bar per step, or one row per name if there are too many steps."""
    labels, by_name = labels_of(steps), _by_name(steps)
    if len(steps) <= ROWS_BEFORE_GROUPING:
        alone = {members[0].number for members in by_name if len(members) == 1}
        apart = {number for number, label in labels.items() if label} - alone
        return [_bar(s, labels[s.number], s.number in apart, axis) for s in steps]
    return [
        _bar(members[0], labels[members[0].number], False, axis)
        if len(members) == 1
        else _group(members, axis)
        for members in by_name
    ]


def label_width(shown: Iterable[Bar | Group]) -> str:
    """Return the name of the narrowest column that the rows' labels fit into: short, long, longest.

    In CSS pixels: a character of a name takes about 8, one of the smaller text beside it 7.
    """
    widest = max((_label_pixels(row) for row in shown), default=0)
    return next((name for name, pixels in _LABEL_WIDTHS if widest <= pixels), "longest")


def _label_pixels(row: Bar | Group) -> int:
    if isinstance(row, Group):
        return 8 * len(row.shown_name) + 7 * len(f"x {row.count:,}") + _LABEL_GAPS
    return 8 * len(row.step.shown_name) + 7 * len(row.label) + _LABEL_GAPS


def labels_of(steps: Sequence[Step]) -> dict[int, str]:
    """Return the text that distinguishes each step from others of its name, by step number.

    It is the input if inputs differ, else the end of the sub-orchestration's ID. A unique display
    name needs none.
    """
    labels: dict[int, str] = {}
    for members in _by_name(steps):
        inputs = [short_label(step.input, _LABEL) for step in members]
        if len(set(inputs)) < len(inputs) and all(step.child_id for step in members):
            ids = [step.child_id or "" for step in members]
            shared = _shared_length(ids)
            inputs = [f"…{one[shared:]}" if shared and one[shared:] else one for one in ids]
        shown = Counter(step.shown_name for step in members)
        labels |= {
            step.number: "" if step.display_name and shown[step.shown_name] == 1 else label
            for step, label in zip(members, inputs, strict=True)
        }
    return labels


def _shared_length(texts: list[str]) -> int:
    """Return how many characters all the texts begin with."""
    # The prefix of the smallest and the greatest is common to all.
    pairs = zip(min(texts), max(texts), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _by_name(steps: Sequence[Step]) -> list[list[Step]]:
    found: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        found.setdefault((step.kind, step.name), []).append(step)
    return list(found.values())


def most_at_once(steps: Iterable[Step]) -> int:
    """Return the maximum number of steps that ran in parallel, without waiting ones."""
    changes: list[tuple[datetime, int]] = []
    for attempt in _runs(steps):
        assert attempt.ran_from is not None
        changes.append((attempt.ran_from, 1))
        if attempt.ended_at:
            changes.append((attempt.ended_at, -1))
    running = busiest = 0
    for _, change in sorted(changes):
        running += change
        busiest = max(busiest, running)
    return busiest


def _runs(steps: Iterable[Step]) -> Iterator[Attempt]:
    """Yield the attempts that have begun to run."""
    return (a for step in steps for a in step.attempts if a.ran_from is not None)


def _bar(step: Step, label: str, has_namesakes: bool, axis: Axis) -> Bar:
    spans: list[Span] = []
    for attempt in step.attempts:
        last = attempt is step.attempts[-1]
        begun, ran_from = attempt.begun_at, attempt.ran_from
        if attempt.is_queued:
            spans += _span(attempt.scheduled_at, begun or axis.end, WAITING, axis)
        if begun is None or ran_from is None:
            continue
        if ran_from != begun:
            spans += _span(begun, ran_from, UNFINISHED, axis)
        end = attempt.ended_at or axis.end
        spans += _span(ran_from, end, step.status if last else FAILED, axis, _THINNEST)
    return Bar(step, label, has_namesakes, spans)


def _span(
    start: datetime, end: datetime, status: str, axis: Axis, thinnest: float = 0
) -> list[Span]:
    x = axis.percent(start)
    # At the axis's end the thinnest bar stands out a little: moved back, an aggregation of a
    # few milliseconds would begin before the last item is done.
    width = max(axis.percent(end) - x, thinnest)
    return [Span(round(x, 3), round(width, 3), status)] if width else []


def _group(steps: list[Step], axis: Axis) -> Group:
    lengths = sorted(step.ran for step in steps if step.ran is not None)
    statuses = Counter(step.status for step in steps)
    load = _load(steps, axis)
    colour = next((s for s in (RUNNING, COMPLETED, WAITING, UNFINISHED) if statuses[s]), FAILED)
    outlines = [(colour, _outline(load, max(load)))]
    if statuses[FAILED] and colour != FAILED:
        failures = _load([step for step in steps if step.status == FAILED], axis)
        outlines.append((FAILED, _outline(failures, max(load), _LEAST_FAILED)))
    return Group(
        kind=steps[0].kind,
        name=steps[0].name,
        shown_name=_common_name(steps),
        counts=dict(statuses),
        at_once=most_at_once(steps),
        shortest=lengths[0] if lengths else None,
        median=timedelta(seconds=median(d.total_seconds() for d in lengths)) if lengths else None,
        longest=lengths[-1] if lengths else None,
        lead=_lead(steps, axis),
        outlines=outlines,
    )


def _common_name(steps: list[Step]) -> str:
    """Return the display name that all these steps share, or else their name."""
    shown = {step.shown_name for step in steps}
    return shown.pop() if len(shown) == 1 else steps[0].name


def _lead(steps: list[Step], axis: Axis) -> Span | None:
    """Return the time during which any of the steps waited for a worker."""
    waits = [
        (attempt.scheduled_at, attempt.begun_at or axis.end)
        for step in steps
        for attempt in step.attempts
        if attempt.is_queued
    ]
    if not waits:
        return None
    start, end = min(start for start, _ in waits), max(end for _, end in waits)
    return next(iter(_span(start, end, WAITING, axis)), None)


def _load(steps: list[Step], axis: Axis) -> list[int]:
    """How many steps were running in each slice of the axis."""
    changes = [0] * (SLICES + 1)
    for attempt in _runs(steps):
        assert attempt.ran_from is not None
        first = min(int(axis.percent(attempt.ran_from) * SLICES / 100), SLICES - 1)
        last = min(int(axis.percent(attempt.ended_at or axis.end) * SLICES / 100), SLICES - 1)
        changes[first] += 1
        changes[max(first, last) + 1] -= 1
    load, running = [], 0
    for change in changes[:SLICES]:
        running += change
        load.append(running)
    return load


def _outline(load: list[int], busiest: int, least: int = 0) -> str:
    """Draw the load as an SVG path in a box of SLICES by 100, at least `least` high where any."""
    tops = (100 - max(part / max(busiest, 1) * 100, least if part else 0) for part in load)
    return f"M0 100{''.join(f'V{round(top, 1):g}h1' for top in tops)}V100Z"
