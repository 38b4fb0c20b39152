"""With check_determinism each turn runs twice, and code that differs from itself is found out."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any

import pytest
from durabletask import task
from durabletask.client import OrchestrationState, OrchestrationStatus, TaskHubGrpcClient
from durabletask.entities import EntityInstanceId
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator import Emulator
from tests import parts
from tests.actions import activity, completion
from tests.programs import end_of, functions_of, program_of
from tests.wire import Wire, wire_to

Context = task.OrchestrationContext

COUNTER = count()


@pytest.fixture(scope="module")
def client() -> Iterator[TaskHubGrpcClient]:
    """Give a client of an emulator that checks determinism, with a worker."""
    with (
        Emulator(check_determinism=True, skip_time=True) as emulator,
        program_of(emulator, *functions_of(__name__)) as client,
    ):
        yield client


def state_of(client: TaskHubGrpcClient, name: str, **options: Any) -> OrchestrationState:
    return end_of(client, client.schedule_new_orchestration(name, **options))


def uses_random(ctx: Context, _: Any) -> Any:
    yield ctx.call_activity("echo", input=random.random())


def uses_uuid(ctx: Context, _: Any) -> Any:
    yield ctx.call_activity("echo", input=1)
    return str(uuid.uuid4())


def uses_clock(ctx: Context, _: Any) -> Any:
    now = datetime.fromtimestamp(time.time_ns() / 1e9, timezone.utc)
    yield ctx.create_timer(now.replace(tzinfo=None) + timedelta(minutes=1))


def uses_counter(ctx: Context, _: Any) -> Any:
    yield ctx.call_sub_orchestrator("chats", instance_id=f"child-{next(COUNTER)}")


def uses_another_way(ctx: Context, _: Any) -> Any:
    if next(COUNTER) % 2:
        yield ctx.call_activity("echo", input="odd")
    return "even"


def uses_other_words(ctx: Context, _: Any) -> Any:
    yield ctx.call_activity("echo", input=1)
    raise parts.Rejected(f"attempt {next(COUNTER)}")


ADVICE = "use ctx.new_uuid(), ctx.current_utc_datetime, or an activity."


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("uses_random", "input of echo: 0."),
        ("uses_uuid", "result of the orchestration: "),
        ("uses_clock", "fire time of timer: 20"),
        ("uses_counter", "instance ID of chats: child-"),
        ("uses_another_way", 'activity echo("odd")'),
        ("uses_other_words", "error message of the orchestration: attempt "),
    ],
)
def test_an_orchestrator_that_differs_from_itself_fails_with_both_answers(
    client: TaskHubGrpcClient, name: str, what: str
) -> None:
    state = state_of(client, name)
    assert state.runtime_status is OrchestrationStatus.FAILED
    assert state.failure_details is not None
    assert state.failure_details.error_type == "NonDeterminismError"
    message = state.failure_details.message
    assert message.startswith("Two runs of the same turn differ: ")
    assert what in message
    assert " and " in message
    assert message.endswith(ADVICE)


def balance(entity: Any, amount: int) -> int:
    return amount


def chats(ctx: Context, _: Any) -> Any:
    return "child"
    yield


def does_everything(ctx: Context, key: str) -> Any:
    ctx.set_custom_status(random.random())  # Not in the history.
    found = [(yield ctx.call_activity("echo", input=ctx.new_uuid()))]
    found.append((yield ctx.call_activity("fail_twice", input=key, retry_policy=parts.RETRIES)))
    found.append((yield ctx.call_sub_orchestrator("chats")))
    with (yield ctx.lock_entities([EntityInstanceId("balance", "a")])):
        yield ctx.call_entity(EntityInstanceId("balance", "a"), "add", 1)
    yield ctx.create_timer(timedelta(hours=1))
    found.append((yield ctx.wait_for_external_event("go")))
    return [str(ctx.current_utc_datetime.year), *found[1:]]


def goes_on(ctx: Context, left: int) -> Any:
    yield ctx.call_activity("echo", input=left)
    if left:
        ctx.continue_as_new(left - 1, save_events=True)
    return left


def test_a_deterministic_orchestrator_does_not_notice(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(does_everything, input="determinism")
    client.raise_orchestration_event(instance_id, "go", data="went")
    state = end_of(client, instance_id)
    assert state.runtime_status is OrchestrationStatus.COMPLETED, state
    assert state.get_output()[1:] == ["third time lucky", "child", "went"]
    assert state_of(client, "goes_on", input=3).get_output() == 0


def fails_once(ctx: Context, key: str) -> Any:
    return (yield ctx.call_activity("fail_once", input=key))


def test_a_rewind_is_no_run_of_the_orchestrator(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(fails_once, input="determinism-rewind")
    assert end_of(client, instance_id).runtime_status is OrchestrationStatus.FAILED
    client.rewind_orchestration(instance_id)
    assert end_of(client, instance_id).runtime_status is OrchestrationStatus.COMPLETED


@pytest.fixture
def checked() -> Iterator[Wire]:
    """Give a caller of an emulator that checks determinism."""
    with Emulator(check_determinism=True) as emulator, wire_to(emulator) as wire:
        yield wire


def kinds(item: pb.WorkItem) -> list[str]:
    return [str(e.WhichOneof("eventType")) for e in item.orchestratorRequest.newEvents]


def test_the_second_run_gets_what_the_first_one_got(checked: Wire) -> None:
    checked.start()
    work = checked.work()
    first = next(work)
    checked.call("RaiseEvent", pb.RaiseEventRequest(instanceId="id", name="news"))
    checked.answer(first, activity())
    second = next(work)
    assert second.completionToken != first.completionToken
    assert second.orchestratorRequest == first.orchestratorRequest
    assert kinds(second) == ["orchestratorStarted", "executionStarted"]
    checked.answer(first, activity())  # A late answer to the first run counts no more.
    checked.answer(second, activity())
    later = [next(work), next(work)]
    turn = next(one for one in later if one.HasField("orchestratorRequest"))
    assert kinds(turn) == ["orchestratorStarted", "eventRaised"]
    checked.answer(turn, completion())
    checked.answer(next(work), completion())
    assert checked.state().orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED


def test_a_second_run_that_is_given_back_runs_again(checked: Wire) -> None:
    checked.start()
    work = checked.work()
    checked.answer(next(work), completion())
    token = next(work).completionToken
    request = pb.AbandonOrchestrationTaskRequest(completionToken=token)
    checked.call("AbandonTaskOrchestratorWorkItem", request)
    checked.answer(next(work), completion())
    assert checked.state().orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED


def test_without_the_check_a_turn_runs_once(wire: Wire) -> None:
    wire.start()
    work = wire.work()
    wire.answer(next(work), completion())
    assert wire.state().orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED
