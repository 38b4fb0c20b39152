"""How a worker starts and ends where not all is well."""

from __future__ import annotations

import signal
import time

import pytest

from tests.processes import (
    NO_SCHEDULER,
    Program,
    emulator_process,
    lines_of_trouble,
    needs_signals,
    run,
    running,
)

pytestmark = pytest.mark.system


def worker_with(*lines: str) -> str:
    """Return a program: the worker, after these lines."""
    return "\n".join(
        ["import sys, time, worker, hosting.workers", *lines, "sys.exit(worker.main())"]
    )


@needs_signals
def test_an_idle_worker_stops_on_ctrl_c_with_status_0(worker: Program) -> None:
    worker.send(signal.SIGINT)
    ended = worker.finish()
    assert ended.status == 0
    assert ended.stderr.count("Worker shutdown initiated") == 1
    assert lines_of_trouble(ended) == []


@needs_signals
def test_a_second_signal_ends_the_worker_immediately_with_status_1(
    scheduler: dict[str, str], worker: Program
) -> None:
    with running("client.py", "30", **scheduler):
        worker.wait_for_line("Processing work item: 30")
        worker.send(signal.SIGTERM)
        worker.wait_for_line("Worker shutdown initiated")
        worker.send(signal.SIGTERM)
        ended = worker.finish()
    assert ended.status == 1
    assert "Worker stopped before its work in progress was done" in ended.stderr


@needs_signals
def test_work_that_takes_longer_than_the_limit_goes_to_another_worker(
    scheduler: dict[str, str],
) -> None:
    slow = worker_with(
        "worker.random.uniform = lambda *_: 60", "hosting.workers.SHUTDOWN_SECONDS = 0.5"
    )
    with running("client.py", "1", "--timeout", "120", **scheduler) as client:
        with running("-c", slow, **scheduler) as worker:
            worker.wait_for_line("Processing work item: 1")
            worker.send(signal.SIGTERM)
            assert worker.finish().status == 1
        with running("worker.py", **scheduler):
            assert client.finish().status == 0


def test_an_unguarded_sys_exit_ends_the_worker_with_one_line_and_status_1(
    scheduler: dict[str, str],
) -> None:
    code = worker_with(
        "worker.guarded = lambda function: function",
        "def process_work_item(_, item): sys.exit(3)",
        "worker.process_work_item = process_work_item",
    )
    with running("-c", code, **scheduler) as worker, running("client.py", "1", **scheduler):
        ended = worker.finish()
    assert ended.status == 1
    last = ended.stderr.splitlines()[-1]
    assert last.endswith("The SDK's worker thread has ended: other workers take its items")


def test_a_worker_with_an_async_activity_ends_with_one_line_and_status_2(
    scheduler: dict[str, str],
) -> None:
    code = worker_with(
        "async def process_work_item(_, item): return item",
        "worker.process_work_item = process_work_item",
    )
    ended = run("-c", code, **scheduler)
    assert ended.status == 2
    (line,) = lines_of_trouble(ended)
    assert "'process_work_item' is an async function: use def." in line


def test_a_worker_waits_for_a_scheduler_that_is_not_there_yet(free_port: int) -> None:
    with running("worker.py", ENDPOINT=f"http://127.0.0.1:{free_port}") as worker:
        worker.wait_for_line("No scheduler answers at")
        with emulator_process(free_port):
            worker.wait_for_line("Successfully connected")
        assert "Traceback" not in worker.stderr
        assert len(lines_of_trouble(worker)) <= 2, worker.stderr


def test_a_worker_without_a_scheduler_says_so_once_in_30_seconds() -> None:
    with running("worker.py", ENDPOINT=NO_SCHEDULER) as worker:
        worker.wait_for_line("Start the emulator")
        time.sleep(3)  # The pace of its complaints is what is tested.
        assert len(lines_of_trouble(worker)) == 1, worker.stderr


def test_a_worker_with_a_wrong_task_hub_says_so_once_and_not_that_it_is_connected_again() -> None:
    with (
        emulator_process() as (_, endpoint),
        running("worker.py", ENDPOINT=endpoint, TASKHUB="wrong") as worker,
    ):
        worker.wait_for_line("task hub 'wrong'")
        time.sleep(3)  # The pace of its complaints is what is tested.
        assert len(lines_of_trouble(worker)) == 1, worker.stderr
        assert worker.stderr.count("Successfully connected") <= 1


def test_concurrency_limits_how_many_items_run_simultaneously(scheduler: dict[str, str]) -> None:
    counting = worker_with(
        "running = []",
        "sys.argv[1:] = ['--concurrency', '2']",
        "def process_work_item(_, item):",
        "    running.append(item)",
        "    sys.stdout.write(f'running: {len(running)}\\n')",
        "    time.sleep(0.1)",
        "    running.remove(item)",
        "    return {'item': item, 'result': item * item}",
        "worker.process_work_item = process_work_item",
    )
    with running("-c", counting, **scheduler) as worker:
        assert run("client.py", "8", **scheduler).status == 0
        assert set(worker.stdout.splitlines()) == {"running: 1", "running: 2"}


def test_a_quiet_log_has_warnings_only(scheduler: dict[str, str]) -> None:
    with running("worker.py", "--log-level", "warning", **scheduler) as worker:
        assert run("client.py", "2", **scheduler).status == 0
        assert worker.stop().stderr == ""
