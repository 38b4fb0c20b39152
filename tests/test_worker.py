"""The worker's orchestrator and activities, the orchestrator on an emulator in this process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from durabletask import task
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.client import OrchestrationState, OrchestrationStatus

import worker
from emulator import Emulator
from scheduler import Scheduler

CONTEXT = task.ActivityContext("instance", 1)
ITEM_RETRIES = worker.ITEM_RETRIES

Run = Callable[[Any], OrchestrationState]


@pytest.fixture(autouse=True)
def instant_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MIN_WORK_SECONDS", 0.0)
    monkeypatch.setattr(worker, "MAX_WORK_SECONDS", 0.0)
    no_delay = task.RetryPolicy(
        first_retry_interval=timedelta(0), max_number_of_attempts=3, backoff_coefficient=1
    )
    monkeypatch.setattr(worker, "ITEM_RETRIES", no_delay)


@pytest.fixture
def run(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> Run:
    """Give a function that runs the orchestrator to its end on a worker of its own."""
    caplog.set_level(logging.INFO, logger="worker")
    target = Scheduler(endpoint=emulator.endpoint)

    def run_to_its_end(work_items: Any) -> OrchestrationState:
        with (
            DurableTaskSchedulerClient(**target.connection()) as client,
            worker.create_worker(target, concurrency=50) as started,
        ):
            started.start()
            instance_id = client.schedule_new_orchestration(
                "fan_out_fan_in_orchestrator", input=work_items
            )
            state = client.wait_for_orchestration_completion(instance_id, timeout=60)
            assert state is not None
            return state

    return run_to_its_end


# --- Activities ---


def test_an_item_is_squared() -> None:
    assert worker.process_work_item(CONTEXT, 7) == {"item": 7, "result": 49}


def test_the_delay_is_read_when_the_activity_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MIN_WORK_SECONDS", 0.2)
    monkeypatch.setattr(worker, "MAX_WORK_SECONDS", 0.3)
    start = time.monotonic()
    worker.process_work_item(CONTEXT, 1)
    assert time.monotonic() - start >= 0.2


@pytest.mark.parametrize(
    ("results", "aggregate"),
    [
        ([], {"total_items": 0, "sum": 0, "average": 0}),
        ([{"item": 3, "result": 9}], {"total_items": 1, "sum": 9, "average": 9.0}),
        (
            [{"item": n, "result": n * n} for n in range(1, 11)],
            {"total_items": 10, "sum": 385, "average": 38.5},
        ),
    ],
)
def test_results_are_counted_summed_and_averaged(
    results: list[dict[str, int]], aggregate: dict[str, Any]
) -> None:
    assert worker.aggregate_results(CONTEXT, results) == aggregate


# --- The orchestrator ---


@pytest.mark.parametrize(
    ("work_items", "output"),
    [
        ([], {"total_items": 0, "sum": 0, "average": 0}),
        ([5], {"total_items": 1, "sum": 25, "average": 25.0}),
        (list(range(1, 11)), {"total_items": 10, "sum": 385, "average": 38.5}),
        ({"first": 1, "last": 10}, {"total_items": 10, "sum": 385, "average": 38.5}),
    ],
)
def test_items_are_fanned_out_and_their_results_fanned_in(
    run: Run, work_items: Any, output: dict[str, Any]
) -> None:
    assert run(work_items).get_output() == output


def test_every_log_line_of_a_run_comes_once(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run(list(range(1, 11)))
    lines = [record.getMessage() for record in caplog.records]
    ours = [
        "Starting fan out/fan in orchestration with 10 items",
        "Waiting for 10 parallel tasks to complete",
        *(f"Processing work item: {n}" for n in range(1, 11)),
        "All parallel tasks completed, aggregating results",
        "Aggregating results from 10 items",
    ]
    assert {line: lines.count(line) for line in ours} == dict.fromkeys(ours, 1)


def test_an_item_that_fails_twice_succeeds_at_the_third_attempt(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []

    def process_work_item(_: task.ActivityContext, item: int) -> dict[str, int]:
        attempts.append(item)
        if len(attempts) < 3:
            raise ValueError("not yet")
        return {"item": item, "result": item * item}

    monkeypatch.setattr(worker, "process_work_item", process_work_item)
    assert run([4]).get_output() == {"total_items": 1, "sum": 16, "average": 16.0}


def test_an_item_that_fails_three_times_fails_the_orchestration_with_its_error(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []

    def process_work_item(_: task.ActivityContext, item: int) -> None:
        attempts.append(item)
        raise ValueError("no such item")

    monkeypatch.setattr(worker, "process_work_item", process_work_item)
    state = run([4])
    assert state.runtime_status is OrchestrationStatus.FAILED
    assert state.failure_details is not None
    assert state.failure_details.inner_failure is not None
    assert state.failure_details.inner_failure.error_type == "builtins.ValueError"
    assert state.failure_details.inner_failure.message == "no such item"
    assert len(attempts) == 3


def test_the_delay_between_attempts_grows() -> None:
    assert ITEM_RETRIES.max_number_of_attempts == 3
    assert ITEM_RETRIES.backoff_coefficient == 2


# --- More items than one orchestration should hold ---


@pytest.mark.parametrize("as_range", [False, True], ids=["list", "range"])
def test_a_long_input_is_split_into_three_levels_of_sub_orchestrations(
    run: Run, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, as_range: bool
) -> None:
    monkeypatch.setattr(worker, "MAX_FAN_OUT", 5)
    work_items = {"first": 1, "last": 60} if as_range else list(range(1, 61))
    state = run(work_items)
    assert state.get_output() == {
        "total_items": 60,
        "sum": sum(n * n for n in range(1, 61)),
        "average": sum(n * n for n in range(1, 61)) / 60,
    }
    instances, _ = emulator.hubs["default"].instances(limit=1000)
    ancestors = {i.instance_id: i.parent_id for i in instances}

    def depth(instance_id: str | None) -> int:
        return 1 + depth(ancestors[instance_id]) if instance_id else 0

    assert max(depth(instance_id) for instance_id in ancestors) == 3


def test_a_range_is_passed_on_in_two_numbers() -> None:
    items = worker.unpack({"first": 1, "last": 100_000})
    assert worker.pack(items[5000:6000]) == {"first": 5001, "last": 6000}


def test_any_other_items_are_passed_on_as_they_are() -> None:
    items = worker.unpack(["a", "b", "c"])
    assert worker.pack(items[1:]) == ["b", "c"]
