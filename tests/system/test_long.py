"""An hour's accidents in a few seconds."""

from __future__ import annotations

import random
import time

import pytest
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.client import OrchestrationStatus
from scheduler import Scheduler

from tests.processes import Program

pytestmark = pytest.mark.slow

SEED = 7


def test_workers_may_be_killed_and_restarted_at_random(
    scheduler: dict[str, str], request: pytest.FixtureRequest
) -> None:
    seconds: float = request.config.getoption("--chaos-seconds")
    chance = random.Random(SEED)
    sizes: dict[str, int] = {}
    workers = [Program(["worker.py"], **scheduler) for _ in range(2)]
    target = Scheduler.from_environment(scheduler)
    try:
        with DurableTaskSchedulerClient(**target.connection()) as client:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                size = chance.randint(1, 30)
                instance_id = client.schedule_new_orchestration(
                    "fan_out_fan_in_orchestrator", input=list(range(1, size + 1))
                )
                sizes[instance_id] = size
                if chance.random() < 0.2:
                    victim = chance.randrange(len(workers))
                    workers[victim].kill()
                    workers[victim] = Program(["worker.py"], **scheduler)
                time.sleep(chance.uniform(0.1, 1.0))  # The pace of the accidents.
            for instance_id, size in sizes.items():
                state = client.wait_for_orchestration_completion(instance_id, timeout=120)
                assert state is not None
                assert state.runtime_status is OrchestrationStatus.COMPLETED
                assert state.get_output()["total_items"] == size
                assert state.get_output()["sum"] == sum(n * n for n in range(1, size + 1))
    finally:
        for worker in workers:
            worker.kill()
    assert len(sizes) > seconds * 50 / 60
