"""What a worker refuses to register, and what its log tells of that which fails."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus
from durabletask.worker import TaskHubGrpcWorker
from scheduler import ConfigurationError

import worker
from hosting.activities import MAX_REMEMBERED, Attempts, register
from tests.conftest import Run
from tests.processes import run as run_program

LOGGER = logging.getLogger("worker")


async def async_work(_: task.ActivityContext, item: int) -> int:
    return item


async def async_generator(ctx: task.OrchestrationContext, work: Any) -> Any:
    yield work


def test_an_async_activity_is_refused_in_words() -> None:
    with pytest.raises(ConfigurationError, match="'async_work' is an async function; write 'def'"):
        register(TaskHubGrpcWorker(), LOGGER, [], [async_work])


@pytest.mark.parametrize("function", [async_work, async_generator])
def test_an_async_orchestrator_is_refused_in_words(function: Any) -> None:
    with pytest.raises(ConfigurationError, match="waits with 'yield', not with 'await'"):
        register(TaskHubGrpcWorker(), LOGGER, [function], [])


def test_a_worker_with_an_async_activity_ends_with_one_line_and_status_2() -> None:
    code = (
        "import sys, worker\n"
        "async def process_work_item(_, item): return item\n"
        "worker.process_work_item = process_work_item\n"
        "sys.exit(worker.main([]))"
    )
    ended = run_program("-c", code)
    assert ended.status == 2
    assert "Traceback" not in ended.stderr
    assert "'process_work_item' is an async function" in ended.stderr.splitlines()[-1]


def test_each_failed_attempt_is_a_line_and_the_last_has_the_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def process_work_item(_: task.ActivityContext, item: Any) -> None:
        raise ValueError(f"{item['colour']} is no number")

    monkeypatch.setattr(worker, "process_work_item", process_work_item)
    assert run([{"colour": "red"}]).runtime_status is OrchestrationStatus.FAILED
    told = [record for record in caplog.records if record.levelno > logging.INFO]
    assert [record.getMessage() for record in told[:3]] == [
        f'process_work_item failed for {{"colour": "red"}}, attempt {attempt}: '
        "ValueError: red is no number"
        for attempt in (1, 2, 3)
    ]
    (last,) = told[3:]
    assert last.getMessage().startswith("fan_out_fan_in_orchestrator ")
    assert last.getMessage().endswith(" failed: ValueError: red is no number")
    trace = getattr(last, "trace", "")
    assert trace.startswith("Traceback (most recent call last):")
    assert "in process_work_item" in trace
    assert trace.splitlines()[-1] == "ValueError: red is no number"


def test_a_part_of_a_large_fan_out_tells_its_traceback_once(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def process_work_item(_: task.ActivityContext, item: Any) -> None:
        raise ValueError("no")

    monkeypatch.setattr(worker, "process_work_item", process_work_item)
    run({"parts": [[1], [2]], "more": 0}, "large_fan_out_orchestrator")
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len([record for record in errors if getattr(record, "trace", "")]) == 2
    assert [record.getMessage().split()[0] for record in errors if not vars(record)["trace"]] == [
        "large_fan_out_orchestrator"
    ]


def test_an_orchestrators_own_error_has_its_traceback_too(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run(7)  # No list.
    (error,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert error.exc_info is not None
    assert isinstance(error.exc_info[1], TypeError)


def test_attempts_are_counted_for_each_step_and_forgotten_when_there_are_many() -> None:
    attempts = Attempts()
    first, second = task.ActivityContext("a", 1), task.ActivityContext("a", 2)
    assert [attempts.failed(each) for each in (first, second, first)] == [1, 1, 2]
    for number in range(MAX_REMEMBERED):
        attempts.failed(task.ActivityContext("b", number))
    assert attempts.failed(first) == 1
