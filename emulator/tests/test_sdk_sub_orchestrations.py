"""Programs written with the SDK behave as on the real scheduler: sub-orchestrations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from durabletask import task
from durabletask.client import TaskHubGrpcClient

from dts_emulator import Emulator
from tests.parts import (
    Rejected,
    square,
    sum_of_squares,
    waiting_twice,
)
from tests.programs import (
    functions_of,
    output_of,
    program_of,
    run,
)


def parent_of(ctx: task.OrchestrationContext, child: str) -> Any:
    return (yield ctx.call_sub_orchestrator(child, input=5, instance_id=f"{ctx.instance_id}:sub"))


def parent_of_failing(ctx: task.OrchestrationContext, _: Any) -> Any:
    try:
        yield ctx.call_sub_orchestrator(raising, input="no luck")
    except task.TaskFailedError as error:
        return [error.details.error_type.split(".")[-1], error.details.message]


def raising(ctx: task.OrchestrationContext, message: str) -> Any:
    raise Rejected(message)


def who_is_my_parent(ctx: task.OrchestrationContext, rounds: int) -> Any:
    yield ctx.call_activity(square, input=rounds)
    if rounds:
        ctx.continue_as_new(rounds - 1)
        return None
    return ctx.parent_instance_id


def taken_id_parent(ctx: task.OrchestrationContext, _: Any) -> Any:
    first = ctx.call_sub_orchestrator(waiting_twice, instance_id=f"{ctx.instance_id}:same")
    try:
        yield ctx.call_sub_orchestrator(waiting_twice, instance_id=f"{ctx.instance_id}:same")
    except task.TaskFailedError as error:
        return error.details.message
    yield first


@pytest.fixture(scope="module")
def client() -> Iterator[TaskHubGrpcClient]:
    with Emulator() as emulator, program_of(emulator, *functions_of(__name__)) as client:
        yield client


def test_a_sub_orchestration_returns_its_result(client: TaskHubGrpcClient) -> None:
    assert run(client, parent_of, input=sum_of_squares.__name__) == 30


def test_a_parent_sees_the_error_type_of_its_sub_orchestration(client: TaskHubGrpcClient) -> None:
    assert run(client, parent_of_failing) == ["Rejected", "no luck"]


def test_a_sub_orchestration_knows_its_parent_even_after_continuing_as_new(
    client: TaskHubGrpcClient,
) -> None:
    parent = client.schedule_new_orchestration(parent_of, input="who_is_my_parent")
    assert output_of(client, parent) == parent


def test_a_sub_orchestration_with_an_id_in_use_fails_for_its_parent(
    client: TaskHubGrpcClient,
) -> None:
    assert "already exists" in run(client, taken_id_parent)
