"""The worker's orchestrator and activities, on an emulator in this process."""

from __future__ import annotations

from typing import Any

import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus

import worker
from hosting.errors import describe
from large_fan_out import combine_aggregates
from tests.sample import Sample

CONTEXT = task.ActivityContext("instance", 1)


def test_an_item_is_squared_after_half_a_second_to_two_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("worker.time.sleep", pauses.append)
    assert worker.process_work_item(CONTEXT, 7) == {"item": 7, "result": 49}
    assert 0.5 <= pauses[0] <= 2


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
def test_aggregates_of_parts_are_combined_into_that_of_all(
    parts: list[dict[str, Any]], aggregate: dict[str, Any]
) -> None:
    assert combine_aggregates(CONTEXT, parts) == aggregate


@pytest.mark.parametrize(
    ("work_items", "output"),
    [
        ([], {"total_items": 0, "sum": 0, "average": 0}),
        ([5], {"total_items": 1, "sum": 25, "average": 25.0}),
        (list(range(1, 11)), {"total_items": 10, "sum": 385, "average": 38.5}),
    ],
)
def test_items_are_fanned_out_and_their_results_fanned_in(
    sample: Sample, work_items: Any, output: dict[str, Any]
) -> None:
    assert sample.run(work_items).get_output() == output


def failing(times: int, attempts: list[int]) -> Any:
    """Return an activity that fails so many times."""

    def process_work_item(_: task.ActivityContext, item: int) -> dict[str, int]:
        attempts.append(item)
        if len(attempts) <= times:
            raise ValueError("no such item")
        return {"item": item, "result": item * item}

    return process_work_item


def test_an_item_that_fails_twice_succeeds_at_the_third_attempt(sample: Sample) -> None:
    sample.replaced["process_work_item"] = failing(2, [])
    assert sample.run([4]).get_output() == {"total_items": 1, "sum": 16, "average": 16.0}


def test_an_item_that_fails_three_times_fails_the_orchestration_with_its_error(
    sample: Sample,
) -> None:
    attempts: list[int] = []
    sample.replaced["process_work_item"] = failing(3, attempts)
    state = sample.run([4])
    assert state.runtime_status is OrchestrationStatus.FAILED
    assert state.failure_details is not None
    assert describe(state.failure_details) == "ValueError: no such item"
    assert attempts == [4, 4, 4]


def test_the_pause_between_attempts_grows() -> None:
    assert worker.ITEM_RETRIES.max_number_of_attempts == 3
    assert worker.ITEM_RETRIES.backoff_coefficient == 2


def test_when_one_item_fails_the_others_are_awaited(sample: Sample) -> None:
    done: list[int] = []

    def process_work_item(_: task.ActivityContext, item: int) -> dict[str, int]:
        if item == 1:
            raise ValueError("no such item")
        done.append(item)
        return {"item": item, "result": item * item}

    sample.replaced["process_work_item"] = process_work_item
    assert sample.run([1, 2, 3]).runtime_status is OrchestrationStatus.FAILED
    assert sorted(done) == [2, 3]
