"""What takes long because time itself is what is tested."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from durabletask import task
from durabletask.azuremanaged.client import (
    DurableTaskSchedulerClient,
)
from durabletask.scheduled import ScheduleCreationOptions, ScheduledTaskClient, ScheduleStatus

from dts_emulator import Emulator
from tests.parts import auditing
from tests.processes import PATIENCE_SECONDS, endpoint_of, running, wait_until
from tests.programs import new_client, new_worker, program_of, quiet, run

pytestmark = pytest.mark.slow


def parent_of_long(ctx: task.OrchestrationContext, seconds: float) -> Any:
    return (yield ctx.call_sub_orchestrator(long_child, input=seconds))


def long_child(ctx: task.OrchestrationContext, seconds: float) -> Any:
    yield ctx.create_timer(timedelta(seconds=seconds))
    return f"{seconds:g} seconds"


def test_a_sub_orchestration_may_take_longer_than_30_seconds(emulator: Emulator) -> None:
    with program_of(emulator, parent_of_long, long_child) as client:
        assert run(client, parent_of_long, input=35.0) == "35 seconds"


def test_a_schedule_starts_orchestrations_until_it_is_deleted(emulator: Emulator) -> None:
    worker = new_worker(emulator, auditing)
    worker.configure_scheduled_tasks()
    with worker, new_client(emulator) as client:
        worker.start()
        schedules = ScheduledTaskClient(client)
        options = ScheduleCreationOptions(
            "nightly", "auditing", timedelta(seconds=1), orchestration_input="on time"
        )
        schedule = schedules.create_schedule(options)
        assert [found.schedule_id for found in schedules.list_schedules()] == ["nightly"]
        wait_until(lambda: len(client.get_all_orchestration_states()) >= 4, "it has run twice")
        schedule.pause()
        assert schedule.describe().status is ScheduleStatus.PAUSED
        schedule.resume()
        schedule.delete()
        wait_until(lambda: schedules.get_schedule("nightly") is None, "the schedule is gone")


def cpu_seconds(pid: int) -> float:
    """Return how much CPU time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_it_is_idle_while_a_worker_and_100_clients_wait() -> None:
    seconds = 4.0
    with (
        running("-m", "dts_emulator", "--port", "0", "--dashboard-port", "0") as emulator,
        ExitStack() as stack,
    ):
        emulator.wait_for_line("Task hubs")
        endpoint = endpoint_of(emulator)
        worker = stack.enter_context(running("-m", "tests.fan_out_worker", ENDPOINT=endpoint))
        worker.wait_for_line("Successfully connected")
        client = DurableTaskSchedulerClient(
            host_address=endpoint,
            taskhub="default",
            token_credential=None,
            secure_channel=False,
            logger=quiet,
        )

        def wait() -> None:
            with pytest.raises(grpc.RpcError):
                client.wait_for_orchestration_completion("nothing", timeout=PATIENCE_SECONDS)

        pool = stack.enter_context(ThreadPoolExecutor(100))
        waits = [pool.submit(wait) for _ in range(100)]
        client.get_orchestration_state("nothing")  # The calls before it have been taken.
        before = cpu_seconds(emulator.pid)
        time.sleep(seconds)  # What is measured is that nothing happens.
        used = cpu_seconds(emulator.pid) - before
        emulator.kill()
        for future in waits:
            future.result()
        client.close()
    assert used / seconds < 0.02
