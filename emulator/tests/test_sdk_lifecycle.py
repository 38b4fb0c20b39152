"""Programs written with the SDK behave as on the real scheduler: from start to purge."""

from __future__ import annotations

import threading
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from durabletask import history, task
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.internal import orchestrator_service_pb2 as pb

from tests.parts import GATES, RUNS, echoing, fail_once, pass_gate, waiting
from tests.processes import PATIENCE_SECONDS
from tests.programs import (
    end_of,
    is_running,
    output_of,
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


# Restart, rewind, reuse of IDs


def failing_beside_outstanding_work(ctx: task.OrchestrationContext, _: Any) -> Any:
    """Fail while an activity, a timer and a sub-orchestration are under way."""
    name = ctx.instance_id
    outstanding: list[task.Task[Any]] = [
        ctx.call_activity(pass_gate, input=f"{name}:gate"),
        ctx.call_sub_orchestrator(waiting, instance_id=f"{name}:sub"),
        ctx.create_timer(timedelta(milliseconds=500)),
    ]
    yield ctx.call_activity(fail_once, input=f"{name}:fails")
    results = yield task.when_all(outstanding)
    return results[:2]


def parent_of_failing(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.call_sub_orchestrator(failing_once, instance_id=f"{ctx.instance_id}:sub"))


def failing_once(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.call_activity(fail_once, input=ctx.instance_id))


@pytest.mark.parametrize("new_id", [False, True], ids=["same ID", "new ID"])
def test_a_restarted_orchestration_runs_again_with_its_input_and_tags(
    client: TaskHubGrpcClient, new_id: bool
) -> None:
    first = client.schedule_new_orchestration(echoing, input="again", tags={"team": "blue"})
    assert output_of(client, first) == "again"
    second = client.restart_orchestration(first, restart_with_new_instance_id=new_id)
    assert (second != first) == new_id
    assert output_of(client, second) == "again"
    started = client.get_orchestration_history(second)[1]
    assert isinstance(started, history.ExecutionStartedEvent)
    assert started.tags == {"team": "blue"}


@pytest.mark.parametrize("finish_before_rewind", [True, False])
def test_a_rewind_keeps_the_results_of_work_outstanding_at_the_failure(
    client: TaskHubGrpcClient, finish_before_rewind: bool
) -> None:
    instance_id = client.schedule_new_orchestration(failing_beside_outstanding_work)
    assert end_of(client, instance_id).runtime_status is OrchestrationStatus.FAILED

    def finish() -> None:
        GATES[f"{instance_id}:gate"].set()
        client.raise_orchestration_event(f"{instance_id}:sub", "go", data="sub")
        end_of(client, f"{instance_id}:sub")

    if finish_before_rewind:
        finish()
    client.rewind_orchestration(instance_id, reason="mended")
    if not finish_before_rewind:
        finish()
    assert output_of(client, instance_id) == [f"{instance_id}:gate", "sub"]
    assert RUNS[f"{instance_id}:gate"] == 1
    assert RUNS[f"{instance_id}:fails"] == 2


def test_a_rewind_reaches_the_failed_sub_orchestration(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(parent_of_failing)
    assert end_of(client, instance_id).runtime_status is OrchestrationStatus.FAILED
    client.rewind_orchestration(instance_id)
    assert output_of(client, instance_id) == f"{instance_id}:sub"


@pytest.mark.parametrize("gone_by", ["completion", "replacement while it runs"])
def test_a_reuse_policy_replaces_an_instance_in_a_status_it_names(
    client: TaskHubGrpcClient, gone_by: str
) -> None:
    completes = gone_by == "completion"
    instance_id = client.schedule_new_orchestration(echoing if completes else waiting, input="old")
    if completes:
        end_of(client, instance_id)
    else:
        client.wait_for_orchestration_start(instance_id)
    policy = pb.OrchestrationIdReusePolicy(
        replaceableStatus=[
            pb.ORCHESTRATION_STATUS_COMPLETED,
            pb.ORCHESTRATION_STATUS_RUNNING,
            pb.ORCHESTRATION_STATUS_TERMINATED,
        ]
    )
    client.schedule_new_orchestration(
        echoing, input="new", instance_id=instance_id, reuse_id_policy=policy
    )
    assert output_of(client, instance_id) == "new"
