"""The quickstart's C# form: activities, and what a .NET client gets."""

from __future__ import annotations

import json

import pytest
from durabletask import task

from dts_emulator import Emulator
from examples.text_lengths import client
from examples.text_lengths import worker as example
from tests.examples.exchange import answer_to
from tests.examples.fixtures import TEXT_LENGTHS, Exchange
from tests.processes import run, running

CONTEXT = task.ActivityContext("instance", 1)

QUICKSTART = """\
Starting Fan-Out Fan-In Pattern - Parallel Processing Client
Using local emulator with no authentication
Starting parallel processing orchestration with 5 work items
Work items: ["Task1","Task2","Task3","LongerTask4","VeryLongTask5"]
Started orchestration with ID: ID
Waiting for orchestration to complete...
Orchestration completed with status: Completed
Processing results:
Work item: Task1, Result: 5
Work item: Task2, Result: 5
Work item: Task3, Result: 5
Work item: LongerTask4, Result: 11
Work item: VeryLongTask5, Result: 13
Total items processed: 5
"""


@pytest.mark.parametrize(
    ("item", "length"), [("Task1", 5), ("", 0), ("ü", 1), ("\U0001f600", 2), ("\ud83d", 1)]
)
def test_a_length_counts_utf_16_units(item: str, length: int) -> None:
    assert example.ProcessWorkItemActivity(CONTEXT, item) == {item: length}


def test_of_equal_items_the_later_result_counts_in_the_order_of_the_items() -> None:
    results = [{"b": 1}, {"a": 2}, {"b": 3}]
    aggregate = example.AggregateResultsActivity(CONTEXT, results)
    assert json.dumps(aggregate) == '{"b": 3, "a": 2}'
    assert example.AggregateResultsActivity(CONTEXT, []) == {}


@pytest.mark.parametrize("exchange", TEXT_LENGTHS, ids=lambda exchange: exchange.name)
def test_a_dotnet_client_gets_what_a_dotnet_worker_gives_it(
    emulator: Emulator, exchange: Exchange
) -> None:
    answer = answer_to(
        emulator, example.create_worker, "ParallelProcessingOrchestration", exchange.sent
    )
    assert json.loads(answer) == exchange.expected
    assert list(json.loads(answer)) == list(exchange.expected)


@pytest.mark.system
def test_the_programs_print_the_quickstarts_lines(scheduler: dict[str, str]) -> None:
    with running("-m", "examples.text_lengths.worker", **scheduler) as worker:
        ended = run("-m", "examples.text_lengths.client", **scheduler)
        assert worker.stop().status == 0
    assert ended.status == 0, ended.stderr
    assert ended.stderr == ""
    lines = [
        "Started orchestration with ID: ID" if line.startswith("Started orchestration") else line
        for line in ended.stdout.splitlines()
    ]
    assert lines == QUICKSTART.splitlines()
    assert worker.stderr.count("worker INFO: Processing work item: LongerTask4") == 1
    assert "worker INFO: Aggregating results from 5 items" in worker.stderr


@pytest.mark.system
def test_other_items_are_arguments(scheduler: dict[str, str]) -> None:
    with running("-m", "examples.text_lengths.worker", **scheduler):
        ended = run("-m", "examples.text_lengths.client", "a", "\U0001f600", "a", **scheduler)
    assert ended.stdout.splitlines()[-3:] == [
        "Work item: a, Result: 1",
        "Work item: \U0001f600, Result: 2",
        "Total items processed: 2",
    ]


def test_the_default_items_are_the_quickstarts() -> None:
    assert json.dumps(client.DEFAULT_ITEMS, separators=(",", ":")) in QUICKSTART


def test_without_a_scheduler_the_client_ends_with_status_4(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = (
        "import sys; from examples.text_lengths import client; client.TIMEOUT_SECONDS = 0.5; "
        "sys.exit(client.main([]))"
    )
    ended = run("-c", code, ENDPOINT="http://127.0.0.1:9")
    assert ended.status == 4
    assert "Traceback" not in ended.stderr
    assert "--attach" not in ended.stderr
