"""The worker's orchestrator and activities, the orchestrator on an emulator in this process."""

from __future__ import annotations

import time
from typing import Any

import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus

import worker
from tests.conftest import Run

CONTEXT = task.ActivityContext("instance", 1)


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


@pytest.mark.parametrize(
    ("parts", "aggregate"),
    [
        ([], {"total_items": 0, "sum": 0, "average": 0}),
        (
            [
                {"total_items": 3, "sum": 14, "average": 14 / 3},
                {"total_items": 7, "sum": 371, "average": 53.0},
            ],
            {"total_items": 10, "sum": 385, "average": 38.5},
        ),
    ],
)
def test_aggregates_of_parts_are_combined_to_that_of_all(
    parts: list[dict[str, Any]], aggregate: dict[str, Any]
) -> None:
    assert worker.combine_aggregates(CONTEXT, parts) == aggregate


# --- The orchestrator ---


@pytest.mark.parametrize(
    ("work_items", "output"),
    [
        ([], {"total_items": 0, "sum": 0, "average": 0}),
        ([5], {"total_items": 1, "sum": 25, "average": 25.0}),
        (list(range(1, 11)), {"total_items": 10, "sum": 385, "average": 38.5}),
    ],
)
def test_items_are_fanned_out_and_their_results_fanned_in(
    run: Run, work_items: Any, output: dict[str, Any]
) -> None:
    assert run(work_items).get_output() == output


@pytest.mark.parametrize("skipping", [False], indirect=True)  # The check runs each turn twice.
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
    assert worker.ITEM_RETRIES.max_number_of_attempts == 3
    assert worker.ITEM_RETRIES.backoff_coefficient == 2
