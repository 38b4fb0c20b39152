"""What the quickstart's reader does: a worker in one terminal, a client in the other."""

from __future__ import annotations

import json
import re

import pytest

from tests.processes import Program, run

pytestmark = pytest.mark.system


def test_ten_items_are_the_default(scheduler: dict[str, str], worker: Program) -> None:
    client = run("client.py", **scheduler)
    assert client.status == 0
    assert client.stdout == '{"total_items": 10, "sum": 385, "average": 38.5}\n'


@pytest.mark.parametrize(("count", "total"), [(3, 14), (1000, 333_833_500)])
def test_the_number_of_items_is_an_argument(
    scheduler: dict[str, str], worker: Program, count: int, total: int
) -> None:
    client = run("client.py", str(count), **scheduler)
    assert client.status == 0
    assert json.loads(client.stdout) == {
        "total_items": count,
        "sum": total,
        "average": total / count,
    }


def test_the_client_logs_in_the_quickstarts_words(
    scheduler: dict[str, str], worker: Program
) -> None:
    client = run("client.py", "2", **scheduler)
    messages = [line.split("INFO: ")[1] for line in client.stderr.splitlines()]
    started = messages.pop(3)
    assert started.startswith("Started orchestration with ID = ")
    instance_id = started.rpartition(" ")[2]
    page = messages.pop(3)
    assert re.fullmatch(
        r"See the run: http://[^/]+:8082/subscriptions/local/schedulers/emulator"
        rf"/taskhubs/{scheduler['TASKHUB']}/orchestrations/{instance_id}",
        page,
    )
    assert messages == [
        f"Using taskhub: {scheduler['TASKHUB']}",
        f"Using endpoint: {scheduler['ENDPOINT']}",
        "Starting new fan out/fan in orchestration with 2 work items",
        "Waiting for orchestration to complete...",
        "Orchestration completed with status: COMPLETED",
    ]


def test_the_worker_logs_in_the_quickstarts_words_each_line_once(
    scheduler: dict[str, str], worker: Program
) -> None:
    run("client.py", "10", **scheduler)
    worker.wait_for_line("completed with status: COMPLETED")
    log = worker.stderr
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
        assert log.count(line) == 1, line


def test_every_line_of_the_log_has_one_head(scheduler: dict[str, str], worker: Program) -> None:
    client = run("client.py", "3", **scheduler)
    worker.wait_for_line("completed with status: COMPLETED")
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
    line_with_one_head = re.compile(rf"{time} (worker|durabletask|client) INFO: (?!.*INFO).+")
    for line in (*worker.stderr.splitlines(), *client.stderr.splitlines()):
        assert line_with_one_head.fullmatch(line), line


def test_everything_the_worker_says_goes_to_stderr(
    scheduler: dict[str, str], worker: Program
) -> None:
    run("client.py", "1", **scheduler)
    assert worker.stdout == ""


def test_items_run_at_the_same_time(scheduler: dict[str, str], worker: Program) -> None:
    run("client.py", "10", **scheduler)
    lines = worker.stderr.splitlines()
    started = [index for index, line in enumerate(lines) if "Processing work item" in line]
    turns = [index for index, line in enumerate(lines) if " yielded with " in line]
    assert max(started) < turns[1]
