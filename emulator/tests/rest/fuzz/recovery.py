"""What must hold after an attack: all can be ended, nothing is stuck, nothing is left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator import Emulator
from dts_emulator.engine.model import Instance, Timer
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.store import EntityFilter, Filter
from tests.actions import completion
from tests.parts import square, sum_of_squares
from tests.processes import wait_until
from tests.programs import program_of, run
from tests.sizes import sizes
from tests.wire import Wire, wire_to

ALL_ENTITIES = EntityFilter(with_stateless=True)
MANY = 1_000_000

# The ID of the run that must complete after an attack.
TEN = "ten-items"


def instances_of(hub: TaskHub) -> list[Instance]:
    """Return all instances of a task hub."""
    with hub.lock:
        return list(hub.store.by_creation(Filter(), None, MANY))


def recover(emulator: Emulator) -> None:
    """End everything with a worker that does as it is told, and check that nothing is left."""
    hub = emulator.hubs["default"]
    wait_until(lambda: hub.leases.streams == 0, "the attackers' streams have ended")
    wait_until(lambda: len(hub.waiters) == 0, "nobody waits any more")
    with wire_to(emulator) as wire:
        with good_worker(wire):
            end_all(hub, wire)
            wait_until(lambda: not list(hub.leases.items()), "no work item is left")
            run_ten_items(wire)
        check_entities(hub)
        wire.call("PurgeInstances", pb.PurgeInstancesRequest(purgeInstanceFilter={}))
        for entity in hub.store.entities(ALL_ENTITIES, "", MANY):
            wire.call("PurgeInstances", pb.PurgeInstancesRequest(instanceId=entity.entity_id))
    check_nothing_is_left(hub)


def run_with_the_sdk(emulator: Emulator) -> None:
    """Check that a program of the SDK runs as if nothing had happened."""
    with program_of(emulator, sum_of_squares, square) as client:
        assert run(client, sum_of_squares, input=10) == 285


def run_ten_items(wire: Wire) -> None:
    """Check that the good worker fans ten items out and in."""
    wire.start(TEN)
    state = wire.end(TEN)
    assert state.output.value == "10", state


@contextmanager
def good_worker(wire: Wire) -> Iterator[None]:
    """Answer every work item well for the length of a block."""
    stream = wire.stream("GetWorkItems", pb.GetWorkItemsRequest())

    def work() -> None:
        try:
            for item in stream:
                answer_well(wire, item)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.CANCELLED:
                raise

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stream.cancel()
    thread.join()


def answer_well(wire: Wire, item: pb.WorkItem) -> None:
    """Do what a work item asks for, in the simplest way."""
    token = item.completionToken
    match item.WhichOneof("request"):
        case "orchestratorRequest":
            wire.answer(item, *next_actions(item.orchestratorRequest))
        case "activityRequest":
            instance_id = item.activityRequest.orchestrationInstance.instanceId
            task_id = item.activityRequest.taskId
            wire.call(
                "CompleteActivityTask",
                pb.ActivityResponse(instanceId=instance_id, taskId=task_id, completionToken=token),
            )
        case "entityRequestV2":
            count = len(item.entityRequestV2.operationRequests)
            results = [pb.OperationResult(success={}) for _ in range(count)]
            wire.call(
                "CompleteEntityTask", pb.EntityBatchResult(completionToken=token, results=results)
            )


def next_actions(request: pb.OrchestratorRequest) -> list[pb.OrchestratorAction]:
    """Return what the orchestrator of ten items does next; any other one ends."""
    events = [*request.pastEvents, *request.newEvents]
    if request.instanceId != TEN:
        return [completion()]
    if not any(event.HasField("taskScheduled") for event in events):
        item = pb.ScheduleTaskAction(name="item")
        return [pb.OrchestratorAction(id=number, scheduleTask=item) for number in range(10)]
    results = sum(event.HasField("taskCompleted") for event in events)
    return [completion(result="10")] if results == 10 else []


def end_all(hub: TaskHub, wire: Wire) -> None:
    """Terminate what has not ended, until everything has."""

    def all_have_ended() -> bool:
        left = [one.instance_id for one in instances_of(hub) if not one.has_ended]
        for instance_id in left:
            try:
                wire.call("TerminateInstance", pb.TerminateRequest(instanceId=instance_id))
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
        return not left

    try:
        wait_until(all_have_ended, "every orchestration can be ended", seconds=30)
    except AssertionError as error:
        stuck = [one for one in instances_of(hub) if not one.has_ended]
        raise AssertionError(f"{error}: {stuck}, {hub.leases.__dict__}") from None


def check_entities(hub: TaskHub) -> None:
    """Check that no entity is locked, or waits, for anybody who is gone."""
    for entity in hub.store.entities(ALL_ENTITIES, "", MANY):
        assert entity.locked_by is None, entity
        assert not entity.queue, entity
        assert not entity.batch, entity


def check_nothing_is_left(hub: TaskHub) -> None:
    """Check that a task hub keeps nothing of what was ended and purged."""
    assert instances_of(hub) == []
    assert hub.store.count_by_status(Filter()) == {}
    new = TaskHub("new")
    assert sizes(hub, hub.leases, hub.waiters) == sizes(new, new.leases, new.waiters)
    # A signal may have been sent to an entity for the year 9999; it will come. The hub's own timers
    # (the end of a lease, of a delay) have no target.
    timers = [timer for timer in hub.timers if isinstance(timer, Timer)]
    assert [timer for timer in timers if not timer.target.startswith("@")] == []
