"""Where bars lie on the time axis, and what becomes of too many of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from emulator.dashboard.chart import ROWS_BEFORE_GROUPING, Axis, Bar, Group, most_at_once, rows
from emulator.dashboard.timeline import Step, steps_of
from tests.emulator.dashboard.histories import History, at, fan_out_fan_in

AXIS = Axis(at(0), at(10))


def only_bar(history: History, axis: Axis = AXIS) -> Bar:
    [bar] = rows(steps_of(history.events, ended=False), axis)
    assert isinstance(bar, Bar)
    return bar


def steps(items: int) -> list[Step]:
    return steps_of(fan_out_fan_in(items), ended=True)


@pytest.mark.parametrize(
    ("history", "x", "width"),
    [
        (History().scheduled(2, 1).completed(7, 1), 20, 50),
        (History().scheduled(2, 1), 20, 80),
        (History().scheduled(10, 1).completed(10, 1), 100, 0.4),
        (History().scheduled(-5, 1).completed(50, 1), 0, 100),
    ],
    ids=["finished", "running", "at the very end", "clocks that disagree"],
)
def test_a_bar_lies_where_its_step_was(history: History, x: float, width: float) -> None:
    [span] = only_bar(history).spans
    assert (span.x, span.width) == (x, width)


def test_the_shortest_aggregation_begins_after_the_last_item() -> None:
    history = History().scheduled(0, 1).completed(9.99, 1).scheduled(9.99, 2).completed(10, 2)
    item, aggregation = rows(steps_of(history.events, ended=True), AXIS)
    assert isinstance(item, Bar)
    assert isinstance(aggregation, Bar)
    assert item.spans[0].x + item.spans[0].width <= aggregation.spans[0].x


def test_each_attempt_has_its_own_piece_of_the_bar() -> None:
    history = History().scheduled(1, 1).failed(2, 1).scheduled(4, 1).completed(5, 1)
    spans = only_bar(history).spans
    assert [(s.x, s.status) for s in spans] == [(10, "FAILED"), (40, "COMPLETED")]


@pytest.mark.parametrize(
    ("seconds", "ticks"),
    [
        (0.05, [0, 0.01, 0.02, 0.03, 0.04, 0.05]),
        (2.06, [0, 0.5, 1, 1.5, 2]),
        (150, [0, 30, 60, 90, 120, 150]),
        (86400 * 36500, [0, 86400 * 36500]),
    ],
)
def test_ticks_are_at_round_moments_or_at_both_ends_of_a_century(
    seconds: float, ticks: list[float]
) -> None:
    axis = Axis(at(0), at(seconds))
    assert [tick.total_seconds() for _, tick in axis.ticks()] == pytest.approx(ticks)


def test_an_instance_that_took_no_time_still_has_an_axis() -> None:
    axis = Axis(at(0), at(0))
    assert axis.percent(at(0)) == 0
    assert axis.ticks()


def test_few_steps_have_a_row_each() -> None:
    assert len(rows(steps(ROWS_BEFORE_GROUPING - 1), AXIS)) == ROWS_BEFORE_GROUPING


def test_a_thousand_equal_steps_become_one_row_that_tells_their_spread() -> None:
    group, aggregation = rows(steps(1000), AXIS)
    assert isinstance(group, Group)
    assert isinstance(aggregation, Bar)
    assert (group.name, group.count, group.at_once) == ("process_work_item", 1000, 1000)
    assert (group.shortest, group.longest) == (timedelta(seconds=0.52), timedelta(seconds=1.9))
    assert group.median == timedelta(seconds=1.115)


def test_a_group_takes_its_colour_from_the_member_that_needs_attention() -> None:
    history = History()
    for number in range(ROWS_BEFORE_GROUPING + 1):
        history.scheduled(0, number)
    history.failed(1, 7)
    [group] = rows(steps_of(history.events, ended=False), AXIS)
    assert isinstance(group, Group)
    assert group.status == "FAILED"


def test_a_group_without_a_finished_step_has_no_spread() -> None:
    history = History()
    for number in range(ROWS_BEFORE_GROUPING + 1):
        history.scheduled(0, number)
    [group] = rows(steps_of(history.events, ended=False), AXIS)
    assert isinstance(group, Group)
    assert (group.shortest, group.median, group.longest) == (None, None, None)


def test_the_outline_of_a_group_falls_as_its_steps_finish() -> None:
    [group, _] = rows(steps(1000), Axis(at(0), at(2.1)))
    assert isinstance(group, Group)
    heights = [float(piece.split("h")[0]) for piece in group.outline.split("V")[1:-1]]
    assert len(heights) == 120
    assert (min(heights), heights[-1]) == (0, 100)


def test_steps_that_follow_each_other_are_not_at_once() -> None:
    history = History().scheduled(0, 1).completed(1, 1).scheduled(1, 2).completed(2, 2)
    assert most_at_once(steps_of(history.events, ended=True)) == 1
