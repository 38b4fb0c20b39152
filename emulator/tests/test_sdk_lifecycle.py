"""Programs written with the SDK behave as on the real scheduler: from start to purge."""

from __future__ import annotations

import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import grpc
import pytest
from durabletask import history, task
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient

from dts_emulator import Emulator
from tests.parts import GATES, RUNS, at_gate, echoing, waiting
from tests.processes import PATIENCE_SECONDS, wait_until
from tests.programs import (
    end_of,
    functions_of,
    is_running,
    new_client,
    output_of,
    program_of,
    run,
    status_of,
    wait_for_status,
)


def waiting_tree(ctx: task.OrchestrationContext, depth: int) -> Any:
    if depth == 0:
        yield ctx.wait_for_external_event("never")
    ids = [f"{ctx.instance_id}.{n}" for n in range(2)]
    children: list[task.Task[Any]] = [
        ctx.call_sub_orchestrator(waiting_tree, input=depth - 1, instance_id=i) for i in ids
    ]
    yield task.when_all(children)


def tree(ctx: task.OrchestrationContext, depth: int) -> Any:
    for n in range(2 if depth else 0):
        yield ctx.call_sub_orchestrator(tree, input=depth - 1, instance_id=f"{ctx.instance_id}.{n}")


def after_gate_child(ctx: task.OrchestrationContext, _: Any) -> Any:
    """Be terminated during the turn that creates a child."""
    IN_TURN[ctx.instance_id].set()
    GATES[ctx.instance_id].wait(PATIENCE_SECONDS)
    yield ctx.call_sub_orchestrator(waiting, instance_id=f"{ctx.instance_id}.late")


IN_TURN: dict[str, threading.Event] = defaultdict(threading.Event)


def slow_in_second_turn(ctx: task.OrchestrationContext, _: Any) -> Any:
    RUNS[ctx.instance_id] += 1
    if RUNS[ctx.instance_id] == 2:
        IN_TURN[ctx.instance_id].set()
        GATES[ctx.instance_id].wait(PATIENCE_SECONDS)
    return (yield ctx.wait_for_external_event("go"))


@pytest.fixture(scope="module")
def client() -> Iterator[TaskHubGrpcClient]:
    with Emulator() as emulator, program_of(emulator, *functions_of(__name__)) as client:
        yield client


@pytest.fixture
def idle_client() -> Iterator[TaskHubGrpcClient]:
    """Give a client of an emulator that has no worker."""
    with Emulator() as emulator, new_client(emulator) as client:
        yield client


def test_a_suspended_orchestration_takes_events_when_it_is_resumed(
    client: TaskHubGrpcClient,
) -> None:
    instance_id = client.schedule_new_orchestration(waiting)
    client.suspend_orchestration(instance_id, reason="a break")
    wait_for_status(client, instance_id, OrchestrationStatus.SUSPENDED)
    client.raise_orchestration_event(instance_id, "go", data="on")
    with pytest.raises(TimeoutError):
        client.wait_for_orchestration_completion(instance_id, timeout=0.3)
    client.resume_orchestration(instance_id)
    assert output_of(client, instance_id) == "on"


def test_a_resume_that_arrives_while_the_suspend_is_processed_is_not_lost(
    client: TaskHubGrpcClient,
) -> None:
    instance_id = client.schedule_new_orchestration(slow_in_second_turn)
    client.wait_for_orchestration_start(instance_id)
    client.suspend_orchestration(instance_id)
    assert IN_TURN[instance_id].wait(PATIENCE_SECONDS)
    client.resume_orchestration(instance_id)
    GATES[instance_id].set()
    wait_for_status(client, instance_id, OrchestrationStatus.RUNNING)
    client.raise_orchestration_event(instance_id, "go", data="on")
    assert output_of(client, instance_id) == "on"


def test_an_activity_that_ends_during_a_suspension_counts(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(at_gate)
    wait_until(lambda: RUNS[instance_id], "the activity runs")
    client.suspend_orchestration(instance_id)
    wait_for_status(client, instance_id, OrchestrationStatus.SUSPENDED)
    GATES[instance_id].set()
    client.resume_orchestration(instance_id)
    assert output_of(client, instance_id) == instance_id


def test_a_terminated_orchestration_ends_with_the_given_output(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(waiting)
    client.wait_for_orchestration_start(instance_id)
    client.terminate_orchestration(instance_id, output="enough")
    state = end_of(client, instance_id)
    assert state.runtime_status is OrchestrationStatus.TERMINATED
    assert state.get_output() == "enough"


def test_a_suspended_orchestration_can_be_terminated(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(waiting)
    client.suspend_orchestration(instance_id)
    wait_for_status(client, instance_id, OrchestrationStatus.SUSPENDED)
    client.terminate_orchestration(instance_id)
    assert end_of(client, instance_id).runtime_status is OrchestrationStatus.TERMINATED


def test_an_orchestration_that_no_worker_has_seen_is_terminated_at_once(
    idle_client: TaskHubGrpcClient,
) -> None:
    instance_id = idle_client.schedule_new_orchestration(waiting)
    idle_client.terminate_orchestration(instance_id, output="never mind")
    state = end_of(idle_client, instance_id)
    assert state.runtime_status is OrchestrationStatus.TERMINATED
    assert state.get_output() == "never mind"
    kinds = [type(e) for e in idle_client.get_orchestration_history(instance_id)]
    assert kinds == [
        history.ExecutionStartedEvent,
        history.ExecutionTerminatedEvent,
        history.ExecutionCompletedEvent,
    ]


def test_terminating_a_parent_terminates_the_whole_tree(client: TaskHubGrpcClient) -> None:
    root = client.schedule_new_orchestration(waiting_tree, input=2)
    leaves = [f"{root}.{a}.{b}" for a in range(2) for b in range(2)]
    for leaf in leaves:
        wait_for_status(client, leaf, OrchestrationStatus.RUNNING)
    client.terminate_orchestration(root)
    for instance_id in [root, f"{root}.0", f"{root}.1", *leaves]:
        wait_for_status(client, instance_id, OrchestrationStatus.TERMINATED)


def test_terminating_a_parent_alone_leaves_its_children_alone(client: TaskHubGrpcClient) -> None:
    root = client.schedule_new_orchestration(waiting_tree, input=1)
    wait_for_status(client, f"{root}.1", OrchestrationStatus.RUNNING)
    client.terminate_orchestration(root, recursive=False)
    assert end_of(client, root).runtime_status is OrchestrationStatus.TERMINATED
    assert is_running(client, f"{root}.1")


def test_a_termination_reaches_children_that_are_born_meanwhile(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(after_gate_child)
    assert IN_TURN[instance_id].wait(PATIENCE_SECONDS)
    client.terminate_orchestration(instance_id)
    GATES[instance_id].set()
    assert end_of(client, instance_id).runtime_status is OrchestrationStatus.TERMINATED
    wait_for_status(client, f"{instance_id}.late", OrchestrationStatus.TERMINATED)


def test_a_recursive_purge_takes_the_whole_tree(client: TaskHubGrpcClient) -> None:
    root = client.schedule_new_orchestration(tree, input=2)
    end_of(client, root)
    assert client.purge_orchestration(root).deleted_instance_count == 7
    assert client.get_orchestration_state(f"{root}.0.1") is None


def test_a_purge_of_one_leaves_its_children(client: TaskHubGrpcClient) -> None:
    root = client.schedule_new_orchestration(tree, input=1)
    end_of(client, root)
    assert client.purge_orchestration(root, recursive=False).deleted_instance_count == 1
    assert client.get_orchestration_state(f"{root}.0") is not None


def test_a_running_orchestration_is_not_purged(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(waiting)
    client.wait_for_orchestration_start(instance_id)
    assert client.purge_orchestration(instance_id).deleted_instance_count == 0
    assert is_running(client, instance_id)


def test_an_orchestration_starts_at_its_time(client: TaskHubGrpcClient) -> None:
    start = datetime.now(timezone.utc) + timedelta(seconds=0.7)
    instance_id = client.schedule_new_orchestration(echoing, input=1, start_at=start)
    assert status_of(client, instance_id) is OrchestrationStatus.PENDING
    end_of(client, instance_id)
    assert datetime.now(timezone.utc) >= start


def test_an_event_for_an_orchestration_that_starts_later_waits_for_it(
    client: TaskHubGrpcClient,
) -> None:
    start = datetime.now(timezone.utc) + timedelta(seconds=0.5)
    instance_id = client.schedule_new_orchestration(waiting, start_at=start)
    client.raise_orchestration_event(instance_id, "go", data="early")
    assert output_of(client, instance_id) == "early"
    assert datetime.now(timezone.utc) >= start


def test_an_orchestration_that_starts_later_can_be_terminated_now(
    client: TaskHubGrpcClient,
) -> None:
    start = datetime.now(timezone.utc) + timedelta(days=1)
    instance_id = client.schedule_new_orchestration(waiting, start_at=start)
    client.terminate_orchestration(instance_id)
    assert end_of(client, instance_id).runtime_status is OrchestrationStatus.TERMINATED


def test_a_wait_for_an_unknown_instance_ends_with_its_timeout(client: TaskHubGrpcClient) -> None:
    with pytest.raises(TimeoutError):
        client.wait_for_orchestration_completion("unknown", timeout=0.3)


def test_a_wait_may_begin_before_the_instance_exists(client: TaskHubGrpcClient) -> None:
    instance_id = uuid.uuid4().hex
    outputs: list[Any] = []
    waiter = threading.Thread(target=lambda: outputs.append(output_of(client, instance_id)))
    waiter.start()
    run(client, echoing, input="here", instance_id=instance_id)
    waiter.join(PATIENCE_SECONDS)
    assert outputs == ["here"]


def test_what_is_unknown_is_none_or_not_found(client: TaskHubGrpcClient) -> None:
    assert client.get_orchestration_state("unknown") is None
    for call in (
        lambda: client.raise_orchestration_event("unknown", "go"),
        lambda: client.suspend_orchestration("unknown"),
        lambda: client.get_orchestration_history("unknown"),
        lambda: client.restart_orchestration("unknown"),
        lambda: client.rewind_orchestration("unknown"),
    ):
        with pytest.raises(grpc.RpcError, match="'unknown' not found"):
            call()
