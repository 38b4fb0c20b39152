"""Work outlives the workers: those that crash, hang, or share it with others."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator

import pytest
from durabletask import history
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from scheduler import Scheduler

from tests.processes import PATIENCE_SECONDS, Program, needs_signals, running, wait_until

pytestmark = pytest.mark.system

ORCHESTRATOR = "fan_out_fan_in_orchestrator"


@pytest.fixture
def client(scheduler: dict[str, str]) -> Iterator[TaskHubGrpcClient]:
    target = Scheduler.from_environment(scheduler)
    with DurableTaskSchedulerClient(**target.connection()) as client:
        yield client


def schedule(client: TaskHubGrpcClient, items: int) -> str:
    return client.schedule_new_orchestration(ORCHESTRATOR, input=list(range(1, items + 1)))


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


def test_a_new_worker_takes_over_from_one_that_was_killed(
    scheduler: dict[str, str], worker: Program, client: TaskHubGrpcClient
) -> None:
    instance_id = schedule(client, 30)
    wait_until(lambda: items_begun(worker) == 30, "30 items run")
    worker.kill()
    with running("worker.py", **scheduler):
        assert_every_item_counts_once(client, instance_id, 30)


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


def test_a_worker_that_is_killed_again_and_again_does_no_harm(
    scheduler: dict[str, str], client: TaskHubGrpcClient
) -> None:
    instance_id = schedule(client, 20)
    for _ in range(2):
        with running("worker.py", **scheduler) as worker:
            worker.wait_for_line("Processing work item")
    with running("worker.py", **scheduler):
        assert_every_item_counts_once(client, instance_id, 20)


@needs_signals
def test_a_worker_that_hangs_but_stays_connected_keeps_its_items(
    scheduler: dict[str, str], worker: Program, client: TaskHubGrpcClient
) -> None:
    instance_id = schedule(client, 5)
    wait_until(lambda: items_begun(worker) == 5, "5 items run")
    worker.send(signal.SIGSTOP)
    try:
        with running("worker.py", **scheduler) as other:
            other.wait_for_line("Successfully connected")
            with pytest.raises(TimeoutError):  # for longer than the grace of a lease
                client.wait_for_orchestration_completion(instance_id, timeout=7)
            assert items_begun(other) == 0
    finally:
        worker.send(signal.SIGCONT)
    assert_every_item_counts_once(client, instance_id, 5)
    assert items_begun(worker) == 5


def test_two_workers_share_the_items(scheduler: dict[str, str], client: TaskHubGrpcClient) -> None:
    # Items that take time: of instant ones, the worker that gets more CPU would do more.
    fifty = ("worker.py", "--concurrency", "50")
    with running(*fifty, **scheduler) as one, running(*fifty, **scheduler) as two:
        for worker in (one, two):
            worker.wait_for_line("Successfully connected")
        assert_every_item_counts_once(client, schedule(client, 1000), 1000)
        wait_until(lambda: items_begun(one, two) == 1000, "the logs have arrived")
        assert 400 <= items_begun(one) <= 600
