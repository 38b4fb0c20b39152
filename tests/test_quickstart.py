"""The quickstart: a worker in one terminal, a client in the other, and their words."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import NewTaskHub
from tests.processes import Finished, Program, lines_of_trouble, needs_signals, run, running
from tests.test_readme import block

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def scheduler(new_task_hub: NewTaskHub) -> dict[str, str]:
    return new_task_hub(check_determinism=False)


@pytest.fixture(scope="module")
def worker(scheduler: dict[str, str]) -> Iterator[Program]:
    """Give the worker of all these tests."""
    with running("worker.py", **scheduler) as program:
        program.wait_for_line("Successfully connected")
        yield program


@pytest.fixture(scope="module")
def client(scheduler: dict[str, str], worker: Program) -> Finished:
    """Give a client that has run ten items."""
    finished = run("client.py", **scheduler)
    worker.wait_for_line("completed with status: COMPLETED")
    return finished


def test_ten_items_are_the_default_and_only_the_result_is_on_stdout(client: Finished) -> None:
    assert client.status == 0
    assert client.stdout == '{"total_items": 10, "sum": 385, "average": 38.5}\n'


def test_the_client_logs_in_the_quickstarts_words(
    scheduler: dict[str, str], client: Finished
) -> None:
    messages = [line.split("INFO: ")[1] for line in client.stderr.splitlines()]
    started = messages.pop(3)
    assert started.startswith("Started orchestration with ID = ")
    pages = [line for line in messages if line.startswith("See the run: ")]
    assert all(scheduler["TASKHUB"] in page for page in pages)
    assert [line for line in messages if line not in pages] == [
        f"Using taskhub: {scheduler['TASKHUB']}",
        f"Using endpoint: {scheduler['ENDPOINT']}",
        "Starting new fan out/fan in orchestration with 10 work items",
        "Waiting for orchestration to complete...",
        "Orchestration completed with status: COMPLETED",
    ]


def test_the_worker_logs_in_the_quickstarts_words_each_line_once(
    scheduler: dict[str, str], worker: Program, client: Finished
) -> None:
    endpoint = scheduler["ENDPOINT"]
    for line in (
        "Starting Fan Out/Fan In pattern worker...",
        f"Using taskhub: {scheduler['TASKHUB']}",
        f"Using endpoint: {endpoint}",
        f"Starting gRPC worker that connects to {endpoint}",
        f"Successfully connected to {endpoint}. Waiting for work items...",
        "Starting fan out/fan in orchestration with 10 items",
        "Waiting for 10 parallel tasks to complete",
        "yielded with 10 task(s) and 0 event(s) outstanding.",
        *(f"Processing work item: {n}\n" for n in range(1, 11)),
        "All parallel tasks completed, aggregating results",
        "Aggregating results from 10 items",
        "completed with status: COMPLETED",
    ):
        assert worker.stderr.count(line) == 1, line
    assert worker.stdout == ""


def general(line: str) -> str:
    """Return a line of a log without time, ID, and what differs between schedulers."""
    line = re.sub(r"^(\.\.\.|[\d-]+ [\d:.]+)(?= )", "", line)
    line = re.sub(r"(ID = )\w+", r"\1ID", line)
    line = re.sub(r"http://[\w.]+:\d+", "ENDPOINT", line)
    return re.sub(r"taskhub: \S+", "taskhub: HUB", line).strip()


def test_readme_shows_the_lines_of_worker_and_client(worker: Program, client: Finished) -> None:
    worker_lines = [general(line) for line in worker.stderr.splitlines()]
    client_lines = [general(line) for line in (client.stderr + client.stdout).splitlines()]
    for words, lines in (("worker INFO", worker_lines), ("client INFO", client_lines)):
        shown = [general(line) for line in block("Run it by hand", words)]
        assert [line for line in lines if line in shown] == shown
    assert block("Run it", "total_items") == [client.stdout.strip()]


def test_every_line_of_the_logs_has_one_head(worker: Program, client: Finished) -> None:
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
    line_with_one_head = re.compile(rf"{time} (worker|durabletask|client) INFO: (?!.*INFO).+")
    for line in (*worker.stderr.splitlines(), *client.stderr.splitlines()):
        assert line_with_one_head.fullmatch(line), line


def test_items_run_simultaneously(worker: Program, client: Finished) -> None:
    lines = worker.stderr.splitlines()
    started = [index for index, line in enumerate(lines) if "Processing work item" in line]
    turns = [index for index, line in enumerate(lines) if " yielded with " in line]
    assert max(started) < turns[1]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this scheduling policy")
def test_a_thread_of_the_worker_that_wakes_up_interrupts_no_other(worker: Program) -> None:
    assert os.sched_getscheduler(worker.pid) == os.SCHED_BATCH


@needs_signals
def test_a_stopped_worker_finishes_its_work_and_exits_with_0(
    scheduler: dict[str, str], worker: Program, client: Finished
) -> None:
    before = worker.stderr.count("Processing work item")
    with running("client.py", "30", **scheduler) as waiting:
        worker.wait_for_line("Processing work item: 30\n")
        worker.send(signal.SIGTERM)
        ended = worker.finish()
        assert ended.status == 0
        assert ended.stderr.count("Processing work item") - before == 30
        assert ended.stderr.count("Worker shutdown initiated") == 1
        assert ended.stderr.splitlines()[-1].endswith("worker INFO: Worker stopped")
        assert lines_of_trouble(ended) == []
        with running("worker.py", **scheduler) as second:
            assert waiting.finish().status == 0
        assert "Processing work item" not in second.stderr
