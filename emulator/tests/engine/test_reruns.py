"""Instances that run again: as new, restarted, replaced, or rewound to before a failure."""

from __future__ import annotations

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine import effects as fx
from dts_emulator.engine import instances, reruns, turns
from dts_emulator.engine.errors import ExistsError, InvalidError, PreconditionError
from dts_emulator.engine.events import string_value
from dts_emulator.engine.model import Instance
from tests.actions import COMPLETED, CONTINUED, FAILED, TERMINATED, activity, child, completion
from tests.engine.making import (
    NOW,
    kinds,
    new_instance,
    news,
    only,
    running,
    take_turn,
    task_completed,
    task_failed,
)

RUNNING = pb.ORCHESTRATION_STATUS_RUNNING
PENDING = pb.ORCHESTRATION_STATUS_PENDING
SUSPENDED = pb.ORCHESTRATION_STATUS_SUSPENDED


# Continue as new


def test_a_new_execution_has_a_new_id_a_new_input_and_an_empty_history() -> None:
    instance = running(activity(1), tags={"team": "blue"})
    before = instance.execution_id
    instances.deliver(instance, news(), NOW)
    take_turn(instance, completion(CONTINUED, "2"))
    assert instance.execution_id != before
    assert instance.input == "2"
    assert instance.history == []
    assert instance.pending_tasks == {}
    begin = instance.inbox[0].executionStarted
    assert begin.input.value == "2"
    assert begin.orchestrationInstance.executionId.value == instance.execution_id
    assert dict(begin.tags) == {"team": "blue"}


def test_a_new_execution_gets_what_was_carried_over_then_what_has_arrived() -> None:
    instance = new_instance()
    turns.take(instance, NOW)
    instances.deliver(instance, news("arrived"), NOW)
    action = completion(CONTINUED, carryoverEvents=[pb.HistoryEvent(eventRaised={"name": "kept"})])
    turns.settle(instance, pb.OrchestratorResponse(instanceId="id", actions=[action]), NOW)
    names = [item.eventRaised.name for item in instance.inbox]
    assert names == ["", "kept", "arrived"]
    assert all(item.timestamp.seconds for item in instance.inbox)


@pytest.mark.parametrize(("new", "kept"), [("2.0", "2.0"), (None, "1.0")])
def test_a_new_execution_may_have_a_new_version(new: str | None, kept: str) -> None:
    instance = new_instance(version=string_value("1.0"))
    take_turn(instance, completion(CONTINUED, newVersion=string_value(new)))
    assert instance.version == kept
    assert instance.inbox[0].executionStarted.version.value == kept


def test_a_new_execution_keeps_its_parent() -> None:
    named = pb.OrchestrationInstance(instanceId="p")
    family = pb.ParentInstanceInfo(taskScheduledId=7, orchestrationInstance=named)
    instance = new_instance(parentInstance=family)
    take_turn(instance, completion(CONTINUED))
    assert instance.inbox[0].executionStarted.parentInstance == family


def test_results_for_an_earlier_execution_no_longer_count() -> None:
    instance = running(activity(1))
    instances.deliver(instance, news(), NOW)
    take_turn(instance, completion(CONTINUED))
    assert instances.answer(instance, 1, task_completed(1), NOW) == []


# Restart and reuse


def test_a_restart_has_the_same_name_input_version_and_tags() -> None:
    instance = running(
        completion(), version=string_value("2.0"), input=string_value("[1]"), tags={"team": "blue"}
    )
    again = reruns.restarted(instance, "new")
    assert (again.name, again.version.value, again.input.value) == ("o", "2.0", "[1]")
    assert dict(again.tags) == {"team": "blue"}
    assert not again.HasField("parentInstance")


def test_a_running_instance_is_restarted_under_a_new_id_alone() -> None:
    instance = running(activity(1))
    assert reruns.restarted(instance, "new").orchestrationInstance.instanceId == "new"
    with pytest.raises(PreconditionError, match="RUNNING"):
        reruns.restarted(instance, "id")


def with_status(status: pb.OrchestrationStatus) -> Instance:
    instance = new_instance()
    instance.status = status
    return instance


def replaceable(*statuses: pb.OrchestrationStatus, policy: bool = True) -> frozenset[int]:
    """Return the statuses that a request with this reuse policy lets a new instance replace."""
    chosen = pb.OrchestrationIdReusePolicy(replaceableStatus=statuses)
    request = pb.CreateInstanceRequest(orchestrationIdReusePolicy=chosen if policy else None)
    return reruns.replaceable_statuses(request)


@pytest.mark.parametrize("status", [COMPLETED, FAILED, TERMINATED])
def test_without_a_policy_an_ended_instance_may_be_replaced(
    status: pb.OrchestrationStatus,
) -> None:
    reruns.check_reuse(with_status(status), replaceable(policy=False))


@pytest.mark.parametrize("status", [RUNNING, PENDING, SUSPENDED])
def test_without_a_policy_an_active_instance_is_in_the_way(status: pb.OrchestrationStatus) -> None:
    with pytest.raises(ExistsError, match="already exists"):
        reruns.check_reuse(with_status(status), replaceable(policy=False))


def test_a_policy_may_let_a_running_instance_be_replaced() -> None:
    reruns.check_reuse(with_status(RUNNING), replaceable(RUNNING, TERMINATED))


def test_a_policy_refuses_the_statuses_that_it_leaves_out() -> None:
    with pytest.raises(ExistsError, match="non-replaceable status COMPLETED"):
        reruns.check_reuse(with_status(COMPLETED), replaceable(FAILED))


@pytest.mark.parametrize("status", [RUNNING, PENDING, SUSPENDED])
def test_a_policy_that_contradicts_itself_is_refused_whatever_there_is(
    status: pb.OrchestrationStatus,
) -> None:
    with pytest.raises(InvalidError, match="cannot exclude 'Terminated' while also allowing"):
        replaceable(status, COMPLETED)


# Rewind


def failed_beside(*actions: pb.OrchestratorAction) -> Instance:
    """Return an instance that has failed because its activity 1 did, beside other work."""
    instance = running(activity(1), *actions)
    instances.answer(instance, 1, task_failed(1), NOW)
    take_turn(instance, completion(FAILED))
    return instance


def rewrite(instance: Instance) -> list[fx.Effect]:
    """Rewrite the history as SDKs do: without failures, the end and what has failed."""
    events = [*instance.history, *turns.take(instance, NOW)]
    failed = {item.taskFailed.taskScheduledId for item in events if item.HasField("taskFailed")}
    gone = ("taskFailed", "subOrchestrationInstanceFailed", "executionCompleted")
    kept = [
        item
        for item in events
        if not any(item.HasField(kind) for kind in gone)
        and not (item.HasField("taskScheduled") and item.eventId in failed)
    ]
    begin = kept[1].executionStarted.orchestrationInstance
    begin.executionId.value = "f" * 32
    action = pb.RewindOrchestrationAction(newHistory=kept)
    answer = pb.OrchestratorResponse(
        instanceId="id", actions=[pb.OrchestratorAction(id=-1, rewindOrchestration=action)]
    )
    return turns.settle(instance, answer, NOW)


def test_a_rewind_gives_its_worker_the_whole_history_and_exactly_two_events() -> None:
    instance = failed_beside(activity(2))
    instances.answer(instance, 2, task_completed(2), NOW)
    assert reruns.rewind(instance, pb.ExecutionRewoundEvent(), NOW) == [fx.OfferTurn("id")]
    assert kinds(turns.take(instance, NOW)) == ["orchestratorStarted", "executionRewound"]
    assert kinds(instance.history)[-1] == "executionCompleted"


def test_after_a_rewind_the_orchestrator_runs_again_with_what_had_arrived() -> None:
    instance = failed_beside(activity(2))
    instances.answer(instance, 2, task_completed(2), NOW)
    reruns.rewind(instance, pb.ExecutionRewoundEvent(), NOW)
    assert fx.OfferTurn("id") in rewrite(instance)
    assert instance.status == RUNNING
    assert instance.execution_id == "f" * 32
    assert kinds(turns.take(instance, NOW)) == ["orchestratorStarted", "taskCompleted"]


def test_what_is_under_way_at_a_failure_still_counts_after_a_rewind() -> None:
    instance = failed_beside(activity(2))
    scheduled = instance.pending_tasks[2]
    reruns.rewind(instance, pb.ExecutionRewoundEvent(), NOW)
    rewrite(instance)
    assert instance.pending_tasks[2] is scheduled


def test_the_steps_of_a_rewound_instance_are_counted_anew() -> None:
    instance = failed_beside()
    assert instance.summary is not None
    reruns.rewind(instance, pb.ExecutionRewoundEvent(), NOW)
    assert instance.summary is None


def test_a_rewind_reaches_the_children_that_have_failed() -> None:
    instance = running(child(1, "c"))
    failed = instances.sub_orchestration_failed(1, pb.TaskFailureDetails(), NOW)
    instances.answer(instance, 1, failed, NOW, sender="c")
    take_turn(instance, completion(FAILED))
    reruns.rewind(instance, pb.ExecutionRewoundEvent(reason=string_value("mended")), NOW)
    resumed = only(rewrite(instance), fx.RewindChild)
    assert [(one.parent_id, one.reason) for one in resumed] == [("id", "mended")]


def test_a_child_that_still_runs_is_left_alone_by_a_rewind() -> None:
    instance = failed_beside(child(2, "c"))
    reruns.rewind(instance, pb.ExecutionRewoundEvent(), NOW)
    assert only(rewrite(instance), fx.RewindChild) == []


@pytest.mark.parametrize("status", [RUNNING, COMPLETED, TERMINATED])
def test_only_a_failed_instance_can_be_rewound(status: pb.OrchestrationStatus) -> None:
    with pytest.raises(PreconditionError, match="not in a failed state"):
        reruns.rewind(with_status(status), pb.ExecutionRewoundEvent(), NOW)
