"""The task hub as a worker of any language sees it: messages, without the SDK's worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator import Emulator
from dts_emulator.engine.events import string_value
from dts_emulator.hub import worker_api
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.hub.worker_api import Workers, worker_stream_from
from tests.actions import TERMINATED, activity, completion
from tests.processes import wait_until
from tests.wire import Wire

Items = Iterator[pb.WorkItem]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Give an emulator that does not wait for a worker that has gone."""
    with Emulator(lease_grace=0) as emulator:
        yield emulator


def complete_activity(wire: Wire, item: pb.WorkItem) -> None:
    response = pb.ActivityResponse(instanceId="id", taskId=1, completionToken=item.completionToken)
    wire.call("CompleteActivityTask", response)


def count_of(hub: TaskHub, kind: str) -> int:
    """Return how many events of a kind the instance has been given."""
    instance = hub.store.instance("id")
    assert instance is not None
    return sum(event.HasField(kind) for event in [*instance.history, *instance.inbox])


def test_an_activity_carries_all_that_it_was_scheduled_with(wire: Wire, items: Items) -> None:
    wire.start()
    fields: dict[str, Any] = {
        "version": string_value("2.0"),
        "input": string_value(""),
        "tags": {"color": "blue"},
        "parentTraceContext": pb.TraceContext(traceParent="trace"),
    }
    wire.answer(next(items), activity(**fields))
    request = next(items).activityRequest
    assert (request.name, request.taskId, request.version.value) == ("a", 1, "2.0")
    assert request.HasField("input")
    assert dict(request.tags) == {"color": "blue"}
    assert request.parentTraceContext.traceParent == "trace"
    assert request.orchestrationInstance.instanceId == "id"


def test_an_orchestrators_trace_goes_from_turn_to_turn(wire: Wire, items: Items) -> None:
    wire.start()
    trace = pb.OrchestrationTraceContext(spanID=string_value("span"))
    wire.answer(next(items), orchestrationTraceContext=trace)
    wire.call("RaiseEvent", pb.RaiseEventRequest(instanceId="id", name="go"))
    assert next(items).orchestratorRequest.orchestrationTraceContext == trace


def test_a_second_completion_counts_for_nothing(hub: TaskHub, wire: Wire, items: Items) -> None:
    wire.start()
    turn = next(items)
    for _ in range(2):
        wire.answer(turn, activity())
    assert count_of(hub, "taskScheduled") == 1
    item = next(items)
    for _ in range(2):
        complete_activity(wire, item)
    assert count_of(hub, "taskCompleted") == 1


@pytest.mark.parametrize("end", ["terminate", "purge"])
def test_a_result_for_an_instance_that_is_over_counts_for_nothing(
    hub: TaskHub, wire: Wire, items: Items, end: str
) -> None:
    wire.start()
    wire.answer(next(items), activity())
    item = next(items)
    wire.call("TerminateInstance", pb.TerminateRequest(instanceId="id"))
    wire.answer(next(items), completion(TERMINATED))
    if end == "purge":
        wire.call("PurgeInstances", pb.PurgeInstancesRequest(instanceId="id"))
    complete_activity(wire, item)
    assert hub.leases.waiting() == 0
    assert end == "purge" or count_of(hub, "taskCompleted") == 0


def test_a_turn_is_sent_again_with_all_its_events_when_a_worker_goes_away(
    hub: TaskHub, wire: Wire
) -> None:
    with wire.working() as items:
        wire.start()
        lost = next(items).orchestratorRequest
        wire.call("RaiseEvent", pb.RaiseEventRequest(instanceId="id", name="meanwhile"))
    wait_until(lambda: hub.leases.streams == 0, "the worker has gone")
    again = next(wire.work()).orchestratorRequest
    assert list(again.newEvents)[:-1] == list(lost.newEvents)
    assert again.newEvents[-1].eventRaised.name == "meanwhile"


def test_an_idle_worker_hears_that_the_scheduler_lives(
    monkeypatch: pytest.MonkeyPatch, wire: Wire
) -> None:
    monkeypatch.setattr(worker_api, "HEALTH_PING_SECONDS", 0.05)
    stream = wire.stream("GetWorkItems", pb.GetWorkItemsRequest())
    assert next(stream).HasField("healthPing")


@pytest.mark.parametrize("gone", ["the worker", "the hub"])
def test_a_worker_that_has_gone_or_whose_hub_closes_is_given_nothing(gone: str) -> None:
    hub = TaskHub("hub")
    workers, stream = Workers(hub), worker_stream_from(pb.GetWorkItemsRequest())
    if gone == "the worker":
        workers.disconnect(stream)
    else:
        hub.close()
    assert list(workers.connect(stream)) == []
    assert hub.leases.streams == 0
    hub.close()
