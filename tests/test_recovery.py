"""Work outlives what runs it: workers that are killed, an emulator that keeps its state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from durabletask import history
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient

from tests.processes import PATIENCE_SECONDS, Program, emulator_process, running, wait_until
from tests.sample import FAN_OUT, connect


@pytest.fixture
def client(scheduler: dict[str, str]) -> Iterator[TaskHubGrpcClient]:
    with connect(scheduler["ENDPOINT"], scheduler["TASKHUB"]) as client:
        yield client


def schedule(client: TaskHubGrpcClient, items: int) -> str:
    return client.schedule_new_orchestration(FAN_OUT, input=list(range(1, items + 1)))


def items_begun(*workers: Program) -> int:
    return sum(worker.stderr.count("Processing work item") for worker in workers)


def assert_every_item_counts_once(client: TaskHubGrpcClient, instance_id: str, items: int) -> None:
    """Wait for the end, then look for the sum in the output and for doubles in the history."""
    state = client.wait_for_orchestration_completion(instance_id, timeout=2 * PATIENCE_SECONDS)
    assert state is not None
    assert state.runtime_status is OrchestrationStatus.COMPLETED
    assert state.get_output()["sum"] == sum(n * n for n in range(1, items + 1))
    events = client.get_orchestration_history(instance_id)
    scheduled = Counter(e.event_id for e in events if isinstance(e, history.TaskScheduledEvent))
    completed = Counter(
        e.task_scheduled_id for e in events if isinstance(e, history.TaskCompletedEvent)
    )
    assert completed == scheduled
    assert set(completed.values()) == {1}
    assert len(completed) == items + 1  # and the aggregation


@pytest.mark.system
def test_one_of_two_workers_takes_over_from_the_other_that_was_killed(
    scheduler: dict[str, str], worker: Program, client: TaskHubGrpcClient
) -> None:
    with running("worker.py", **scheduler) as other:
        other.wait_for_line("Successfully connected")
        instance_id = schedule(client, 30)
        wait_until(lambda: items_begun(worker, other) == 30, "30 items run")
        assert items_begun(other) > 0
        worker.kill()
        assert_every_item_counts_once(client, instance_id, 30)


def test_a_run_survives_the_kill_of_the_emulator_with_a_state_file(
    tmp_path: Path, free_port: int
) -> None:
    db_file = ("--db-file", str(tmp_path / "dev.db"))
    endpoint = f"http://127.0.0.1:{free_port}"
    with running("worker.py", ENDPOINT=endpoint) as worker, connect(endpoint) as client:
        with emulator_process(free_port, *db_file) as (emulator, _):
            instance_id = schedule(client, 5)
            worker.wait_for_line("Processing work item: 5")
            emulator.kill()
        with emulator_process(free_port, *db_file):
            assert_every_item_counts_once(client, instance_id, 5)
