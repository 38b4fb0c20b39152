"""Programs written with the SDK behave as on the real scheduler: restart, rewind, reuse of IDs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from durabletask import history, task
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator import Emulator
from tests.parts import GATES, RUNS, echoing, fail_once, pass_gate, waiting
from tests.programs import end_of, functions_of, output_of, program_of


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


@pytest.fixture(scope="module")
def client() -> Iterator[TaskHubGrpcClient]:
    with Emulator() as emulator, program_of(emulator, *functions_of(__name__)) as client:
        yield client


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
