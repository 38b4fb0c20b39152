"""The task hub as a worker of any language sees it: messages, without the SDK's worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import grpc
import pytest
from durabletask.internal import helpers
from durabletask.internal import orchestrator_service_pb2 as pb

from emulator.task_hub import TaskHub, dispatch


class Call:
    """The context of a call whose client goes away when `hang_up` is called."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], None]] = []

    def add_callback(self, callback: Callable[[], None]) -> bool:
        self._callbacks.append(callback)
        return True

    def is_active(self) -> bool:
        return True

    def hang_up(self) -> None:
        for callback in self._callbacks:
            callback()


CALL = cast(grpc.ServicerContext, Call())


@pytest.fixture
def hub() -> Iterator[TaskHub]:
    hub = TaskHub("hub", lease_grace=0)
    yield hub
    hub.close()


@pytest.fixture
def work_items(hub: TaskHub) -> Iterator[pb.WorkItem]:
    """Give what a worker is sent."""
    return hub.GetWorkItems(pb.GetWorkItemsRequest(), CALL)


def start(hub: TaskHub, instance_id: str = "id") -> None:
    hub.StartInstance(pb.CreateInstanceRequest(instanceId=instance_id, name="o"), CALL)


def complete_turn(
    hub: TaskHub, item: pb.WorkItem, *actions: pb.OrchestratorAction, **fields: Any
) -> None:
    response = pb.OrchestratorResponse(
        instanceId=item.orchestratorRequest.instanceId,
        completionToken=item.completionToken,
        actions=actions,
        **fields,
    )
    hub.CompleteOrchestratorTask(response, CALL)


def schedule_activity(**fields: Any) -> pb.OrchestratorAction:
    return pb.OrchestratorAction(id=1, scheduleTask=pb.ScheduleTaskAction(name="a", **fields))


def complete_activity(hub: TaskHub, item: pb.WorkItem) -> None:
    response = pb.ActivityResponse(
        instanceId=item.activityRequest.orchestrationInstance.instanceId,
        taskId=item.activityRequest.taskId,
        completionToken=item.completionToken,
    )
    hub.CompleteActivityTask(response, CALL)


def results_of(hub: TaskHub, instance_id: str = "id") -> int:
    """Return how many results an instance has been given."""
    instance = hub._instances[instance_id]
    events = [*instance.history, *instance.dispatched_events, *instance.pending_events]
    return sum(event.HasField("taskCompleted") for event in events)


def test_an_activity_carries_all_that_it_was_scheduled_with(
    hub: TaskHub, work_items: Iterator[pb.WorkItem]
) -> None:
    start(hub)
    action = schedule_activity(
        version=helpers.get_string_value("2.0"),
        input=helpers.get_string_value(""),
        tags={"color": "blue"},
        parentTraceContext=pb.TraceContext(traceParent="trace"),
    )
    complete_turn(hub, next(work_items), action)
    request = next(work_items).activityRequest
    assert (request.name, request.taskId, request.version.value) == ("a", 1, "2.0")
    assert request.HasField("input")
    assert dict(request.tags) == {"color": "blue"}
    assert request.parentTraceContext.traceParent == "trace"
    assert request.orchestrationInstance.instanceId == "id"


def test_an_orchestrators_trace_goes_from_turn_to_turn(
    hub: TaskHub, work_items: Iterator[pb.WorkItem]
) -> None:
    start(hub)
    trace = pb.OrchestrationTraceContext(spanID=helpers.get_string_value("span"))
    complete_turn(hub, next(work_items), orchestrationTraceContext=trace)
    hub.RaiseEvent(pb.RaiseEventRequest(instanceId="id", name="go"), CALL)
    assert next(work_items).orchestratorRequest.orchestrationTraceContext == trace


def test_a_second_completion_of_an_activity_counts_for_nothing(
    hub: TaskHub, work_items: Iterator[pb.WorkItem]
) -> None:
    start(hub)
    complete_turn(hub, next(work_items), schedule_activity())
    activity = next(work_items)
    complete_activity(hub, activity)
    complete_activity(hub, activity)
    assert results_of(hub) == 1


def test_a_second_completion_of_a_turn_counts_for_nothing(
    hub: TaskHub, work_items: Iterator[pb.WorkItem]
) -> None:
    start(hub)
    turn = next(work_items)
    complete_turn(hub, turn, schedule_activity())
    complete_turn(hub, turn, schedule_activity())
    assert sum(event.HasField("taskScheduled") for event in hub._instances["id"].history) == 1


@pytest.mark.parametrize("end", ["terminate", "purge"])
def test_a_result_for_an_instance_that_is_over_counts_for_nothing(
    hub: TaskHub, work_items: Iterator[pb.WorkItem], end: str
) -> None:
    start(hub)
    complete_turn(hub, next(work_items), schedule_activity())
    activity = next(work_items)
    hub.TerminateInstance(pb.TerminateRequest(instanceId="id"), CALL)
    failed = helpers.new_complete_orchestration_action(2, pb.ORCHESTRATION_STATUS_TERMINATED)
    complete_turn(hub, next(work_items), failed)
    if end == "purge":
        hub.PurgeInstances(pb.PurgeInstancesRequest(instanceId="id"), CALL)
    complete_activity(hub, activity)
    assert hub.waiting_work_items() == 0
    assert end == "purge" or results_of(hub) == 0


def test_a_turn_is_sent_again_with_all_its_events_when_a_worker_goes_away(hub: TaskHub) -> None:
    first = Call()
    items = hub.GetWorkItems(pb.GetWorkItemsRequest(), cast(grpc.ServicerContext, first))
    start(hub)
    lost = next(items).orchestratorRequest
    hub.RaiseEvent(pb.RaiseEventRequest(instanceId="id", name="meanwhile"), CALL)
    first.hang_up()
    assert list(items) == []
    again = next(hub.GetWorkItems(pb.GetWorkItemsRequest(), CALL)).orchestratorRequest
    assert list(again.newEvents)[:-1] == list(lost.newEvents)
    assert again.newEvents[-1].eventRaised.name == "meanwhile"


def test_an_idle_worker_hears_that_the_scheduler_lives(
    monkeypatch: pytest.MonkeyPatch, work_items: Iterator[pb.WorkItem]
) -> None:
    monkeypatch.setattr(dispatch, "HEALTH_PING_SECONDS", 0.05)
    assert next(work_items).HasField("healthPing")


def test_a_worker_that_comes_while_the_hub_closes_is_sent_away(hub: TaskHub) -> None:
    hub.close()
    assert list(hub.GetWorkItems(pb.GetWorkItemsRequest(), CALL)) == []
    assert hub.worker_count() == 0
