"""What becomes of the work of an instance that is replaced or terminated: nobody is given it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator.engine.model import Activity
from dts_emulator.hub.leases import Kind
from tests.simulation import ACTIVITIES, GRACE_SECONDS, Simulation, Worker


@pytest.fixture
def simulation() -> Iterator[Simulation]:
    """Give a task hub whose first worker holds the three activities of the instance `a`."""
    simulation = Simulation()
    simulation.connect()
    simulation.start("a")
    worker = simulation.connected[0]
    simulation.receive(worker)
    simulation.answer(worker.held.pop())
    simulation.receive(worker)
    worker.held = activities_of(worker)
    assert len(worker.held) == len(ACTIVITIES)
    yield simulation
    simulation.hub.close()


def replace(simulation: Simulation) -> None:
    policy = pb.OrchestrationIdReusePolicy(
        replaceableStatus=[pb.ORCHESTRATION_STATUS_RUNNING, pb.ORCHESTRATION_STATUS_TERMINATED]
    )
    simulation.start("a", policy)


def activities_of(worker: Worker) -> list[pb.WorkItem]:
    return [item for item in worker.held if item.HasField("activityRequest")]


def test_activities_of_an_instance_that_was_replaced_do_not_run_in_the_name_of_the_new_one(
    simulation: Simulation,
) -> None:
    replace(simulation)
    simulation.crash(simulation.connected[0])
    simulation.connect()
    simulation.pass_time(GRACE_SECONDS + 1)
    worker = simulation.connected[0]
    simulation.receive(worker)
    assert "a" in [item.orchestratorRequest.instanceId for item in worker.held]
    assert activities_of(worker) == []


def test_a_worker_that_is_at_an_activity_keeps_its_place_until_it_answers(
    simulation: Simulation,
) -> None:
    replace(simulation)
    worker = simulation.connected[0]
    assert len(worker.stream.held[Kind.ACTIVITY]) == len(ACTIVITIES)
    while worker.held:
        simulation.answer(worker.held.pop())
    assert len(worker.stream.held[Kind.ACTIVITY]) == 0
    instance = simulation.hub.store.instance("a")
    assert instance is not None
    assert instance.history == []


def test_activities_of_a_terminated_instance_that_rest_wait_for_no_worker(
    simulation: Simulation,
) -> None:
    simulation.crash(simulation.connected[0])
    simulation.clients.terminate("a", None, recurse=False)
    simulation.connect()
    worker = simulation.connected[0]
    simulation.receive(worker)
    while worker.held:
        simulation.answer(worker.held.pop())
    subjects = [item.subject for item in simulation.hub.leases.items()]
    assert "a" not in [one.instance_id for one in subjects if isinstance(one, Activity)]
