"""Programs written with the SDK behave as on the real scheduler: from start to purge."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient

from dts_emulator import Emulator
from tests.parts import echoing, waiting
from tests.processes import PATIENCE_SECONDS
from tests.programs import (
    end_of,
    functions_of,
    is_running,
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


@pytest.fixture(scope="module")
def client() -> Iterator[TaskHubGrpcClient]:
    with Emulator() as emulator, program_of(emulator, *functions_of(__name__)) as client:
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


def test_a_terminated_orchestration_ends_with_the_given_output(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(waiting)
    client.wait_for_orchestration_start(instance_id)
    client.terminate_orchestration(instance_id, output="enough")
    state = end_of(client, instance_id)
    assert state.runtime_status is OrchestrationStatus.TERMINATED
    assert state.get_output() == "enough"


def test_terminating_a_parent_terminates_the_whole_tree(client: TaskHubGrpcClient) -> None:
    root = client.schedule_new_orchestration(waiting_tree, input=2)
    leaves = [f"{root}.{a}.{b}" for a in range(2) for b in range(2)]
    for leaf in leaves:
        wait_for_status(client, leaf, OrchestrationStatus.RUNNING)
    client.terminate_orchestration(root)
    for instance_id in [root, f"{root}.0", f"{root}.1", *leaves]:
        wait_for_status(client, instance_id, OrchestrationStatus.TERMINATED)


def test_a_recursive_purge_takes_the_whole_tree(client: TaskHubGrpcClient) -> None:
    root = client.schedule_new_orchestration(tree, input=2)
    end_of(client, root)
    assert client.purge_orchestration(root).deleted_instance_count == 7
    assert client.get_orchestration_state(f"{root}.0.1") is None


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


def test_a_wait_may_begin_before_the_instance_exists(client: TaskHubGrpcClient) -> None:
    instance_id = uuid.uuid4().hex
    outputs: list[Any] = []
    waiter = threading.Thread(target=lambda: outputs.append(output_of(client, instance_id)))
    waiter.start()
    run(client, echoing, input="here", instance_id=instance_id)
    waiter.join(PATIENCE_SECONDS)
    assert outputs == ["here"]
