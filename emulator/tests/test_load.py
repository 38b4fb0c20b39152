"""Load: many clients that wait, little to do while idle, nothing left of what is purged."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from durabletask import task
from durabletask.client import TaskHubGrpcClient
from durabletask.entities import EntityInstanceId

from dts_emulator import Emulator
from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.store import Filter
from tests.parts import square, sum_of_squares, waiting
from tests.processes import PATIENCE_SECONDS, wait_until
from tests.programs import (
    end_of,
    new_client,
    output_of,
    program_of,
    run,
)
from tests.sizes import sizes


@pytest.fixture
def client(emulator: Emulator) -> Iterator[TaskHubGrpcClient]:
    with program_of(emulator, sum_of_squares, square, waiting) as client:
        yield client


def test_300_clients_wait_at_once_while_work_goes_on(
    hub: TaskHub, client: TaskHubGrpcClient
) -> None:
    instance_id = client.schedule_new_orchestration(waiting)
    with ThreadPoolExecutor(300) as pool:
        outputs = [pool.submit(output_of, client, instance_id) for _ in range(300)]
        wait_until(lambda: len(hub.waiters) == 300, "300 clients wait")
        assert run(client, sum_of_squares, input=50) == sum(n * n for n in range(50))
        client.raise_orchestration_event(instance_id, "go", data="all of you")
        assert {future.result() for future in outputs} == {"all of you"}
    assert len(hub.waiters) == 0


def test_a_client_that_goes_away_frees_its_place_at_once(emulator: Emulator, hub: TaskHub) -> None:
    def wait(client: TaskHubGrpcClient) -> None:
        with pytest.raises((grpc.RpcError, ValueError)):
            client.wait_for_orchestration_completion("nothing", timeout=PATIENCE_SECONDS)

    with new_client(emulator) as client:
        waits = [threading.Thread(target=wait, args=(client,)) for _ in range(10)]
        for thread in waits:
            thread.start()
        wait_until(lambda: len(hub.waiters) == 10, "ten clients wait")
    wait_until(lambda: len(hub.waiters) == 0, "nobody waits any more", seconds=10)
    for thread in waits:
        thread.join(PATIENCE_SECONDS)


def test_nothing_is_left_of_what_is_purged(hub: TaskHub, client: TaskHubGrpcClient) -> None:
    before = sizes(hub)
    for count in range(5):
        run(client, sum_of_squares, input=count + 1)
    instance_id = client.schedule_new_orchestration(waiting)
    client.wait_for_orchestration_start(instance_id)
    client.terminate_orchestration(instance_id)
    end_of(client, instance_id)
    kept = [weakref.ref(instance) for instance in hub.store.newest(Filter(), 0, 100)[0]]
    assert client.purge_orchestrations_by(recursive=True).deleted_instance_count == 6
    assert sizes(hub) == before
    gc.collect()
    assert [reference() for reference in kept] == [None] * 6


def test_nothing_is_left_of_an_orchestration_that_continues_as_new_again_and_again(
    emulator: Emulator, hub: TaskHub
) -> None:
    def eternal(ctx: task.OrchestrationContext, rounds: int) -> Any:
        yield ctx.call_sub_orchestrator(short)
        ctx.signal_entity(EntityInstanceId("nobody", "x"), "ping")
        if rounds:
            ctx.continue_as_new(rounds - 1)

    def short(ctx: task.OrchestrationContext, _: Any) -> Any:
        yield ctx.call_activity(square, input=2)

    with program_of(emulator, eternal, short, square) as client:
        instance_id = client.schedule_new_orchestration(eternal, input=20)
        end_of(client, instance_id)
        assert len(client.get_orchestration_history(instance_id)) < 12
        client.purge_orchestrations_by()
    assert hub.store.count_by_status(Filter()) == {}
