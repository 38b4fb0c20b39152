"""Programs written with the SDK behave as on the real scheduler: queries, histories, async."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from durabletask import task
from durabletask.azuremanaged.client import AsyncDurableTaskSchedulerClient
from durabletask.client import OrchestrationQuery, OrchestrationStatus, TaskHubGrpcClient

from dts_emulator import Emulator
from dts_emulator.engine.events import string_value
from tests.parts import echo, waiting
from tests.programs import (
    end_of,
    functions_of,
    new_client,
    program_of,
    quiet,
    run,
    wait_for_status,
)
from tests.wire import Wire


def echoing(ctx: task.OrchestrationContext, value: Any) -> Any:
    return (yield ctx.call_activity(echo, input=value, tags={"color": "blue"}))


def failing(ctx: task.OrchestrationContext, value: Any) -> Any:
    raise ValueError(value)


@pytest.fixture
def client(emulator: Emulator) -> Iterator[TaskHubGrpcClient]:
    with program_of(emulator, *functions_of(__name__)) as client:
        yield client


def test_more_than_a_message_holds_reaches_a_default_client_in_pages(
    emulator: Emulator, wire: Wire
) -> None:
    """Ten megabytes of inputs, through a client that takes at most four in one message."""
    for number in range(12):
        wire.start(str(number), input=string_value(f'"{number:0900000}"'))
    with new_client(emulator) as client:
        query = OrchestrationQuery(fetch_inputs_and_outputs=True)
        states = client.get_all_orchestration_states(query)
    assert [int(state.instance_id) for state in states] == [*range(12)]
    assert all(int(state.get_input()[-5:]) == int(state.instance_id) for state in states)


def test_a_query_filters_by_status_time_and_prefix(client: TaskHubGrpcClient) -> None:
    before = datetime.now(timezone.utc)
    for name in ("a1", "a2", "b1"):
        run(client, echoing, input=name, instance_id=name)
    end_of(client, client.schedule_new_orchestration(failing, input="no", instance_id="a3"))

    def found(**query: Any) -> list[str]:
        states = client.get_all_orchestration_states(OrchestrationQuery(**query))
        return [state.instance_id for state in states]

    assert found(max_instance_count=2) == ["a1", "a2", "b1", "a3"]
    assert found(instance_id_prefix="a") == ["a1", "a2", "a3"]
    assert found(runtime_status=[OrchestrationStatus.FAILED]) == ["a3"]
    assert found(created_time_to=before) == []
    assert found(created_time_from=before, instance_id_prefix="b") == ["b1"]


def test_ended_instances_are_listed_by_completion_in_pages(client: TaskHubGrpcClient) -> None:
    ids = [client.schedule_new_orchestration(echoing, input=n) for n in range(5)]
    for instance_id in ids:
        end_of(client, instance_id)
    client.schedule_new_orchestration(waiting)
    listed: list[str] = []
    token = None
    while True:
        page = client.list_instance_ids(page_size=2, continuation_token=token)
        listed += page.items
        token = page.continuation_token
        if token is None:
            break
    assert sorted(listed) == sorted(ids)


def test_a_purge_by_filter_takes_what_matches(client: TaskHubGrpcClient) -> None:
    run(client, echoing, input=1)
    end_of(client, client.schedule_new_orchestration(failing, input="no"))
    result = client.purge_orchestrations_by(runtime_status=[OrchestrationStatus.FAILED])
    assert result.deleted_instance_count == 1
    assert len(client.get_all_orchestration_states()) == 1
    assert client.purge_orchestrations_by().deleted_instance_count == 1


def test_the_async_client_does_what_the_other_one_does(emulator: Emulator) -> None:
    async def program() -> None:
        client = AsyncDurableTaskSchedulerClient(
            host_address=emulator.endpoint,
            taskhub="default",
            token_credential=None,
            secure_channel=False,
            logger=quiet,
        )
        instance_id = await client.schedule_new_orchestration(waiting)
        waits = [client.wait_for_orchestration_completion(instance_id) for _ in range(20)]
        results = asyncio.gather(*waits)
        await client.wait_for_orchestration_start(instance_id)
        await client.suspend_orchestration(instance_id)
        await client.resume_orchestration(instance_id)
        await client.raise_orchestration_event(instance_id, "go", data="async")
        outputs = [state.get_output() for state in await results if state is not None]
        assert outputs == ["async"] * 20
        assert len(await client.get_all_orchestration_states()) == 1
        # Histories are left out: grpc.aio applies the SDK's interceptor to no stream of
        # answers, so such a call names no task hub, here as on Azure.
        with pytest.raises(TimeoutError):
            await client.wait_for_orchestration_completion("unknown", timeout=0.2)
        assert (await client.purge_orchestration(instance_id)).deleted_instance_count == 1
        await client.close()

    with program_of(emulator, *functions_of(__name__)):
        asyncio.run(program())


def test_times_of_a_state_tell_when_things_happened(client: TaskHubGrpcClient) -> None:
    before = datetime.now(timezone.utc) - timedelta(milliseconds=1)
    instance_id = client.schedule_new_orchestration(waiting)
    wait_for_status(client, instance_id, OrchestrationStatus.RUNNING)
    client.raise_orchestration_event(instance_id, "go")
    state = end_of(client, instance_id)
    created = state.created_at.replace(tzinfo=timezone.utc)
    updated = state.last_updated_at.replace(tzinfo=timezone.utc)
    assert before < created < updated <= datetime.now(timezone.utc)
