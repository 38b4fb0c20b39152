"""How history events become steps."""

from __future__ import annotations

from dataclasses import MISSING, fields
from datetime import timedelta
from typing import Any

import pytest
from durabletask import history as h
from durabletask.task import FailureDetails

from dts_emulator.dashboard.models import datetime_of
from dts_emulator.dashboard.steps import Step
from dts_emulator.dashboard.timeline import steps_of
from tests.dashboard.histories import History, at, fan_out_fan_in

FAILURE = FailureDetails("no luck", "ValueError", None)


def running(history: History | list[h.HistoryEvent]) -> list[Step]:
    events = history.events if isinstance(history, History) else history
    return steps_of(events, ended=False)


def test_an_empty_history_has_no_steps() -> None:
    assert steps_of([], ended=False) == []


def test_an_activity_is_a_step_from_being_scheduled_to_its_result() -> None:
    [step] = running(History().scheduled(1, 7, "square", "3").completed(2.5, 7, "9"))
    assert (step.kind, step.name, step.status) == ("activity", "square", "COMPLETED")
    assert (step.input, step.output) == ("3", "9")
    assert (step.started_at, step.ran) == (at(1), timedelta(seconds=1.5))


def test_the_quickstarts_run_is_ten_steps_side_by_side_and_one_after_them() -> None:
    *items, aggregation = steps_of(fan_out_fan_in().events, ended=True)
    assert len(items) == 10
    assert max(s.scheduled_at for s in items) < min(s.ended_at for s in items if s.ended_at)
    assert all(s.ended_at and s.ended_at <= aggregation.scheduled_at for s in items)


def test_steps_are_numbered_in_the_order_in_which_they_were_scheduled() -> None:
    history = History().scheduled(0, 5, "b").scheduled(0, 2, "a").completed(1, 2).completed(2, 5)
    assert [(s.number, s.name) for s in running(history)] == [(1, "b"), (2, "a")]


def test_a_step_without_an_answer_is_running_and_has_no_duration() -> None:
    [step] = running(History().scheduled(1, 1))
    assert (step.status, step.ended_at, step.ran) == ("RUNNING", None, None)


def test_a_step_that_its_instance_did_not_wait_for_is_unfinished() -> None:
    [step] = steps_of(History().scheduled(1, 1).ended(2).events, ended=True)
    assert (step.status, step.ended_at) == ("UNFINISHED", None)


def test_a_failed_activity_says_why() -> None:
    [step] = running(History().scheduled(1, 1).failed(2, 1, "no luck"))
    assert step.status == "FAILED"
    assert step.failure
    assert step.failure.message == "no luck"


def test_a_clock_that_was_set_back_makes_no_negative_duration() -> None:
    [step] = running(History().scheduled(5, 1).completed(4, 1))
    assert step.ran == timedelta(0)


def retried(waits: float = 1) -> History:
    return (
        History()
        .turn(0)
        .scheduled(0, 1, "pay", "5")
        .turn(1)
        .failed(1, 1)
        .timer(1, 2, fires=1 + waits)
        .turn(1 + waits)
        .fired(1 + waits, 2)
        .scheduled(1 + waits, 1, "pay", "5")
    )


def test_a_retried_activity_is_one_step_with_all_its_attempts() -> None:
    [step] = running(retried().turn(3).completed(3, 1, '"ok"'))
    assert (step.status, step.output) == ("COMPLETED", '"ok"')
    assert [bool(attempt.failure) for attempt in step.attempts] == [True, False]
    assert step.ran == timedelta(seconds=2), "without the wait between the attempts"


def test_a_retry_under_way_is_running() -> None:
    [step] = running(retried())
    assert (step.status, step.failure, len(step.attempts)) == ("RUNNING", None, 2)


def test_a_step_whose_last_attempt_failed_is_failed() -> None:
    [step] = running(retried().turn(3).failed(3, 1, "again"))
    assert (step.status, len(step.attempts)) == ("FAILED", 2)


def test_until_it_is_retried_a_failed_step_and_its_timer_are_seen_as_they_are() -> None:
    history = History().turn(0).scheduled(0, 1).turn(1).failed(1, 1).timer(1, 2, fires=9)
    assert [(s.kind, s.status) for s in running(history)] == [
        ("activity", "FAILED"),
        ("timer", "RUNNING"),
    ]


def test_activities_retried_side_by_side_each_lose_their_own_timer() -> None:
    history = (
        History()
        .turn(0)
        .scheduled(0, 1, "a")
        .scheduled(0, 2, "b")
        .turn(1)
        .failed(1, 1)
        .failed(1, 2)
        .timer(1, 3, fires=3)
        .timer(1, 4, fires=2)
        .turn(2)
        .fired(2, 4)
        .scheduled(2, 2, "b")
        .turn(3)
        .fired(3, 3)
        .scheduled(3, 1, "a")
    )
    assert [(s.name, len(s.attempts)) for s in running(history)] == [("a", 2), ("b", 2)]


def test_the_orchestrators_own_timer_stays_when_an_activity_is_retried() -> None:
    history = History().turn(-1).timer(-1, 9, fires=2)
    history.raw += retried().turn(2).fired(2, 9).raw
    assert [s.kind for s in running(history)] == ["timer", "activity"]


def test_the_same_activity_called_twice_is_two_steps() -> None:
    history = History().scheduled(0, 1).completed(1, 1).scheduled(1, 2).completed(2, 2)
    assert [len(s.attempts) for s in running(history)] == [1, 1]


def test_a_timer_lasts_until_it_fires_and_says_when_it_is_due() -> None:
    [step] = running(History().timer(1, 1, fires=4).fired(4, 1))
    assert (step.kind, step.status) == ("timer", "COMPLETED")
    assert step.ran == timedelta(seconds=3)
    assert step.input == f'"{at(4).isoformat()}"'


def test_a_sub_orchestration_leads_to_its_instance() -> None:
    created = h.SubOrchestrationInstanceCreatedEvent(3, at(0), "child-1", "child", input="1")
    done = h.SubOrchestrationInstanceCompletedEvent(-1, at(2), 3, "2")
    [step] = running([created, done])
    assert (step.kind, step.name, step.child_id) == ("sub-orchestration", "child", "child-1")
    assert (step.input, step.output, step.status) == ("1", "2", "COMPLETED")


def test_a_failed_sub_orchestration_is_a_failed_step() -> None:
    created = h.SubOrchestrationInstanceCreatedEvent(3, at(0), "child-1", "child")
    failed = h.SubOrchestrationInstanceFailedEvent(-1, at(2), 3, FAILURE)
    [step] = running([created, failed])
    assert (step.status, step.failure) == ("FAILED", FAILURE)


def test_a_suspension_lasts_until_the_instance_is_resumed() -> None:
    suspended = h.ExecutionSuspendedEvent(-1, at(1), "lunch")
    resumed = h.ExecutionResumedEvent(-1, at(3))
    [step] = running([suspended, resumed])
    assert (step.kind, step.input, step.ran) == ("suspension", "lunch", timedelta(seconds=2))


def test_an_instance_still_suspended_shows_a_running_suspension() -> None:
    [step] = running([h.ExecutionSuspendedEvent(-1, at(1))])
    assert (step.kind, step.status) == ("suspension", "RUNNING")


def test_an_external_event_is_a_moment_with_its_data() -> None:
    [step] = running([h.EventRaisedEvent(-1, at(1), "approved", '{"by": "ann"}')])
    assert (step.kind, step.name, step.input) == ("event", "approved", '{"by": "ann"}')
    assert step.ran == timedelta(0)


@pytest.mark.parametrize(
    ("events", "kind", "name", "status"),
    [
        (
            [
                h.EntityOperationCalledEvent(1, at(0), "r", "add", target_instance_id="@c@k"),
                h.EntityOperationCompletedEvent(-1, at(1), "r", "3"),
            ],
            "entity call",
            "@c@k add",
            "COMPLETED",
        ),
        (
            [
                h.EntityOperationCalledEvent(1, at(0), "r", "add", target_instance_id="@c@k"),
                h.EntityOperationFailedEvent(-1, at(1), "r", FAILURE),
            ],
            "entity call",
            "@c@k add",
            "FAILED",
        ),
        (
            [
                h.EntityLockRequestedEvent(1, at(0), "s", ["@c@k", "@c@l"], 0),
                h.EntityLockGrantedEvent(-1, at(1), "s"),
            ],
            "entity lock",
            "@c@k, @c@l",
            "COMPLETED",
        ),
        (
            [h.EntityOperationSignaledEvent(1, at(0), "r", "add", target_instance_id="@c@k")],
            "entity signal",
            "@c@k add",
            "COMPLETED",
        ),
        ([h.EventSentEvent(1, at(0), "other", "ping")], "event sent", "ping to other", "COMPLETED"),
    ],
)
def test_entities_and_messages_are_steps_too(
    events: list[h.HistoryEvent], kind: str, name: str, status: str
) -> None:
    [step] = steps_of(events, ended=False)
    assert (step.kind, step.name, step.status) == (kind, name, status)


def every_event_type() -> list[type[h.HistoryEvent]]:
    public = (getattr(h, name) for name in h.__all__)
    return [p for p in public if isinstance(p, type) and h.HistoryEvent in p.__bases__]


@pytest.mark.parametrize("event_type", every_event_type(), ids=lambda kind: kind.__name__)
def test_no_event_type_is_too_strange_to_read(event_type: type[h.HistoryEvent]) -> None:
    """Also with nothing but what it must have, and answering a question nobody asked."""
    blank: dict[str, Any] = {
        "int": 9,
        "str": "x",
        "datetime": at(0),
        "bool": False,
        "dict[str, Any]": {},
    }
    needed = {
        field.name: blank.get(str(field.type), [])
        for field in fields(event_type)
        if field.default is MISSING
    }
    steps = steps_of([event_type(**needed)] * 2, ended=True)
    assert len(steps) <= 2


def test_an_answer_that_comes_twice_counts_once() -> None:
    [step] = running(History().scheduled(0, 1).completed(1, 1, "1").completed(5, 1, "2"))
    assert (step.output, step.ended_at) == ("1", at(1))


# Waiting is not running: which part of a step's time is which


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
