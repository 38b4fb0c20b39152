"""A turn: what a worker is given, and what becomes of its answer."""

from __future__ import annotations

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.wrappers_pb2 import Int32Value

from dts_emulator.engine import effects as fx
from dts_emulator.engine import instances, turns
from dts_emulator.engine.errors import InvalidError
from dts_emulator.engine.events import MILLISECOND, SECOND, event, string_value
from tests.actions import COMPLETED, FAILED, TERMINATED, activity, child, completion, sent, timer
from tests.engine.making import (
    NOW,
    kinds,
    new_instance,
    news,
    only,
    running,
    take_turn,
    task_completed,
)


def test_a_history_is_turn_after_turn_without_an_end_of_turns() -> None:
    """An activity, then a timer, then a sub-orchestration, as the service records them."""
    instance = running(activity(1))
    instances.answer(instance, 1, task_completed(1), NOW)
    due = only(take_turn(instance, timer(2, NOW)), fx.SetTimer)[0].timer
    instances.fire(instance, due.event, due.due)
    take_turn(instance, child(3, "c"))
    done = pb.SubOrchestrationInstanceCompletedEvent(taskScheduledId=3)
    answer = event(NOW, subOrchestrationInstanceCompleted=done)
    instances.answer(instance, 3, answer, NOW, sender="c")
    take_turn(instance, completion())
    assert kinds(instance.history) == [
        "orchestratorStarted",
        "executionStarted",
        "taskScheduled",
        "orchestratorStarted",
        "taskCompleted",
        "timerCreated",
        "orchestratorStarted",
        "timerFired",
        "subOrchestrationInstanceCreated",
        "orchestratorStarted",
        "subOrchestrationInstanceCompleted",
        "executionCompleted",
    ]


def test_what_was_asked_for_carries_its_number_and_what_arrives_carries_none() -> None:
    instance = running(activity(5))
    instances.answer(instance, 5, task_completed(5), NOW)
    take_turn(instance, completion())
    assert [item.eventId for item in instance.history] == [-1, -1, 5, -1, -1, -1]


def test_the_first_turn_makes_a_pending_instance_run() -> None:
    assert running(activity(1)).status == pb.ORCHESTRATION_STATUS_RUNNING


def test_an_instance_with_a_turn_under_way_is_not_offered_again() -> None:
    instance = new_instance()
    turns.take(instance, NOW)
    assert instances.deliver(instance, news(), NOW) == []


def test_what_arrives_during_a_turn_is_offered_after_it() -> None:
    instance = new_instance()
    turns.take(instance, NOW)
    instances.deliver(instance, news(), NOW)
    answer = pb.OrchestratorResponse(instanceId="id", actions=[activity(1)])
    assert fx.OfferTurn("id") in turns.settle(instance, answer, NOW)
    assert kinds(instance.inbox) == ["eventRaised"]


def test_a_turn_that_is_given_again_begins_with_the_same_events() -> None:
    instance = new_instance()
    lost = turns.take(instance, NOW)
    instances.deliver(instance, news(), NOW)
    again = turns.take(instance, NOW + SECOND)
    assert again[:-1] == lost
    assert kinds(again)[-1] == "eventRaised"


def test_events_that_an_orchestrator_has_not_processed_come_again() -> None:
    instance = new_instance()
    instances.deliver(instance, news("first"), NOW)
    instances.deliver(instance, news("second"), NOW)
    # The turn's own event, the start and the first event of three.
    effects = take_turn(instance, numEventsProcessed=Int32Value(value=3))
    assert kinds(instance.history) == ["orchestratorStarted", "executionStarted", "eventRaised"]
    assert [item.eventRaised.name for item in instance.inbox] == ["second"]
    assert fx.OfferTurn("id") in effects


def test_a_custom_status_stays_until_it_is_replaced() -> None:
    instance = new_instance()
    take_turn(instance, activity(1), customStatus=string_value('"half"'))
    instances.answer(instance, 1, task_completed(1), NOW)
    take_turn(instance, activity(2))
    assert instance.custom_status == '"half"'


def test_the_trace_goes_from_turn_to_turn() -> None:
    trace = pb.OrchestrationTraceContext(spanID=string_value("span"))
    instance = new_instance()
    take_turn(instance, activity(1), orchestrationTraceContext=trace)
    assert instance.trace == trace


def test_the_end_is_the_last_event_wherever_its_action_stands() -> None:
    instance = running(completion(result="1"), activity(1), sent(2, "friend"))
    assert kinds(instance.history)[-3:] == ["taskScheduled", "eventSent", "executionCompleted"]
    assert instance.status == COMPLETED
    assert instance.output == "1"


def test_an_orchestrator_that_sends_itself_an_event_and_ends_leaves_no_work() -> None:
    instance = new_instance()
    effects = take_turn(instance, sent(1, "id"), completion())
    message = only(effects, fx.DeliverEvent)[0]
    assert instances.deliver(instance, message.event, NOW) == []
    assert instances.readiness(instance) == []


def test_a_termination_ends_an_orchestrator_that_ignores_it() -> None:
    instance = running(activity(1))
    instances.terminate(instance, '"enough"', False, NOW)
    take_turn(instance)
    assert instance.status == TERMINATED
    assert instance.output == '"enough"'


def test_suspend_and_resume_change_the_status_and_keep_their_reasons() -> None:
    instance = running(activity(1))
    suspended = pb.ExecutionSuspendedEvent(input=string_value("a break"))
    instances.deliver(instance, event(NOW, executionSuspended=suspended), NOW)
    take_turn(instance)
    assert instance.status == pb.ORCHESTRATION_STATUS_SUSPENDED
    resumed = pb.ExecutionResumedEvent(input=string_value("back"))
    instances.deliver(instance, event(NOW, executionResumed=resumed), NOW)
    take_turn(instance)
    assert instance.status == pb.ORCHESTRATION_STATUS_RUNNING
    assert instance.history[-3].executionSuspended.input.value == "a break"
    assert instance.history[-1].executionResumed.input.value == "back"


def test_a_timer_is_due_a_millisecond_after_its_time() -> None:
    effects = take_turn(new_instance(), timer(1, NOW + SECOND))
    assert only(effects, fx.SetTimer)[0].timer.due == NOW + SECOND + MILLISECOND


def test_an_activity_without_a_version_counts_with_that_of_its_orchestration() -> None:
    instance = new_instance(version=string_value("2.0"))
    own = string_value("7.1")
    effects = take_turn(instance, activity(1), activity(2, version=own))
    assert [ready.version for ready in only(effects, fx.OfferActivity)] == ["2.0", "7.1"]
    assert not instance.history[2].taskScheduled.HasField("version")


def test_a_child_is_told_who_its_parent_is() -> None:
    instance = new_instance(version=string_value("2.0"))
    request = child(3, "c", input=string_value("1"), tags={"team": "blue"})
    born = only(take_turn(instance, request), fx.StartChild)[0].started
    parent = born.parentInstance
    assert parent.taskScheduledId == 3
    assert (parent.name.value, parent.version.value) == ("o", "2.0")
    assert parent.orchestrationInstance.instanceId == "id"
    assert parent.orchestrationInstance.executionId.value == instance.execution_id
    assert dict(born.tags) == {"team": "blue"}


def test_an_orchestration_can_terminate_another() -> None:
    request = pb.TerminateOrchestrationAction(
        instanceId="x", reason=string_value('"why"'), recurse=True
    )
    action = pb.OrchestratorAction(id=1, terminateOrchestration=request)
    effects = take_turn(new_instance(), action)
    assert fx.Terminate("x", '"why"', recurse=True) in effects


@pytest.mark.parametrize("bad_id", ["", "@entity@key", "x" * 101, "tab\t", "é"])
def test_a_child_whose_id_nobody_may_have_fails_its_parent_in_words(bad_id: str) -> None:
    instance = running(child(1, bad_id))
    assert instance.status == FAILED
    assert instance.failure is not None
    assert " ID " in instance.failure.errorMessage


@pytest.mark.parametrize("status", [pb.ORCHESTRATION_STATUS_CANCELED, 99, 0])
def test_a_status_that_no_turn_may_set_is_refused(status: int) -> None:
    instance = new_instance()
    turns.take(instance, NOW)
    action = pb.CompleteOrchestrationAction(orchestrationStatus=status)  # type: ignore[arg-type]
    answer = pb.OrchestratorResponse(
        instanceId="id", actions=[pb.OrchestratorAction(completeOrchestration=action)]
    )
    with pytest.raises(InvalidError, match=f"status {status}"):
        turns.check(answer, instance)
    assert instance.turn is not None


def test_an_answer_to_another_instance_is_refused() -> None:
    with pytest.raises(InvalidError, match="'id', not 'other'"):
        turns.check(pb.OrchestratorResponse(instanceId="other"), new_instance())


def part(index: int, *actions: pb.OrchestratorAction, last: bool) -> pb.OrchestratorResponse:
    return pb.OrchestratorResponse(
        instanceId="id",
        actions=actions,
        isPartial=not last,
        chunkIndex=Int32Value(value=index),
        numEventsProcessed=None if index == 0 else Int32Value(value=0),
    )


def test_an_answer_in_parts_is_put_together_with_the_last_one() -> None:
    instance = new_instance()
    turns.take(instance, NOW)
    first = part(0, activity(1), last=False)
    first.customStatus.value = '"s"'
    assert turns.add_chunk(instance.turn, first) is None
    assert turns.add_chunk(instance.turn, part(1, activity(2), last=False)) is None
    whole = turns.add_chunk(instance.turn, part(2, activity(3), last=True))
    assert whole is not None
    assert [action.id for action in whole.actions] == [1, 2, 3]
    assert whole.customStatus.value == '"s"'
    assert not whole.HasField("numEventsProcessed")


def test_a_first_part_that_comes_again_begins_anew() -> None:
    instance = new_instance()
    turns.take(instance, NOW)
    turns.add_chunk(instance.turn, part(0, activity(1), last=False))
    turns.add_chunk(instance.turn, part(0, activity(1), last=False))
    whole = turns.add_chunk(instance.turn, part(1, activity(2), last=True))
    assert whole is not None
    assert [action.id for action in whole.actions] == [1, 2]
