"""Where bars lie on the time axis, and what becomes of too many of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dts_emulator.dashboard.chart import (
    ROWS_BEFORE_GROUPING,
    Axis,
    Bar,
    Group,
    labels_of,
    most_at_once,
    rows,
)
from dts_emulator.dashboard.models import datetime_of
from dts_emulator.dashboard.steps import Step
from dts_emulator.dashboard.timeline import DispatchTimes, steps_of
from tests.dashboard.histories import History, at, fan_out_fan_in

AXIS = Axis(at(0), at(10))


def only_bar(history: History, axis: Axis = AXIS) -> Bar:
    [bar] = rows(
        steps_of(history.events, ended=False, dispatch_times=dispatch_times_of(history)), axis
    )
    assert isinstance(bar, Bar)
    return bar


def dispatch_times_of(history: History) -> DispatchTimes:
    """Return when workers were given a history's activities, as a task hub knows it."""
    return {
        (number, datetime_of(scheduled)): (datetime_of(first), datetime_of(last))
        for (number, scheduled), (first, last) in history.dispatch_times.items()
    }


def steps(items: int) -> list[Step]:
    return steps_of(fan_out_fan_in(items).events, ended=True)


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


def test_the_wait_for_a_worker_is_a_lead_and_the_run_a_bar() -> None:
    spans = only_bar(History().scheduled(1, 1, waited=4).completed(7, 1)).spans
    assert [(s.x, s.width, s.status) for s in spans] == [
        (10, 40, "WAITING"),
        (50, 20, "COMPLETED"),
    ]


def test_the_run_of_a_worker_that_was_lost_is_told_from_the_one_that_counts() -> None:
    history = History().scheduled(1, 1, waited=1, waited_again=5).completed(8, 1)
    assert [(s.x, s.status) for s in only_bar(history).spans] == [
        (10, "WAITING"),
        (20, "UNFINISHED"),
        (60, "COMPLETED"),
    ]


def test_what_waits_is_not_at_once_with_what_runs() -> None:
    history = History()
    for number in range(8):
        history.scheduled(0, number, waited=number)
    for number in range(8):
        history.completed(number + 1, number)
    assert (
        most_at_once(
            steps_of(history.events, ended=True, dispatch_times=dispatch_times_of(history))
        )
        == 1
    )


@pytest.mark.parametrize(
    ("parts", "labels"),
    [
        (
            [("run:0001", '{"first": 1, "last": 10}'), ("run:0002", '{"first": 11, "last": 20}')],
            ["first 1, last 10", "first 11, last 20"],
        ),
        ([("run:0001", "1"), ("run:0002", "1"), ("run:0012", "1")], ["…01", "…02", "…12"]),
        ([("first-order", None), ("second-order", None)], ["first-order", "second-order"]),
        ([("same", "1"), ("same", "1")], ["same", "same"]),
    ],
)
def test_sub_orchestrations_are_labelled_by_what_tells_them_apart(
    parts: list[tuple[str, str | None]], labels: list[str]
) -> None:
    history = History()
    for number, (child_id, given) in enumerate(parts):
        history.child(0, number, child_id, given)
    assert list(labels_of(steps_of(history.events, ended=False)).values()) == labels


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


def group_of(history: History) -> Group:
    """Return the one row of a history with more steps than have a row each."""
    [group] = rows(
        steps_of(history.events, ended=False, dispatch_times=dispatch_times_of(history)), AXIS
    )
    assert isinstance(group, Group)
    return group


def test_one_failure_in_a_thousand_colours_its_share_alone() -> None:
    history = History()
    for number in range(1000):
        history.scheduled(0, number)
    for number in range(1000):
        if number == 7:
            history.failed(5, number)
        else:
            history.completed(5, number)
    group = group_of(history)
    (main, whole), (failed, share) = group.outlines
    assert (main, failed) == ("COMPLETED", "FAILED")
    assert group.counts == {"COMPLETED": 999, "FAILED": 1}
    heights = {100 - float(piece.split("h")[0]) for piece in share.split("V")[1:-1]}
    assert heights == {0, 15}, "high enough to be seen, and far from the whole"
    assert "V0h1" in whole


def test_steps_that_all_wait_are_drawn_as_waiting() -> None:
    history = History()
    for number in range(ROWS_BEFORE_GROUPING + 1):
        history.scheduled(2, number, waited=None)
    group = group_of(history)
    assert group.counts == {"WAITING": ROWS_BEFORE_GROUPING + 1}
    assert group.at_once == 0
    assert group.lead
    assert (group.lead.x, group.lead.width) == (20, 80)


def test_a_group_without_a_finished_step_has_no_spread() -> None:
    history = History()
    for number in range(ROWS_BEFORE_GROUPING + 1):
        history.scheduled(0, number)
    group = group_of(history)
    assert (group.shortest, group.median, group.longest) == (None, None, None)


def test_the_outline_of_a_group_falls_as_its_steps_finish() -> None:
    [group, _] = rows(steps(1000), Axis(at(0), at(2.1)))
    assert isinstance(group, Group)
    [(_, outline)] = group.outlines
    heights = [float(piece.split("h")[0]) for piece in outline.split("V")[1:-1]]
    assert len(heights) == 120
    assert (min(heights), heights[-1]) == (0, 100)


def test_steps_that_follow_each_other_are_not_at_once() -> None:
    history = History().scheduled(0, 1).completed(1, 1).scheduled(1, 2).completed(2, 2)
    assert most_at_once(steps_of(history.events, ended=True)) == 1
