"""How the worker starts and ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.processes import PROJECT, Program, environment, needs_signals, run, running, wait_until

pytestmark = pytest.mark.system

STOPS = pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this scheduling policy")
def test_a_thread_of_the_worker_that_wakes_up_interrupts_no_other(worker: Program) -> None:
    worker.wait_for_line("Successfully connected")
    assert os.sched_getscheduler(worker.pid) == os.SCHED_BATCH


@needs_signals
@STOPS
def test_an_idle_worker_stops_with_status_0(worker: Program, stop: signal.Signals) -> None:
    worker.send(stop)
    ended = worker.finish()
    assert ended.status == 0
    assert ended.stderr.count("Worker shutdown initiated") == 1
    assert ended.stderr.count("Worker stopped") == 1


@needs_signals
@STOPS
def test_a_worker_that_is_stopped_finishes_what_is_in_progress(
    scheduler: dict[str, str], worker: Program, stop: signal.Signals
) -> None:
    with running("client.py", "30", **scheduler) as client:
        wait_until(lambda: worker.stderr.count("Processing work item") == 30, "30 items run")
        worker.send(stop)
        ended = worker.finish()
        assert ended.status == 0
        assert "Worker shutdown initiated" in ended.stderr
        assert "Worker stopped" in ended.stderr
        assert "Traceback" not in ended.stderr
        with running("worker.py", **scheduler) as second:
            assert client.finish().status == 0
            assert "Processing work item" not in second.stderr


@needs_signals
def test_a_second_signal_ends_the_worker_at_once_with_status_1(
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
def test_work_that_takes_longer_than_the_limit_is_left_to_others(
    scheduler: dict[str, str],
) -> None:
    slow = (
        "import sys, worker, hosting.workers; "
        "worker.MIN_WORK_SECONDS = worker.MAX_WORK_SECONDS = 60; "
        "hosting.workers.SHUTDOWN_SECONDS = 0.5; sys.exit(worker.main([]))"
    )
    with running("-c", slow, **scheduler) as worker, running("client.py", "1", **scheduler):
        worker.wait_for_line("Processing work item: 1")
        worker.send(signal.SIGTERM)
        assert worker.finish().status == 1


def test_a_worker_waits_for_a_scheduler_that_is_not_there_yet(free_port: int) -> None:
    endpoint = f"http://127.0.0.1:{free_port}"
    with running("worker.py", ENDPOINT=endpoint) as worker:
        worker.wait_for_line("Connection failed, retrying")
        emulator = ("-m", "dts_emulator", "--port", str(free_port), "--dashboard-port", "0")
        with running(*emulator):
            worker.wait_for_line("Successfully connected")
        assert "Traceback" not in worker.stderr
        lines = worker.stderr.splitlines()
        assert all(" INFO: " in line or " WARNING: " in line for line in lines), worker.stderr


@pytest.mark.parametrize("concurrency", ["0", "-1", "many", "10001"])
def test_a_wrong_concurrency_is_status_2(concurrency: str) -> None:
    worker = run("worker.py", "--concurrency", concurrency)
    assert worker.status == 2
    assert len(worker.stderr.splitlines()) == 2
    assert "--concurrency" in worker.stderr


def test_concurrency_limits_how_many_items_run_at_once(scheduler: dict[str, str]) -> None:
    counting = (
        "import sys, time, worker\n"
        "running = []\n"
        "def process_work_item(_, item):\n"
        "    running.append(item)\n"
        "    sys.stdout.write(f'at once: {len(running)}\\n')\n"
        "    time.sleep(0.1)\n"
        "    running.remove(item)\n"
        "    return {'item': item, 'result': item * item}\n"
        "worker.process_work_item = process_work_item\n"
        "sys.exit(worker.main(['--concurrency', '2']))\n"
    )
    with running("-c", counting, **scheduler) as worker:
        assert run("client.py", "8", **scheduler).status == 0
        assert set(worker.stdout.splitlines()) == {"at once: 1", "at once: 2"}


def test_plaintext_needs_no_azure_identity(scheduler: dict[str, str], worker: Program) -> None:
    code = (
        "import json, sys, client; status = client.main(['1']); "
        "print(json.dumps([status, [m for m in sys.modules if m.startswith('azure.identity')]]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=environment(**scheduler),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ended.stdout.splitlines()[-1]) == [0, []]
