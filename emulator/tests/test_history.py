"""Histories: every event carries the time at which it happened."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from durabletask import history, task
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.entities import EntityInstanceId

from tests.parts import echo, fail_once, waiting
from tests.programs import end_of, wait_for_status

TICK = timedelta(milliseconds=50)


def counter(entity: Any, amount: int) -> Any:
    return amount


def doing_everything(ctx: task.OrchestrationContext, rounds: int) -> Any:
    """Use whatever leaves an event in a history, then start again as a new execution."""
    key = f"{ctx.instance_id}-{rounds}"
    policy = task.RetryPolicy(first_retry_interval=TICK, max_number_of_attempts=2)
    yield ctx.call_activity(echo, input=1)
    yield ctx.call_activity(fail_once, input=key, retry_policy=policy)
    yield ctx.create_timer(TICK)
    yield ctx.call_sub_orchestrator(child, instance_id=f"{key}-child")
    with contextlib.suppress(task.TaskFailedError):
        yield ctx.call_sub_orchestrator(failing_child, instance_id=f"{key}-failing")
    entity = EntityInstanceId("counter", key)
    ctx.signal_entity(entity, "add", 1)
    yield ctx.call_entity(entity, "add", 1)
    with (yield ctx.lock_entities([entity])):
        yield ctx.call_entity(entity, "add", 1)
    ctx.send_event(ctx.instance_id, "to myself")
    yield ctx.wait_for_external_event("to myself")
    if rounds:
        ctx.continue_as_new(rounds - 1, save_events=True)


def child(ctx: task.OrchestrationContext, _: Any) -> Any:
    yield ctx.create_timer(TICK)


def failing_child(ctx: task.OrchestrationContext, _: Any) -> Any:
    yield ctx.create_timer(TICK)
    raise RuntimeError("no luck")


def failing(ctx: task.OrchestrationContext, _: Any) -> Any:
    yield ctx.call_activity(fail_once, input=ctx.instance_id)


def run_to_the_end(client: TaskHubGrpcClient) -> str:
    instance_id = client.schedule_new_orchestration(doing_everything, input=0)
    assert end_of(client, instance_id).runtime_status is OrchestrationStatus.COMPLETED
    return instance_id


def continue_as_new(client: TaskHubGrpcClient) -> str:
    instance_id = client.schedule_new_orchestration(doing_everything, input=1)
    client.raise_orchestration_event(instance_id, "carried over")
    assert end_of(client, instance_id).runtime_status is OrchestrationStatus.COMPLETED
    return instance_id


def suspend_resume_and_terminate(client: TaskHubGrpcClient) -> str:
    instance_id = client.schedule_new_orchestration(waiting)
    client.suspend_orchestration(instance_id)
    wait_for_status(client, instance_id, OrchestrationStatus.SUSPENDED)
    client.raise_orchestration_event(instance_id, "meanwhile")
    client.resume_orchestration(instance_id)
    wait_for_status(client, instance_id, OrchestrationStatus.RUNNING)
    client.terminate_orchestration(instance_id)
    end_of(client, instance_id)
    return instance_id


def terminate_before_the_start(client: TaskHubGrpcClient) -> str:
    start = datetime.now(timezone.utc) + timedelta(days=1)
    instance_id = client.schedule_new_orchestration(waiting, start_at=start)
    client.raise_orchestration_event(instance_id, "go")
    client.terminate_orchestration(instance_id)
    end_of(client, instance_id)
    return instance_id


def fail_and_rewind(client: TaskHubGrpcClient) -> str:
    instance_id = client.schedule_new_orchestration(failing)
    end_of(client, instance_id)
    client.rewind_orchestration(instance_id, reason="mended")
    assert end_of(client, instance_id).runtime_status is OrchestrationStatus.COMPLETED
    return instance_id


LIVES = [
    run_to_the_end,
    continue_as_new,
    suspend_resume_and_terminate,
    terminate_before_the_start,
    fail_and_rewind,
]


@pytest.mark.parametrize("live", LIVES)
def test_every_event_happened_within_the_run_and_its_end_is_the_last(
    client: TaskHubGrpcClient, live: Callable[[TaskHubGrpcClient], str]
) -> None:
    begin = datetime.now(timezone.utc)
    instance_id = live(client)
    end = datetime.now(timezone.utc)
    events = client.get_orchestration_history(instance_id)
    for event in events:
        assert begin <= event.timestamp.replace(tzinfo=timezone.utc) <= end, event
    ends = [event for event in events if isinstance(event, history.ExecutionCompletedEvent)]
    assert ends == [events[-1]]
