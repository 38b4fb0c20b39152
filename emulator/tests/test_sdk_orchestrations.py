"""Programs written with the SDK behave as on the real scheduler: what orchestrators can do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from durabletask import task
from durabletask.client import TaskHubGrpcClient

from dts_emulator import Emulator
from tests.parts import (
    RETRIES,
    Rejected,
    fail_twice,
    square,
    sum_of_squares,
    waiting_twice,
)
from tests.processes import wait_until
from tests.programs import (
    end_of,
    new_client,
    output_of,
    run,
    worker_of,
)


def reject(_: Any, message: str) -> None:
    raise Rejected(message) if message else Rejected


def retrying(ctx: task.OrchestrationContext, _: Any) -> Any:
    return (yield ctx.call_activity(fail_twice, input=ctx.instance_id, retry_policy=RETRIES))


def surviving(ctx: task.OrchestrationContext, message: str) -> Any:
    try:
        yield ctx.call_activity(reject, input=message)
    except task.TaskFailedError as error:
        return [error.details.error_type.split(".")[-1], error.details.message]


def first_to_end(ctx: task.OrchestrationContext, _: Any) -> Any:
    slow = ctx.create_timer(timedelta(days=100))
    winner = yield task.when_any([slow, ctx.create_timer(timedelta(milliseconds=20))])
    return "slow" if winner is slow else "fast"


def telling(ctx: task.OrchestrationContext, target: str) -> Any:
    ctx.send_event(target, "first", data="from an orchestration")
    ctx.send_event(target, "second", data=2)
    yield ctx.create_timer(timedelta(milliseconds=1))


def carrying_over(ctx: task.OrchestrationContext, seen: list[str]) -> Any:
    seen = [*seen, (yield ctx.wait_for_external_event("letter"))]
    if len(seen) < 3:
        ctx.continue_as_new(seen, save_events=True)
        return None
    return seen


def reporting(ctx: task.OrchestrationContext, _: Any) -> Any:
    ctx.set_custom_status({"step": 1})
    yield ctx.wait_for_external_event("go")
    ctx.set_custom_status({"step": 2})


@pytest.mark.parametrize("count", [1, 200])
def test_activities_fan_out_and_in(client: TaskHubGrpcClient, count: int) -> None:
    assert run(client, sum_of_squares, input=count) == sum(n * n for n in range(count))


def test_a_failing_activity_is_retried(client: TaskHubGrpcClient) -> None:
    assert run(client, retrying) == "third time lucky"


@pytest.mark.parametrize("message", ["no luck", ""], ids=["with a message", "without a message"])
def test_an_orchestrator_sees_an_activity_fail(client: TaskHubGrpcClient, message: str) -> None:
    assert run(client, surviving, input=message) == ["Rejected", message]


def test_the_first_timer_wins_and_a_far_one_does_no_harm(client: TaskHubGrpcClient) -> None:
    assert run(client, first_to_end) == "fast"


def test_an_orchestration_can_send_events(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(waiting_twice)
    run(client, telling, input=instance_id)
    assert output_of(client, instance_id) == ["from an orchestration", 2]


def test_continue_as_new_keeps_unprocessed_events_in_order(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(carrying_over, input=[])
    for letter in "abc":
        client.raise_orchestration_event(instance_id, "letter", data=letter)
    assert output_of(client, instance_id) == ["a", "b", "c"]


def test_a_custom_status_is_seen_while_the_orchestration_runs(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(reporting)

    def step() -> Any:
        state = client.get_orchestration_state(instance_id)
        return state and state.serialized_custom_status and state.get_custom_status()["step"]

    wait_until(lambda: step() == 1, "the first custom status")
    client.raise_orchestration_event(instance_id, "go")
    end_of(client, instance_id)
    assert step() == 2


def test_work_waits_for_a_worker(emulator: Emulator) -> None:
    with new_client(emulator) as client:
        instance_id = client.schedule_new_orchestration(sum_of_squares, input=2)
        with pytest.raises(TimeoutError):
            client.wait_for_orchestration_start(instance_id, timeout=0.3)
        with worker_of(emulator, sum_of_squares, square):
            assert output_of(client, instance_id) == 1


# Sub-orchestrations


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
