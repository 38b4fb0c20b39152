"""The task hub as a worker of any language sees it: messages, without the SDK's worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.events import string_value
from dts_emulator.hub import worker_api
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.rpc.service import Service
from tests.calls import CALL, Call


@pytest.fixture
def hub() -> Iterator[TaskHub]:
    hub = TaskHub("hub", lease_grace=0)
    yield hub
    hub.close()


@pytest.fixture
def service(hub: TaskHub) -> Service:
    return Service(hub)


@pytest.fixture
def work_items(service: Service) -> Iterator[pb.WorkItem]:
    """Give what a worker is sent."""
    return service.GetWorkItems(pb.GetWorkItemsRequest(), CALL)


def start(service: Service, instance_id: str = "id") -> None:
    service.StartInstance(pb.CreateInstanceRequest(instanceId=instance_id, name="o"), CALL)


def complete_turn(
    service: Service, item: pb.WorkItem, *actions: pb.OrchestratorAction, **fields: Any
) -> None:
    response = pb.OrchestratorResponse(
        instanceId=item.orchestratorRequest.instanceId,
        completionToken=item.completionToken,
        actions=actions,
        **fields,
    )
    service.CompleteOrchestratorTask(response, CALL)


def schedule_activity(**fields: Any) -> pb.OrchestratorAction:
    return pb.OrchestratorAction(id=1, scheduleTask=pb.ScheduleTaskAction(name="a", **fields))


def complete_activity(service: Service, item: pb.WorkItem) -> None:
    response = pb.ActivityResponse(
        instanceId=item.activityRequest.orchestrationInstance.instanceId,
        taskId=item.activityRequest.taskId,
        completionToken=item.completionToken,
    )
    service.CompleteActivityTask(response, CALL)


def results_of(hub: TaskHub, instance_id: str = "id") -> int:
    """Return how many results an instance has been given."""
    instance = hub.store.instance(instance_id)
    assert instance is not None
    events = [*instance.history, *instance.inbox]
    return sum(event.HasField("taskCompleted") for event in events)


def test_an_activity_carries_all_that_it_was_scheduled_with(
    service: Service, work_items: Iterator[pb.WorkItem]
) -> None:
    start(service)
    action = schedule_activity(
        version=string_value("2.0"),
        input=string_value(""),
        tags={"color": "blue"},
        parentTraceContext=pb.TraceContext(traceParent="trace"),
    )
    complete_turn(service, next(work_items), action)
    request = next(work_items).activityRequest
    assert (request.name, request.taskId, request.version.value) == ("a", 1, "2.0")
    assert request.HasField("input")
    assert dict(request.tags) == {"color": "blue"}
    assert request.parentTraceContext.traceParent == "trace"
    assert request.orchestrationInstance.instanceId == "id"


def test_an_orchestrators_trace_goes_from_turn_to_turn(
    service: Service, work_items: Iterator[pb.WorkItem]
) -> None:
    start(service)
    trace = pb.OrchestrationTraceContext(spanID=string_value("span"))
    complete_turn(service, next(work_items), orchestrationTraceContext=trace)
    service.RaiseEvent(pb.RaiseEventRequest(instanceId="id", name="go"), CALL)
    assert next(work_items).orchestratorRequest.orchestrationTraceContext == trace


def test_a_second_completion_of_an_activity_counts_for_nothing(
    hub: TaskHub, service: Service, work_items: Iterator[pb.WorkItem]
) -> None:
    start(service)
    complete_turn(service, next(work_items), schedule_activity())
    activity = next(work_items)
    complete_activity(service, activity)
    complete_activity(service, activity)
    assert results_of(hub) == 1


def test_a_second_completion_of_a_turn_counts_for_nothing(
    hub: TaskHub, service: Service, work_items: Iterator[pb.WorkItem]
) -> None:
    start(service)
    turn = next(work_items)
    complete_turn(service, turn, schedule_activity())
    complete_turn(service, turn, schedule_activity())
    instance = hub.store.instance("id")
    assert instance is not None
    assert sum(event.HasField("taskScheduled") for event in instance.history) == 1


@pytest.mark.parametrize("end", ["terminate", "purge"])
def test_a_result_for_an_instance_that_is_over_counts_for_nothing(
    hub: TaskHub, service: Service, work_items: Iterator[pb.WorkItem], end: str
) -> None:
    start(service)
    complete_turn(service, next(work_items), schedule_activity())
    activity = next(work_items)
    service.TerminateInstance(pb.TerminateRequest(instanceId="id"), CALL)
    ended = pb.CompleteOrchestrationAction(orchestrationStatus=pb.ORCHESTRATION_STATUS_TERMINATED)
    action = pb.OrchestratorAction(id=2, completeOrchestration=ended)
    complete_turn(service, next(work_items), action)
    if end == "purge":
        service.PurgeInstances(pb.PurgeInstancesRequest(instanceId="id"), CALL)
    complete_activity(service, activity)
    assert hub.leases.waiting() == 0
    assert end == "purge" or results_of(hub) == 0


def test_a_turn_is_sent_again_with_all_its_events_when_a_worker_goes_away(service: Service) -> None:
    first = Call()
    items = service.GetWorkItems(pb.GetWorkItemsRequest(), cast(grpc.ServicerContext, first))
    start(service)
    lost = next(items).orchestratorRequest
    service.RaiseEvent(pb.RaiseEventRequest(instanceId="id", name="meanwhile"), CALL)
    first.hang_up()
    assert list(items) == []
    again = next(service.GetWorkItems(pb.GetWorkItemsRequest(), CALL)).orchestratorRequest
    assert list(again.newEvents)[:-1] == list(lost.newEvents)
    assert again.newEvents[-1].eventRaised.name == "meanwhile"


def test_an_idle_worker_hears_that_the_scheduler_lives(
    monkeypatch: pytest.MonkeyPatch, work_items: Iterator[pb.WorkItem]
) -> None:
    monkeypatch.setattr(worker_api, "HEALTH_PING_SECONDS", 0.05)
    assert next(work_items).HasField("healthPing")


def test_a_worker_that_comes_while_the_hub_closes_is_sent_away(
    hub: TaskHub, service: Service
) -> None:
    hub.close()
    assert list(service.GetWorkItems(pb.GetWorkItemsRequest(), CALL)) == []
    assert hub.leases.streams == 0
