"""What takes long because time itself is what is tested, or because there is so much of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from durabletask import task
from durabletask.internal import orchestrator_service_pb2 as pb

from dts_emulator import Emulator, server
from dts_emulator.engine.events import string_value
from tests.parts import square, sum_of_squares
from tests.processes import PATIENCE_SECONDS, running, wait_until
from tests.programs import program_of, run
from tests.wire import wire_to

pytestmark = pytest.mark.slow


def parent_of_long(ctx: task.OrchestrationContext, seconds: float) -> Any:
    return (yield ctx.call_sub_orchestrator(long_child, input=seconds))


def long_child(ctx: task.OrchestrationContext, seconds: float) -> Any:
    yield ctx.create_timer(timedelta(seconds=seconds))
    return f"{seconds:g} seconds"


def test_a_sub_orchestration_may_take_longer_than_30_seconds(emulator: Emulator) -> None:
    with program_of(emulator, parent_of_long, long_child) as client:
        assert run(client, parent_of_long, input=35.0) == "35 seconds"


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
