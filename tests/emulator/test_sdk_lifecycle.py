"""Programs written with the SDK behave as on the real scheduler: what clients do to instances."""

from __future__ import annotations

import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import grpc
import pytest
from durabletask import history, task
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.internal import orchestrator_service_pb2 as pb

from emulator import Emulator
from tests.emulator.programs import (
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
from tests.processes import PATIENCE_SECONDS, wait_until

# Gates that activities wait at, and how often each activity has run, by instance ID.
GATES: dict[str, threading.Event] = defaultdict(threading.Event)
RUNS: Counter[str] = Counter()


def echo(_: Any, value: Any) -> Any:
    return value


def pass_gate(_: Any, gate: str) -> str:
    RUNS[gate] += 1
    assert GATES[gate].wait(PATIENCE_SECONDS)
    return gate


def fail_the_first_time(_: Any, key: str) -> str:
    RUNS[key] += 1
    if RUNS[key] == 1:
        raise RuntimeError("the first time fails")
    return key


def echoing(ctx: task.OrchestrationContext, value: Any) -> Any:
    return (yield ctx.call_activity(echo, input=value))


def waiting(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.wait_for_external_event("go"))


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


def at_gate(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.call_activity(pass_gate, input=ctx.instance_id))


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


def failing_beside_outstanding_work(ctx: task.OrchestrationContext, _: Any) -> Any:
    """Fail while an activity, a timer and a sub-orchestration are under way."""
    name = ctx.instance_id
    outstanding: list[task.Task[Any]] = [
        ctx.call_activity(pass_gate, input=f"{name}:gate"),
        ctx.call_sub_orchestrator(waiting, instance_id=f"{name}:sub"),
        ctx.create_timer(timedelta(milliseconds=500)),
    ]
    yield ctx.call_activity(fail_the_first_time, input=f"{name}:fails")
    results = yield task.when_all(outstanding)
    return results[:2]


def parent_of_failing(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.call_sub_orchestrator(failing_once, instance_id=f"{ctx.instance_id}:sub"))


def failing_once(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.call_activity(fail_the_first_time, input=ctx.instance_id))


@pytest.fixture(scope="module")
def client() -> Iterator[TaskHubGrpcClient]:
    with Emulator() as emulator, program_of(emulator, *functions_of(__name__)) as client:
        yield client


@pytest.fixture
def idle_client() -> Iterator[TaskHubGrpcClient]:
    """Give a client of an emulator that has no worker."""
    with Emulator() as emulator, new_client(emulator) as client:
        yield client


# Suspending and resuming


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


# Terminating


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


# Restarting


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


def test_a_restart_ignores_what_the_earlier_run_has_left_behind(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(at_gate)
    wait_until(lambda: RUNS[instance_id] == 1, "the activity runs")
    client.terminate_orchestration(instance_id)
    end_of(client, instance_id)
    client.restart_orchestration(instance_id)
    wait_until(lambda: RUNS[instance_id] == 2, "the activity runs again")
    GATES[instance_id].set()
    assert output_of(client, instance_id) == instance_id
    events = client.get_orchestration_history(instance_id)
    assert sum(isinstance(e, history.TaskCompletedEvent) for e in events) == 1


def test_a_running_orchestration_cannot_be_restarted(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(waiting)
    with pytest.raises(grpc.RpcError, match="not in a terminal state"):
        client.restart_orchestration(instance_id)


# Rewinding


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


def test_events_that_arrive_during_a_rewind_are_delivered_after_it(
    client: TaskHubGrpcClient,
) -> None:
    instance_id = client.schedule_new_orchestration(failing_beside_outstanding_work)
    end_of(client, instance_id)
    client.rewind_orchestration(instance_id)
    client.suspend_orchestration(instance_id)
    client.resume_orchestration(instance_id)
    GATES[f"{instance_id}:gate"].set()
    client.raise_orchestration_event(f"{instance_id}:sub", "go", data="sub")
    assert output_of(client, instance_id) == [f"{instance_id}:gate", "sub"]


def test_only_a_failed_orchestration_can_be_rewound(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(echoing, input=1)
    end_of(client, instance_id)
    with pytest.raises(grpc.RpcError, match="not in a failed state"):
        client.rewind_orchestration(instance_id)


# Purging


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


# IDs, starts and tags


def test_an_id_in_use_is_refused(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(waiting)
    with pytest.raises(grpc.RpcError, match="already exists") as refused:
        client.schedule_new_orchestration(waiting, instance_id=instance_id)
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS


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
        replaceableStatus=[pb.ORCHESTRATION_STATUS_COMPLETED, pb.ORCHESTRATION_STATUS_RUNNING]
    )
    client.schedule_new_orchestration(
        echoing, input="new", instance_id=instance_id, reuse_id_policy=policy
    )
    assert output_of(client, instance_id) == "new"


def test_a_reuse_policy_refuses_an_instance_in_another_status(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(waiting)
    client.wait_for_orchestration_start(instance_id)
    policy = pb.OrchestrationIdReusePolicy(replaceableStatus=[pb.ORCHESTRATION_STATUS_FAILED])
    with pytest.raises(grpc.RpcError, match="non-replaceable status"):
        client.schedule_new_orchestration(waiting, instance_id=instance_id, reuse_id_policy=policy)


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


# Waiting


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
