"""Thousands of waits, calls and events, and a worker that is frozen in the middle of its work."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time

import pytest
from durabletask.azuremanaged.client import (
    AsyncDurableTaskSchedulerClient,
)
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator import Emulator, server
from dts_emulator.engine.events import string_value
from tests.parts import square, sum_of_squares, waiting
from tests.processes import PATIENCE_SECONDS, running, wait_until
from tests.programs import new_client, output_of, program_of, run, worker_of
from tests.wire import wire_to

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs a process that can be frozen")
def test_the_work_of_a_frozen_worker_goes_to_another(emulator: Emulator) -> None:
    with (
        running("-m", "tests.fan_out_worker", ENDPOINT=emulator.endpoint) as frozen,
        wire_to(emulator) as wire,
    ):
        frozen.wait_for_line("Successfully connected")
        wait_until(lambda: emulator.hubs["default"].leases.streams == 1, "it has connected")
        frozen.send(signal.SIGSTOP)
        try:
            wire.start("id", "fan_out", input=string_value("1"))
            begin = time.monotonic()
            with running("-m", "tests.fan_out_worker", ENDPOINT=emulator.endpoint):
                ended = wire.end("id")
            seconds = time.monotonic() - begin
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
        frozen.kill()
    assert ended.orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED
    # Found within 20, a grace of 5, an item of 2; the rest is for a busy machine.
    assert seconds < 55


def test_10_000_waits_cost_no_thread_and_leave_a_run_unharmed(emulator: Emulator) -> None:
    waits, hub = 10_000, emulator.hubs["default"]
    wanted = pb.GetInstanceRequest(instanceId="awaited", getInputsAndOutputs=True)
    with (
        program_of(emulator, sum_of_squares, square) as client,
        wire_to(emulator) as wire,
        wire_to(emulator) as other,
    ):
        run(client, sum_of_squares, input=1)
        before = threading.active_count()
        answers = [
            (wire if n % 2 else other).later("WaitForInstanceCompletion", wanted)
            for n in range(waits)
        ]
        wait_until(lambda: len(hub.waiters) == waits, "all wait")
        # The calls have come in a burst, on as many threads as calls may have.
        assert threading.active_count() < before + server.MAX_THREADS + 100
        assert run(client, sum_of_squares, input=10) == 285
        wire.start("awaited", "sum_of_squares", input=string_value("3"))
        outputs = {
            answer.result(PATIENCE_SECONDS).orchestrationState.output.value for answer in answers
        }
    assert outputs == {"5"}
    assert len(hub.waiters) == 0


# gRPC's own limit, from which on it cancels every call, is 3,000.
CALLS = 5000


def test_every_one_of_thousands_of_calls_is_answered(emulator: Emulator) -> None:
    async def call_all() -> list[object]:
        async with AsyncDurableTaskSchedulerClient(
            host_address=emulator.endpoint,
            taskhub="default",
            token_credential=None,
            secure_channel=False,
        ) as client:
            calls = (client.get_orchestration_state(f"nobody-{n}") for n in range(CALLS))
            return list(await asyncio.gather(*calls, return_exceptions=True))

    assert asyncio.run(call_all()) == [None] * CALLS


def test_a_history_may_have_more_than_10_000_events(emulator: Emulator) -> None:
    with new_client(emulator) as client, wire_to(emulator) as wire:
        instance_id = client.schedule_new_orchestration(waiting)
        noise = pb.RaiseEventRequest(instanceId=instance_id, name="noise")
        for _ in range(10_100):
            wire.call("RaiseEvent", noise)
        with worker_of(emulator, waiting):
            client.wait_for_orchestration_start(instance_id)
            client.raise_orchestration_event(instance_id, "go", data="heard")
            assert output_of(client, instance_id) == "heard"
        assert len(client.get_orchestration_history(instance_id)) > 10_100
