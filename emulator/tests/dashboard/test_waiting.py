"""Waiting is not running: which part of a step's time is which."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dts_emulator.dashboard.models import datetime_of
from dts_emulator.dashboard.steps import Step
from dts_emulator.dashboard.timeline import steps_of
from tests.dashboard.histories import History, at


def timed(history: History, *, ended: bool = False) -> list[Step]:
    """Return the steps with the times at which workers were given the activities."""
    times = {
        (number, datetime_of(scheduled)): (datetime_of(first), datetime_of(last))
        for (number, scheduled), (first, last) in history.dispatch_times.items()
    }
    return steps_of(history.events, ended=ended, dispatch_times=times)


def test_a_step_waits_until_a_worker_is_given_it_and_then_runs() -> None:
    [step] = timed(History().scheduled(1, 1, waited=4).completed(6.5, 1))
    assert (step.scheduled_at, step.started_at) == (at(1), at(5))
    assert (step.waited, step.ran) == (timedelta(seconds=4), timedelta(seconds=1.5))


def test_a_step_that_no_worker_has_been_given_is_waiting() -> None:
    [step] = timed(History().scheduled(1, 1, waited=None))
    assert (step.status, step.started_at, step.waited, step.ran) == ("WAITING", None, None, None)


def test_a_step_that_still_waits_when_its_instance_ends_is_unfinished() -> None:
    [step] = timed(History().scheduled(1, 1, waited=None).ended(2), ended=True)
    assert step.status == "UNFINISHED"


def test_each_attempt_waits_and_runs_for_itself() -> None:
    history = History().scheduled(0, 1, waited=1).failed(2, 1)
    [step] = timed(history.scheduled(5, 1, waited=3).completed(9, 1))
    assert (step.waited, step.ran) == (timedelta(seconds=4), timedelta(seconds=2))


def test_a_step_that_a_second_worker_was_given_ran_from_then() -> None:
    [step] = timed(History().scheduled(0, 1, waited=1, waited_again=7).completed(9, 1))
    assert (step.waited, step.ran) == (timedelta(seconds=1), timedelta(seconds=2))


def test_an_answer_of_the_first_worker_after_all_ends_its_own_run() -> None:
    [step] = timed(History().scheduled(0, 1, waited=1, waited_again=7).completed(4, 1))
    assert step.ran == timedelta(seconds=3)


def test_without_the_times_a_step_runs_from_when_it_was_scheduled() -> None:
    [step] = steps_of(History().scheduled(1, 1, waited=4).completed(6, 1).events, ended=False)
    assert (step.waited, step.ran) == (None, timedelta(seconds=5))


@pytest.mark.parametrize(
    ("started", "status", "waited"),
    [(None, "WAITING", None), (3, "RUNNING", timedelta(seconds=2))],
)
def test_a_sub_orchestration_waits_for_its_own_first_turn(
    started: float | None, status: str, waited: timedelta | None
) -> None:
    first_turns = {"child-1": None if started is None else at(started)}
    history = History().child(1, 1, "child-1")
    [step] = steps_of(history.events, ended=False, started=first_turns)
    assert (step.status, step.waited) == (status, waited)
