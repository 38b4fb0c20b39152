"""What the terminals say, and how the programs end, when something is not as it should be."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from durabletask import task
from durabletask.azuremanaged.client import DurableTaskSchedulerClient
from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker
from durabletask.serialization import DataConverter
from scheduler import Scheduler

from tests.conftest import endpoint_of
from tests.processes import (
    Finished,
    Program,
    needs_signals,
    run,
    running,
)
from tests.system.test_outage import emulator_at

needs_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such streams")

NOBODY_LISTENS = "http://127.0.0.1:9"


def warnings_of(program: Finished | Program) -> list[str]:
    return [line for line in program.stderr.splitlines() if " INFO: " not in line]


# --- Nobody is there ---


def test_without_an_emulator_the_first_line_of_trouble_says_where_and_what_to_start() -> None:
    client = run("client.py", "--timeout", "1", ENDPOINT=NOBODY_LISTENS)
    first, last = warnings_of(client)
    assert f"No scheduler answers yet at {NOBODY_LISTENS}" in first
    assert "python -m emulator" in first
    assert "Nothing was started." in last


def test_without_a_worker_the_client_asks_for_one_after_three_seconds(
    scheduler: dict[str, str],
) -> None:
    client = run("client.py", "--timeout", "4", **scheduler)
    assert client.status == 3
    question, _ = warnings_of(client)
    assert question.endswith(
        "No worker has taken it yet: is worker.py running, with the same TASKHUB?"
    )


def test_with_a_worker_the_client_does_not_ask_for_one(scheduler: dict[str, str]) -> None:
    with running("worker.py", "--concurrency", "1", **scheduler) as worker:
        worker.wait_for_line("Successfully connected")
        slow = run("client.py", "5", **scheduler)  # Takes longer than those three seconds.
    assert warnings_of(slow) == []


def test_a_worker_in_front_of_nobody_says_so_once_and_then_at_growing_intervals() -> None:
    with running("worker.py", ENDPOINT=NOBODY_LISTENS) as worker:
        worker.wait_for_line("python -m emulator")
        time.sleep(6)  # The pace of the complaints is what is tested.
        lines = warnings_of(worker)
    assert 2 <= len(lines) <= 4, worker.stderr


def test_a_worker_with_a_wrong_task_hub_says_so_once_and_never_that_it_is_connected(
    scheduler: dict[str, str],
) -> None:
    with running("worker.py", **{**scheduler, "TASKHUB": "wrong"}) as worker:
        worker.wait_for_line("task hub 'wrong'")
        time.sleep(4)
        assert sum("task hub 'wrong'" in line for line in warnings_of(worker)) == 1
        assert len(warnings_of(worker)) <= 2, worker.stderr
        assert worker.stderr.count("Successfully connected") <= 1


# --- Nobody answers ---


@pytest.fixture
def silent_endpoint() -> Iterator[str]:
    """Give the endpoint of a listener that takes every connection and never answers."""
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    accepted.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    for connection in accepted:
        connection.close()


@needs_posix
def test_a_scheduler_that_never_answers_ends_the_client_within_its_timeout(
    silent_endpoint: str,
) -> None:
    begin = time.monotonic()
    client = run("client.py", "--timeout", "3", ENDPOINT=silent_endpoint)
    assert time.monotonic() - begin < 15
    assert client.status == 4
    assert silent_endpoint in warnings_of(client)[-1]
    assert "Traceback" not in client.stderr


@needs_signals
def test_a_scheduler_that_stops_answering_while_the_client_waits_is_status_4() -> None:
    with emulator_at(0) as emulator:
        arguments = ("client.py", "--timeout", "6", "--instance-id", "mine")
        with running(*arguments, ENDPOINT=endpoint_of(emulator)) as client:
            client.wait_for_line("Waiting for orchestration")
            emulator.send(signal.SIGSTOP)
            begin = time.monotonic()
            ended = client.finish()
            assert time.monotonic() - begin < 20
            emulator.send(signal.SIGCONT)
    assert ended.status == 4
    assert ended.stderr.splitlines()[-1].endswith("python client.py --attach mine")


# --- Something fails ---

FAILING = """
import sys, time, worker
from datetime import timedelta
from durabletask import task
worker.ITEM_RETRIES = task.RetryPolicy(
    first_retry_interval=timedelta(milliseconds=1), max_number_of_attempts=3)
def process_work_item(_, item):
    if item == 7:
        raise ValueError("no such item")
    return {"item": item, "result": item * item}
worker.process_work_item = process_work_item
sys.exit(worker.main([]))
"""


@pytest.mark.parametrize("count", [10, 1200], ids=["flat", "in parts"])
def test_a_failing_item_is_named_by_worker_and_client(
    scheduler: dict[str, str], count: int
) -> None:
    with running("-c", FAILING, **scheduler) as worker:
        client = run("client.py", str(count), "--instance-id", "fails", **scheduler)
        worker.wait_for_line("Traceback (most recent call last)")
        worker.stop()
    assert client.status == 1
    (error,) = warnings_of(client)
    assert "process_work_item failed for 7: ValueError: no such item." in error
    page = rf"Its stack trace: http://[^ ]+/orchestrations/fails{'.+' if count > 1000 else '$'}"
    assert re.search(page, error)
    for attempt in (1, 2, 3):
        line = f"process_work_item failed for 7, attempt {attempt}: ValueError: no such item\n"
        assert worker.stderr.count(line) == 1
    assert worker.stderr.count("Traceback") == 1
    assert "in process_work_item" in worker.stderr


def test_an_input_that_no_scheduler_takes_is_a_usage_error(scheduler: dict[str, str]) -> None:
    code = (
        "import sys\n"
        "from hosting.clients import connect\n"
        "from hosting.program import start\n"
        "with connect(start('client'), 10) as client:\n"
        "    client.schedule_new_orchestration('any', input='x' * 2_000_000)\n"
    )
    client = run("-c", code, **scheduler)
    assert client.status == 2
    (error,) = warnings_of(client)
    assert "The scheduler does not take this input" in error


class AsItIs(DataConverter):
    """Writes a text as it is, as programs in other languages may."""

    def serialize(self, value: Any) -> str | None:
        return None if value is None else str(value)

    def deserialize(self, data: str | None, target_type: type | None = None) -> Any:
        return data

    def coerce(self, value: Any, target_type: type | None = None) -> Any:
        return value


def speak(ctx: task.OrchestrationContext, _: Any) -> str:
    return "plain 'words'"


def test_an_output_that_is_no_json_is_printed_as_a_json_string(scheduler: dict[str, str]) -> None:
    target = Scheduler.from_environment(scheduler)
    with (
        DurableTaskSchedulerClient(**target.connection()) as client,
        DurableTaskSchedulerWorker(**target.connection(), data_converter=AsItIs()) as worker,
    ):
        worker.add_orchestrator(speak)
        worker.start()
        instance_id = client.schedule_new_orchestration("speak")
        attached = run("client.py", "--attach", instance_id, **scheduler)
    assert attached.status == 0, attached.stderr
    assert attached.stdout == "\"plain 'words'\"\n"


# --- Ctrl-C ---


@needs_signals
@pytest.mark.parametrize("program", ["worker.py", "client.py", "-m examples.word_count.client"])
def test_ctrl_c_while_python_still_imports_leaves_no_traceback(program: str) -> None:
    for tenths in range(1, 5):
        ended = _interrupted(program.split(), tenths / 10)
        assert "Traceback" not in ended.stderr, ended.stderr
        assert ended.status in (0, 130)


def _interrupted(arguments: list[str], seconds: float) -> Finished:
    """Send Ctrl-C to a program when hosting.interrupts is loaded, and `seconds` have passed."""
    marked = (
        "import sys, runpy, hosting.interrupts; print('imports', flush=True); "
        f"sys.argv = {arguments[-1:]!r}; "
        + (
            f"runpy.run_module({arguments[1]!r}, run_name='__main__')"
            if arguments[0] == "-m"
            else f"runpy.run_path({arguments[0]!r}, run_name='__main__')"
        )
    )
    with running("-c", marked, ENDPOINT=NOBODY_LISTENS) as program:
        program.wait_for_line("imports")
        time.sleep(seconds)
        program.send(signal.SIGINT)
        return program.finish()
