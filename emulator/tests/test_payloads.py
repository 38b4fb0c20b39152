"""Payloads: the real service's limit is said early, and large messages arrive."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.entities import EntityInstanceId
from durabletask.grpc_options import GrpcChannelOptions, GrpcWorkerResiliencyOptions

from dts_emulator import Emulator
from tests.parts import waiting
from tests.processes import wait_until
from tests.programs import (
    end_of,
    functions_of,
    new_client,
    output_of,
    program_of,
    worker_of,
)

LIMIT = 10_000
TOO_LARGE = "x" * LIMIT  # Two quotes too many, as JSON.
SIZES = f"{LIMIT + 2:,} bytes; the limit is {LIMIT:,} bytes"


def inflate(_: Any, size: int) -> str:
    return "x" * size


def large_output(ctx: task.OrchestrationContext, _: Any) -> Any:
    return TOO_LARGE
    yield


def large_custom_status(ctx: task.OrchestrationContext, _: Any) -> Any:
    ctx.set_custom_status(TOO_LARGE)
    yield ctx.wait_for_external_event("never")


def large_activity_input(ctx: task.OrchestrationContext, _: Any) -> Any:
    yield ctx.call_activity("inflate", input=TOO_LARGE)


def large_activity_result(ctx: task.OrchestrationContext, _: Any) -> Any:
    yield ctx.call_activity(inflate, input=LIMIT)


def large_sub_orchestration_input(ctx: task.OrchestrationContext, _: Any) -> Any:
    yield ctx.call_sub_orchestrator(waiting, input=TOO_LARGE)


def large_event(ctx: task.OrchestrationContext, _: Any) -> Any:
    ctx.send_event("anybody", "news", data=TOO_LARGE)
    yield ctx.wait_for_external_event("never")


def large_entity_state(ctx: task.OrchestrationContext, _: Any) -> Any:
    yield ctx.call_entity(EntityInstanceId("store", "x"), "set", TOO_LARGE[2:])


def collecting(ctx: task.OrchestrationContext, count: int) -> Any:
    letters = yield task.when_all([ctx.wait_for_external_event("letter") for _ in range(count)])
    return len(letters)


def store(entity: Any, value: str) -> None:
    """Keep more than what is sent: the state is too large, the input is not."""
    entity.set_state(f"{value}xx")


@pytest.fixture(scope="module")
def client() -> Iterator[TaskHubGrpcClient]:
    with (
        Emulator(max_payload_bytes=LIMIT) as emulator,
        program_of(emulator, *functions_of(__name__)) as client,
    ):
        yield client


CALLS: dict[str, Callable[[TaskHubGrpcClient], object]] = {
    "The input": lambda client: client.schedule_new_orchestration(waiting, input=TOO_LARGE),
    "The output": lambda client: client.terminate_orchestration("any", output=TOO_LARGE),
}


@pytest.mark.parametrize("what", CALLS)
def test_a_call_with_a_payload_that_is_too_large_is_refused(
    client: TaskHubGrpcClient, what: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        CALLS[what](client)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"{what} has {SIZES}" in str(refused.value.details())


@pytest.mark.parametrize(
    ("orchestrator", "what"),
    [
        (large_output, "result"),
        (large_activity_result, "result"),
        (large_entity_state, "entity state"),
    ],
)
def test_an_orchestration_fails_that_makes_a_payload_that_is_too_large(
    client: TaskHubGrpcClient, orchestrator: Callable[..., Any], what: str
) -> None:
    state = end_of(client, client.schedule_new_orchestration(orchestrator))
    assert state.runtime_status is OrchestrationStatus.FAILED
    assert state.failure_details is not None
    assert f"The {what} has {SIZES}" in state.failure_details.message


def test_the_step_with_the_payload_that_is_too_large_is_named(client: TaskHubGrpcClient) -> None:
    state = end_of(client, client.schedule_new_orchestration(large_activity_input))
    assert state.failure_details is not None
    assert state.failure_details.message.startswith("'inflate': The input has")


def test_a_payload_at_the_limit_passes(client: TaskHubGrpcClient) -> None:
    instance_id = client.schedule_new_orchestration(waiting, input=TOO_LARGE[2:])
    client.raise_orchestration_event(instance_id, "go", data=TOO_LARGE[2:])
    assert output_of(client, instance_id) == TOO_LARGE[2:]


def test_a_limit_of_0_is_none() -> None:
    megabytes = "x" * 3_000_000
    with (
        Emulator(max_payload_bytes=0) as emulator,
        program_of(emulator, waiting) as client,
    ):
        instance_id = client.schedule_new_orchestration(waiting)
        client.raise_orchestration_event(instance_id, "go", data=megabytes)
        assert output_of(client, instance_id) == megabytes


def schedule_large_turn(client: TaskHubGrpcClient, count: int) -> str:
    """Schedule an orchestration whose first turn has `count` megabytes."""
    instance_id = client.schedule_new_orchestration(collecting, input=count)
    for _ in range(count):
        client.raise_orchestration_event(instance_id, "letter", data="x" * 1_000_000)
    return instance_id


def test_64_mib_reach_a_worker_that_wants_them_and_their_history_a_default_client(
    emulator: Emulator,
) -> None:
    options = GrpcChannelOptions(max_receive_message_length=64 * 1024 * 1024)
    with new_client(emulator) as client:
        instance_id = schedule_large_turn(client, 50)
        with worker_of(emulator, collecting, channel_options=options):
            assert output_of(client, instance_id) == 50
        history = client.get_orchestration_history(instance_id)
    assert sum(len(getattr(event, "input", None) or "") for event in history) > 50_000_000


def test_a_turn_that_a_default_worker_cannot_receive_is_warned_about_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        caplog.at_level(logging.WARNING, "emulator"),
        Emulator(lease_grace=0.1) as emulator,
        new_client(emulator) as client,
    ):
        instance_id = schedule_large_turn(client, 5)
        hub = emulator.hubs["default"]
        soon = GrpcWorkerResiliencyOptions(reconnect_backoff_cap_seconds=1)
        with worker_of(emulator, collecting, resiliency_options=soon):
            wait_until(lambda: caplog.messages, "the warning is logged")
            wait_until(lambda: hub.leases.streams == 0, "the worker cannot take the item")
            wait_until(lambda: hub.leases.streams == 1, "the worker has come back")
    assert len(caplog.messages) == 1
    assert f"orchestration '{instance_id}' has 5,00" in caplog.text
    assert "max_receive_message_length" in caplog.text
