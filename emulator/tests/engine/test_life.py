"""The life of an instance: it is created, hears, ends, and tells who has to know."""

from __future__ import annotations

import re
from typing import Any

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine import effects as fx
from dts_emulator.engine import instances
from dts_emulator.engine.events import SECOND, event, string_value, unanswered
from dts_emulator.engine.model import Activity, Timer
from dts_emulator.engine.step_counts import summarize
from tests.actions import COMPLETED, FAILED, TERMINATED, activity, child, completion, timer
from tests.engine.making import (
    NOW,
    failure,
    kinds,
    new_instance,
    news,
    only,
    running,
    started,
    take_turn,
    task_completed,
)

PARENT = pb.ParentInstanceInfo(
    taskScheduledId=7, orchestrationInstance=pb.OrchestrationInstance(instanceId="parent")
)


def test_a_new_instance_is_pending_and_has_all_that_it_was_started_with() -> None:
    instance = new_instance(
        version=string_value("2.0"),
        input=string_value("[1]"),
        tags={"team": "blue"},
        parentInstance=PARENT,
    )
    assert instance.status == pb.ORCHESTRATION_STATUS_PENDING
    assert (instance.version, instance.input) == ("2.0", "[1]")
    assert instance.tags == {"team": "blue"}
    assert (instance.parent_id, instance.parent_task) == ("parent", 7)
    assert instance.created_at == NOW


def test_an_execution_has_an_id_of_32_hex_digits_that_its_start_names() -> None:
    instance = new_instance()
    assert re.fullmatch("[0-9a-f]{32}", instance.execution_id)
    begin = instance.inbox[0].executionStarted.orchestrationInstance
    assert begin.executionId.value == instance.execution_id


def test_an_instance_is_offered_to_workers_at_once() -> None:
    _, effects = instances.create(started(), NOW)
    assert effects == [fx.OfferTurn("id")]


def test_an_instance_that_starts_later_is_offered_when_its_time_has_come() -> None:
    instance, effects = instances.create(started(), NOW, NOW + 5 * SECOND)
    begin = only(effects, fx.SetTimer)[0].timer
    assert begin.due == NOW + 5 * SECOND
    assert instances.deliver(instance, news(), NOW) == []
    assert instances.fire(instance, begin.event, begin.due) == [fx.OfferTurn("id")]
    assert kinds(instance.inbox) == ["executionStarted", "eventRaised"]


def test_a_start_in_the_past_is_a_start_at_once() -> None:
    instance, effects = instances.create(started(), NOW, NOW - SECOND)
    assert effects == [fx.OfferTurn("id")]
    assert instance.scheduled_start == NOW - SECOND


@pytest.mark.parametrize("status", [COMPLETED, TERMINATED])
def test_an_instance_that_has_ended_hears_nothing(status: pb.OrchestrationStatus) -> None:
    instance = running(completion(status))
    assert instances.deliver(instance, news(), NOW) == []
    assert instance.inbox == []


def test_a_failed_instance_keeps_results_for_a_rewind_and_is_not_offered() -> None:
    instance = running(activity(1), completion(FAILED))
    assert instances.answer(instance, 1, task_completed(1), NOW) == []
    assert kinds(instance.inbox) == ["taskCompleted"]


def test_an_answer_counts_once() -> None:
    instance = running(activity(1))
    instances.answer(instance, 1, task_completed(1), NOW)
    instances.answer(instance, 1, task_completed(1), NOW)
    assert kinds(instance.inbox) == ["taskCompleted"]


def test_an_answer_that_nobody_waits_for_is_dropped() -> None:
    instance = running(activity(1))
    assert instances.answer(instance, 2, task_completed(2), NOW) == []
    assert instance.inbox == []


def test_only_the_sub_orchestration_that_was_asked_answers() -> None:
    instance = running(child(1, "the one"))
    ended = event(
        NOW,
        subOrchestrationInstanceCompleted=pb.SubOrchestrationInstanceCompletedEvent(
            taskScheduledId=1
        ),
    )
    assert instances.answer(instance, 1, ended, NOW, sender="another") == []
    assert instances.answer(instance, 1, ended, NOW, sender="the one") != []


def test_only_the_timer_that_was_set_fires() -> None:
    instance = running(timer(1, NOW + SECOND))
    stale = pb.HistoryEvent(timerFired=pb.TimerFiredEvent(timerId=1))
    assert instances.fire(instance, stale, NOW + SECOND) == []


def test_an_instance_that_no_worker_has_seen_is_terminated_at_once() -> None:
    instance = new_instance()
    effects = instances.terminate(instance, '"enough"', False, NOW)
    assert instance.status == TERMINATED
    assert instance.output == '"enough"'
    assert kinds(instance.history) == [
        "executionStarted",
        "executionTerminated",
        "executionCompleted",
    ]
    assert fx.CancelTurn("id") in effects


def test_an_instance_that_runs_is_told_of_its_termination() -> None:
    instance = running(activity(1))
    assert instances.terminate(instance, None, False, NOW) == [fx.OfferTurn("id")]
    assert kinds(instance.inbox) == ["executionTerminated"]
    assert not instance.has_ended


def test_a_recursive_termination_reaches_the_children_when_the_parent_ends() -> None:
    instance = running(child(1, "c"))
    instances.terminate(instance, '"why"', True, NOW)
    effects = take_turn(instance, completion(TERMINATED))
    assert only(effects, fx.TerminateChildren) == [fx.TerminateChildren("id", '"why"')]


def test_a_termination_alone_leaves_the_children_alone() -> None:
    instance = running(child(1, "c"))
    instances.terminate(instance, None, False, NOW)
    assert only(take_turn(instance, completion(TERMINATED)), fx.TerminateChildren) == []


def test_a_child_tells_its_parent_how_it_has_ended() -> None:
    instance = new_instance(parentInstance=PARENT)
    told = only(take_turn(instance, completion(result="42")), fx.DeliverEvent)[0]
    assert (told.instance_id, told.key, told.sender) == ("parent", 7, "id")
    assert told.event.subOrchestrationInstanceCompleted.result.value == "42"


def test_a_childs_failure_reaches_its_parent_with_its_properties() -> None:
    reason = failure("broken")
    reason.properties["code"].number_value = 17
    instance = new_instance(parentInstance=PARENT)
    told = only(take_turn(instance, completion(FAILED, failureDetails=reason)), fx.DeliverEvent)[0]
    assert told.event.subOrchestrationInstanceFailed.failureDetails == reason


def test_a_terminated_child_counts_as_failed_for_its_parent() -> None:
    instance = new_instance(parentInstance=PARENT)
    effects = instances.terminate(instance, None, False, NOW)
    failed = only(effects, fx.DeliverEvent)[0].event.subOrchestrationInstanceFailed
    assert "'id' was terminated" in failed.failureDetails.errorMessage


@pytest.mark.parametrize(
    ("status", "dropped"), [(COMPLETED, True), (TERMINATED, True), (FAILED, False)]
)
def test_timers_end_with_the_instance_unless_a_rewind_may_want_them(
    status: pb.OrchestrationStatus, dropped: bool
) -> None:
    instance = running(timer(1, NOW + SECOND))
    instances.deliver(instance, news(), NOW)
    effects = take_turn(instance, completion(status))
    assert (fx.CancelTimers("id") in effects) == dropped


@pytest.mark.parametrize(
    ("status", "effect"),
    [(COMPLETED, fx.OrphanActivity), (TERMINATED, fx.CancelActivity), (FAILED, None)],
)
def test_an_open_activity_runs_after_a_completion_and_need_not_after_a_termination(
    status: pb.OrchestrationStatus, effect: type[Any] | None
) -> None:
    instance = running(activity(1))
    asked = instance.pending_tasks[1]
    instances.deliver(instance, news(), NOW)
    effects = take_turn(instance, completion(status))
    said = [one for one in effects if isinstance(one, fx.OrphanActivity | fx.CancelActivity)]
    assert [type(one) for one in said] == ([effect] if effect else [])
    assert all(one.activity == Activity("id", asked) for one in said)


def test_an_instance_that_has_ended_knows_its_steps_without_its_history() -> None:
    instance = running(activity(1), activity(2))
    instances.answer(instance, 1, task_completed(1), NOW)
    assert instance.summary is None
    take_turn(instance, completion())
    assert instance.summary is not None
    assert instance.summary == summarize(instance)
    assert (instance.summary.counts.asked.total(), instance.summary.counts.done.total()) == (2, 1)


def test_a_failed_instance_may_still_hear_of_its_steps() -> None:
    instance = running(activity(1))
    instances.deliver(instance, news(), NOW)
    take_turn(instance, completion(FAILED))
    assert instance.summary is None
    instances.answer(instance, 1, task_completed(1), NOW)
    assert summarize(instance).counts.done.total() == 1


def test_an_instance_that_is_failed_from_outside_says_why() -> None:
    instance = running(activity(1))
    instances.fail_without_worker(instance, "TurnTooLarge", "70 MB", NOW)
    assert instance.status == FAILED
    assert instance.failure is not None
    assert instance.failure.errorMessage == "70 MB"


def test_a_timer_gives_the_event_of_its_firing_not_of_its_setting() -> None:
    instance = running(timer(1, NOW + SECOND))
    fired = Timer(
        NOW + SECOND,
        "id",
        event(
            NOW,
            timerFired=pb.TimerFiredEvent(
                timerId=1, fireAt=instance.pending_tasks[1].timerCreated.fireAt
            ),
        ),
    )
    instances.fire(instance, fired.event, NOW + 9 * SECOND)
    assert instance.inbox[0].timestamp.seconds == (NOW + 9 * SECOND) // SECOND


def test_what_an_instance_waits_for_can_be_read_off_its_history() -> None:
    instance = running(activity(1), activity(2), timer(3, NOW + SECOND), child(4, "c"))
    instances.answer(instance, 2, task_completed(2), NOW)
    assert unanswered([*instance.history, *instance.inbox]) == instance.pending_tasks
    assert list(instance.pending_tasks) == [1, 3, 4]
